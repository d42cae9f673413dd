"""Timed symbols in CTM: a line ``id channel start duration symbol`` each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.reader import LONGEST, Timed
from unitdisc.text_lines import lines

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path


def read(
    path: Path, *, symbol: Callable[[str], str] = str, known: Collection[str] | None = None
) -> dict[str, list[Timed]]:
    """Return the labels by id; ``symbol`` brings each symbol into its form.

    Where none of its ids is one of ``known``, that is a `DataError`: times by recording are none by utterance.
    Lines that begin with ``;;`` are comments.
    """
    found: dict[str, list[Timed]] = {}
    for number, line in lines(path):
        if line.startswith(";;"):
            continue
        try:
            key, _, start, duration, text, *_ = line.split()
            label = Timed(float(start), float(start) + float(duration), symbol(text))
        except ValueError:
            raise DataError(
                f"{path}:{number}: found {line[:60]!r}; write 'id channel start duration symbol', times in seconds"
            ) from None
        if not 0 <= label.start <= label.end < LONGEST:
            raise DataError(
                f"{path}:{number}: {text!r} of {key} starts at {start} and lasts {duration}; correct it"
            )
        found.setdefault(key, []).append(label)
    if known and found and not any(key in found for key in known):
        raise DataError(
            f"{path}: has the id {next(iter(found))!r} and others, but none of an utterance, such as "
            f"{next(iter(known))!r}; give times by utterance"
        )
    return found
