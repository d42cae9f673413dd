"""Unit files of any system read, checked, and written in another format, with what that loses."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from unitdisc import export
from unitdisc.errors import DataError, RecipeError, StorageError
from unitdisc.exporter import UNKNOWN, Format, Told
from unitdisc.lost import lost
from unitdisc.run_folder import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from unitdisc.units import Units
    from unitdisc.use import Use

T = TypeVar("T")
_OWN = ("splits", "files", "formats")
"""What a sidecar says of its files rather than of the units."""


@dataclass(frozen=True)
class UnitFile:
    """The units of a file.

    Args:
        units: In the order of the file, all with Q codebooks and one step.
        split: Name of their split.
        num_codes: K; the largest code + 1 where nobody told.
        is_told: Whether K is told.
        meta: What the sidecar says of the units; without one, no more than can be seen.
    """

    units: list[Units]
    split: str
    num_codes: int
    is_told: bool
    meta: dict[str, Any]


@dataclass(frozen=True)
class Converted:
    """What a conversion wrote.

    Args:
        files: Names in the new folder.
        source: What was read.
        lost: What the new files do not tell a reader that has no sidecar.
    """

    files: list[str]
    source: UnitFile
    lost: list[str]


def read(
    path: Path,
    name: str,
    *,
    step: float | None = None,
    unit_of_time: str | None = None,
    num_codes: int | None = None,
) -> UnitFile:
    """Return the units of a file or folder in the format ``name``, checked.

    What is told must agree with ``units.meta.json`` where that stands beside and lists the file; its checksums are
    verified. Raises `DataError` with file and line.

    Args:
        path: The file or folder.
        name: Its format.
        step: Length of one unit; None asks the sidecar and the file.
        unit_of_time: Of the step; None asks the sidecar, else takes seconds.
        num_codes: K; None asks the sidecar, else takes the largest code + 1.
    """
    reader = _format(export.exporters([name])[name])
    if not path.exists() and not path.with_name(f"{path.name}0").is_file():  # km of several codebooks
        raise DataError(f"{path}: is not there; give a file or folder of units")
    split, meta = _sidecar(path, name)
    asked = step, unit_of_time
    step = _agreed(path, meta, "step", step)
    unit_of_time = _agreed(path, meta, "unit_of_time", unit_of_time)
    num_codes = _agreed(path, meta, "num_codes", num_codes)
    units = list(_checked(reader.read(path, Told(step, unit_of_time)), path, num_codes))
    _refuse_unused(path, units[0], *asked)
    return _file(units, split or _split(path, reader), num_codes, meta)


def _file(units: list[Units], split: str, num_codes: int | None, meta: dict[str, Any]) -> UnitFile:
    """Return units, of which there are some, with what is known of all of them."""
    count = max(
        (item.codes.shape[1] for item in units if len(item.codes)), default=meta.get("num_codebooks", 1)
    )
    empty = np.zeros((0, count), np.int64)
    largest = max(int(item.codes.max(initial=-1)) for item in units)
    seen = {
        "num_codes": num_codes or largest + 1,
        "num_codebooks": count,
        "step": units[0].step,
        "unit_of_time": units[0].unit_of_time,
        "offset": units[0].start,
        "checkpoint_sha256": "",
    }
    shaped = [item if len(item.codes) else replace(item, codes=empty) for item in units]
    return UnitFile(shaped, split, seen["num_codes"], num_codes is not None, {**seen, **meta})


def convert(
    source: UnitFile, name: str, folder: Path, *, options: Sequence[str] = (), book: int | None = None
) -> Converted:
    """Write units in the format ``name`` into ``folder``, which is replaced as a whole, with a sidecar.

    Args:
        source: What to write.
        name: Format.
        folder: Where to.
        options: Parameters of the format as ``key=value``.
        book: The only codebook to write; None writes all.
    """
    use = export.exporters([name], options)[name]
    exporter = use.build()
    units, meta = source.units, {**source.meta, "formats": {name: use.plain()}}
    if exporter.is_timed and meta["unit_of_time"] == UNKNOWN:
        raise RecipeError(
            f"format {name} holds times, and nothing says how long a unit lasts; give --step SECONDS"
        )
    if book is not None:
        units = [export.only_book(item, book) for item in units]
        meta |= {"num_codebooks": 1, "book": book}
    files = export.write(folder, {source.split: units}, exporters={name: exporter}, meta=meta)
    gone = [] if book is None or source.meta["num_codebooks"] == 1 else ["the other codebooks"]
    if not isinstance(exporter, Format):
        return Converted(
            files, source, [*gone, "what this format cannot hold (it cannot be read back to see)"]
        )
    told = Told(meta["step"]) if exporter.is_timed else Told()
    after = [item for _, item in exporter.read(folder / exporter.place(source.split), told)]
    return Converted(files, source, [*gone, *lost(units, after)])


def _format(use: Use) -> Format:
    exporter = use.build()
    if not isinstance(exporter, Format):
        raise RecipeError(f"format {use.name}: can be written, not read")
    return exporter


def _agreed(path: Path, meta: dict[str, Any], name: str, told: T | None) -> T | None:
    """Return what the sidecar says, or else what is told. Raises `DataError` when they differ."""
    said: T | None = meta.get(name, told)
    if told is not None and said != told:
        raise DataError(f"{path}: {export.META} beside it says {name} {said}, not {told}; leave it out")
    return said


def _refuse_unused(path: Path, item: Units, step: float | None, unit_of_time: str | None) -> None:
    """Raise an error for a length of units that counted for nothing, as the file says another, or says none."""
    if unit_of_time is not None and item.unit_of_time == UNKNOWN:
        raise RecipeError(
            f"{path}: nothing says how many {unit_of_time}s a unit lasts; give --step beside --unit-of-time"
        )
    if (step or item.step, unit_of_time or item.unit_of_time) != (item.step, item.unit_of_time):
        raise DataError(
            f"{path}: says itself that a unit lasts {item.step:g} {item.unit_of_time}s; leave out --step and "
            "--unit-of-time"
        )


def _split(path: Path, reader: Format) -> str:
    """Return the split that a file's name tells, or the name."""
    before, after = map(re.escape, reader.place("\0").split("\0"))
    match = re.fullmatch(f"{before}(.+){after}", path.name)
    return match[1] if match else path.stem


