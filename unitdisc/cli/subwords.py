"""``unitdisc subwords``: pieces of units, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from unitdisc.pseudo_text import PseudoText

_PATH = click.Path(path_type=Path)
_SPLIT = click.option("--split", help="Split of RUN [default: train]; a file holds one split.")


@click.group("subwords")
def command() -> None:
    """Merge units that often follow one another into pieces, without loss.

    UNITS is the folder of a trained run, or a file units-SPLIT.jsonl that `unitdisc export` wrote (with or
    without --deduplicate). Repeats are merged first; durations stand beside the pieces, so that decode gives
    every unit back. Needs the extra: pip install 'unitdisc[translation]'
    """


@command.command("train")
@click.argument("source", metavar="UNITS", type=_PATH)
@click.option(
    "--size", type=click.IntRange(min=2), required=True, help="Pieces, more than there are codes in all."
)
@_SPLIT
@click.option("--out", type=_PATH, required=True, help="Folder of the subwords, replaced as a whole.")
def train_command(source: Path, size: int, split: str | None, out: Path) -> None:
    """Learn pieces from UNITS."""
    from unitdisc.repeats import without_repeats
    from unitdisc.storage import refuse_other_files
    from unitdisc.subwords import PIECES, Subwords

    refuse_other_files(out, PIECES)  # before a corpus is encoded, not after
    text = _read(source, split)
    merged = [without_repeats(codes) for codes in text.codes.values()]
    subwords = Subwords.train(
        merged,
        num_codes=text.num_codes,
        num_codebooks=text.num_codebooks,
        size=size,
        checkpoint=text.checkpoint,
    )
    subwords.save(out)
    _table(text, map(subwords.encode, merged))
    count = len(subwords.pieces)
    fewer = "" if count == size else f" ({size:,} were asked for; there is nothing more to merge)"
    click.echo(f"{out}: {count:,} pieces{fewer}")


@command.command("encode")
@click.argument("model", type=_PATH)
@click.argument("source", metavar="UNITS", type=_PATH)
@_SPLIT
@click.option("--out", type=_PATH, required=True, help="File to write.")
def encode_command(model: Path, source: Path, split: str | None, out: Path) -> None:
    """Write UNITS as pieces of MODEL: a line {"file": id, "pieces": [...], "durations": [...]} each."""
    from unitdisc.errors import DataError
    from unitdisc.repeats import durations, without_repeats
    from unitdisc.storage import write_text
    from unitdisc.subwords import Subwords
    from unitdisc.unit_lines import pieces_line

    subwords, text = Subwords.load(model), _read(source, split)
    if subwords.checkpoint not in {"", text.checkpoint}:
        raise DataError(
            f"{source}: units of other weights than {model} was learnt from (checkpoint {text.checkpoint[:12]}, "
            f"not {subwords.checkpoint[:12]}), so codes mean other things; train subwords on these"
        )
    pieces = {key: subwords.encode(without_repeats(codes)) for key, codes in text.codes.items()}
    lines = (pieces_line(key, pieces[key], durations(codes)) for key, codes in text.codes.items())
    write_text(out, "".join(lines))
    _table(text, pieces.values())
    click.echo(out)


@command.command("decode")
@click.argument("model", type=_PATH)
@click.argument("source", metavar="PIECES", type=_PATH)
@click.option("--out", type=_PATH, required=True, help="File to write.")
def decode_command(model: Path, source: Path, out: Path) -> None:
    """Write PIECES, as encode wrote them, as units again: a line {"file": id, "units": [...]} each.

    Every unit comes back, repeated as often as "durations" says; lines without durations, as a language model
    would write them, give units without repeats.
    """
    from unitdisc.errors import DataError
    from unitdisc.storage import write_text
    from unitdisc.subwords import Subwords
    from unitdisc.unit_lines import read_pieces, repeated, units_line

    subwords = Subwords.load(model)
    lines = []
    for where, key, pieces, durations in read_pieces(source):
        try:
            codes = subwords.decode(pieces)
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
        lines.append(units_line(key, codes if durations is None else repeated(codes, durations, where)))
    write_text(out, "".join(lines))
    click.echo(out)


def _read(source: Path, split: str | None) -> PseudoText:
    from unitdisc import pseudo_text

    if not source.is_file():
        return pseudo_text.of_run(source, split or "train")
    if split is not None:
        raise click.UsageError(f"--split: {source} is a file, which holds one split; leave it out")
    return pseudo_text.of_file(source)


def _table(text: PseudoText, pieces: Iterable[Sequence[int]]) -> None:
    """Print what codes and pieces take of a second or column."""
    from rich.console import Console
    from rich.table import Table

    from unitdisc.rates import rates

    found = rates(list(text.codes.values()), pieces)
    duration = found[0].count * text.step or 1.0
    shown = Table(
        title=f"{len(text.codes):,} sequences, {duration:,.6g} {text.unit_of_time}s", title_justify="left"
    )
    for column in (
        "",
        "number",
        f"per {text.unit_of_time}",
        "bits each",
        f"bits/{text.unit_of_time}",
        "codes each",
    ):
        shown.add_column(column, justify="right" if column else "left")
    for rate in found:
        per = rate.count / duration
        values = (per, rate.bits, per * rate.bits, found[0].count / max(1, rate.count))
        shown.add_row(rate.name, f"{rate.count:,}", *(f"{value:.4g}" for value in values))
    Console(highlight=False).print(shown)
