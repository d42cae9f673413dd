"""Who speaks, from a table beside unit files and labels that do not say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.scored.labels import stem
from unitdisc.text_lines import lines

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def read_speakers(path: Path, keys: Iterable[str], *, by_stem: bool) -> dict[str, str]:
    """Return the speaker of each of ``keys`` from a file of lines ``id speaker``, as Kaldi's utt2spk.

    Raises `DataError` with the wrong line, or when an id is missing.

    Args:
        path: The file, which may name others, too.
        keys: What is scored.
        by_stem: Whether the file's ids are compared without folders and endings.
    """
    said: dict[str, str] = {}
    for number, line in lines(path):
        columns = line.split()
        if len(columns) != 2:
            raise DataError(f"{path}:{number}: expected an id and its speaker, found {line[:60]!r}")
        key, speaker = stem(columns[0]) if by_stem else columns[0], columns[1]
        if said.setdefault(key, speaker) != speaker:
            raise DataError(
                f"{path}:{number}: {key!r} has another speaker in an earlier line; keep one of them"
            )
    wanted = list(keys)
    lacking = [key for key in wanted if key not in said]
    if lacking:
        alike = not by_stem and {stem(key) for key in said} & {stem(key) for key in lacking}
        advice = "give --stem, as ids differ by folder or ending" if alike else "add them"
        raise DataError(
            f"{path}: says no speaker of {len(lacking)} (such as {lacking[0]!r}) of {len(wanted)} that are scored; "
            f"{advice}"
        )
    return {key: said[key] for key in wanted}
