"""Loads the planned batches: crops, pads, and hands them over in order, with or without worker processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from unitdisc.data import Split, collate
from unitdisc.plan import Item, Position, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unitdisc.data import Example
    from unitdisc.parts import Batch


class Cropped(Dataset["Example"]):
    """Examples of a split by `Item`, cut at a place that depends on seed, epoch and index alone."""

    def __init__(self, split: Split, *, crop: int | None, seed: int) -> None:
        self.split = split
        self.crop = crop
        self.seed = seed

    def __getitem__(self, item: Item) -> Example:
        example = self.split[item.index]
        if self.crop is None or len(example.inputs) <= self.crop:
            return example
        rng = np.random.Generator(np.random.PCG64([self.seed, item.epoch, item.index]))
        start = int(rng.integers(len(example.inputs) - self.crop + 1))
        return example.crop(start, start + self.crop)


class _Share:
    """This rank's batches: numbers rank, rank + ranks, ... of the stream from ``start`` on."""

    def __init__(self, stream: Stream, start: Position, *, rank: int, ranks: int) -> None:
        self.stream, self.start, self.rank, self.ranks = stream, start, rank, ranks

    def __iter__(self) -> Iterator[list[Item]]:
        for number, (batch, _) in enumerate(self.stream.batches(self.start)):
            if number % self.ranks == self.rank:
                yield batch


def batches(
    split: Split, stream: Stream, start: Position, *, crop: int | None, rank: int, ranks: int, workers: int
) -> Iterator[Batch]:
    """Yield this rank's share of the batches that follow ``start``, without end."""
    loader: DataLoader[Example] = DataLoader(
        Cropped(split, crop=crop, seed=stream.seed),
        batch_sampler=_Share(stream, start, rank=rank, ranks=ranks),
        collate_fn=collate,
        num_workers=workers,
        worker_init_fn=_one_thread,
        pin_memory=torch.cuda.is_available(),
    )
    return iter(loader)


def _one_thread(worker: int) -> None:
    del worker
    torch.set_num_threads(1)
