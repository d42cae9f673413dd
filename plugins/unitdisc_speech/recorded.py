"""What a reader found in an owner's distribution, measured, checked and written as cuts."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.manifest import Label
from unitdisc_speech.audio import header
from unitdisc_speech.cuts import Utterance, write_cuts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitdisc.reader import Recorded, Timed

_SLACK = 0.05
"""Seconds by which times may pass the end of a recording: aligners round up to whole frames."""


def import_recorded(recorded: Sequence[Recorded], out: Path) -> str:
    """Write the utterances that a reader found into the folder ``out``; say in a line what they are."""
    measured: dict[Path, tuple[int, int]] = {}
    utterances: dict[str, Utterance] = {}
    for item in recorded:
        utterance = _utterance(item, measured)
        if item.key in utterances:
            raise DataError(
                f"{item.where}: id {item.key!r} stands in the splits {utterances[item.key].split!r} and "
                f"{item.split!r}; every id may stand once"
            )
        utterances[item.key] = utterance
    root = Path(os.path.commonpath([utterance.path.parent for utterance in utterances.values()]))
    tables = sorted({name for utterance in utterances.values() for name in utterance.tables})
    return write_cuts(list(utterances.values()), out, root=root, tables=tables)


def _utterance(item: Recorded, measured: dict[Path, tuple[int, int]]) -> Utterance:
    if not item.key.isprintable() or not item.key or " " in item.key or "|" in item.key:
        raise DataError(
            f"{item.where}: id {item.key!r} is empty or has white space or '|', which unit files use between "
            "columns; rename it"
        )
    path = item.path.resolve()
    if path not in measured:
        measured[path] = header(path, f"{item.where}: {item.key}")
    recorded, rate = measured[path]
    start, end = (0, recorded) if item.span is None else _samples(item, recorded, rate)
    tables = {name: _labels(item, name, end - start, rate) for name in item.tables}
    part = {} if (start, end) == (0, recorded) else {"start": start, "recorded": recorded}
    return Utterance(item.key, path, item.split, end - start, rate, item.fields, tables, **part)


def _samples(item: Recorded, recorded: int, rate: int) -> tuple[int, int]:
    assert item.span is not None  # noqa: S101
    left, right = item.span
    if not 0 <= left < right <= recorded / rate + _SLACK or round(left * rate) >= recorded:
        raise DataError(
            f"{item.where}: {item.key} goes from {left:g} to {right:g} s of a recording of {recorded / rate:g} s "
            f"({item.path}); correct the times"
        )
    return round(left * rate), min(round(right * rate), recorded)


def _labels(item: Recorded, name: str, length: int, rate: int) -> list[Label]:
    """Return the labels in samples, sorted; what is shorter than a sample is left out."""
    timed = sorted(item.tables[name], key=lambda label: label.start)
    for label in timed:
        if not 0 <= label.start <= label.end <= length / rate + _SLACK:
            raise DataError(
                f"{item.where}: {_named(label, name)} of {item.key} lies outside of its {length / rate:g} s; "
                "correct the alignment, or give the recording that belongs to it"
            )
    spans = ((round(label.start * rate), min(round(label.end * rate), length), label) for label in timed)
    kept = [(Label(start, end, label.symbol), label) for start, end, label in spans if start < end]
    for (before, earlier), (after, later) in pairwise(kept):
        if after.start == before.start or after.end <= before.end:
            raise DataError(
                f"{item.where}: {_named(later, name)} of {item.key} covers or lies in {_named(earlier, name)}; "
                "labels may overlap at their edges only"
            )
    return [label for label, _ in kept]


def _named(label: Timed, table: str) -> str:
    return f"{table} {label.symbol!r} ({label.start:g} to {label.end:g} s)"
