"""From groups of cells to the error of each: align all pairs, then count how often A is closer to X than B."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
import torch

from unitdisc_abx.alignment import Packing, align_table
from unitdisc_abx.blocks import Room, batches, fill
from unitdisc_abx.frame_distances import Identical
from unitdisc_abx.small_blocks import align_small

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from unitdisc_abx.blocks import Block, Frames
    from unitdisc_abx.cells import Group
    from unitdisc_abx.frame_distances import FrameDistance
    from unitdisc_abx.means import Score


def score(groups: Iterable[Group], frames: Frames, distance: FrameDistance, into: Score) -> None:
    """Score all cells."""
    packing = Packing(
        distance.largest(frames.values), int(frames.lengths.max()), is_binary=isinstance(distance, Identical)
    )
    rooms: SimpleQueue[Room] = SimpleQueue()
    wins: np.ndarray | None = None

    def won(batch: list[Block]) -> list[np.ndarray]:
        room = rooms.get() if rooms.qsize() else Room(packing.kind)
        try:
            return _won(batch, room, frames, distance, packing)
        finally:
            rooms.put(room)

    for batch, found in _in_turn(won, batches(groups, frames, distance)):
        for block, counted in zip(batch, found, strict=True):
            if wins is None:
                wins = np.zeros((len(block.group.queries) + 1, len(block.group.labels)))
            # The rows of a square are whole when all blocks before this one are done.
            own = counted if block.square is None else _count(block, block.square[block.places])
            np.add.at(wins, block.queries, own)
            if block.is_last:
                into.add(block.group, wins[:-1])  # without those of no X
                wins = None


def _in_turn(
    work: Callable[[list[Block]], list[np.ndarray]], batches_: Iterable[list[Block]]
) -> Iterator[tuple[list[Block], list[np.ndarray]]]:
    """Yield each batch and what ``work`` makes of it, in order; torch's threads work on one batch each."""
    threads = torch.get_num_threads()
    if threads == 1:
        for batch in batches_:
            yield batch, work(batch)
        return
    waiting: deque[tuple[list[Block], Future[list[np.ndarray]]]] = deque()
    try:
        with ThreadPoolExecutor(threads, initializer=partial(torch.set_num_threads, 1)) as pool:
            for batch in batches_:
                waiting.append((batch, pool.submit(work, batch)))
                if len(waiting) > threads:
                    done, found = waiting.popleft()
                    yield done, found.result()
            while waiting:
                done, found = waiting.popleft()
                yield done, found.result()
    finally:
        torch.set_num_threads(threads)


def _won(
    blocks: list[Block], room: Room, frames: Frames, distance: FrameDistance, packing: Packing
) -> list[np.ndarray]:
    """Align the pairs of the blocks, and count what each row wins against each label."""
    with torch.inference_mode():
        if blocks[0].is_small:
            apart = align_small(blocks, room, frames, distance, packing)
        else:
            apart = [_align_large(block, room, frames, distance, packing) for block in blocks]
    return [
        _count(block, distances) if block.square is None else distances
        for block, distances in zip(blocks, apart, strict=True)
    ]


def _align_large(
    block: Block, room: Room, frames: Frames, distance: FrameDistance, packing: Packing
) -> np.ndarray:
    """Return the distances (R, M) of the rows from the columns, or put those of both ways into the square."""
    found = np.empty((len(block.rows), len(block.group.columns))) if block.square is None else block.square
    rows = frames.of(block.rows)
    down = rows.order[:, None] if block.places is None else block.places[rows.order, None]
    left, ranks = distance.left(rows.frames), packing.ranks(rows.ranks)
    for columns in block.columns:
        shape = len(left), len(columns.right)
        packed = room.of(shape[0] * shape[1]).reshape(shape)
        fill(left, columns.right, distance, packing, ranks=ranks, into=torch.from_numpy(packed))
        places = columns.places[columns.side.order]
        found[down, places] = align_table(packed, rows.steps, columns.side.steps, packing)
        if block.square is not None:
            found[places, down] = align_table(
                packed, rows.steps, columns.side.steps, packing, columns_first=True
            )
    return found


def _count(block: Block, distances: np.ndarray) -> np.ndarray:
    """Return (R, L), for each label B in how many triplets A is closer to X, from distances (R, M); ties are a half.

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
    counts: np.ndarray = np.add.reduceat(won, group.starts, axis=1)
    return counts


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
