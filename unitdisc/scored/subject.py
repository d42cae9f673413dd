"""What is scored: units beside labels, or the examples of a run, checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unitdisc import convert
from unitdisc.errors import DataError, RecipeError
from unitdisc.missing import without_missing
from unitdisc.scored import checks, labels, rows, unit_file
from unitdisc.scored.items import Grid, Items, UnitItems, exact_step
from unitdisc.scored.label_files import BY_FRAME
from unitdisc.scored.labelled import Labels
from unitdisc.scored.run_items import RunItems
from unitdisc.scored.speakers import read_speakers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unitdisc.run import Run
    from unitdisc.scored.asked import Asked
    from unitdisc.units import Units

_LABEL_STEP = 0.01


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is scored.

    Args:
        items: Its utterances.
        other: Those that maps from units to labels are learnt on; None learns them on ``items``.
        fields: By id, what is known of it.
        targets: Number of labels of each target of frames.
        about: What ``scores.json`` says of it.
        warnings: What was found in it.
        known: Arguments of metrics that follow from it.
        seed: Of everything random, where nobody asks for one.
        rows: Its own scores, where it brings some.
        left_out: Those of its own that its data cannot serve, and why.
    """

    items: Items
    other: Items | None
    fields: Mapping[str, Mapping[str, str]]
    targets: dict[str, int]
    about: dict[str, Any]
    warnings: list[str]
    known: dict[str, Any]
    seed: int = 0
    rows: list[rows.Row] | None = None
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Beside:
    """Labels, and how units are laid beside them.

    Args:
        asked: What is asked for.
        found: The labels; None is nothing.
        target: Which of them are scored.
    """

    asked: Asked
    found: Labels | None = None
    target: str | None = None

    def checked(self, file: convert.UnitFile, where: str) -> tuple[list[Units], list[str]]:
        """Return the units that can be scored, and warnings. Raises `DataError` where every score would be wrong."""
        step, unit_of_time = exact_step(file.meta["step"]), file.meta["unit_of_time"]
        warnings = checks.varied(file.units)
        units = labels.units_by_stem(file.units, where) if self.asked.stem else file.units
        if self.found is None:
            return units, warnings
        checks.same_time(unit_of_time, self.found, where)
        units, lines = checks.common(units, self.found)
        warnings += lines + checks.same_rate(units, self.found, step, where)
        if self.target is not None:
            warnings += checks.labelled(units, self.found, self.target, str(self.asked.against))
        if self.found.item_file is not None:
            warnings += checks.from_zero(units)
        return units, warnings

    def fields(self, units: Sequence[Units]) -> dict[str, Mapping[str, str]]:
        """Return by id what labels and the table of speakers say of it."""
        said = {item.key: (self.found.fields.get(item.key, {}) if self.found else {}) for item in units}
        if self.asked.speakers is None:
            return dict(said)
        speakers = read_speakers(self.asked.speakers, said, by_stem=self.asked.stem)
        return {key: {**fields, "speaker": speakers[key]} for key, fields in said.items()}


def of_units(
    file: convert.UnitFile,
    about: dict[str, Any],
    warnings: list[str],
    asked: Asked,
    *,
    where: str,
    other: convert.UnitFile | None = None,
    seed: int = 0,
) -> Subject:
    """Return units beside labels, checked.

    Args:
        file: The units.
        about: What ``scores.json`` says of them.
        warnings: What was found in them before.
        asked: What is asked for.
        where: What they are, for messages.
        other: Those that maps are learnt on.
        seed: Of everything random, where nobody asks for one.
    """
    checks.plausible(file.units, where)
    beside = _labels(asked)
    found, target = beside.found, beside.target
    units, lines = beside.checked(file, where)
    grid = _grid(file, asked)
    if asked.against is not None:
        about = {**about, "labels": _about_labels(beside, asked.against)}
    told = {name: value for name, value in file.meta.items() if isinstance(value, str | int | float)}
    unit_of_time = file.meta["unit_of_time"]
    about |= {
        "sidecar": {**told, "num_codes": file.num_codes},
        "grid": {"frame": float(grid.frame), "stride": grid.stride, "unit_of_time": unit_of_time},
    }
    known: dict[str, Any] = {} if target is None else {"target": target}
    if found is not None and found.item_file is not None:
        known["item_file"] = str(found.item_file)
    fields = beside.fields(units)
    learnt = None
    if other is not None:
        _same_kind(file, other, str(asked.fit_on))
        there, more = beside.checked(other, str(asked.fit_on))
        lines += [f"{asked.fit_on}: {line}" for line in more]
        learnt = UnitItems(there, other.num_codes, grid, found, beside.fields(there))
    return Subject(
        items=UnitItems(units, file.num_codes, grid, found, fields),
        other=learnt,
        fields=fields,
        targets={name: len(table.vocab) for name, table in found.tables.items()} if found else {},
        about=about,
        warnings=warnings + lines,
        known=known,
        seed=seed,
    )


