"""Loads the planned batches: crops, pads, and hands them over in order, with or without worker processes."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import numpy as np
from torch.utils.data import DataLoader, Dataset

from unitdisc.data import HeldSplit, Split, collate
from unitdisc.plan import Item, Position, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from unitdisc.data import Example
    from unitdisc.parts import Batch


class Cropped(Dataset["Example"]):
    """Examples of a split by `Item`, cut at a place that depends on seed, epoch and index alone.

    Args:
        split: Where examples come from; the first to be loaded stay in memory.
        crop: Frames of a crop; None gives whole examples.
        seed: Seed of the run.
        memory: Bytes of inputs to keep.
    """

    def __init__(self, split: Split, *, crop: int | None, seed: int, memory: int = 0) -> None:
        self.split = split
        self.crop = crop
        self.seed = seed
        self.memory = memory
        self._kept: dict[int, Example] = {}

    def __getitem__(self, item: Item) -> Example:
        example = self._example(item.index)
        if self.crop is None or len(example.inputs) <= self.crop:
            return example
        rng = np.random.Generator(np.random.PCG64([self.seed, item.epoch, item.index]))
        start = int(rng.integers(len(example.inputs) - self.crop + 1))
        return example.crop(start, start + self.crop)

    def _example(self, index: int) -> Example:
        if index in self._kept:
            return self._kept[index]
        example = self.split[index]
        size = example.inputs.nbytes
        if size <= self.memory:
            self.memory -= size
            self._kept[index] = example
        return example


class _Share:
    """This rank's batches: numbers rank, rank + ranks, ... of the stream from ``start`` on."""

    def __init__(self, stream: Stream, start: Position, *, rank: int, ranks: int) -> None:
        self.stream, self.start, self.rank, self.ranks = stream, start, rank, ranks

    def __iter__(self) -> Iterator[list[Item]]:
        for number, (batch, _) in enumerate(self.stream.batches(self.start)):
            if number % self.ranks == self.rank:
                yield batch


def batches(
    split: Split,
    stream: Stream,
    start: Position,
    *,
    crop: int | None,
    rank: int,
    ranks: int,
    workers: int,
    memory: int = 0,
    device: torch.device | None = None,
) -> Iterator[Batch]:
    """Yield this rank's share of the batches that follow ``start``, without end; they may lie on ``device``."""
    share = _Share(stream, start, rank=rank, ranks=ranks)
    if isinstance(split, HeldSplit) and crop is None:
        held = split if device is None else split.to(device)
        return (held.batch([item.index for item in items]) for items in share)
    loader: DataLoader[Example] = DataLoader(
        Cropped(split, crop=crop, seed=stream.seed, memory=memory // max(1, workers)),
        batch_sampler=share,
        collate_fn=collate,
        num_workers=workers,
        worker_init_fn=_leave_signals,
        pin_memory=device is not None and device.type == "cuda",
    )
    return iter(loader)


def _leave_signals(worker: int) -> None:
    """Let the training process decide: a signal to the whole group must not end what it still reads from."""
    del worker
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
