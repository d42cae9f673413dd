"""``unitdisc sample``: pictures of what the models of runs know."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import click


@click.command("sample", short_help="Draw what the decoder makes of units, beside the originals.")
@click.argument("run_folders", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--split", metavar="NAME", help="Split of the examples [default: the one that was scored].")
@click.option(
    "--count", type=click.IntRange(min=1), default=8, show_default=True, metavar="N", help="Examples to show."
)
@click.option(
    "--over",
    type=click.IntRange(min=1),
    metavar="N",
    help="Examples on which bits and error are measured [default: those shown].",
)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0, min_open=True),
    metavar="T",
    help="Of draws from the decoder and the prior; several runs show draws only with it [default: 1].",
)
@click.option(
    "--prior",
    metavar="HEAD",
    help="Head to draw codes from [default: the only prior of a single run; none of several runs].",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Seed of the draws.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder, replaced as a whole [default: two files in RUN; several runs need it].",
)
def command(
    run_folders: tuple[Path, ...],
    *,
    split: str | None,
    count: int,
    over: int | None,
    temperature: float | None,
    prior: str | None,
    seed: int,
    out: Path | None,
) -> None:
    """Draw examples, their reconstructions, and draws from the decoder and the prior, as samples.png.

    Of one RUN: originals, what the decoder expects given their units, a draw given the same units (where the
    decoder can draw), and a draw of codes and all from a prior (where a head is one). Of several runs on the same
    data: originals on top, then a row of reconstructions per run. Beside it samples.json says what was drawn, and
    gives bits per dimension and the error of each run with their spread over seeds.

    A decoder that explains each pixel by those before it, such as pixel_cnn, expects no picture as a whole: shown is
    the likeliest value of one pixel after the other, which has no error worth a name and takes seconds a line.
    """
    from unitdisc.run import load
    from unitdisc.sample import META, PICTURE, sample
    from unitdisc.stopping import interruptible

    runs = [load(folder) for folder in run_folders]
    lock = contextlib.nullcontext() if out or len(runs) > 1 else runs[0].folder.locked()
    with interruptible("stopped; what was there is kept; do it again with the same command"), lock:
        content = sample(
            runs,
            split=split,
            count=count,
            over=over,
            temperature=temperature,
            prior=prior,
            seed=seed,
            folder=out,
        )
    for item in content["runs"]:
        click.echo(f"{item['label']}: {_numbers(item['scores'])} over {item['examples_measured']} examples")
    for item in content["spread"]:
        if len(item["seeds"]) > 1:
            click.echo(f"{item['recipe']}, {len(item['seeds'])} seeds: {_spreads(item)}")
    for name in (PICTURE, META):
        click.echo((out or run_folders[0]) / name)


def _numbers(scores: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in scores.items())


def _spreads(item: dict[str, Any]) -> str:
    found = {name: value for name, value in item.items() if isinstance(value, dict)}
    return ", ".join(
        f"{name} {value['mean']:.4g} (deviation {value['deviation']:.2g}, {value['least']:.4g} to "
        f"{value['most']:.4g})"
        for name, value in found.items()
    )