def of_run(run: Run, about: dict[str, Any], warnings: list[str], asked: Asked) -> Subject:
    """Return the examples of a run's split, with the metrics of its recipe."""
    seed = run.recipe.evaluate.seed if asked.seed is None else asked.seed
    items = RunItems(run, run.recipe.evaluate.split, seed=seed)
    split, source = items.split, run.source
    targets = {name: len(spec.vocab) for name, spec in source.targets.items() if spec.kind == "frames"}
    target = Labels("the run", tables=dict.fromkeys(targets)).main(asked.target)  # type: ignore[arg-type]
    recipe = without_missing(run.recipe, targets=source.targets, fields=split.fields(0))
    is_wanted = run.recipe.evaluate.missing == "refuse"
    return Subject(
        items=items,
        other=None if asked.fit_on is None else RunItems(run, asked.fit_on, seed=seed),
        fields={key: split.fields(index) for index, key in enumerate(split.keys)},
        targets=targets,
        about=about,
        warnings=warnings,
        known={} if target is None else {"target": target},
        seed=seed,
        rows=[rows.Row(name, use, is_wanted) for name, use in recipe.metrics.items()],
        left_out={
            name: "the data have nothing for it" for name in run.recipe.metrics if name not in recipe.metrics
        },
    )


def read(path: Path, asked: Asked) -> convert.UnitFile:
    """Return the units of a file or folder."""
    return convert.read(
        path,
        asked.form or unit_file.form(path),
        step=asked.step,
        unit_of_time=asked.unit_of_time,
        num_codes=asked.num_codes,
    )


def _labels(asked: Asked) -> _Beside:
    if asked.against is None:
        return _Beside(asked)
    found = labels.read(asked.against, step=exact_step(asked.label_step or _LABEL_STEP))
    if asked.label_step is not None and found.form != BY_FRAME:
        raise RecipeError(f"--label-step: is for labels by frame; {found.form} says the times itself")
    if asked.stem:
        found = labels.by_stem(found, asked.against)
    target = found.main(asked.target)
    if asked.fold is not None:
        if target is None:
            raise RecipeError(f"--fold: {found.form} has no labels of frames whose symbols could be folded")
        labels.fold(found, target, asked.fold)
    return _Beside(asked, found, target)


def _grid(file: convert.UnitFile, asked: Asked) -> Grid:
    step, unit_of_time = exact_step(file.meta["step"]), file.meta["unit_of_time"]
    if asked.frame is not None:
        checks.coarse_enough(asked.frame, step, unit_of_time)
    grid = Grid.of(step, unit_of_time, None if asked.frame is None else exact_step(asked.frame))
    if grid is None:
        raise RecipeError(
            f"--frame {asked.frame}: a unit lasts {file.meta['step']:.6g} {unit_of_time}s, which is no whole number of "
            "such frames; give one that divides it, or leave --frame out"
        )
    return grid


def _same_kind(file: convert.UnitFile, other: convert.UnitFile, where: str) -> None:
    """Raise `DataError` where a map of the units of ``other`` says nothing of those of ``file``."""
    for name in ("step", "unit_of_time", "num_codebooks", "checkpoint_sha256"):
        ours, theirs = file.meta[name], other.meta[name]
        if ours and theirs and ours != theirs:
            raise DataError(
                f"--fit-on {where}: its units have {name} {theirs}, those that are scored {ours}; give units of "
                "the same system"
            )


def _about_labels(beside: _Beside, against: Path) -> dict[str, Any]:
    found, asked = beside.found, beside.asked
    assert found is not None  # noqa: S101  (labels were read)
    return {
        "path": str(against),
        "form": found.form,
        "sha256": labels.digest(against),
        "tables": {name: len(table.vocab) for name, table in found.tables.items()},
        "fold": None
        if asked.fold is None
        else {"path": str(asked.fold), "sha256": labels.digest(asked.fold)},
        "label_step": asked.label_step or _LABEL_STEP,
    }
