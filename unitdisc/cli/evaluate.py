"""``unitdisc evaluate``: score a trained run, or the units of any system."""

from __future__ import annotations

import json
from pathlib import Path

import click

from unitdisc.cli import warn_broken

_PATH = click.Path(path_type=Path)
_LENGTH = click.FloatRange(min=0, min_open=True)
_SAMPLES = 200


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
    "--unit-of-time", type=click.Choice(["second", "column", "pixel"]), help="Of --step and --frame."
)
@click.option(
    "--num-codes", type=click.IntRange(min=1), help="Size K of a codebook, where UNITS do not say it."
)
@click.option("--label-step", type=_LENGTH, help="Seconds of a label by frame [default: 0.01].")
@click.option(
    "--frame", type=_LENGTH, help="Frames at which units and labels meet [default: 0.01 s, or a column]."
)
@click.option(
    "--group",
    metavar="FIELD",
    help="What intervals are over [default: speaker, writer or document; of less than three, utterances].",
)
@click.option(
    "--intervals",
    type=click.IntRange(min=0),
    help=f"Samples of the bootstrap, 0 for none [default: {_SAMPLES}].",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random."
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
    """Score RUN by its recipe and write metrics.json, or units against LABELS beside chance, ceiling and intervals.

    \b
    UNITS are files or folders in any format that unitdisc convert reads. LABELS are
      a corpus folder (unitdisc data import --help) with its label tables
      a folder of TextGrids (folders are speakers), or of NAME.ctm; one .ctm
      a text file: "id start end symbol" a line in seconds, or "id symbol
        symbol ..." with a symbol per frame of --label-step
      .jsonl: {"file": id, "phones": [symbol per frame], "speaker": name}
      .item: an item file of ABX
    Frame t covers [t, t + 1) times --frame and has the label that stands at its middle. Without --like and --metric
    all metrics are scored that need no more than units and labels; RUN alone is scored by its recipe.
    """  # noqa: D301  (click takes the backspace character as "keep these lines")
    from unitdisc.scored import unit_file
    from unitdisc.scored.evaluation import Asked, evaluate_run, evaluate_units
    from unitdisc.stopping import interruptible
    from unitdisc.storage import write_text

    is_run = unit_file.is_run(path)
    chosen = {name: value for name, value in options.items() if value}
    if is_run and intervals is None and out is None and not metrics and not chosen:
        _recipe(path, as_json=as_json)
        return
    warn_broken()
    _refuse(chosen, is_run=is_run)
    asked = Asked(**chosen, metrics=metrics, samples=_SAMPLES if intervals is None else intervals)  # type: ignore[arg-type]
    with interruptible("stopped; nothing was written"):
        if is_run:
            from unitdisc.run import load

            content = evaluate_run(load(path), asked)
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


def _refuse(chosen: dict[str, object], *, is_run: bool) -> None:
    """Raise `RecipeError` for an option that would do nothing."""
    from unitdisc.errors import RecipeError

    of_units = [name for name in ("form", "step", "unit_of_time", "num_codes") if name in chosen]
    about_labels = ("fold", "stem", "label_step", "frame", *(() if is_run else ("target",)))
    of_labels = [name for name in about_labels if name in chosen]
    if is_run and of_units:
        raise RecipeError(f"{_option(of_units[0])}: is for unit files; a run knows it")
    if of_labels and "against" not in chosen:
        raise RecipeError(f"{_option(of_labels[0])}: is about labels; name them with --against")


def _option(name: str) -> str:
    return "--from" if name == "form" else f"--{name.replace('_', '-')}"


def _recipe(path: Path, *, as_json: bool) -> None:
    """Score a run by its recipe, as `unitdisc run` does."""
    from unitdisc import steps
    from unitdisc.cli.scores import table
    from unitdisc.run import load
    from unitdisc.stopping import interruptible

    run = load(path)
    told = f"stopped; what was there is kept; do it again with: unitdisc evaluate {path}"
    with interruptible(told), run.folder.locked():
        steps.evaluate(run)
    if as_json:
        click.echo(json.dumps(run.metrics, indent=1))
    else:
        table(run)
