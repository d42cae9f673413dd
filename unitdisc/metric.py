"""Contract of metrics: what evaluation hands them, utterance by utterance, and what they return."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Evaluated:
    """One utterance or line as the trained model sees it.

    Args:
        key: Its id.
        codes: (S, Q) int64; unit ``s`` covers the frames [s * stride, (s + 1) * stride).
        num_codes: K.
        num_frames: T, so S = ceil(T / stride).
        stride: Input frames per unit.
        targets: References by name: (T,) int64 with -1 where unlabelled, or (U,) int64.
        predictions: By head name: (T,) for a "frames" head, (U',) for a "sequence" head.
    """

    key: str
    codes: np.ndarray
    num_codes: int
    num_frames: int
    stride: int
    targets: dict[str, np.ndarray] = field(default_factory=dict)
    predictions: dict[str, np.ndarray] = field(default_factory=dict)


class Metric(ABC):
    """A score over a whole split. The engine supplies nothing; parameters come from the recipe.

    Evaluation runs a second, fresh instance of every metric with ``has_chance`` over the same utterances after
    the units have been shuffled over the whole split (and the heads have predicted from the shuffled units);
    that is the chance value printed beside the score.
    """

    has_chance: ClassVar[bool] = True
    higher_is_better: ClassVar[bool] = True

    @abstractmethod
    def update(self, item: Evaluated) -> None:
        """Take one utterance in. Raises `RecipeError` when a target or head it names does not exist."""

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Return the main number under the key "value", further numbers and counts under their own names."""
