"""Pictures of what models know: originals, reconstructions, draws; of one run, or of several side by side."""

from __future__ import annotations

import hashlib
import json
import statistics
from typing import TYPE_CHECKING, Any

import torch

from unitdisc.ablate.intervals import summarize
from unitdisc.errors import DataError, RecipeError, StorageError
from unitdisc.look_picture import picture
from unitdisc.looks import Looker
from unitdisc.report.picture import png
from unitdisc.run_folder import RunFolder
from unitdisc.storage import new_folder, refuse_other_files, write_bytes, write_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from unitdisc.data import Example
    from unitdisc.looks import Look
    from unitdisc.run import Run

PICTURE, META = "samples.png", "samples.json"


def sample(
    runs: Sequence[Run],
    *,
    split: str | None = None,
    count: int = 8,
    over: int | None = None,
    temperature: float | None = None,
    prior: str | None = None,
    seed: int = 1,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Write ``samples.png`` and ``samples.json``; return what the latter holds.

    Args:
        runs: Of one run everything is shown, of several no prior, and draws where they are asked for.
        split: Where the examples are from; None takes the split that the first recipe scores.
        count: Examples to show, from all over the split.
        over: Examples on which error and bits are measured; None takes those shown.
        temperature: Of all draws; None is 1.
        prior: Head to draw codes from; None takes the only one of a single run.
        seed: Of the draws.
        folder: New folder for both files; None takes the folder of the only run.
    """
    is_one = len(runs) == 1
    if folder is None and not is_one:
        raise RecipeError("--out: is missing; say where the picture of several runs goes")
    if folder is not None:
        if RunFolder(folder).is_started():
            raise StorageError(
                f"{folder}: is the folder of a run, which would be lost; give a new folder with --out"
            )
        refuse_other_files(folder, META)
    labels = _labels(runs)
    split = split or runs[0].recipe.evaluate.split
    with_draws = is_one or temperature is not None
    chosen = prior if prior is not None or is_one else ""
    lookers = [
        Looker(run, prior=chosen, with_draws=with_draws, temperature=temperature or 1.0) for run in runs
    ]
    if temperature is not None and not any(looker.is_drawing for looker in lookers):
        name = runs[0].recipe.decoder.name if runs[0].recipe.decoder else ""
        raise RecipeError(
            f"--temperature: decoder {name} has no sample and there is no prior, so nothing is drawn; leave it out"
        )
    originals: list[Example] = []
    looks = []
    for looker in lookers:
        examples = looker.run.source.split(split)
        shown = _spread(len(examples), count)
        originals = _same([examples[index] for index in shown], originals, looker.run, runs[0])
        measured = None if over is None else _spread(len(examples), over)
        looks.append(looker.look(examples, shown, measured, seed=seed))
    image = png(picture(runs[0], originals, dict(zip(labels, looks, strict=True)), _title(runs, split)))
    content = {
        "split": split,
        "seed": seed,
        "temperature": temperature or 1.0,
        "keys": [example.key for example in originals],
        "picture_sha256": hashlib.sha256(image).hexdigest(),
        "runs": [_about(*item) for item in zip(runs, labels, looks, strict=True)],
        "spread": _spreads(runs, looks),
    }
    _write(folder, runs[0].folder.path, image, content)
    return content


def _spread(total: int, count: int) -> list[int]:
    """Return at most ``count`` places from all over a split."""
    count = min(count, total)
    return [number * total // count for number in range(count)]


def _labels(runs: Sequence[Run]) -> list[str]:
    """Return the shortest kind of name that tells the runs apart: rule and seed, recipe and seed, or folder."""
    rules = [f"{run.recipe.bottleneck.name}, seed {run.recipe.seed}" for run in runs]
    recipes = [f"{run.recipe.name}, seed {run.recipe.seed}" for run in runs]
    folders = [str(run.folder.path) for run in runs]
    if len({run.folder.path.resolve() for run in runs}) < len(runs):
        raise RecipeError("RUN: the same run is given twice; give every run once")
    return next(names for names in (rules, recipes, folders) if len(set(names)) == len(names))


def _same(examples: list[Example], originals: list[Example], run: Run, first: Run) -> list[Example]:
    """Return the examples, which must be those of the run before."""
    for example, original in zip(examples, originals or examples, strict=False):
        if example.key != original.key or not torch.equal(example.inputs, original.inputs):
            raise DataError(
                f"{run.folder.path}: example {example.key!r} is not {original.key!r} of {first.folder.path}; give "
                "runs on the same data"
            )
    if originals and len(examples) != len(originals):
        raise DataError(
            f"{run.folder.path}: has {len(examples)} examples to show, {first.folder.path} has {len(originals)}; "
            "give runs on the same data"
        )
    return examples


def _title(runs: Sequence[Run], split: str) -> str:
    if len(runs) > 1:
        return f"{len(runs)} runs, split {split}"
    (run,) = runs
    return f"{run.recipe.name}, seed {run.recipe.seed}, step {run.checkpoint.step}, split {split}"


def _about(run: Run, label: str, look: Look) -> dict[str, Any]:
    return {
        "label": label,
        "run": str(run.folder.path),
        "recipe": run.recipe.name,
        "recipe_sha256": run.recipe.digest(),
        "rule": run.recipe.bottleneck.name,
        "seed": run.recipe.seed,
        "checkpoint_sha256": run.checkpoint.digest,
        "checkpoint_step": run.checkpoint.step,
        "weights": run.weights,
        "data_sha256": run.source.checksum(),
        "rows": [name for name, _ in look.rows()],
        "shows": look.shows,
        "examples_measured": look.measured,
        "scores": look.scores,
    }


def _spreads(runs: Sequence[Run], looks: Sequence[Look]) -> list[dict[str, Any]]:
    """Return the spread of each score over the runs that differ in their seed alone."""
    groups: dict[str, list[tuple[Run, Look]]] = {}
    for run, look in zip(runs, looks, strict=True):
        same = {
            name: value
            for name, value in run.recipe.resolved().items()
            if name not in ("name", "seed", "paper")
        }
        groups.setdefault(json.dumps(same, sort_keys=True), []).append((run, look))
    return [
        {
            "recipe": members[0][0].recipe.name,
            "rule": members[0][0].recipe.bottleneck.name,
            "seeds": [run.recipe.seed for run, _ in members],
            **{
                name: _spread_of([look.scores[name] for _, look in members])
                for name in ("mse", "bpd")
                if name in members[0][1].scores
            },
        }
        for members in groups.values()
    ]


def _spread_of(values: Sequence[float]) -> dict[str, Any]:
    found = summarize(values)
    return {
        "mean": statistics.fmean(values),
        "deviation": statistics.stdev(values) if len(values) > 1 else None,
        "interval": found.interval if found else None,
        "least": min(values),
        "most": max(values),
    }


def _write(folder: Path | None, own: Path, image: bytes, content: dict[str, Any]) -> None:
    """Write both files into ``folder``, replaced as a whole, or beside what stands in the run's ``own``."""
    text = json.dumps(content, indent=1) + "\n"
    if folder is None:
        write_bytes(own / PICTURE, image)
        write_text(own / META, text)
        return
    with new_folder(folder) as filled:
        write_bytes(filled / PICTURE, image)
        write_text(filled / META, text)
