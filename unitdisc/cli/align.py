"""``unitdisc data align``: times for the transcripts of a corpus, by a trained run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from unitdisc.align import Aligned, Meet
    from unitdisc.run import Run

_SECONDS = 0.1


@click.command("align", short_help="Give transcripts times, by a trained run with a ctc head.")
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="New folder, a data.root with times."
)
@click.option(
    "--split",
    "splits",
    multiple=True,
    metavar="NAME",
    help="Split, repeatable [default: train and those that the recipe scores and exports].",
)
@click.option("--head", metavar="NAME", help="Head that aligns [default: the only one that can].")
@click.option(
    "--reach",
    type=click.FloatRange(min=0, min_open=True),
    metavar="LENGTH",
    help="How far a symbol extends at most beyond the place where CTC says it, in seconds or columns; silence "
    "lies farther [default: 0.1 seconds, or half the height of a line].",
)
@click.option(
    "--meet",
    type=click.Choice(["evidence", "middle"]),
    help="Where two neighbours meet among the blanks between them: where the head would change if it knew but the "
    "two, or in the middle [default: evidence in recordings, middle in images].",
)
def command(
    *,
    run_folder: Path,
    out: Path,
    splits: tuple[str, ...],
    head: str | None,
    reach: float | None,
    meet: Meet | None,
) -> None:
    """Find where the transcripts of RUN's data are said or written, and write them with their places to a new folder.

    The folder can be data.root of the same recipe and of recipes that need times: it holds the places of the
    recordings or images and the label table, also as a file such as phones.tsv or characters.tsv, which can be
    laid beside the corpus's manifest.jsonl. An utterance or line whose transcript needs more latents than it has
    is named and left out. An encoder that sees little around each latent (deep_speech or line_conv with layers
    0, or convolutions) is what to train: one that sees all may say a symbol anywhere.
    """
    from unitdisc.align import transcriber
    from unitdisc.cli import warn_broken
    from unitdisc.errors import StorageError
    from unitdisc.run import load
    from unitdisc.stopping import interruptible
    from unitdisc.storage import new_folder, write_text
    from unitdisc.transcript import Transcriber

    warn_broken()
    if out.exists():
        raise StorageError(f"{out}: is already there; give a new folder with --out")
    run = load(run_folder)
    is_timed = run.features.unit_of_time == "second"
    reach = reach or (_SECONDS if is_timed else run.features.shape[0] / 2)
    meet = meet or ("evidence" if is_timed else "middle")
    head = transcriber(run.model, head)
    part = run.model.heads[head]
    assert isinstance(part, Transcriber)  # noqa: S101  (for mypy)
    recipe = run.recipe
    chosen = splits or tuple(dict.fromkeys(("train", recipe.evaluate.split, *recipe.export.splits)))
    with interruptible("stopped; nothing was written"), new_folder(out) as folder:
        aligned = _aligned(run, chosen, head, reach, meet)
        for key, reason in aligned.left_out.items():
            click.echo(f"left out {key}: {reason}", err=True)
        summary = run.source.write_aligned(folder, part.target, aligned.spans)
        about = {
            "checkpoint_sha256": run.checkpoint.digest,
            "data_sha256": run.source.checksum(),
            "recipe": recipe.name,
            "head": head,
            "reach": reach,
            "meet": meet,
            "splits": chosen,
            "left_out": aligned.left_out,
        }
        write_text(folder / "alignment.json", json.dumps(about, indent=1) + "\n")
    click.echo(f"{summary}; left out: {len(aligned.left_out)}\n{out}")


def _aligned(run: Run, splits: tuple[str, ...], head: str, reach: float, meet: Meet) -> Aligned:
    from unitdisc import device
    from unitdisc.align import Aligned, align
    from unitdisc.errors import DataError

    run.model.to(device.choose(run.recipe.train))
    total = Aligned()
    for name in splits:
        split, frames = run.source.split(name), run.recipe.evaluate.batch_frames
        length = reach * run.features.frame_rate
        found = align(run.model, split, head, batch_frames=frames, reach=length, meet=meet)
        total.spans |= found.spans
        total.left_out |= found.left_out
    if not total.spans:
        key, reason = next(iter(total.left_out.items()))
        raise DataError(
            f"{key}: {reason}; no other utterance can be aligned either: give transcripts, or a recipe with a "
            "smaller stride"
        )
    return total
