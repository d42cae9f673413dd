"""Times found for transcripts, as a label table and as cuts that `Speech` reads."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from unitdisc.manifest import Label
from unitdisc.storage import write_text
from unitdisc_speech.cuts import write_cuts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from unitdisc_speech.cuts import Utterance


def write_aligned(
    folder: Path,
    utterances: Sequence[Utterance],
    *,
    table: str,
    symbols: Callable[[Utterance], Sequence[str]],
    spans: Mapping[str, Sequence[tuple[float, float]]],
    frame_rate: float,
    silence: str | None,
) -> str:
    """Write the utterances that ``spans`` names, with their times, into ``folder``; say in a line what it is.

    Args:
        folder: A folder that exists.
        utterances: In the order of the corpus.
        table: Name of the label table.
        symbols: What an utterance's spans stand for, in order.
        spans: By key, first frame and last frame (excluded) of each symbol.
        frame_rate: Frames per second.
        silence: Symbol of what lies between, before and after the spans; None leaves it without a label.
    """
    labelled = []
    for utterance in utterances:
        if utterance.key in spans:
            labels = _labels(utterance, symbols(utterance), spans[utterance.key], frame_rate, silence)
            labelled.append(replace(utterance, tables={**utterance.tables, table: labels}))
    rows = [
        f"{utterance.key}\t{label.start}\t{label.end}\t{label.symbol}\n"
        for utterance in labelled
        for label in utterance.tables[table]
    ]
    write_text(folder / f"{table}.tsv", "".join([f"id\tstart_sample\tend_sample\t{table}\n", *rows]))
    root = Path(os.path.commonpath([utterance.path.parent for utterance in labelled]))
    tables = sorted({name for utterance in labelled for name in utterance.tables})
    return write_cuts(labelled, folder, root=root, tables=tables)


def silence_of(silence: Collection[str], fold: Mapping[str, str] | None) -> str | None:
    """Return a symbol that sequences leave out as silence, before folding; None where there is none."""
    symbols = silence if fold is None else [symbol for symbol, kind in fold.items() if kind in silence]
    return next(iter(symbols), None)


def _labels(
    utterance: Utterance,
    symbols: Sequence[str],
    spans: Sequence[tuple[float, float]],
    frame_rate: float,
    silence: str | None,
) -> list[Label]:
    """Return the labels in samples of the recording, in order."""
    labels, end = [], 0

    def keep(start: int, stop: int, symbol: str | None) -> None:
        if symbol is not None and start < stop:
            labels.append(Label(start, stop, symbol))

    for symbol, edges in zip(symbols, spans, strict=True):
        # The last frame may be longer or shorter than the recording.
        first, last = (
            min(round(edge * utterance.rate / frame_rate), utterance.num_samples) for edge in edges
        )
        keep(end, first, silence)
        keep(first, last, symbol)
        end = last
    keep(end, utterance.num_samples, silence)
    return labels
