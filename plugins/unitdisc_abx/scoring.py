"""From groups of cells to the error of each: align all pairs, then count how often A is closer to X than B."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from unitdisc_abx.alignment import Packing, align
from unitdisc_abx.blocks import Block, Frames, Panel, batches
from unitdisc_abx.frame_distances import FrameDistance, Identical

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from unitdisc_abx.cells import Group
    from unitdisc_abx.means import Score


_FEW = 2**10
"""Pairs of the same two lengths, below which panels are put together."""

_TOGETHER = 2**15
"""Numbers of a diagonal over the pairs that are aligned together."""


def score(groups: Iterable[Group], frames: Frames, distance: FrameDistance, into: Score) -> None:
    """Score all cells."""
    packing = Packing(
        distance.largest(frames.values), int(frames.lengths.max()), is_binary=isinstance(distance, Identical)
    )
    with torch.inference_mode(), _beside() as do:
        for batch in batches(groups, frames, distance, packing):
            do(partial(_finish, batch, packing, into))


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


def _finish(blocks: list[Block], packing: Packing, into: Score) -> None:
    """Align the pairs of the blocks, count what is won, and keep the errors of finished groups."""
    few: dict[tuple[int, ...], list[tuple[Block, Panel]]] = {}
    for block in blocks:
        for panel in block.panels:
            if len(panel.rows) * len(panel.columns) < _FEW:
                few.setdefault(panel.packed.shape[:2], []).append((block, panel))
            else:
                _align_many(block, panel, packing)
    for alike in few.values():
        _align_few(alike, packing)
    for block in blocks:
        _count(block)
        if block.is_last:
            into.add(block.group, block.wins)


def _align_many(block: Block, panel: Panel, packing: Packing) -> None:
    """Align the pairs of a panel in parts that fit into a core's cache."""
    height = max(1, _TOGETHER // (min(panel.packed.shape[:2]) * len(panel.columns)))
    for first in range(0, len(panel.rows), height):
        part = slice(first, first + height)
        found = align(panel.packed[:, :, part], packing)
        block.distances[panel.rows[part, None], panel.columns] = found


def _align_few(alike: Sequence[tuple[Block, Panel]], packing: Packing) -> None:
    """Align panels of the same two lengths together."""
    tables = [panel.packed.reshape(*panel.packed.shape[:2], -1) for _, panel in alike]
    found = align(np.concatenate(tables, axis=2), packing)
    edges = np.cumsum([table.shape[2] for table in tables])[:-1]
    for (block, panel), own in zip(alike, np.split(found, edges), strict=True):
        block.distances[panel.rows[:, None], panel.columns] = own.reshape(len(panel.rows), -1)


def _count(block: Block) -> None:
    """Add to the group's wins those of the distances (R, M) between rows and columns.

    In each row the columns are put in order, and each B is told how many A stand before it, and how many with it.
    """
    group, distances = block.group, block.distances
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
