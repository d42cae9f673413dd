"""Parallel text written anew, with translations in place of the targets of a split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.storage import write_bytes, write_lines
from unitdisc.text_lines import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

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
    pair = _placed(pairs[name], root, folder)
    write_lines(pair.source, (f"{split.fields(index)['source']}\n" for index in range(len(split))))
    write_lines(pair.target, (f"{line}\n" for line in translations))
    for other in (pairs[each] for each in pairs if each != name):
        copy = _placed(other, root, folder)
        if copy == pair:
            raise DataError(
                f"{other.source}: is a file of {name} and of another split, which would be lost; give each split "
                "files of its own (data.files)"
            )
        write_bytes(copy.source, read_bytes(other.source))
        write_bytes(copy.target, read_bytes(other.target))
    count = sum(count for count, _ in split.chosen.left_out.values())
    left_out = f", {count:,} left out" if count else ""
    copied = ", ".join(each for each in pairs if each != name) or "nothing"
    return f"{name}: {len(split):,} pairs with translations as targets{left_out}; copied: {copied}"


def _placed(pair: Pair, root: Path, folder: Path) -> Pair:
    """Return where the files of ``pair`` have their copies. Raises `DataError` for a place outside ``folder``."""
    places = [folder / path.relative_to(root) for path in (pair.source, pair.target)]
    for place in places:
        if not place.resolve().is_relative_to(folder.resolve()):
            raise DataError(f"{place}: lies outside the new folder; name files below data.root in data.files")
        place.parent.mkdir(parents=True, exist_ok=True)
    return type(pair)(*places)
