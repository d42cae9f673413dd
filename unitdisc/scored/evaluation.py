"""Scores of a run or of a unit file with all that they hang on, as ``scores.json`` holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unitdisc import __version__, convert, device
from unitdisc.errors import DataError, RecipeError
from unitdisc.missing import without_missing
from unitdisc.scored import checks, labels, rows, unit_file
from unitdisc.scored.intervals import drawn, group_field
from unitdisc.scored.items import Grid, Items, UnitItems, exact_step
from unitdisc.scored.label_files import BY_FRAME
from unitdisc.scored.labelled import Labels
from unitdisc.scored.run_items import RunItems
from unitdisc.scored.score import score

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from unitdisc.run import Run
    from unitdisc.scored.rows import Row

_LABEL_STEP = 0.01


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be scored, and how.

    Args:
        form: Format of a unit file; None asks the sidecar and the file's name.
        step: Length of one unit; None asks the sidecar and the file.
        unit_of_time: Of the step; None asks the sidecar, else takes seconds.
        num_codes: K; None asks the sidecar, else takes the largest code + 1.
        against: Labels; None scores a run by its own, and a unit file without.
        target: Which of the labels; None takes the phones or characters, else the first.
        fold: Table of symbols and their classes.
        label_step: Seconds of a frame, of labels by frame; None takes 10 ms.
        frame: Seconds of a frame at which units and labels meet; None takes 10 ms, or a column.
        stem: Whether ids are compared without folders and endings.
        group: Field whose values are drawn for intervals; None takes speaker, writer or document.
        like: System whose definitions are taken.
        metrics: Metrics as the command line writes them.
        samples: Of the bootstrap; 0 gives no interval.
        seed: Of everything random.
    """

    form: str | None = None
    step: float | None = None
    unit_of_time: str | None = None
    num_codes: int | None = None
    against: Path | None = None
    target: str | None = None
    fold: Path | None = None
    label_step: float | None = None
    frame: float | None = None
    stem: bool = False
    group: str | None = None
    like: str | None = None
    metrics: tuple[str, ...] = ()
    samples: int = 200
    seed: int = 0


@dataclass(frozen=True)
class Subject:
    """What is scored.

    Args:
        items: Its utterances.
        fields: By id, what is known of it.
        targets: Number of labels of each target of frames.
        about: What ``scores.json`` says of it.
        warnings: What was found in it.
        known: Arguments of metrics that follow from it.
        rows: Its own scores, where it brings some.
    """

    items: Items
    fields: dict[str, Mapping[str, str]]
    targets: dict[str, int]
    about: dict[str, Any]
    warnings: list[str]
    known: dict[str, Any]
    rows: list[Row] | None = None


def evaluate_units(path: Path, asked: Asked) -> dict[str, Any]:
    """Return the content of ``scores.json`` for a unit file or folder. Raises `DataError` where checks fail."""
    file = convert.read(
        path,
        asked.form or unit_file.form(path),
        step=asked.step,
        unit_of_time=asked.unit_of_time,
        num_codes=asked.num_codes,
    )
    about = {"path": str(path), "sha256": labels.digest(path), "split": file.split}
    told = checks.told(num_codes=file.num_codes, is_told=file.is_told, unit_of_time=file.meta["unit_of_time"])
    warnings = unit_file.of_its_run(path, file) + told
    return _content(_of_units(file, {"units": about}, warnings, asked, str(path)), asked)


def evaluate_run(run: Run, asked: Asked) -> dict[str, Any]:
    """Return the content of ``scores.json`` for a run, by its own labels or by others."""
    run.model.to(device.choose(run.recipe.train))
    split = run.recipe.evaluate.split
    about = {"run": {"path": str(run.folder.path), "split": split, **run.meta()}}
    warnings = unit_file.exported_of(run)
    if asked.against is not None:
        if run.model.bottleneck.num_codes == 0:
            raise RecipeError(
                f"bottleneck {run.recipe.bottleneck.name}: quantises nothing; leave --against out"
            )
        units = list(run.units(split))
        file = convert.UnitFile(units, split, run.model.bottleneck.num_codes, is_told=True, meta=run.meta())
        return _content(_of_units(file, about, warnings, asked, str(run.folder.path)), asked)
    return _content(_of_run(run, about, warnings, asked), asked)


