"""``unitdisc evaluate``: score a trained run, or the units of any system."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unitdisc.cli import warn_broken

if TYPE_CHECKING:
    from unitdisc.run import Run

_PATH = click.Path(path_type=Path)
_LABELS = "is about labels; name them with --against"
_LENGTH = click.FloatRange(min=0, min_open=True)


@click.command("evaluate", short_help="Score a trained run, or units of any system.")
@click.argument("path", metavar="RUN_OR_UNITS", type=_PATH)
@click.option("--against", type=_PATH, metavar="LABELS", help="Labels with times, in any form listed above.")
@click.option("--like", metavar="NAME", help="Score by the definitions of another system.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME[:KEY=VALUE,...]",
    help="A metric with its parameters, repeatable; ROW=NAME:... calls it ROW.",
)
@click.option(
    "--target", metavar="NAME", help="Which labels [default: phones or characters, else the first]."
)
@click.option("--fold", type=_PATH, metavar="TSV", help="Classes of symbols: a line SYMBOL tab CLASS each.")
@click.option("--stem", is_flag=True, help="Compare ids without folders and endings.")
@click.option(
    "--from", "form", metavar="NAME", help="Format of UNITS [default: what its name or sidecar says]."
)
@click.option("--step", type=_LENGTH, help="How long one unit lasts, where UNITS do not say it.")
@click.option(
    "--unit-of-time",
    type=click.Choice(["second", "column", "pixel"]),
    help="Of --step, or of the times in UNITS [default: second].",
)
@click.option(
    "--num-codes", type=click.IntRange(min=1), help="Size K of a codebook, where UNITS do not say it."
)
@click.option("--label-step", type=_LENGTH, help="Seconds of a label by frame [default: 0.01].")
@click.option(
    "--frame", type=_LENGTH, help="Frames at which units and labels meet [default: 0.01 s, or a column]."
)
@click.option(
    "--speakers", type=_PATH, metavar="FILE", help="Who speaks: a line ID SPEAKER each, as Kaldi's utt2spk."
)
@click.option(
    "--fit-on",
    metavar="SPLIT_OR_UNITS",
    help="Learn maps from units to labels on another split of RUN, or on other UNITS beside LABELS.",
)
@click.option(
    "--group",
    metavar="FIELD",
    help="What intervals are over [default: speaker, writer or document; of less than three, utterances].",
)
@click.option(
    "--intervals",
    type=click.IntRange(min=0),
    help="Samples of the bootstrap, 0 for none [default: 200].",
)
@click.option(
    "--seed", type=click.IntRange(min=0), help="Of everything random [default: that of RUN's recipe, or 0]."
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write everything as JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(
    path: Path,
    *,
    out: Path | None,
    as_json: bool,
    intervals: int | None,
    metrics: tuple[str, ...],
    **options: object,
) -> None:
    """Score RUN by its recipe, or units against LABELS, beside chance, ceiling and intervals.

    \b
    UNITS are files or folders in any format that unitdisc convert reads. LABELS are
      a corpus folder (unitdisc data import --help) with its label tables
      a folder of TextGrids (folders are speakers), or of NAME.ctm; one .ctm
      a text file: "id start end symbol" a line in seconds, or "id symbol
        symbol ..." with a symbol per frame of --label-step
      .jsonl: {"file": id, "phones": [symbol per frame], "speaker": name}
      .item: an item file of ABX

    Frame t covers [t, t + 1) times --frame and has the label that stands at its middle. Without --like and --metric
    all metrics are scored that need no more than units and labels. RUN alone is scored by its recipe: its metrics.json
    is written where it is missing (and is what --json prints), and scores that take long have no interval; --intervals
    asks for these too.
    """  # noqa: D301  (click takes the backspace character as "keep these lines")
    from unitdisc.scored import unit_file
    from unitdisc.scored.asked import SAMPLES, Asked
    from unitdisc.scored.evaluation import evaluate_run, evaluate_units
    from unitdisc.stopping import interruptible
    from unitdisc.storage import write_text

    is_run = unit_file.is_run(path)
    chosen = {name: value for name, value in options.items() if value is not None and value is not False}
    is_plain = is_run and intervals is None and out is None and not metrics and not chosen
    if is_plain and as_json:
        click.echo(json.dumps(_scored(path).metrics, indent=1))
        return
    warn_broken()
    _refuse({**chosen, **({"metrics": metrics} if metrics else {})}, is_run=is_run, intervals=intervals)
    samples = SAMPLES if intervals is None else intervals
    asked = Asked(**chosen, metrics=metrics, samples=samples, jackknife=not is_plain)  # type: ignore[arg-type]
    run = _scored(path) if is_plain else None
    if run is not None and not _has_data(run):
        return
    with interruptible("stopped; nothing was written"):
        if is_run:
            from unitdisc.run import load

            content = evaluate_run(run or load(path), asked)
        else:
            content = evaluate_units(path, asked)
    text = json.dumps(content, indent=1) + "\n"
    if out is not None:
        write_text(out, text)
    if as_json:
        click.echo(text, nl=False)
    else:
        from unitdisc.cli.score_page import page

        page(content)


def _has_data(run: Run) -> bool:
    """Return whether the data are there; print the scores that the run keeps where they are not."""
    from unitdisc.cli.scores import table
    from unitdisc.errors import DataError

    try:
        _ = run.source
    except DataError as error:
        click.echo(f"unitdisc: {error}; below are the scores that the run keeps, without intervals", err=True)
        table(run)
        return False
    return True


def _refuse(chosen: dict[str, object], *, is_run: bool, intervals: int | None) -> None:
    """Raise `RecipeError` for an option that would do nothing."""
    from unitdisc.errors import RecipeError

    is_beside = "against" in chosen
    is_by_recipe = is_run and not is_beside and not chosen.keys() & {"metrics", "like"}
    reasons = {
        ("form", "step", "unit_of_time", "num_codes"): (is_run, "is for unit files; a run knows it"),
        ("speakers",): (
            is_run and not is_beside,
            "is for other labels or unit files; a run's corpus says it",
        ),
        ("stem",): (not is_beside and "speakers" not in chosen, _LABELS),
        ("fold", "label_step", "frame"): (not is_beside, _LABELS),
        ("target", "fit_on"): (not is_beside and not is_run, _LABELS),
        ("target",): (
            is_by_recipe,
            "the metrics of a recipe say it themselves; name others with --metric or --like",
        ),
        ("group",): (is_by_recipe and intervals == 0, "is about intervals, and --intervals 0 wants none"),
    }
    for names, (is_idle, reason) in reasons.items():
        for name in names:
            if is_idle and name in chosen:
                raise RecipeError(f"{_option(name)}: {reason}")


def _option(name: str) -> str:
    return "--from" if name == "form" else f"--{name.replace('_', '-')}"


def _scored(path: Path) -> Run:
    """Return a run after it has been scored as `unitdisc run` does."""
    from unitdisc import steps
    from unitdisc.run import load
    from unitdisc.stopping import interruptible

    run = load(path)
    told = f"stopped; what was there is kept; do it again with: unitdisc evaluate {path}"
    with interruptible(told), run.folder.locked():
        steps.evaluate(run)
    return run
