"""Units as a Parquet table."""

from __future__ import annotations

import importlib
import io
from typing import TYPE_CHECKING, Any

from unitdisc.errors import DataError, RecipeError
from unitdisc.exporter import Format, Told
from unitdisc.repeats import durations, without_repeats
from unitdisc.storage import new_file
from unitdisc.text_lines import read_bytes
from unitdisc.unit_lines import repeated
from unitdisc.units import Units
from unitdisc_formats.limits import num_codebooks, refuse_ids
from unitdisc_formats.lines import codes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_ROWS = 1000
"""Utterances in a row group."""


class Parquet(Format):
    """A table ``SPLIT.parquet`` for pandas, polars and Hugging Face datasets. Needs the extra ``unitdisc[parquet]``.

    Columns: ``id``, ``units`` (a list of int32; of lists of int32 with several codebooks), ``start``, ``step``,
    ``end``, ``unit_of_time``, ``split``. Nothing is lost.

    Args:
        deduplicate: Merge equal neighbours (in all codebooks) into one unit; a column ``durations`` says how many
            they were. Nothing is lost.
    """

    def __init__(self, *, deduplicate: bool = False) -> None:
        self._deduplicate = deduplicate

    def place(self, split: str) -> str:
        """Return the file's name."""
        return f"{split}.parquet"

    def write(self, units: Sequence[Units], *, split: str, num_codes: int, folder: Path) -> list[Path]:
        """Write one file."""
        del num_codes  # readers are told K by the sidecar
        arrow = _arrow("pyarrow")
        code = arrow.int32() if num_codebooks(units) == 1 else arrow.list_(arrow.int32())
        refuse_ids(units, pattern="^$", name="parquet", reason="nothing")
        columns = [("id", arrow.string()), ("units", arrow.list_(code))]
        columns += [("durations", arrow.list_(arrow.int32()))] if self._deduplicate else []
        columns += [(name, arrow.float64()) for name in ("start", "step", "end")]
        columns += [(name, arrow.string()) for name in ("unit_of_time", "split")]
        schema = arrow.schema(columns)
        path = folder / self.place(split)
        with new_file(path) as file, _arrow("pyarrow.parquet").ParquetWriter(file, schema) as writer:
            for first in range(0, len(units), _ROWS):
                rows = [self._row(item, split) for item in units[first : first + _ROWS]]
                writer.write_table(arrow.Table.from_pylist(rows, schema=schema))
        return [path]

    def _row(self, item: Units, split: str) -> dict[str, Any]:
        codes = without_repeats(item.codes) if self._deduplicate else item.codes
        return {
            "id": item.key,
            "units": (codes[:, 0] if codes.shape[1] == 1 else codes).tolist(),
            "durations": durations(item.codes).tolist(),
            "start": item.start,
            "step": item.step,
            "end": item.end,
            "unit_of_time": item.unit_of_time,
            "split": split,
        }

    def read(self, path: Path, told: Told) -> Iterator[tuple[str, Units]]:
        """Yield the units of each row; a table with ``id`` and ``units`` alone is enough."""
        for number, row in enumerate(_rows(path), start=1):
            where = f"{path}: row {number}"
            if not isinstance(row.get("id"), str) or not isinstance(row.get("units"), list):
                raise DataError(f"{where}: expected columns id and units, found {', '.join(row)}")
            codes = codes_of(row["units"], where)
            if row.get("durations") is not None:
                codes = repeated(codes, codes_of(row["durations"], where)[:, 0].tolist(), where)
            if row.get("step") is None:
                yield where, told.units(row["id"], codes)
                continue
            start, step, end = (_time(row, name, where) for name in ("start", "step", "end"))
            yield where, Units(row["id"], codes, start, step, end, str(row.get("unit_of_time") or "second"))


def _time(row: dict[str, Any], name: str, where: str) -> float:
    """Return a time of a row, which may be a whole number."""
    if isinstance(row.get(name), bool) or not isinstance(row.get(name), int | float):
        raise DataError(
            f"{where}: expected numbers in start, step and end, found {row.get(name)!r} in {name}; write it anew, "
            "or leave step out"
        )
    return float(row[name])


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    arrow, parquet = _arrow("pyarrow"), _arrow("pyarrow.parquet")
    content = io.BytesIO(read_bytes(path))
    try:
        for batch in parquet.ParquetFile(content).iter_batches(batch_size=_ROWS):
            yield from batch.to_pylist()
    except (arrow.ArrowException, OSError, ValueError) as error:  # names that are not UTF-8, too
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: no Parquet table, or damaged ({reason}); write it anew") from None


def _arrow(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise RecipeError("format parquet needs pyarrow: pip install 'unitdisc[parquet]'") from None
