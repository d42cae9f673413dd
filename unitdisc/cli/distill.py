"""``unitdisc distill``: training text with a run's translations as targets."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unitdisc.cli import warn_broken

if TYPE_CHECKING:
    from collections.abc import Callable

    from unitdisc.distill import Distillation

_PATH = click.Path(path_type=Path)
_TELL_EVERY = 10.0


@click.command("distill", short_help="Write training text with a run's translations as targets.")
@click.argument("run_folder", metavar="RUN", type=_PATH)
@click.option("--out", type=_PATH, required=True, help="New folder, a data.root for students.")
@click.option(
    "--split",
    default="train",
    show_default=True,
    metavar="NAME",
    help="Split whose targets are replaced; the others are copied.",
)
@click.option(
    "--beam",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Partial translations kept at each step.",
)
@click.option(
    "--length-penalty",
    type=click.FloatRange(min=0),
    default=0.6,
    show_default=True,
    help="Alpha of Wu et al. 2016, eq. 14.",
)
@click.option(
    "--max-length",
    type=click.IntRange(min=1),
    metavar="TOKENS",
    help="Of a translation at most [default: what the decoder decides by the source's length].",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes, each of one thread [default: as many as there are cores; 1 on CUDA].",
)
def command(
    run_folder: Path,
    *,
    out: Path,
    split: str,
    beam: int,
    length_penalty: float,
    max_length: int | None,
    jobs: int | None,
) -> None:
    """Translate the sources of RUN's training text, and write it anew with these translations as targets.

    OUT has the files of RUN's data.root, and its vocabulary: students take data.root=OUT
    data.vocabulary=OUT/sentencepiece.model, and can then be judged by RUN as their teacher. Pairs that training leaves
    out are left out.
    The same command goes on where it was stopped or killed (what is done lies in OUT.parts until the end), and may be
    started several times at once; the files are the same whatever the jobs.
    """
    from unitdisc.copies import run_copies
    from unitdisc.distill import SIDECAR, Distillation
    from unitdisc.run import load
    from unitdisc.run_folder import read_json
    from unitdisc.stopping import interruptible

    warn_broken()
    out = out.absolute()
    decoding = {"beam": beam, "length_penalty": length_penalty, "max_length": max_length}
    work = Distillation(load(run_folder), out, split, decoding)
    told = _throttled(work)
    with interruptible("stopped; what is done is kept, and the same command goes on"):
        work.check()
        jobs = min(jobs or _jobs(), len(work.shards))
        if jobs == 1 or work.is_done():
            work.work(told)
        else:
            options = [
                f"--split={split}",
                f"--beam={beam}",
                f"--length-penalty={length_penalty!r}",
                "--jobs=1",
            ]
            options += [f"--max-length={max_length}"] if max_length else []
            arguments = ["distill", *options, "--out", str(out), "--", str(run_folder)]
            run_copies(arguments, jobs, look=told)
    about = read_json(out / SIDECAR)
    if about["empty"]:
        click.echo(f"unitdisc: {about['empty']:,} translations are empty; training leaves them out", err=True)
    click.echo(f"{about['holds']}\n{out}")


def _jobs() -> int:
    import os

    import torch

    return 1 if torch.cuda.is_available() else len(os.sched_getaffinity(0))


def _throttled(work: Distillation) -> Callable[[], None]:
    """Return what says now and then on the screen how many sentences are done."""
    last = time.monotonic()

    def tell() -> None:
        nonlocal last
        if time.monotonic() - last > _TELL_EVERY:
            last = time.monotonic()
            click.echo(
                f"unitdisc: {work.num_done():,} of {len(work.pairs):,} sentences are translated", err=True
            )

    return tell
