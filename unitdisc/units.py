"""Units: the code sequence of one utterance or line, which evaluation and export consume."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np


@dataclass(frozen=True)
class Units:
    """The units of one recording or line image.

    Unit ``s`` covers ``[start + s * step, min(start + (s + 1) * step, end))``.

    Args:
        key: Id of the utterance or line.
        codes: (S, Q) int64, each in [0, K).
        start: Left edge of the first unit, in ``unit_of_time``.
        step: Length of one unit, in ``unit_of_time``.
        end: Right edge of the recording or line, in ``unit_of_time``; the last unit is cut there.
        unit_of_time: As in `FeatureSpec`; of pictures the cells follow each other row by row.
        fields: What the corpus says of it in single values, as in `Split.fields`; {} where nothing is known.
    """

    key: str
    codes: np.ndarray
    start: float
    step: float
    end: float
    unit_of_time: str
    fields: Mapping[str, str] = field(default_factory=dict, compare=False)

    def spans(self) -> Iterator[tuple[float, float, tuple[int, ...]]]:
        """Yield ``(start, end, codes)`` per unit, the last one cut at the end of the recording."""
        for s, codes in enumerate(self.codes.tolist()):
            left = self.start + s * self.step
            yield left, min(self.start + (s + 1) * self.step, self.end), tuple(codes)
