"""Gathers what the report of a run shows: facts, scores, pictures of its first examples, frequent units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unitdisc.infer import as_units, codes_of
from unitdisc.report import ReportData, Tally, label_spans, picture, png
from unitdisc.report.cells import cells
from unitdisc.scores import scores

if TYPE_CHECKING:
    from PIL import Image

    from unitdisc.data import Example
    from unitdisc.run import Run
    from unitdisc.units import Units

_PICTURES = 4


def gather(run: Run) -> tuple[ReportData, Image.Image | None]:
    """Return what the page shows and the picture of the first example; no picture where nothing is quantised."""
    pictures, tally = _look(run) if run.model.bottleneck.num_codes else ([], None)
    data = ReportData(
        name=run.recipe.name,
        facts=_facts(run),
        scores=scores(run),
        log=run.log(),
        counts=tally.counts if tally else [],
        pictures=[(title, png(image)) for title, image in pictures],
        top_units=tally.top() if tally else [],
        files=sorted(f"units/{path.name}" for path in run.folder.units.glob("*")),
        commands=_commands(run),
        num_units=tally.num_units if tally else 0,
    )
    return data, pictures[0][1] if pictures else None


def _look(run: Run) -> tuple[list[tuple[str, Image.Image]], Tally]:
    """Draw examples from all over the split, and count its units."""
    split = run.source.split(run.recipe.evaluate.split)
    codes = codes_of(run.model, split, batch_frames=run.recipe.evaluate.batch_frames)
    frames = next((name for name, (kind, _) in run.record["targets"].items() if kind == "frames"), None)
    vocab = run.record["targets"][frames][1] if frames else []
    tally = Tally(run.model.bottleneck.num_codes, vocab=vocab)
    wanted = set(range(0, len(split), max(1, len(split) // _PICTURES))[:_PICTURES])
    pictures = []
    for index, sequence in enumerate(codes):
        example = split[index] if frames or index in wanted else None
        tally.update(
            sequence, run.model.stride, example.targets[frames].numpy() if example and frames else None
        )
        if index in wanted and example is not None:
            units = as_units(example.key, sequence, len(example.inputs), run.model.stride, run.features)
            pictures.append((example.key, _draw(run, example, units, frames, vocab)))
    return pictures, tally


def _draw(run: Run, example: Example, units: Units, frames: str | None, vocab: list[str]) -> Image.Image:
    grid = run.model.encoder.grid
    if grid is not None:
        return cells(run.source.picture(example), units, grid, title=example.key)
    labels = label_spans(example.targets[frames].numpy(), vocab) if frames else None
    return picture(
        run.source.picture(example),
        units,
        frames_per_unit=run.model.stride,
        labels=labels,
        title=example.key,
        labels_name=frames or "",
    )


def _facts(run: Run) -> list[tuple[str, str]]:
    record: dict[str, Any] = run.record
    bottleneck = run.model.bottleneck
    return [
        ("recipe", f"{run.recipe.name} (SHA-256 {record['recipe_sha256'][:12]})"),
        ("rule", f"{run.recipe.bottleneck.name}, {bottleneck.num_codebooks} x {bottleneck.num_codes} codes"),
        ("steps", f"{run.checkpoint.step:,}, seed {record['seed']}, {run.weights} weights"),
        ("scored on", f"split {run.metrics['split']}"),
        (
            "data",
            f"{record['data']['train_examples']:,} training examples (SHA-256 {record['data']['sha256'][:12]})",
        ),
        ("device", f"{record['device']}, {record['processes']} process(es), {record['threads']} thread(s)"),
        ("versions", ", ".join(f"{name} {number}" for name, number in record["versions"].items())),
    ]


def _commands(run: Run) -> list[tuple[str, str]]:
    folder = run.folder.path
    is_speech = run.features.unit_of_time == "second"
    image = "line image" if run.features.grid is None else "picture"
    return [
        ("units in another format", f"unitdisc export {folder} --format ctm --out units-ctm"),
        ("scores as JSON", f"unitdisc evaluate {folder} --json"),
        (
            f"units of a new {'recording' if is_speech else image}, in Python",
            f"unitdisc.load({str(folder)!r}).encode({'waveform, rate' if is_speech else 'image'}).codes",
        ),
    ]
