"""From groups of cells to the error of each: align all pairs, then count how often A is closer to X than B."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

from unitdisc_abx.alignment import Packing, Pairs, align
from unitdisc_abx.blocks import Block, Frames, batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from unitdisc_abx.cells import Group
    from unitdisc_abx.frame_distances import FrameDistance
    from unitdisc_abx.means import Score


def score(groups: Iterable[Group], frames: Frames, distance: FrameDistance, into: Score) -> None:
    """Score all cells."""
    packing = Packing(distance.largest(frames.values), int(frames.lengths.max()))
    with torch.inference_mode(), _beside() as do:
        for batch in batches(groups, frames, distance, packing):
            do(lambda blocks=batch: _finish(blocks, frames, packing, into))  # type: ignore[misc]


@contextmanager
def _beside() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Give what does one thing after another on one of torch's threads, while the caller goes on with the others.

    Frame distances keep torch busy and the alignment numpy, in steps that are too short to be shared out.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        yield lambda work: work()
        return
    waiting: list[Future[None]] = []

    def do(work: Callable[[], None]) -> None:
        for before in waiting:
            before.result()
        waiting[:] = [worker.submit(work)]

    torch.set_num_threads(threads - 1)
    try:
        with ThreadPoolExecutor(1) as worker:
            yield do
        for before in waiting:
            before.result()
    finally:
        torch.set_num_threads(threads)


def _finish(blocks: list[Block], frames: Frames, packing: Packing, into: Score) -> None:
    """Align the pairs of the blocks together, count what is won, and keep the errors of finished groups."""
    pairs, begin = [], 0
    for block in blocks:
        pairs.append(block.pairs(frames, begin))
        begin += block.packed.size
    packed = np.concatenate([block.packed.ravel() for block in blocks])
    aligned = align(packed, Pairs.joined(pairs), packing)
    edges = np.cumsum([len(each) for each in pairs])[:-1]
    for block, found in zip(blocks, np.split(aligned, edges), strict=True):
        _count(block, found.reshape(len(block.rows), -1))
        if block.is_last:
            into.add(block.group, block.wins)


def _count(block: Block, distances: np.ndarray) -> None:
    """Add to the group's wins those of the distances (R, M) between rows and columns.

    In each row the columns are put in order, and each B is told how many A stand before it, and how many with it.
    """
    group = block.group
    labels = np.repeat(np.arange(len(group.labels)), np.diff(np.append(group.starts, len(group.columns))))
    own = np.array([place for place, _ in group.queries])[block.queries]
    is_a = labels == own[:, None]
    if group.is_within:
        is_a &= group.columns != block.rows[:, None]
    order = np.argsort(distances, axis=1)
    ordered = np.take_along_axis(distances, order, axis=1)
    passed = np.zeros((len(own), len(labels) + 1), np.int64)
    np.cumsum(np.take_along_axis(is_a, order, axis=1), axis=1, out=passed[:, 1:])
    differs = np.diff(ordered, axis=1) != 0
    won = np.empty(distances.shape)
    np.put_along_axis(won, order, (_before(passed, differs) + _with(passed, differs)) / 2, axis=1)
    np.add.at(block.wins, block.queries, np.add.reduceat(won, group.starts, axis=1))


def _before(passed: np.ndarray, differs: np.ndarray) -> np.ndarray:
    """Return (R, M), what has ``passed`` (R, M + 1) before the first of those that do not differ."""
    counts = passed[:, :-1].copy()
    counts[:, 1:][~differs] = 0
    return np.maximum.accumulate(counts, axis=1)


def _with(passed: np.ndarray, differs: np.ndarray) -> np.ndarray:
    """Return (R, M), what has ``passed`` (R, M + 1) behind the last of those that do not differ."""
    counts = passed[:, 1:].copy()
    counts[:, :-1][~differs] = np.iinfo(np.int64).max
    return np.minimum.accumulate(counts[:, ::-1], axis=1)[:, ::-1]
