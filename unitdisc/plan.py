"""Which examples make up which batch: a pure function of lengths, seed and epoch.

There is no sampler state. Training is at a `Position` in one endless stream of batches, epoch after epoch;
resuming is starting at that position, whatever the numbers of workers and processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

_JITTER = 0.1
"""Relative noise on lengths before they are sorted: batches differ between epochs at little padding."""


@dataclass(frozen=True)
class Position:
    """A place in the stream: the next batch is number ``batch`` of ``epoch``."""

    epoch: int = 0
    batch: int = 0


@dataclass(frozen=True)
class Item:
    """One example of one epoch; with the recipe's seed it determines the crop and every other random choice."""

    epoch: int
    index: int


def plan(lengths: Sequence[int], *, batch_frames: int, seed: int, epoch: int) -> list[list[int]]:
    """Return one epoch of batches of example indices.

    Each example stands in exactly one batch. Padded to its longest example a batch has at most ``batch_frames``
    frames; a longer example is a batch by itself. Similar lengths go together, batches come in random order.
    """
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    sizes = np.asarray(lengths, dtype=np.int64)
    noisy = sizes * (1 + _JITTER * rng.random(len(sizes)))
    batches = fill(np.argsort(noisy, kind="stable").tolist(), lengths, batch_frames=batch_frames)
    return [batches[i] for i in rng.permutation(len(batches))]


def fill(order: Sequence[int], lengths: Sequence[int], *, batch_frames: int) -> list[list[int]]:
    """Cut ``order`` into batches of at most ``batch_frames`` padded frames each."""
    batches: list[list[int]] = []
    longest = 0
    for index in order:
        longest = max(longest, lengths[index])
        if not batches or longest * (len(batches[-1]) + 1) > batch_frames:
            batches.append([])
            longest = lengths[index]
        batches[-1].append(index)
    return batches


@dataclass(frozen=True)
class Stream:
    """All batches of all epochs of a split, in order.

    Args:
        lengths: Frames of each example, cropped.
        batch_frames: Padded frames of a batch at most.
        seed: Seed of the run.
    """

    lengths: Sequence[int]
    batch_frames: int
    seed: int

    def batches(self, start: Position) -> Iterator[tuple[list[Item], Position]]:
        """Yield each batch with the position that follows it, without end."""
        epoch, skip = start.epoch, start.batch
        while True:
            batches = plan(self.lengths, batch_frames=self.batch_frames, seed=self.seed, epoch=epoch)
            for number, batch in enumerate(batches[skip:], start=skip + 1):
                after = Position(epoch, number) if number < len(batches) else Position(epoch + 1)
                yield [Item(epoch, index) for index in batch], after
            epoch, skip = epoch + 1, 0
