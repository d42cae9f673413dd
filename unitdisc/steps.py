"""The steps of a run: train, evaluate, export, report. Each does nothing when its result is already there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch

from unitdisc import (
    checkpoint,
    device,
    distributed,
    encode,
    export,
    report_run,
    run_record,
    scoring,
    standardize,
)
from unitdisc.deterministic import deterministic
from unitdisc.display import Display
from unitdisc.errors import DataError, RecipeError
from unitdisc.evaluate import evaluate as score
from unitdisc.evaluate import rehearse
from unitdisc.missing import left_out, without_missing
from unitdisc.model import Model, build
from unitdisc.report import html, png
from unitdisc.run import Run
from unitdisc.run_folder import RunFolder, read_json
from unitdisc.sentences import SentenceSource
from unitdisc.storage import write_bytes, write_text
from unitdisc.summary import announcements
from unitdisc.train import Trainer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from unitdisc.data import DataSource, Split
    from unitdisc.recipe import Recipe, Use
    from unitdisc.units import Units

_PACKAGES = ("unitdisc", "torch", "numpy", "lhotse", "safetensors")


def train(recipe: Recipe, path: Path) -> bool:
    """Train ``recipe`` in ``path``, going on where it stopped; return False when there was nothing to do.

    Under torchrun every process calls it; only rank 0 writes.
    """
    folder = RunFolder(path)
    # Before the processes meet: the first of them may know already that there is nothing to do, and not come.
    if folder.record.exists() and _is_trained(folder, recipe):
        folder.claim(recipe)
        return False
    lines = announcements(recipe)  # or a reason not to train, before anything is written
    chosen = device.choose(recipe.train)
    distributed.start(chosen)
    try:
        with deterministic(is_wanted=recipe.train.deterministic):
            _train(recipe, folder, chosen, lines)
        return True
    finally:
        distributed.stop()


def _train(recipe: Recipe, folder: RunFolder, chosen: torch.device, lines: Sequence[str]) -> None:
    """Train on the device ``chosen``; ``lines`` are shown before the first step."""
    if distributed.rank() == 0:
        folder.claim(recipe)
    distributed.barrier()
    source = _prepared(recipe)
    split = _training_split(source, recipe)
    found, complaints = checkpoint.newest(folder.checkpoints)
    model = _model(recipe, source).to(chosen)
    _rehearse(recipe, source, model)
    fields = source.split(recipe.evaluate.split).fields(0)
    lines = [*lines, *left_out(recipe, without_missing(recipe, targets=source.targets, fields=fields))]
    scored = source.split(scoring.split_name(recipe)) if recipe.train.score_every else None
    trainer = Trainer(recipe, model=model, split=split, folder=folder, scored=scored)
    start = found.step if found else 0
    with Display(steps=recipe.train.steps, start=start, quiet=distributed.rank() > 0) as display:
        for line in complaints:
            instead = (
                "going on from the one before" if found else "there is no other, so training starts anew"
            )
            display.say(f"warning: {line}; {instead}")
        _begin(trainer, source, found, display)
        for line in lines:
            display.say(line)
        trainer.run(display)


def evaluate(run: Run) -> bool:
    """Score the run's split and write ``metrics.json``; return False when it is already there."""
    if _is_of(run, run.folder.metrics, "checkpoint_sha256"):
        return False
    run.model.to(device.choose(run.recipe.train))
    split = run.recipe.evaluate.split
    content = {
        "split": split,
        "checkpoint_sha256": run.checkpoint.digest,
        "checkpoint_step": run.checkpoint.step,
        "weights": run.weights,
        "data_sha256": run.source.checksum(),
        **score(run.model, run.source.split(split), run.recipe),
    }
    run.folder.report.unlink(missing_ok=True)  # it shows the scores of an earlier checkpoint
    write_text(run.folder.metrics, json.dumps(content, indent=1) + "\n")
    return True


def export_units(
    run: Run,
    *,
    formats: Sequence[str] = (),
    splits: Sequence[str] = (),
    options: Sequence[str] = (),
    book: int | None = None,
    folder: Path | None = None,
) -> list[str]:
    """Write unit files; return their names, or [] when they are already there.

    Args:
        run: Whose units.
        formats: Exporter names; () takes the recipe's.
        splits: Splits; () takes the recipe's.
        options: Parameters of the exporters as ``key=value``; each exporter takes all of them.
        book: The only codebook to write; None writes all.
        folder: Where to; None takes the run's ``units`` folder.
    """
    target = folder or run.folder.units
    formats, splits = formats or run.recipe.export.formats, splits or run.recipe.export.splits
    if not formats or not splits:
        return []
    uses = export.exporters(formats, options)
    if _is_exported(run, target, uses, splits, book=book):
        return []
    run.model.to(device.choose(run.recipe.train))
    if run.model.bottleneck.num_codes == 0:
        raise RecipeError(
            f"bottleneck {run.recipe.bottleneck.name}: quantises nothing, so there are no units to export"
        )
    if book is not None:
        export.refuse_book(book, run.model.bottleneck.num_codebooks)  # before everything is encoded
    meta = {**run.meta(), "formats": _plain(uses)}
    writers = {name: use.build() for name, use in uses.items()}
    with encode.units_of(run, splits, target) as found:
        units: Mapping[str, Sequence[Units]] = found
        if book is not None:
            units = {name: [export.only_book(item, book) for item in items] for name, items in found.items()}
            meta |= {"num_codebooks": 1, "book": book}
        return export.write(target, units, exporters=writers, meta=meta)


