"""Labels in the files of other tools: TextGrid, CTM, lines of times, lines of frames, item files."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING

from unitdisc import ctm, textgrid
from unitdisc.errors import DataError
from unitdisc.reader import LONGEST
from unitdisc.scored.labelled import Labels
from unitdisc.scored.spans import NANOSECONDS, Table, nanoseconds
from unitdisc.text_lines import lines

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from unitdisc.reader import Timed

_ALIASES = {"phone": "phones", "phoneme": "phones", "phonemes": "phones", "phn": "phones", "word": "words",
            "wrd": "words"}  # fmt: skip
BY_FRAME = "labels by frame"
_ITEM = ("#file", "onset", "offset", "#phone", "speaker")


def read_textgrids(folder: Path) -> Labels:
    """Return the interval tiers of the TextGrids of a folder.

    The id is the file's name without ending, or its whole path in the folder where names repeat; the folder that it
    lies in is the speaker. A recording is as long as its tiers reach.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".textgrid")
    counts = Counter(path.stem for path in paths)
    found = Labels("a folder of TextGrids")
    for path in paths:
        key = path.stem if counts[path.stem] == 1 else str(path.relative_to(folder).with_suffix(""))
        tiers = textgrid.read(path)
        for tier, intervals in tiers.items():
            name = table_name(tier.rpartition(" - ")[2])  # MFA puts the speaker before: "speaker - phones"
            table = _table(found, name)
            if key in table.spans:
                raise DataError(
                    f"{path}: several tiers are {name}, such as {tier!r}; keep one of them, or rename it"
                )
            table.add(key, _ticks(intervals), NANOSECONDS)
        end = max((nanoseconds(interval.end) for tier in tiers.values() for interval in tier), default=0)
        found.lengths[key] = Fraction(end, NANOSECONDS)
        found.fields[key] = {} if path.parent == folder else {"speaker": path.parent.name}
    return found


def read_ctm(path: Path) -> Labels:
    """Return the labels of a CTM file, under the name of the file: ``phones.ctm`` are phones."""
    found = Labels("a CTM file")
    table = _table(found, table_name(path.stem))
    for key, labels in ctm.read(path).items():
        table.add(key, _ticks(labels), NANOSECONDS)
    return found


def read_items(path: Path) -> Labels:
    """Return the speakers of an item file of ABX; its tokens overlap, so they label no frames."""
    found = Labels("an ABX item file", item_file=path)
    header: list[str] = []
    for number, line in lines(path):
        columns = line.split()
        if not header:
            header = columns
            continue
        row = dict(zip(header, columns, strict=False))
        if set(_ITEM) - set(row):
            raise DataError(f"{path}:{number}: expected the columns {' '.join(header)}, found {line[:60]!r}")
        found.fields[row["#file"]] = {"speaker": row["speaker"]}
    return found


def read_lines(path: Path, step: Fraction) -> Labels:
    """Return the labels of a text file: ``id start end symbol`` in seconds, or ``id symbol symbol ...`` by frame.

    The first is the form of the Term Discovery Evaluation (also with a header, ``#file onset offset #phone``), the
    second that of Kaldi's alignments. It is the first where the first line has four columns, two of them times.

    Args:
        path: The file; its name says what the labels are (``words.txt``, ``english.wrd``), else they are phones.
        step: Seconds of a frame.
    """
    table = Table()
    found = Labels("a text file of labels", tables={_lines_name(path): table})
    listed = (
        (f"{path}:{number}", line.split()) for number, line in lines(path) if not line.startswith("#file")
    )
    first = next(listed, None)
    if first is None:
        return found
    rows = itertools.chain([first], listed)
    if len(first[1]) == 4 and _is_time(first[1][1]) and _is_time(first[1][2]):
        for key, group in itertools.groupby(rows, key=lambda row: row[1][0]):
            where = f"{path}: {key}"
            if key in table.spans:
                raise DataError(f"{where}: its lines do not stand together; sort the file by id")
            table.add(key, [_timed(columns, place) for place, columns in group], NANOSECONDS)
    else:
        found.form = BY_FRAME
        for place, (key, *symbols) in rows:
            _add_frames(found, table, key, symbols, step=step, where=place)
    return found


def read_jsonl(path: Path, step: Fraction) -> Labels:
    """Return labels by frame, lines such as ``{"file": id, "phones": ["sil", "ae", "ae"]}``; null is unlabelled.

    Every list of a line is a table under its own name; single values beside it, such as a speaker, are its fields.
    """
    found = Labels(BY_FRAME)
    for number, line in lines(path):
        where = f"{path}:{number}"
        try:
            content = json.loads(line)
            key = content["file"] if "file" in content else content["id"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise DataError(
                f'{where}: expected {{"file": id, "phones": [...]}}, found {line[:60]!r}'
            ) from None
        for name, value in content.items():
            if isinstance(value, list):
                symbols = ["" if symbol is None else str(symbol) for symbol in value]
                _add_frames(found, _table(found, name), str(key), symbols, step=step, where=where)
        fields = {name: str(value) for name, value in content.items() if isinstance(value, str | int | float)}
        found.fields[str(key)] = fields
    return found


def _timed(columns: list[str], where: str) -> tuple[int, int, str]:
    try:
        _, start, end, symbol = columns
        left, right = float(start), float(end)
    except ValueError:
        raise DataError(
            f"{where}: expected id, start, end and symbol, found {' '.join(columns)[:60]!r}"
        ) from None
    if not 0 <= left <= right < LONGEST:
        raise DataError(f"{where}: {symbol!r} of {columns[0]} goes from {start} to {end} s; correct it")
    return nanoseconds(left), nanoseconds(right), symbol


def table_name(name: str) -> str:
    """Return what labels of that name are called here: phn and phone are phones."""
    plain = name.strip().lower()
    return _ALIASES.get(plain, plain)


def _lines_name(path: Path) -> str:
    names = [table_name(path.stem), table_name(path.suffix.lstrip("."))]
    return "words" if "words" in names else "phones"


def _table(found: Labels, name: str) -> Table:
    return found.tables.setdefault(name, Table())


def _ticks(labels: Iterable[Timed]) -> list[tuple[int, int, str]]:
    return [(nanoseconds(label.start), nanoseconds(label.end), label.symbol) for label in labels]


def _add_frames(
    found: Labels, table: Table, key: str, symbols: list[str], *, step: Fraction, where: str
) -> None:
    """Take in a label per frame of ``step`` seconds; neighbours need not be told apart."""
    if key in table.spans:
        raise DataError(f"{where}: {key!r} stands in an earlier line too; keep one of them")
    rate = step.denominator
    width = step.numerator
    table.add(key, [(n * width, (n + 1) * width, symbol) for n, symbol in enumerate(symbols)], rate)
    found.lengths[key] = len(symbols) * step


def _is_time(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
