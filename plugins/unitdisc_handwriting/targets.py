"""Labels of a line in the columns of its scaled image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitdisc_handwriting.lines import Line


def symbols(sequence: Sequence[str], vocab: Sequence[str]) -> Tensor:
    """Return (U,) int64, the numbers of the symbols in ``vocab``."""
    number = {symbol: index for index, symbol in enumerate(vocab)}
    return torch.tensor([number[symbol] for symbol in sequence], dtype=torch.int64)


def frame_labels(line: Line, table: str, vocab: Sequence[str], width: int) -> Tensor:
    """Return (T,) int64 for T = ``width``: the label at the middle of each column, -1 where there is none."""
    stored = torch.full((line.width,), -1)
    for (start, end, _), number in zip(line.labels[table], _numbers(line, table, vocab), strict=True):
        stored[start:end] = number
    middle = (2 * torch.arange(width) + 1) * line.width // (2 * width)
    return stored[middle]


def middles(line: Line, table: str, width: int) -> Tensor:
    """Return (U,) int64, the column of ``width`` that holds the middle of each label."""
    places = [(start + end) * width // (2 * line.width) for start, end, _ in line.labels[table]]
    return torch.tensor(places, dtype=torch.int64)


def _numbers(line: Line, table: str, vocab: Sequence[str]) -> list[int]:
    numbers: list[int] = symbols([symbol for _, _, symbol in line.labels[table]], vocab).tolist()
    return numbers
