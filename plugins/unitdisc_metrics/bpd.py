"""Bits per dimension."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from unitdisc.named import nats
from unitdisc_metrics.mergeable import Mergeable
from unitdisc_metrics.per_dimension import Average, per_dimension

if TYPE_CHECKING:
    from unitdisc.metric import Evaluated


class BPD(Mergeable):
    """Bits per dimension -log2 p(x | codes) / D of the reconstruction (paper A, Tables II and III).

    D counts the numbers of an example's frames: pixels of a line, three colours of each pixel of a picture.
    Padding has no part in it. Values compare only where the levels that a pixel can have are as many: paper A
    has 4 of them in Table II and 256 in Table III.

    Its chance value is what the decoder gets from units of other places. "nats_per_frame" is the decoder's
    loss, "dims" the sum of D over the split.

    Args:
        part: Whose likelihood: "decoder", or the name of a head that has one.
        average: "pixel": all bits over all dimensions. "item": the mean over examples of their own values,
            about as in the released code of paper A, where long lines count no more than short ones.
    """

    higher_is_better: ClassVar[bool] = False
    taken: ClassVar[tuple[str, ...]] = ("_bits", "_dims", "_frames")

    def __init__(self, *, part: str = "decoder", average: Average = "pixel") -> None:
        self._part = part
        self._average = average
        self._bits: list[float] = []
        self._dims: list[int] = []
        self._frames = 0

    def update(self, item: Evaluated) -> None:
        """Take in the nats of one example."""
        self._bits.append(nats(item, self._part) / log(2))
        self._dims.append(item.num_frames * item.frame_size)
        self._frames += item.num_frames

    def compute(self) -> dict[str, float]:
        """Return the bits per dimension. Raises `DataError` when the split has no frame."""
        bits = np.array(self._bits)
        return {
            "value": per_dimension(bits, self._dims, self._average),
            "nats_per_frame": float(bits.sum() * log(2) / self._frames),
            "dims": float(sum(self._dims)),
        }
