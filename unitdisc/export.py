"""Writes the units of a run with a sidecar that says what they are."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from unitdisc import recipe
from unitdisc.errors import RecipeError
from unitdisc.storage import new_folder, refuse_other_files, write_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from unitdisc.exporter import Exporter
    from unitdisc.recipe import Use
    from unitdisc.units import Units

META = "units.meta.json"


def write(
    folder: Path,
    units: Mapping[str, Sequence[Units]],
    *,
    exporters: Mapping[str, Exporter],
    meta: Mapping[str, Any],
) -> list[str]:
    """Write every split in every format into ``folder``, all or nothing; return the file names.

    Args:
        folder: Replaced as a whole.
        units: By split, in the order of the manifest.
        exporters: By format name.
        meta: What goes into ``units.meta.json`` beside the counts and checksums added here.
    """
    refuse_other_files(folder, META)
    with new_folder(folder) as partial:
        files: dict[str, dict[str, Any]] = {}
        for split, sequences in units.items():
            for name, exporter in exporters.items():
                for path in exporter.write(
                    sequences, split=split, num_codes=meta["num_codes"], folder=partial
                ):
                    files[path.relative_to(partial).as_posix()] = {
                        "format": name,
                        "split": split,
                        "sha256": sha256(path),
                    }
        splits = {
            split: {
                "items": len(sequences),
                "units": sum(len(item.codes) for item in sequences),
                "duration": round(sum(item.end - item.start for item in sequences), 6),
            }
            for split, sequences in units.items()
        }
        content = {**meta, "splits": splits, "files": files}
        write_text(partial / META, json.dumps(content, indent=1, sort_keys=True) + "\n")
    return [*files, META]


def only_book(item: Units, book: int) -> Units:
    """Return the units of one codebook. Raises `RecipeError` when there is none of that number."""
    refuse_book(book, item.codes.shape[1])
    return replace(item, codes=item.codes[:, book : book + 1])


def refuse_book(book: int, count: int) -> None:
    """Raise `RecipeError` where ``count`` codebooks have none of that number."""
    if book >= count:
        raise RecipeError(f"--book {book}: found {count} codebooks, numbered from 0")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, which is never in memory as a whole."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def exporters(names: Sequence[str], options: Sequence[str] = ()) -> dict[str, Use]:
    """Return the named exporters, each with ``options`` (``key=value``). Raises `RecipeError` for a wrong one."""
    return {name: recipe.component("exporter", name, options) for name in names}
