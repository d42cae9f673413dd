"""Scores of a run or of a unit file with all that they hang on, as ``scores.json`` holds it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from unitdisc import __version__, convert, device
from unitdisc.errors import DataError, RecipeError
from unitdisc.run_folder import read_json
from unitdisc.scored import checks, labels, rows, unit_file
from unitdisc.scored.intervals import drawn, group_field
from unitdisc.scored.score import score
from unitdisc.scored.subject import Subject, of_run, of_units, read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unitdisc.run import Run
    from unitdisc.scored.asked import Asked
    from unitdisc.scored.rows import Row


def evaluate_units(path: Path, asked: Asked) -> dict[str, Any]:
    """Return the content of ``scores.json`` for a unit file or folder. Raises `DataError` where checks fail."""
    checks.meant(asked)
    file = read(path, asked)
    about: dict[str, Any] = {"units": {"path": str(path), "sha256": labels.digest(path), "split": file.split}}
    other = None
    if asked.fit_on is not None:
        other = read(Path(asked.fit_on), asked)
        about["fit_on"] = {"path": asked.fit_on, "sha256": labels.digest(Path(asked.fit_on))}
    told = checks.told(num_codes=file.num_codes, is_told=file.is_told, unit_of_time=file.meta["unit_of_time"])
    warnings = unit_file.of_its_run(path, file) + told
    return _content(of_units(file, about, warnings, asked, where=str(path), other=other), asked)


def evaluate_run(run: Run, asked: Asked) -> dict[str, Any]:
    """Return the content of ``scores.json`` for a run, by its own labels or by others."""
    checks.meant(asked)
    run.model.to(device.choose(run.recipe.train))
    split = run.recipe.evaluate.split
    about: dict[str, Any] = {"run": {"path": str(run.folder.path), "split": split, **run.meta()}}
    if asked.fit_on is not None:
        about["fit_on"] = {"split": asked.fit_on}
    warnings = unit_file.exported_of(run)
    if asked.against is None:
        return _content(of_run(run, about | _said(run, asked), warnings, asked), asked)
    if run.model.bottleneck.num_codes == 0:
        raise RecipeError(f"bottleneck {run.recipe.bottleneck.name}: quantises nothing; leave --against out")
    other = None if asked.fit_on is None else _units(run, asked.fit_on)
    where, seed = str(run.folder.path), run.recipe.evaluate.seed
    found = of_units(_units(run, split), about, warnings, asked, where=where, other=other, seed=seed)
    return _content(found, asked)


def _units(run: Run, split: str) -> convert.UnitFile:
    """Return the units of a split."""
    units = list(run.units(split))
    return convert.UnitFile(units, split, run.model.bottleneck.num_codes, is_told=True, meta=run.meta())


def _said(run: Run, asked: Asked) -> dict[str, Any]:
    """Return what stands beside the scores of the recipe: the decoder's numbers, and what a paper reports."""
    if asked.like or asked.metrics:
        return {}
    paper = run.recipe.paper
    found: dict[str, Any] = (
        {} if paper is None else {"paper": {"row": str(paper), "values": dict(paper.values)}}
    )
    known = read_json(run.folder.metrics) if run.folder.metrics.exists() else {}
    if known.get("checkpoint_sha256") == run.checkpoint.digest:
        found["losses"] = {
            name: {"value": value, "shuffled": known["losses_chance"][name]}
            for name, value in known["losses"].items()
            if name.startswith("decoder.")
        }
    return found


def _content(subject: Subject, asked: Asked) -> dict[str, Any]:
    """Return all of ``scores.json``."""
    field = group_field(subject.fields, asked.group)
    known = {**subject.known, **({} if field is None else {"field": field})}
    wanted, left_out = _rows(subject, asked, known)
    if subject.other is not None and not any(row.use.component.learns for row in wanted):
        raise RecipeError("--fit-on: no score that is asked for learns a map; add --metric unit_accuracy")
    target = subject.known.get("target")
    groups = drawn(subject.fields, field, is_asked=asked.group is not None)
    seed = subject.seed if asked.seed is None else asked.seed
    scores, unscored = score(
        subject.items,
        wanted,
        other=subject.other,
        group=lambda item: groups[item.key],
        groups=groups.values(),
        samples=asked.samples,
        jackknife=asked.jackknife,
        seed=seed,
        targets=subject.targets,
        main=target,
    )
    left_out |= unscored
    for row in wanted:
        if subject.other is not None and row.use.component.learns and row.name in scores:
            scores[row.name]["fit_on"] = asked.fit_on
    if not scores and not subject.about.get("losses"):
        reasons = dict.fromkeys(left_out.values()) or ["none was asked for"]
        raise DataError(f"no score can be made ({'; '.join(reasons)})")
    return {
        "unitdisc": __version__,
        **subject.about,
        "target": target,
        "like": asked.like,
        "seed": seed,
        "utterances": len(subject.fields),
        "intervals": {
            "samples": asked.samples,
            "jackknife": asked.jackknife,
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
        return (subject.rows, dict(subject.left_out)) if subject.rows is not None else rows.fitting(known)
    found, left_out = rows.like(asked.like, known) if asked.like else ([], {})
    more = rows.asked(asked.metrics, known)
    if twice := ({row.name for row in found} | left_out.keys()) & {row.name for row in more}:
        raise RecipeError(
            f"--metric {min(twice)}: --like {asked.like} has a row of that name; write ROW={min(twice)}"
        )
    return [*found, *more], left_out
