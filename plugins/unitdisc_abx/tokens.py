"""What is compared: stretches of an utterance with a label, its neighbours and who said or wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal
    from fractions import Fraction

Slicing = Literal["standard", "librilight"]


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a category.

    Args:
        onset: Where it begins, in frames of the representation or in seconds.
        offset: Where it ends.
        label: Its category.
        context: The labels before and after it.
        speaker: Whose it is.
    """

    onset: int | Decimal
    offset: int | Decimal
    label: str
    context: tuple[str, str]
    speaker: str

    def frames(self, rate: Fraction, slicing: Slicing) -> tuple[int, int]:
        """Return the first frame and the one behind the last, at ``rate`` frames per unit of its times.

        Frame i stands for the time (i + 1/2) / rate. "standard": the frames with onset <= time <= offset, as ABXpy
        and fastabx. "librilight": without the last of them, as libri-light and ZeroSpeech 2021.
        """
        onset, whole = _middles(self.onset, rate)
        first = -(-onset // whole)
        offset, whole = _middles(self.offset, rate)
        return max(0, first), offset // whole + (slicing == "standard")


def _middles(time: int | Decimal, rate: Fraction) -> tuple[int, int]:
    """Return time * rate - 1/2 exactly, as a fraction."""
    number, parts = time.as_integer_ratio()
    parts *= rate.denominator
    return 2 * number * rate.numerator - parts, 2 * parts


def labelled(labels: np.ndarray, speaker: str, span: Literal["single", "triple"]) -> Iterator[Token]:
    """Yield a token per run of equal labels (T,), times in frames; what is unlabelled (-1) is context, no token.

    The ends of the utterance are unlabelled, too. With the span "triple" a token reaches from the onset of the
    run before it to the offset of the run after it, and one with an unlabelled neighbour is no token.
    """
    edges = np.flatnonzero(np.diff(labels, prepend=-2, append=-2))
    names = [-1, *labels[edges[:-1]].tolist(), -1]
    for index, label in enumerate(names[1:-1]):
        before, after = names[index], names[index + 2]
        if label < 0 or (span == "triple" and min(before, after) < 0):
            continue
        reach = span == "triple"
        onset, offset = edges[index - reach], edges[index + 1 + reach]
        yield Token(int(onset), int(offset), str(label), (str(before), str(after)), speaker)
