"""The phone of each of Kaldi's frames as labels with times."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.reader import Timed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class FrameLabels:
    """Alignments by frame.

    Args:
        rows: Id to the symbols of its frames, between spaces, and file and line.
        symbol: Brings a symbol into its form. Neighbours are told apart before that, by word positions too.
        shift: Seconds from frame to frame.
        length: Seconds that a frame looked at.
    """

    def __init__(
        self,
        rows: Mapping[str, tuple[str, str]],
        symbol: Callable[[str], str],
        *,
        shift: float,
        length: float,
    ) -> None:
        self.rows, self.symbol, self.shift, self.length = rows, symbol, shift, length

    def __contains__(self, key: str) -> bool:
        return key in self.rows

    def labels(self, key: str, num_samples: int, rate: int) -> list[Timed]:
        """Return the labels of an utterance of so many samples.

        A frame stands for the ``shift`` seconds around its middle; the first and the last reach to the ends.
        """
        text, where = self.rows[key]
        symbols = text.split()
        edge = self._edge(len(symbols), num_samples, rate, f"{where}: {key}")
        labels: list[Timed] = []
        first = 0
        for symbol, run in groupby(symbols):
            after = first + len(list(run))
            start = 0.0 if first == 0 else edge + first * self.shift
            end = num_samples / rate if after == len(symbols) else edge + after * self.shift
            if start < end:  # one frame more than there should be may begin behind the end
                labels.append(Timed(start, end, self.symbol(symbol)))
            first = after
        return labels

    def _edge(self, count: int, num_samples: int, rate: int, where: str) -> float:
        """Return the second at which the first frame begins to count; the number of frames tells which kind.

        With snip_edges, Kaldi's default, windows lie inside the recording, so that the middle of the first is
        half a window from its beginning; without, it is half a shift.
        """
        shift, length = max(1, round(self.shift * rate)), round(self.length * rate)
        inside = 1 + (num_samples - length) // shift
        whole = (num_samples + shift // 2) // shift
        if abs(count - inside) <= 1:
            return (self.length - self.shift) / 2
        if abs(count - whole) <= 1:
            return 0.0
        raise DataError(
            f"{where} has {count} frames, its {num_samples / rate:g} s make {inside} (or {whole} without "
            "snip_edges); give the recording that was aligned, or the frame_shift and frame_length of the alignment"
        )
