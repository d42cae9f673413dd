"""``unitdisc translate``: sentences of a file, or as they come, in the other language."""

from __future__ import annotations

import contextlib
import io
import sys
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from unitdisc.cli import warn_broken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PATH = click.Path(path_type=Path)
_CHUNK = 2048
"""Lines that are in memory at once, so that sentences of similar length meet in a batch."""


@click.command("translate", short_help="Translate sentences with a trained run.")
@click.argument("run_folder", metavar="RUN", type=_PATH)
@click.argument("file", metavar="[FILE]", type=_PATH, required=False)
@click.option("--out", type=_PATH, help="File to write, whole or not at all [default: standard output].")
@click.option(
    "--beam",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Partial translations, latent sentences or other guesses kept; 1 is greedy.",
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
    "--teacher", type=_PATH, metavar="RUN", help="Run that chooses among the candidates of a sentence."
)
@click.option(
    "--no-early-stop",
    is_flag=True,
    help="Predict all latents, also behind the one that stands for nothing more.",
)
@click.option(
    "--batch-tokens",
    type=click.IntRange(min=1),
    metavar="N",
    help="Tokens of a batch at most, with padding [default: the recipe's evaluate.batch_frames].",
)
def command(
    run_folder: Path,
    *,
    file: Path | None,
    out: Path | None,
    beam: int,
    length_penalty: float,
    max_length: int | None,
    teacher: Path | None,
    no_early_stop: bool,
    batch_tokens: int | None,
) -> None:
    """Translate FILE, or standard input, one sentence per line, with RUN; line n of both belong together.

    Long files go through little memory: lines are read as they are translated. An empty line stays empty.
    Lines of any length are translated whole, and letters that training never saw are spelled in bytes.
    """
    from unitdisc import device
    from unitdisc.run import load
    from unitdisc.stopping import interruptible
    from unitdisc.storage import write_lines

    warn_broken()
    run = load(run_folder)
    run.model.to(device.choose(run.recipe.train))

    def translate(texts: list[str]) -> list[str]:
        return run.translate(
            texts,
            batch_tokens=batch_tokens,
            beam=beam,
            length_penalty=length_penalty,
            max_length=max_length,
            teacher=teacher,
            early_stop=not no_early_stop,
        )

    stopped = "stopped; nothing was written" if out else "stopped; what is missing was not translated"
    with interruptible(stopped), _opened(file) as stream:
        chunks = _translated(stream, str(file or "standard input"), translate)
        if out is not None:
            write_lines(out, chunks)
            return
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # as files are, whatever the terminal's language
        for chunk in chunks:
            sys.stdout.write(chunk)
            sys.stdout.flush()


@contextlib.contextmanager
def _opened(file: Path | None) -> Iterator[IO[bytes]]:
    from unitdisc.errors import DataError

    if file is None:
        yield sys.stdin.buffer
        return
    try:
        stream = file.open("rb")
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); give a file of sentences") from None
    with stream:
        yield stream


def _translated(stream: IO[bytes], name: str, translate: Callable[[list[str]], list[str]]) -> Iterator[str]:
    """Yield the translations of some lines after the other; say at the end how many lines are empty."""
    size = 1 if stream.isatty() else _CHUNK
    lines = _lines(stream, name)
    count = first = 0
    while chunk := list(islice(lines, size)):
        empty = [number for number, text in chunk if not text]
        first = first or next(iter(empty), 0)
        count += len(empty)
        yield "".join(f"{line}\n" for line in translate([text for _, text in chunk]))
    if count:
        click.echo(
            f"unitdisc: {name}: empty lines stay empty: {count:,}, the first is line {first:,}",
            err=True,
        )


def _lines(stream: IO[bytes], name: str) -> Iterator[tuple[int, str]]:
    """Yield (number, text) of each line without space at its ends. Only line feeds end a line."""
    from unitdisc.errors import DataError

    for number, line in enumerate(stream, 1):
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError:
            raise DataError(f"{name}:{number}: not UTF-8; save the file as UTF-8") from None
