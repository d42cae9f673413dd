"""Contracts of the data: sources, examples, what is known of features and targets; padding into a `Batch`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from unitdisc.errors import DataError
from unitdisc.parts import Batch, Padded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np


@dataclass(frozen=True)
class FeatureSpec:
    """What one input frame is; known from a data source's parameters alone, before any data is read.

    Args:
        shape: Shape of one frame: (3, 81) for log-mel with deltas, (32,) for a column of pixels.
        frame_rate: Frames per second of speech; 1.0 for columns of an image.
        unit_of_time: "second" or "column".
        standardize: Whether the engine subtracts the training split's mean and divides by its deviation, per
            element of ``shape``, before the encoder (global CMVN). The decoder then explains the result.
        grid: Rows and columns of a picture whose pixels are the frames, row by row: all examples have
            T = rows * columns. None for what runs in time.
    """

    shape: tuple[int, ...]
    frame_rate: float
    unit_of_time: Literal["second", "column", "pixel"]
    standardize: bool
    grid: tuple[int, int] | None = None


@dataclass(frozen=True)
class TargetSpec:
    """What a target's numbers mean.

    Args:
        kind: "frames": one label per input frame. "sequence": a transcript without times, for CTC and PER.
        vocab: Symbols; the number n stands for ``vocab[n]``.
    """

    kind: Literal["frames", "sequence"]
    vocab: tuple[str, ...]


@dataclass(frozen=True)
class Example:
    """One utterance or line.

    Args:
        key: Id, unique in its split.
        inputs: (T, *features.shape) float32.
        targets: By name, (T,) int64 with -1 where unlabelled, or (U,) int64.
        conditions: By name, the index of the speaker or writer; -1 where training did not know it.
        middles: For "sequence" targets whose symbols have times, (U,) int64: the frame that holds each symbol's
            middle. A crop needs them to cut the transcript.
    """

    key: str
    inputs: Tensor
    targets: dict[str, Tensor] = field(default_factory=dict)
    conditions: dict[str, int] = field(default_factory=dict)
    middles: dict[str, Tensor] = field(default_factory=dict)

    def crop(self, start: int, stop: int) -> Example:
        """Return the frames [start, stop); a symbol of a sequence belongs where its middle lies.

        Raises `DataError` when a sequence has no middles.
        """
        targets = {}
        for name, target in self.targets.items():
            if name in self.middles:
                middle = self.middles[name]
                targets[name] = target[(middle >= start) & (middle < stop)]
            elif len(target) == len(self.inputs):
                targets[name] = target[start:stop]
            else:
                raise DataError(
                    f"{self.key}: {name} has no times, so it cannot be cut with the inputs; set train.crop to null, "
                    f"or leave {name} out of the data"
                )
        middles = {
            name: middle[(middle >= start) & (middle < stop)] - start for name, middle in self.middles.items()
        }
        return replace(self, inputs=self.inputs[start:stop], targets=targets, middles=middles)


class Split(ABC):
    """Examples of one part of a corpus; an item is a pure function of its index."""

    keys: Sequence[str]
    lengths: Sequence[int]
    """Number of input frames of each example, exact, known without loading it."""

    def __len__(self) -> int:
        return len(self.keys)

    @abstractmethod
    def __getitem__(self, index: int) -> Example:
        """Load one example. Raises `DataError` naming the file when it is not what the manifest says."""

    def fields(self, index: int) -> Mapping[str, str]:
        """Return what the corpus says of an example in single values, as text; known without loading it.

        Here a speaker or writer has a name even where training did not know it.
        """
        del index
        return {}


class DataSource(ABC):
    """Gives examples. Construction reads nothing; ``prepare`` makes or imports what is missing, once.

    Attributes:
        features: Known after construction.
        targets: {name: `TargetSpec`}, known after ``prepare``.
        conditions: {name: values in order}, known after ``prepare``; for example {"speaker": ("f1", "m1")}.
        vocoder: Name of the `Vocoder` that turns these features back into a signal; None where there is none.
    """

    features: FeatureSpec
    targets: dict[str, TargetSpec]
    conditions: dict[str, tuple[str, ...]]
    vocoder: str | None = None

    @abstractmethod
    def prepare(self) -> None:
        """Make everything ready to be read; called once per process before anything else, rank 0 first."""

    @abstractmethod
    def split(self, name: str) -> Split:
        """Return a split. Raises `DataError` that names the existing ones when there is no such split."""

    @abstractmethod
    def featurize(self, signal: np.ndarray, rate: float | None = None) -> Tensor:
        """Turn a raw recording (samples,) at ``rate`` Hz, or an image, into inputs (T, *features.shape)."""

    @abstractmethod
    def checksum(self) -> str:
        """Return the SHA-256 of what the examples are made of (manifest, labels and parameters)."""

    def write_aligned(
        self, folder: Path, target: str, spans: Mapping[str, Sequence[tuple[float, float]]]
    ) -> str:
        """Write a corpus in which ``target`` has times into the empty ``folder``; return a line on what it holds.

        The folder can be this source's root, with the same parameters and the same transcripts.

        Args:
            folder: Where to.
            target: Name of a "sequence" target.
            spans: By key, first frame and last frame (excluded) of each of its symbols, in order, between
                0 and the number of frames, also within frames. What is not named here is left out.
        """
        del folder, spans
        raise DataError(f"{target}: this data source cannot keep times of transcripts; align recordings")

    def picture(self, example: Example) -> np.ndarray:
        """Return (height, T) uint8, how a person would look at the example; dark is a low value."""
        values = example.inputs
        if values.dim() == 3:
            values = values[:, 0]  # (T, F): the static channel
        low, high = values.min(), values.max()
        scaled = (values - low) / (high - low).clamp(min=1e-6) * 255
        return scaled.T.flip(0).round().to(torch.uint8).numpy()


class Corpus(ABC):
    """Makes a corpus on the spot, in the folder form that ``unitdisc data import`` reads.

    Not a data source itself: a recipe hands it to one (``data: {use: speech, corpus: {use: synth_speech}}``).
    What it makes is a pure function of its parameters.
    """

    @abstractmethod
    def make(self, folder: Path) -> None:
        """Write ``manifest.jsonl``, the recordings or images and the label tables into the empty ``folder``."""


class Vocoder(ABC):
    """Turns features back into a signal that people can listen to (``unitdisc speak --vocoder NAME``).

    What it returns follows from its parameters and the features alone, whatever was inverted before.
    """

    @abstractmethod
    def invert(self, features: Tensor, source: DataSource) -> tuple[np.ndarray, int]:
        """Return samples (N,) float32, finite, and the number of them per second.

        N divided by that rate is T / frame_rate. Samples beyond [-1, 1] are scaled down where they are written.
        Raises `RecipeError` for a source whose features it does not know.

        Args:
            features: (T, *source.features.shape), not standardised, as ``source.featurize`` gives them.
            source: Where they are from.
        """


def collate(examples: Sequence[Example]) -> Batch:
    """Pad examples into a batch: zeros behind inputs, -1 behind labels."""
    first = examples[0]
    return Batch(
        [example.key for example in examples],
        _pad([example.inputs for example in examples], 0),
        {name: _pad([example.targets[name] for example in examples], -1) for name in first.targets},
        {name: torch.tensor([example.conditions[name] for example in examples]) for name in first.conditions},
    )


def _pad(sequences: Sequence[Tensor], value: float) -> Padded:
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    return Padded(
        torch.nn.utils.rnn.pad_sequence(list(sequences), batch_first=True, padding_value=value), lengths
    )
