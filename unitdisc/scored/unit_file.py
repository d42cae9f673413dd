"""Opens unit files: finds out their format, and whether they are of the run that they lie in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from unitdisc import convert, export, plugins
from unitdisc.errors import DataError, StorageError, UnitdiscError
from unitdisc.exporter import Format
from unitdisc.run import load
from unitdisc.run_folder import RunFolder, read_json

if TYPE_CHECKING:
    from pathlib import Path

    from unitdisc.run import Run


def is_run(path: Path) -> bool:
    """Whether a run was begun in ``path``."""
    return RunFolder(path).is_started()


def form(path: Path) -> str:
    """Return the format of a unit file, told by the sidecar beside it or by its name. Raises `UnitdiscError`."""
    if not path.exists() and not path.with_name(f"{path.name}0").exists():  # km of several codebooks
        raise StorageError(f"{path}: no run is here, and no unit file; give one of them")
    place = path.with_name(export.META)
    listed = read_json(place).get("files", {}) if place.is_file() else {}
    try:
        named = {
            about["format"]
            for file, about in listed.items()
            if file == path.name or file.startswith(f"{path.name}/") or file == f"{path.name}0"
        }
    except (KeyError, TypeError, AttributeError):
        raise DataError(f"{place}: is not what unitdisc wrote; move it away, or export anew") from None
    formats = named or {name for name in plugins.components("exporter") if _is_placed(path.name, name)}
    if len(formats) != 1:
        found = (
            f"could be {' or '.join(sorted(formats))}" if formats else "nothing tells the format of the units"
        )
        raise DataError(f"{path}: {found}; give --from NAME (unitdisc plugins exporter lists them)")
    return str(formats.pop())


def of_its_run(path: Path, file: convert.UnitFile) -> list[str]:
    """Return a warning when a unit file lies in a run and is of another of its checkpoints."""
    folder = next((parent for parent in path.resolve().parents if is_run(parent)), None)
    if folder is None or not file.meta["checkpoint_sha256"]:
        return []
    try:
        run = load(folder)
        newest = run.checkpoint.digest
    except UnitdiscError as error:
        return [f"the run that the units lie in cannot be asked whose they are: {error}"]
    return _other(file.meta["checkpoint_sha256"], newest, run)


def exported_of(run: Run) -> list[str]:
    """Return a warning when the unit files in a run are of another checkpoint than the one that is scored."""
    place = run.folder.units / export.META
    if not place.is_file():
        return []
    return _other(read_json(place).get("checkpoint_sha256", ""), run.checkpoint.digest, run)


def _other(theirs: str, newest: str, run: Run) -> list[str]:
    if theirs == newest:
        return []
    line = (
        f"the unit files are of another checkpoint ({theirs[:12]}) than the newest of {run.folder.path} "
        f"({newest[:12]}): trained on after the export; unitdisc export {run.folder.path} writes them anew"
    )
    return [line]


def _is_placed(name: str, form_name: str) -> bool:
    """Whether a format writes files of that name, with a split in it."""
    component = plugins.load("exporter", form_name)
    if not issubclass(component, Format):
        return False
    before, after = map(re.escape, component().place("\0").split("\0"))
    return bool(before + after) and re.fullmatch(f"{before}.+{after}", name) is not None
