"""Contract of metrics: what evaluation hands them, utterance by utterance, and what they return."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from unitdisc.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

Need = Literal["inputs", "latents", "values"]
"""What an utterance carries for the metrics that ask for it."""


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
        predictions: By head name: (T,) for a "frames" head, (U',) for a "sequence" head. A head runs when it is
            first asked for.
        fields: What the corpus says of it in single values, as text: its speaker or writer among them.
        frame_rate: Frames per second; 1.0 for columns of an image.
        frame_size: Numbers in an input frame: pixels of a column, colours of a pixel.
        length: How long the recording or line is, in seconds or columns; None where it ends with its last frame.
        nats: -ln p of this example under each part that is a `Likelihood`: "decoder", or the name of a head. Found
            when it is first asked for.
        translate: Returns what the decoder writes in place of this example's inputs, as text, by the arguments of
            `translate`, or with ``forced`` by `Translator.forced`; None where the decoder is none.
        inputs: (T, ...) float32, as the encoder sees them; None where no metric needs them.
        latents: (S, D) float32, before the bottleneck; None where no metric needs them.
        values: (S, D) float32, after the bottleneck; None where no metric needs them.
    """

    key: str
    codes: np.ndarray
    num_codes: int
    num_frames: int
    stride: int
    targets: dict[str, np.ndarray] = field(default_factory=dict)
    predictions: Mapping[str, np.ndarray] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    frame_rate: float = 1.0
    frame_size: int = 1
    length: float | None = None
    nats: Mapping[str, float] = field(default_factory=dict)
    translate: Callable[..., str] | None = None
    inputs: np.ndarray | None = None
    latents: np.ndarray | None = None
    values: np.ndarray | None = None


class Metric(ABC):
    """A score over a whole split. The engine supplies nothing; parameters come from the recipe.

    Evaluation runs a second, fresh instance of every metric with ``has_chance`` over the same utterances after
    the units have been shuffled over the whole split (and the heads have predicted from the shuffled units);
    that is the chance value printed beside the score. There the latents are those that the shuffled units stand
    for, and the inputs stay what they are.

    Attributes:
        has_chance: Whether shuffled units give its chance value.
        higher_is_better: False where a lower value is better.
        merges: Whether `merge` works, so that a score is recomputed from parts of a split without the data.
        bootstraps: Of a metric that merges, whether a part can count several times over, as the bootstrap draws it.
            What compares utterances with each other would take that for agreement; there each part is left out once.
        learns: Whether `learn_from` works, as the score learns something, such as a map from units to labels.
        needs: What `Evaluated` must carry beside the units; evaluation leaves out what no metric needs.
    """

    has_chance: ClassVar[bool] = True
    higher_is_better: ClassVar[bool] = True
    merges: ClassVar[bool] = False
    bootstraps: ClassVar[bool] = True
    learns: ClassVar[bool] = False
    needs: tuple[Need, ...] = ()

    @abstractmethod
    def update(self, item: Evaluated) -> None:
        """Take one utterance in. Raises `RecipeError` when a target or head it names does not exist."""

    def leave_out(self, item: Evaluated) -> None:
        """Take note that ``item`` is of the split, but left out on purpose, as the jackknife does."""
        del item

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Return the main number under the key "value", further numbers and counts under their own names."""

    def merge(self, other: Self, times: int = 1) -> None:
        """Take in, ``times`` over, what ``other`` has taken in, as if it had come here item by item.

        ``other`` has the same parameters and stays as it is. One instance per speaker, merged as often as the
        speaker is drawn, makes a bootstrap that never sees the utterances again.
        """
        del other, times
        raise PluginError(f"{type(self).__name__} takes in items only; look at `merges` first")

    def learn_from(self, other: Self) -> None:
        """Learn from the items of ``other``, another split, in place of those that are scored.

        It comes before the first item. ``other`` has the same parameters and stays as it is.
        """
        del other
        raise PluginError(f"{type(self).__name__} learns nothing; look at `learns` first")

    def signature(self) -> str | None:
        """Return the full definition of the score in a line, where a name and parameters do not say it all."""
        return None

    def chance(self) -> dict[str, float] | None:
        """Return the chance value of what was taken in where it is known without shuffled units."""
        return None
