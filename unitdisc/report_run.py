"""Gathers what the report of a run shows: facts, scores, the browser of units, pictures of its first examples."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from unitdisc import report_browser, report_scores
from unitdisc.infer import as_units, codes_of
from unitdisc.kinds import kind_of
from unitdisc.report import Inventory, ReportData, label_spans, picture
from unitdisc.report.cells import cells

if TYPE_CHECKING:
    from PIL import Image

    from unitdisc.run import Run

_TOP = 20


def gather(run: Run, beside: Run | None = None) -> tuple[ReportData, Image.Image | None]:
    """Return what the page shows and the picture of the first example; no picture where nothing is quantised.

    ``beside`` is another run, to compare with. Raises `DataError` where it is not of the same data.
    """
    data = ReportData(
        name=run.recipe.name,
        facts=_facts(run),
        scores=report_scores.rows(run, beside),
        log=run.log(),
        counts=[],
        files=sorted(f"units/{path.name}" for path in run.folder.units.glob("*")),
        commands=_commands(run),
        beside=f"{beside.recipe.name} ({beside.folder.path.name})" if beside else "",
        beside_log=beside.log() if beside else [],
    )
    if run.model.bottleneck.num_codes == 0:
        return data, None
    split = run.source.split(run.recipe.evaluate.split)
    inventory = Inventory(
        codes_of(run.model, split, batch_frames=run.recipe.evaluate.batch_frames),
        num_codes=run.model.bottleneck.num_codes,
        is_merged=run.model.encoder.grid is None,
    )
    browser = report_browser.browser(run, split, inventory, beside)
    top = [
        (unit.name, unit.count, " ".join(f"{name} {share:.0%}" for name, share in unit.labels[:1]))
        for unit in browser.units[:_TOP]
    ]
    data = replace(
        data, counts=inventory.code_counts, top_units=top, num_units=inventory.num_units, browser=browser
    )
    return data, _picture(run, inventory)


def _picture(run: Run, inventory: Inventory) -> Image.Image:
    """Draw the first example of the split with its units."""
    example = run.source.split(run.recipe.evaluate.split)[0]
    codes = inventory.units[inventory.sequences[0]]
    units = as_units(example.key, codes, len(example.inputs), run.model.stride, run.features)
    grid, image = run.model.encoder.grid, run.source.picture(example)
    if grid is not None:
        return cells(image, units, grid, title=example.key)
    target = report_browser.labelled(run)
    labels = (
        label_spans(example.targets[target].numpy(), run.record["targets"][target][1]) if target else None
    )
    return picture(
        image,
        units,
        frames_per_unit=run.model.stride,
        labels=labels,
        title=example.key,
        labels_name=target,
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
    folder, kind = run.folder.path, kind_of(run.features)
    return [
        ("units in another format", f"unitdisc export {folder} --format ctm --out units-ctm"),
        ("scores as JSON", f"unitdisc evaluate {folder} --json"),
        (
            f"units of a new {kind.one}, in Python",
            f"unitdisc.load({str(folder)!r}).encode({kind.signal}).codes",
        ),
    ]