def _sidecar(path: Path, name: str) -> tuple[str, dict[str, Any]]:
    """Return the split of a file and what ``units.meta.json`` beside it says of the units, if it lists the file."""
    place = path.with_name(export.META)
    meta = read_json(place) if place.is_file() else {}
    try:
        listed = {file: about for file, about in meta.get("files", {}).items() if about["format"] == name}
        splits = {about["split"] for file, about in listed.items() if _is_of(file, path.name)}
        wanted = {file: about["sha256"] for file, about in listed.items() if about["split"] in splits}
    except (KeyError, TypeError, AttributeError):
        raise StorageError(f"{place}: is not what unitdisc wrote; move it away, or export anew") from None
    for file, digest in wanted.items():
        written = path.parent / file
        if not written.is_file() or export.sha256(written) != digest:
            raise DataError(
                f"{written}: is not what {export.META} lists (SHA-256): damaged or changed; export it anew, or "
                f"move {export.META} away"
            )
    if not splits:
        return "", {}
    return splits.pop(), {key: value for key, value in meta.items() if key not in _OWN}


def _is_of(file: str, name: str) -> bool:
    """Whether a listed file is, or belongs to, the file or folder of that name."""
    return file in {name, f"{name}0"} or file.startswith(f"{name}/")


def _checked(found: Iterator[tuple[str, Units]], path: Path, num_codes: int | None) -> Iterator[Units]:
    """Yield the units. Raises `DataError` where they do not go together."""
    seen: set[str] = set()
    first: Units | None = None
    count = None
    for where, item in found:
        if item.key in seen:
            raise DataError(f"{where}: {item.key!r} stands there twice; keep one of them")
        seen.add(item.key)
        first = first or item
        if not (0 < item.step < inf and isfinite(item.start) and isfinite(item.end)):
            raise DataError(
                f"{where}: {item.key}: its times are no finite numbers, or its step is not above 0"
            )
        if (item.step, item.unit_of_time) != (first.step, first.unit_of_time):
            raise DataError(
                f"{where}: {item.key}: a unit lasts {item.step:.6g} {item.unit_of_time}s, that of others "
                f"{first.step:.6g} {first.unit_of_time}s; give files of one kind"
            )
        if len(item.codes):
            count = count or item.codes.shape[1]
            if item.codes.shape[1] != count:
                raise DataError(
                    f"{where}: {item.key}: units have {item.codes.shape[1]} codes, those before {count}"
                )
            if num_codes is not None and item.codes.max() >= num_codes:
                raise DataError(
                    f"{where}: {item.key}: found code {item.codes.max()}; there are 0 to {num_codes - 1}"
                )
        yield item
    if not seen:
        raise DataError(f"{path}: holds no units")
