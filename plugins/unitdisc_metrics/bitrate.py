"""Bits per second of the units."""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from unitdisc.errors import DataError
from unitdisc.named import codes
from unitdisc.repeats import durations, without_repeats
from unitdisc_metrics.entropy import entropy
from unitdisc_metrics.mergeable import Mergeable
from unitdisc_metrics.tuple_counts import TupleCounts

if TYPE_CHECKING:
    from unitdisc.metric import Evaluated


class Bitrate(Mergeable):
    """Bits per second (N / D) * H of the units (ZeroSpeech 2019; Dunbar et al.).

    N symbols in D seconds of recordings, H the entropy in bits of the symbols of the whole split; the symbol of
    several codebooks is the tuple of their codes. Per column, where frames are columns of an image. A recording
    lasts as long as the labels say, or else the unit file, also where its units end earlier; that of a run as long
    as its frames.

    "fixed", "deduplicated" and "with_durations" are the three values of ``count``, "nominal" is
    Q * log2 K per unit. "units", "runs" and "seconds" say from how much.

    Args:
        count: Symbols that make "value". "fixed": every unit. "deduplicated": runs of equal units, whose
            lengths are lost. "with_durations": pairs of unit and run length, from which all units come back.
    """

    has_chance: ClassVar[bool] = False
    higher_is_better: ClassVar[bool] = False
    taken: ClassVar[tuple[str, ...]] = ("_counts", "_seconds", "_nominal")

    def __init__(self, *, count: Literal["fixed", "deduplicated", "with_durations"] = "fixed") -> None:
        self._count = count
        self._counts = {name: TupleCounts() for name in ("fixed", "deduplicated", "with_durations")}
        self._seconds = 0.0
        self._nominal = 0.0

    def update(self, item: Evaluated) -> None:
        """Count the units and runs of one utterance."""
        units = codes(item)
        runs = without_repeats(units)
        self._counts["fixed"].add(units)
        self._counts["deduplicated"].add(runs)
        self._counts["with_durations"].add(np.column_stack([runs, durations(units)]))
        self._seconds += item.num_frames / item.frame_rate if item.length is None else item.length
        self._nominal += units.size * log2(item.num_codes)

    def compute(self) -> dict[str, float]:
        """Return the rates. Raises `DataError` when the split has no unit."""
        counts = {name: found.result()[1] for name, found in self._counts.items()}
        if not len(counts["fixed"]):
            raise DataError("the split has no unit; score a split with recordings of at least one frame")
        if not self._seconds > 0:
            raise DataError(
                "the labels give recordings no length, so there is no rate; give labels with times"
            )
        rates = {name: float(found.sum() * entropy(found)) / self._seconds for name, found in counts.items()}
        return {
            "value": rates[self._count],
            **rates,
            "nominal": self._nominal / self._seconds,
            "units": float(counts["fixed"].sum()),
            "runs": float(counts["deduplicated"].sum()),
            "seconds": self._seconds,
        }
