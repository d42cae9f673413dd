"""Parallel text written anew, with translations in place of the targets of a split."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.storage import write_bytes, write_lines
from unitdisc.text_lines import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from unitdisc_translation.pairs import Pair, ParallelSplit


def write_translated(
    folder: Path,
    *,
    root: Path,
    pairs: Mapping[str, Pair],
    name: str,
    split: ParallelSplit,
    translations: Iterable[str],
) -> str:
    """Write files named as those of ``pairs`` into the empty ``folder``; return a line on what they hold.

    Args:
        folder: Where to.
        root: Folder of ``pairs``.
        pairs: Files by split; those of other splits than ``name`` are copied byte by byte.
        name: Split whose targets the translations replace.
        split: Its pairs; lines that it left out are not written.
        translations: One for each pair, in order.
    """
    copies = placed(folder, root=root, pairs=pairs, name=name)
    for copy in copies.values():
        copy.source.parent.mkdir(parents=True, exist_ok=True)
    write_lines(copies[name].source, (f"{split.fields(index)['source']}\n" for index in range(len(split))))
    write_lines(copies[name].target, (f"{line}\n" for line in translations))
    for other in (each for each in pairs if each != name):
        write_bytes(copies[other].source, read_bytes(pairs[other].source))
        write_bytes(copies[other].target, read_bytes(pairs[other].target))
    count = sum(count for count, _ in split.chosen.left_out.values())
    left_out = f", {count:,} left out" if count else ""
    copied = ", ".join(each for each in pairs if each != name) or "nothing"
    return f"{name}: {len(split):,} pairs with translations as targets{left_out}; copied: {copied}"


def placed(folder: Path, *, root: Path, pairs: Mapping[str, Pair], name: str) -> dict[str, Pair]:
    """Return by split where in ``folder`` the copies go. Raises `DataError` where files would be lost or outside."""
    found = {split: _placed(pair, root, folder) for split, pair in pairs.items()}
    for split, copy in found.items():
        if split != name and copy == found[name]:
            raise DataError(
                f"{pairs[split].source}: is a file of {name} and of another split, which would be lost; give each "
                "split files of its own (data.files)"
            )
    return found


def _placed(pair: Pair, root: Path, folder: Path) -> Pair:
    relative = [os.path.relpath(path, root) for path in (pair.source, pair.target)]
    if Path(relative[0]).parts[0] == os.pardir:
        raise DataError(
            f"{pair.source}: lies outside the folder {root}, and its copy would lie outside the new folder; name "
            "files below data.root in data.files"
        )
    return type(pair)(*(folder / place for place in relative))