def report(run: Run, *, anew: bool = False, beside: Run | None = None) -> bool:
    """Write ``report.html`` and ``units.png``; return False when they are already there and not wanted anew.

    ``beside`` is another run, whose units and scores stand beside those of ``run``.
    """
    if run.folder.report.exists() and not anew:
        return False
    data, picture = report_run.gather(run, beside)
    if picture is not None:
        write_bytes(run.folder.picture, png(picture))
    write_text(run.folder.report, html(data))
    return True


def is_finished(recipe: Recipe, path: Path, *, only_train: bool) -> bool:
    """Whether every result of this recipe is in ``path``, so that running it again has nothing to do."""
    folder = RunFolder(path)
    if not folder.record.exists():
        return False
    folder.claim(recipe)
    run = Run(path)
    if not _is_trained(folder, recipe):
        return False
    if only_train:
        return True
    wanted = recipe.export
    exported = not (wanted.formats and wanted.splits) or _is_exported(
        run, folder.units, export.exporters(wanted.formats), wanted.splits
    )
    return exported and _is_of(run, folder.metrics, "checkpoint_sha256") and folder.report.exists()


def _is_trained(folder: RunFolder, recipe: Recipe) -> bool:
    """Whether the last step's checkpoint is there and whole."""
    found, _ = checkpoint.newest(folder.checkpoints, files=("model",))
    return found is not None and found.step >= recipe.train.steps


def _is_exported(
    run: Run, target: Path, uses: Mapping[str, Use], splits: Sequence[str], *, book: int | None = None
) -> bool:
    """Whether ``target`` holds just these units of the run's newest checkpoint."""
    meta = target / export.META
    if not _is_of(run, meta, "checkpoint_sha256"):
        return False
    there = read_json(meta)
    asked = (_plain(uses), set(splits), book, None)  # no corpus: `encode` writes units of others
    return (there["formats"], set(there["splits"]), there.get("book"), there.get("corpus")) == asked


def _plain(uses: Mapping[str, Use]) -> dict[str, Any]:
    return {name: use.plain() for name, use in uses.items()}


def _is_of(run: Run, path: Path, key: str) -> bool:
    """Whether the JSON file is there and belongs to the run's newest checkpoint."""
    return path.exists() and read_json(path).get(key) == run.checkpoint.digest


def _prepared(recipe: Recipe) -> DataSource:
    """Build and prepare the data source, rank 0 first, so that one process makes what is missing."""
    source: DataSource = recipe.data.build()
    distributed.in_turn(source.prepare)
    return source


def _training_split(source: DataSource, recipe: Recipe) -> Split:
    split = source.split("train")
    if len(split) == 0:
        raise DataError("data: the train split is empty; training needs at least one example")
    if recipe.train.crop is not None and max(split.lengths) > recipe.train.crop:
        _check_cuttable(split, source)
    return split


def _check_cuttable(split: Split, source: DataSource) -> None:
    """Raise `RecipeError` where a crop could not tell which symbols of a sequence it holds."""
    middles = split[0].middles
    for name, spec in source.targets.items():
        if spec.kind == "sequence" and name not in middles:
            raise RecipeError(
                f"train.crop: the symbols of target {name!r} have no times, so a crop cannot cut it; "
                "set train.crop to null or leave the target out"
            )


def _model(recipe: Recipe, source: DataSource) -> Model:
    model = build(recipe, source.features, source.targets, source.conditions)
    learning = any(p.requires_grad for part in (model.encoder, model.project) for p in part.parameters())
    if model.decoder is None and not model.heads and learning:
        raise RecipeError("the recipe has neither decoder nor heads, so there is nothing to learn; add one")
    return model


def _rehearse(recipe: Recipe, source: DataSource, model: Model) -> None:
    """Find what scoring and export would trip over before hours of training, not after."""
    for split in {recipe.evaluate.split: None, scoring.split_name(recipe): None}:
        rehearse(model, source.split(split), recipe)
    export.exporters(recipe.export.formats)
    for name in recipe.export.splits:
        source.split(name)
    if recipe.export.formats and model.bottleneck.num_codes == 0:
        raise RecipeError(
            f"bottleneck {recipe.bottleneck.name}: quantises nothing, so there are no units to export; "
            "set export.formats to []"
        )


def _begin(
    trainer: Trainer, source: DataSource, found: checkpoint.Checkpoint | None, display: Display
) -> None:
    """Resume from ``found`` or start: measure the data, agree on the first weights, write ``run.json``."""
    folder, recipe, model = trainer.folder, trainer.recipe, trainer.model
    checksum = source.checksum()
    if found is not None:
        then = folder.read_record()["data"]["sha256"]
        if then != checksum:
            raise DataError(
                f"{folder.path}: the data changed since this run began (SHA-256 {then[:12]} then, {checksum[:12]} "
                "now); restore the data, or start anew with another --out"
            )
        trainer.resume(found)
        display.say(f"going on after step {found.step} of {recipe.train.steps}")
        threads = folder.read_record()["threads"]
        if threads != torch.get_num_threads():
            display.say(
                f"warning: begun with {threads} threads, now {torch.get_num_threads()}: the last bits may differ; "
                f"OMP_NUM_THREADS={threads} avoids it"
            )
        return
    if model.standardize is not None:
        display.say("measuring mean and deviation of the training split")
        standardize.measure_(model.standardize, trainer.split)
    distributed.broadcast_([*model.parameters(), *model.buffers()])
    if distributed.rank() == 0:
        if isinstance(source, SentenceSource):
            write_bytes(folder.speller, source.speller())
        write_text(folder.record, json.dumps(run_record.facts(trainer, source, checksum), indent=1) + "\n")
    distributed.barrier()
    display.say(
        f"training on {run_record.device_name(trainer.device)}: {len(trainer.split):,} examples, "
        f"{sum(p.numel() for p in model.parameters()):,} parameters"
    )
