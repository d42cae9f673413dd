"""Recipes as files: by name or path, what each extends, and which presets lie beside it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from unitdisc import suggest
from unitdisc.errors import RecipeError
from unitdisc.problems import COMMAND_LINE, Place, Problems, quoted
from unitdisc.yaml_marks import read_file

if TYPE_CHECKING:
    from unitdisc.yaml_marks import Node


@dataclass(frozen=True)
class RecipeInfo:
    """A recipe that can be run by its name.

    Args:
        name: "speech/ema".
        path: Its file.
        summary: The first comment line of the file.
        presets: Names of its presets.
    """

    name: str
    path: Path
    summary: str
    presets: tuple[str, ...]


def folder() -> Path:
    """Return the recipes folder: inside an installed package, beside it in a source checkout."""
    package = Path(__file__).parent
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


def available() -> list[RecipeInfo]:
    """Return the recipes of the recipes folder by name, without bases and presets."""
    return sorted((_info(path) for path in _files()), key=lambda info: info.name)


def matching(pattern: str) -> list[str]:
    """Return the names of the recipes that fit a pattern such as "speech/*", in which * stops at a /."""
    wanted = pattern.split("/")
    named = {name(path): name(path).split("/") for path in _files()}
    return sorted(
        one
        for one, steps in named.items()
        if len(steps) == len(wanted) and all(map(fnmatchcase, steps, wanted))
    )


def _files() -> list[Path]:
    """Return the files of the recipes folder but for bases (base.yaml, units_base.yaml) and presets."""
    paths = folder().rglob("*.yaml")
    return [path for path in paths if "base" not in path.stem.split("_") and "." not in path.stem]


def find(recipe: str | Path, problems: Problems) -> Path:
    """Return the file of a recipe given by path or name."""
    if os.path.isfile(recipe):  # noqa: PTH113  (false, and no exception, for whatever is no path)
        return Path(recipe)
    named = folder() / f"{recipe}.yaml"
    if os.path.isfile(named):  # noqa: PTH113
        return named
    hint = suggest.hint(str(recipe), [info.name for info in available()])
    what = "is not a file" if os.path.exists(recipe) else "is no recipe"  # noqa: PTH110
    return problems.stop(COMMAND_LINE, f"{quoted(str(recipe))} {what}{hint} ('unitdisc recipes' lists them)")


def name(path: Path) -> str:
    """Return what a recipe without ``name`` is called: its name in the recipes folder, or its file's."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100
    if whole.is_relative_to(folder()):
        return whole.relative_to(folder()).with_suffix("").as_posix()
    return path.stem


def chain(path: Path, problems: Problems) -> list[tuple[Path, dict[str, Node]]]:
    """Return the files that make up a recipe and what each holds: the root of ``extends`` first, it last."""
    files: list[tuple[Path, dict[str, Node]]] = []
    names: dict[str, Place] = {}
    while True:
        sections = dict(read_file(path, problems).data)
        files.insert(0, (path, sections))
        extends = sections.pop("extends", None)
        if extends is None:
            return files
        names[os.path.realpath(path)] = extends.place
        path = _extended(extends, problems)
        if os.path.realpath(path) in names:
            problems.stop(
                extends.place, f"extends: {quoted(extends.data)} extends this file again, in a circle"
            )


def presets(file: Path) -> dict[str, Path]:
    """Return the overlays of a file by name: ``base.small.yaml`` is the preset "small" of ``base.yaml``."""
    start, end = f"{file.stem}.", ".yaml"
    found = {
        path.name.removeprefix(start).removesuffix(end): path
        for path in sorted(file.parent.iterdir())
        if path.name.startswith(start) and path.name.endswith(end) and path.name != start + end[1:]
    }
    return {preset: path for preset, path in found.items() if "." not in preset}


def _extended(extends: Node, problems: Problems) -> Path:
    if not isinstance(extends.data, str):
        problems.stop(extends.place, f"extends must be the path of a recipe, found {extends.found()}")
    path = Path(os.path.normpath(extends.place.folder / extends.data))
    if os.path.isfile(path):  # noqa: PTH113
        return path
    named = folder() / f"{extends.data}.yaml"
    if os.path.isfile(named):  # noqa: PTH113
        return named
    beside = [f.name for f in extends.place.folder.iterdir() if f.suffix == ".yaml"]
    hint = suggest.hint(extends.data, [*beside, *map(name, _files())])
    text = (
        f"extends: no file and no recipe {quoted(extends.data)}{hint}; give a path from this file, or a name"
    )
    return problems.stop(extends.place, f"{text} that 'unitdisc recipes' lists")


def _info(path: Path) -> RecipeInfo:
    try:
        files = chain(path, Problems())
        found = tuple(sorted({preset for file, _ in files for preset in presets(file)}))
    except RecipeError:
        found = ()  # reading the recipe says what is wrong with it
    return RecipeInfo(name(path), path, _summary(path), found)


def _summary(path: Path) -> str:
    for line in path.read_text("utf-8", "replace").splitlines():
        if line.startswith("#"):
            return line.strip("# ").rstrip()
    return ""
