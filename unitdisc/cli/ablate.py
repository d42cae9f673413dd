"""``unitdisc ablate``: recipes x seeds, one table, one picture."""

from __future__ import annotations

import shlex
from pathlib import Path

import click


@click.command("ablate", short_help="Compare recipes over seeds: one table, one picture.")
@click.argument("arguments", nargs=-1, required=True, metavar="RECIPE... [KEY=VALUE]...")
@click.option("--seeds", default="5", show_default=True, help="n for the seeds 1 to n, or a list: 1,4,7.")
@click.option("--preset", help="Overlay beside the base recipe of each, such as small.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of all runs [default: runs/ablation-PRESET]."
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Runs side by side [default: cores / threads of a run; 1 on CUDA]. Fewer need less memory.",
)
@click.option("--baseline", metavar="RECIPE", help="What the others are compared with [default: the first].")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Score, repeatable [default: all].")
@click.option(
    "--curve",
    "curves",
    multiple=True,
    metavar="NAME",
    help="Number of log.jsonl drawn over the steps, repeatable [default: score.*, perplexity, loss].",
)
@click.option(
    "--over",
    metavar="NUMBER",
    help="Draw the scores over a number of the recipes (bottleneck.init_scale), or over the first value of one of "
    "log.jsonl (bottleneck.norm_ratio).",
)
def command(
    *,
    arguments: tuple[str, ...],
    seeds: str,
    preset: str | None,
    out: Path | None,
    jobs: int | None,
    baseline: str | None,
    metrics: tuple[str, ...],
    curves: tuple[str, ...],
    over: str | None,
) -> int:
    """Train and score each RECIPE with each seed, and compare.

    \b
    unitdisc ablate speech/ema speech/gradient --preset small data.root=corpus --seeds 5
    unitdisc ablate speech/ema speech/ema:bottleneck.decay=0.9,bottleneck.num_codes=64 ...
    unitdisc ablate my_rules/*.yaml --baseline my_rules/vanilla.yaml ...
    unitdisc ablate 'speech/wsj/*' train.score_every=100 ...
    unitdisc ablate handwriting/scale:bottleneck.init_scale={0.1,1,10} --over bottleneck.init_scale ...

    RECIPE is a name that `unitdisc recipes` lists, or a file; KEY=VALUE counts for all of them. A pattern (* stops
    at a /) stands for all listed recipes that fit and are not typed themselves: those whose `paper.row` begins
    with a number first, in the order of these numbers, then the others by name. Behind a colon a
    RECIPE takes settings of its own, with commas between them; `name=...` among them says what tables call it. For
    more than a few settings write a file that `extends:` another.

    Each recipe and seed is an ordinary run, OUT/RECIPE/seed-N, in a process of its own that prints into
    OUT/RECIPE/seed-N.txt. The same command goes on after a stop: finished runs are kept, begun ones go on, failed
    ones are tried again. More seeds or recipes may be added; a changed recipe is refused.

    Each run gets as many CPU threads as its recipe says (train.threads), else OMP_NUM_THREADS, else 2; with --jobs
    the cores are shared out evenly.

    The table shows median, mean and 95 % t interval of the mean over seeds, and the mean difference to the baseline
    with an interval paired by seed: "better" or "worse" stands where that leaves out 0. Where a recipe says what a
    paper reports (its section `paper`), that stands beside it; a RECIPE with settings of its own is no longer the
    paper's. A failed run has no score and is listed with its exit code and last line. A run counts as collapsed, and
    keeps its scores, when the perplexity of its codes on the scored split, the mean over codebooks, is under 2 or
    under 1 % of the codebook (1.1 where that has fewer than 4 codes). Files: OUT/ablation.txt, .md, .json (all
    numbers, run by run) and .png.

    Exit code: 0, or that of the first failed run (1 when it crashed); the table is made all the same.
    """  # noqa: D301  (click takes the backspace character as "keep these lines")
    from unitdisc.ablate.command import Wanted, ablate
    from unitdisc.cli import warn_broken

    warn_broken()
    folder = out or Path("runs") / ("ablation" + (f"-{preset}" if preset else ""))
    options = {"--preset": preset, "--out": out, "--jobs": jobs, "--baseline": baseline, "--over": over}
    again = ["unitdisc", "ablate", *arguments, "--seeds", seeds]
    again += [str(part) for name, value in options.items() if value is not None for part in (name, value)]
    again += [part for name in metrics for part in ("--metric", name)]
    again += [part for name in curves for part in ("--curve", name)]
    return ablate(
        Wanted(
            arguments=arguments,
            seeds=seeds,
            preset=preset,
            folder=folder,
            jobs=jobs,
            baseline=baseline,
            metrics=metrics,
            curves=curves,
            over=over,
            command=shlex.join(again),
        ),
        say=click.echo,
    )
