"""Contracts of the data: sources, examples, what is known of features and targets; padding into a `Batch`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal

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
        shape: Shape of one frame: (3, 81) for log-mel with deltas, (32,) for a column of pixels, () for a token.
        frame_rate: Frames per second of speech; 1.0 for columns of an image and tokens.
        unit_of_time: "second", "column", "pixel" or "token".
        standardize: Whether the engine subtracts the training split's mean and divides by its deviation, per
            element of ``shape``, before the encoder (global CMVN). The decoder then explains the result.
        grid: Rows and columns of a picture whose pixels are the frames, row by row: all examples have
            T = rows * columns. None for what runs in time.
        vocab_size: Of tokens: inputs are (T,) int64 in [0, vocab_size), and conditions are sequences of such
            numbers, too. None for what is measured.
    """

    shape: tuple[int, ...]
    frame_rate: float
    unit_of_time: Literal["second", "column", "pixel", "token"]
    standardize: bool
    grid: tuple[int, int] | None = None
    vocab_size: int | None = None


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
        inputs: (T, *features.shape) float32; of tokens (T,) int64.
        targets: By name, (T,) int64 with -1 where unlabelled, or (U,) int64.
        conditions: By name, the index of the speaker or writer, -1 where training did not know it; or a sequence
            (U,) int64, such as the source sentence of a translation.
        middles: For "sequence" targets whose symbols have times, (U,) int64: the frame that holds each symbol's
            middle. A crop needs them to cut the transcript.
    """

    key: str
    inputs: Tensor
    targets: dict[str, Tensor] = field(default_factory=dict)
    conditions: dict[str, int | Tensor] = field(default_factory=dict)
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

    def sound(self, index: int) -> tuple[np.ndarray, int] | None:
        """Return the recording (samples,) of an example and its rate in Hz, to be heard; None where there is none."""
        del index
        return None

    def text(self, tokens: Tensor) -> str:
        """Return what tokens (T,) such as the inputs spell. Raises `DataError` where inputs are no tokens."""
        del tokens
        raise DataError(f"the data of {type(self).__name__} are not tokens, so they spell no text")


class HeldSplit(Split):
    """A split whose examples are all in memory and equally long, so that a batch is cut out of them at once.

    Training on whole examples and evaluation take such batches, without worker processes, from where the split lies.
    """

    @abstractmethod
    def batch(self, indices: Sequence[int]) -> Batch:
        """Return what `collate` makes of these examples."""

    @abstractmethod
    def to(self, device: torch.device) -> HeldSplit:
        """Return the same split, which lies on ``device`` and gives its batches there."""


class DataSource(ABC):
    """Gives examples. Construction reads nothing; ``prepare`` makes or imports what is missing, once.

    Attributes:
        features: Known after construction.
        targets: {name: `TargetSpec`}, known after ``prepare``.
        conditions: {name: values in order}, known after ``prepare``; for example {"speaker": ("f1", "m1")}. Of a
            condition that is a sequence, the values that its numbers stand for.
        vocoder: Name of the `Vocoder` that turns these features back into a signal; None where there is none.
        suffixes: Endings of the recordings or images that ``load_file`` reads, such as ".flac".
        unlabelled: Parameters, with the values by which nothing but inputs is read: then the parameter ``root`` can
            be another corpus, which has none of the labels.
    """

    suffixes: ClassVar[frozenset[str]] = frozenset()
    unlabelled: ClassVar[Mapping[str, object]] = {}

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

    def splits(self) -> tuple[str, ...]:
        """Return the names of the splits, known after ``prepare``."""
        raise DataError("this data source does not list its splits; name one with --split")

    def load_file(self, path: Path) -> Tensor:
        """Return the inputs (T, *features.shape) of a recording or image. Raises `DataError` naming the file."""
        raise DataError(f"{path}: this data source reads no single files; give a corpus")

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
        """Return uint8, how a person would look at the example; dark is a low value.

        (height, T), or of pictures (``features.grid``) (rows, columns), or (rows, columns, 3) in colours.
        """
        values = example.inputs
        if self.features.grid is not None:
            pixels = values.reshape(*self.features.grid, -1) * 256
            return pixels.floor().clamp(0, 255).to(torch.uint8).squeeze(2).numpy()
        if values.dim() == 1:
            values = values[:, None]  # (T, 1): numbers of tokens
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
        {name: _together([example.conditions[name] for example in examples]) for name in first.conditions},
    )


def _together(conditions: Sequence[int | Tensor]) -> Tensor | Padded:
    sequences = [condition for condition in conditions if isinstance(condition, Tensor)]
    return _pad(sequences, 0) if sequences else torch.tensor(conditions)


def _pad(sequences: Sequence[Tensor], value: float) -> Padded:
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    return Padded(
        torch.nn.utils.rnn.pad_sequence(list(sequences), batch_first=True, padding_value=value), lengths
    )
