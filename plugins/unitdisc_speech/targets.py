"""Timed labels as targets: one label per frame, and the sequence of symbols without their times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unitdisc.data import TargetSpec
from unitdisc.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from unitdisc.manifest import Label
    from unitdisc_speech.cuts import Utterance


class LabelTable:
    """The targets of one label table.

    Args:
        name: Name of the table.
        utterances: All utterances, whose symbols make the vocabularies (sorted, the same for every split).
        fold: Symbol to class; an empty class is unlabelled. None takes the symbols as they are.
        silence: Classes that the sequence leaves out.
    """

    def __init__(
        self,
        name: str,
        utterances: Sequence[Utterance],
        *,
        fold: Mapping[str, str] | None,
        silence: Collection[str],
    ) -> None:
        self.name, self.fold = name, fold
        classes = {
            folded(label.symbol, fold, f"{utterance.key}: {name}.tsv")
            for utterance in utterances
            for label in utterance.tables.get(name, ())
        }
        self.frames = TargetSpec("frames", tuple(sorted(classes - {""})))
        self.sequence = TargetSpec("sequence", tuple(sorted(classes - {"", *silence})))
        self._frame_numbers = {symbol: n for n, symbol in enumerate(self.frames.vocab)}
        self._sequence_numbers = {symbol: n for n, symbol in enumerate(self.sequence.vocab)}

    def frame_labels(self, utterance: Utterance, middles: Tensor) -> Tensor:
        """Return (T,) int64, what is said at the samples ``middles`` (T,), -1 where nothing is labelled.

        Where two labels overlap the later one counts.
        """
        labels = utterance.tables.get(self.name, [])
        if not labels:
            return torch.full_like(middles, -1)
        numbers = torch.tensor([self._frame_numbers.get(self._class_of(label), -1) for label in labels])
        starts, ends = (torch.tensor([getattr(label, edge) for label in labels]) for edge in ("start", "end"))
        index = torch.searchsorted(starts, middles, right=True) - 1
        is_inside = (index >= 0) & (middles < ends[index])
        return torch.where(is_inside, numbers[index], -1)

    def transcript(self, utterance: Utterance) -> tuple[Tensor, Tensor]:
        """Return the symbols (U,) int64 and the sample in the middle of each, (U,) int64."""
        kept = [
            (self._sequence_numbers[self._class_of(label)], (label.start + label.end) // 2)
            for label in self._said(utterance)
        ]
        symbols, middles = torch.tensor(kept, dtype=torch.int64).reshape(-1, 2).T.contiguous()
        return symbols, middles

    def symbols(self, utterance: Utterance) -> list[str]:
        """Return the symbols of `transcript` before folding."""
        return [label.symbol for label in self._said(utterance)]

    def _said(self, utterance: Utterance) -> list[Label]:
        labels = utterance.tables.get(self.name, ())
        return [label for label in labels if self._class_of(label) in self._sequence_numbers]

    def _class_of(self, label: Label) -> str:
        return label.symbol if self.fold is None else self.fold[label.symbol]


def folded(symbol: str, fold: Mapping[str, str] | None, where: str) -> str:
    """Return the class of a symbol; raises `DataError`, which begins with ``where``, if ``fold`` has none."""
    if fold is None:
        return symbol
    if symbol not in fold:
        raise DataError(f"{where} has {symbol!r}, which data.fold does not map; add a line to it")
    return fold[symbol]