def _of_units(
    file: convert.UnitFile, about: dict[str, Any], warnings: list[str], asked: Asked, where: str
) -> Subject:
    """Return units beside labels, checked."""
    step, unit_of_time = exact_step(file.meta["step"]), file.meta["unit_of_time"]
    units, found, target = file.units, None, None
    warnings = [*warnings, *checks.varied(units)]
    if asked.against is not None:
        found = labels.read(asked.against, step=exact_step(asked.label_step or _LABEL_STEP))
        if asked.label_step is not None and found.form != BY_FRAME:
            raise RecipeError(f"--label-step: is for labels by frame; {found.form} says the times itself")
        if asked.stem:
            found, units = labels.by_stem(found, asked.against), labels.units_by_stem(units, where)
        target = found.main(asked.target)
        if asked.fold is not None:
            if target is None:
                raise RecipeError(
                    f"--fold: {found.form} has no labels of frames whose symbols could be folded"
                )
            labels.fold(found, target, asked.fold)
        checks.same_time(unit_of_time, found, where)
        units, lines = checks.common(units, found)
        warnings += lines + checks.same_rate(units, found, step, where)
        if target is not None:
            warnings += checks.labelled(units, found, target, str(asked.against))
        if found.item_file is not None:
            warnings += checks.from_zero(units)
        about = {**about, "labels": _about_labels(found, asked)}
    grid = Grid.of(step, unit_of_time, None if asked.frame is None else exact_step(asked.frame))
    if grid is None:
        raise RecipeError(
            f"--frame {asked.frame}: a unit lasts {file.meta['step']:.6g} {unit_of_time}s, which is no whole number of "
            "such frames; give one that divides it, or leave --frame out"
        )
    told = {name: value for name, value in file.meta.items() if isinstance(value, str | int | float)}
    about = {
        **about,
        "sidecar": {**told, "num_codes": file.num_codes},
        "grid": {"frame": float(grid.frame), "stride": grid.stride, "unit_of_time": unit_of_time},
    }
    known = {"target": target} if target is not None else {}
    if found is not None and found.item_file is not None:
        known["item_file"] = str(found.item_file)
    fields = {item.key: (found.fields.get(item.key, {}) if found else {}) for item in units}
    targets = {name: len(table.vocab) for name, table in found.tables.items()} if found else {}
    return Subject(
        UnitItems(units, file.num_codes, grid, found), dict(fields), targets, about, warnings, known
    )


def _of_run(run: Run, about: dict[str, Any], warnings: list[str], asked: Asked) -> Subject:
    """Return the examples of a run's split, with the metrics of its recipe."""
    items = RunItems(run)
    split, source = items.split, run.source
    targets = {name: len(spec.vocab) for name, spec in source.targets.items() if spec.kind == "frames"}
    target = Labels("the run", tables=dict.fromkeys(targets)).main(asked.target)  # type: ignore[arg-type]
    fields = {key: split.fields(index) for index, key in enumerate(split.keys)}
    recipe = without_missing(run.recipe, targets=source.targets, fields=split.fields(0))
    is_wanted = run.recipe.evaluate.missing == "refuse"
    own = [rows.Row(name, use, is_wanted) for name, use in recipe.metrics.items()]
    return Subject(items, fields, targets, about, warnings, {"target": target} if target else {}, own)


def _content(subject: Subject, asked: Asked) -> dict[str, Any]:
    """Return all of ``scores.json``."""
    field = group_field(subject.fields, asked.group)
    known = {**subject.known, **({} if field is None else {"field": field})}
    wanted, left_out = _rows(subject, asked, known)
    target = subject.known.get("target")
    groups = drawn(subject.fields, field, is_asked=asked.group is not None)
    scores, unscored = score(
        subject.items,
        wanted,
        group=lambda item: groups[item.key],
        groups=groups.values(),
        samples=asked.samples,
        seed=asked.seed,
        targets=subject.targets,
        main=target,
    )
    left_out |= unscored
    if not scores:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items()) or "none was asked for"
        raise DataError(f"no score can be made ({reasons})")
    return {
        "unitdisc": __version__,
        **subject.about,
        "target": target,
        "like": asked.like,
        "seed": asked.seed,
        "utterances": len(subject.fields),
        "intervals": {
            "samples": asked.samples,
            "over": "utterance" if all(key == group for key, group in groups.items()) else field,
            "groups": len(set(groups.values())),
        },
        "warnings": subject.warnings,
        "left_out": left_out,
        "scores": scores,
    }


def _rows(subject: Subject, asked: Asked, known: Mapping[str, Any]) -> tuple[list[Row], dict[str, str]]:
    """Return the scores to make, and why others are not made."""
    if not asked.like and not asked.metrics:
        return (subject.rows, {}) if subject.rows is not None else rows.fitting(known)
    found, left_out = rows.like(asked.like, known) if asked.like else ([], {})
    more = rows.asked(asked.metrics, known)
    if twice := ({row.name for row in found} | left_out.keys()) & {row.name for row in more}:
        raise RecipeError(
            f"--metric {min(twice)}: --like {asked.like} has a row of that name; write ROW={min(twice)}"
        )
    return [*found, *more], left_out


def _about_labels(found: Labels, asked: Asked) -> dict[str, Any]:
    assert asked.against is not None  # noqa: S101  (labels were read)
    return {
        "path": str(asked.against),
        "form": found.form,
        "sha256": labels.digest(asked.against),
        "tables": {name: len(table.vocab) for name, table in found.tables.items()},
        "fold": None
        if asked.fold is None
        else {"path": str(asked.fold), "sha256": labels.digest(asked.fold)},
        "label_step": asked.label_step or _LABEL_STEP,
    }
