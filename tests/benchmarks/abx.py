"""How fast ABX distances are found: nanoseconds per cell of the warping, distances between frames included.

    python tests/benchmarks/abx.py [--runs 5] [--dims 0 13 64 256] [--tokens 600] [--contexts 1] [--json]

Tokens of 3 to 15 frames, of ten labels by one speaker, are all compared with each other: every ordered pair is
warped, and ABX is counted. Frames are noise under the angular distance; 0 dimensions are units. With ``--contexts``
above 1 they are spread over as many contexts, so that groups are small. Memory is what the process grew by at its
peak. On a machine that others use, too, look at the time of the processors.

The other one is the same definition in plain numpy, a pair at a time and cell by cell, in turns with ours in the same
process; it warps ``--naive`` pairs. Measured elsewhere, on 2 threads: fastabx 28 to 82 ns per cell from 13 to 256
dimensions, libri-light's scorer 295 to 798. "Ratio" is the other's time over ours.
"""

from __future__ import annotations

import math
import resource
import time
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from measurement import alone, arguments, facts, show, spread, text

from unitdisc_abx.blocks import Frames
from unitdisc_abx.cells import Limits, groups
from unitdisc_abx.frame_distances import frame_distance
from unitdisc_abx.means import Score
from unitdisc_abx.scoring import score
from unitdisc_abx.tokens import Token

if TYPE_CHECKING:
    import argparse

LABELS, SHORTEST, LONGEST = 10, 3, 15
_FIRST = itemgetter(0)


def main() -> None:
    """Measure, then print."""
    parser = arguments(__doc__, runs=5)
    parser.add_argument(
        "--dims", nargs="+", type=int, default=[0, 13, 64, 256], help="of a frame; 0 for units"
    )
    parser.add_argument("--tokens", type=int, default=600, help="that are compared (600)")
    parser.add_argument("--contexts", type=int, default=1, help="over which they are spread (1)")
    parser.add_argument("--naive", type=int, default=100, help="pairs that plain numpy warps (100)")
    options = parser.parse_args()
    measurements = [{**alone(measure, options, dim), **facts(options)} for dim in options.dims]
    ratio = "ratio: median (p10 to p90)"
    rows = [
        ["frames", "cells", "ns per cell", "of processors", "numpy's ns per cell", ratio, "MiB at the peak"]
    ]
    for item in measurements:
        name = f"{item['dim']} dimensions" if item["dim"] else "units"
        times = [text(item[each], ",.1f") for each in ("ns_per_cell", "cpu_ns_per_cell", "peer_ns_per_cell")]
        peak = f"{item['peak_bytes'] / 2**20:,.0f}"
        rows.append([name, f"{item['cells']:,}", *times, text(item["ratio"], ",.0f"), peak])
    show(measurements, rows, as_json=options.json)


def measure(options: argparse.Namespace, dim: int) -> dict[str, Any]:
    """Return what one size takes; the process should have done nothing else."""
    torch.set_num_threads(options.threads)
    draw = np.random.default_rng(options.seed)
    lengths = draw.integers(SHORTEST, LONGEST + 1, options.tokens)
    tokens = [
        Token(0, 1, str(draw.integers(LABELS)), (str(number % options.contexts), ""), "s")
        for number in range(options.tokens)
    ]
    if dim:
        values = torch.from_numpy(draw.normal(size=(lengths.sum(), dim)).astype(np.float32))
    else:
        values = torch.from_numpy(draw.integers(0, 100, (lengths.sum(), 1)))
    frames = Frames(values, np.cumsum(lengths) - lengths, lengths)
    cells = _cells(tokens, lengths)
    pairs = draw.integers(0, options.tokens, (options.naive, 2))
    naive_cells = sum(int(lengths[x] * lengths[y]) for x, y in pairs)
    begun = _peak()
    _score(tokens, frames, dim)  # first use of everything
    peak = _peak() - begun
    timed = []
    for _ in range(options.runs):
        start, used = time.perf_counter(), time.process_time()
        _score(tokens, frames, dim)
        ours, own = (
            1e9 * (now - then) / cells
            for now, then in ((time.perf_counter(), start), (time.process_time(), used))
        )
        start = time.perf_counter()
        for x, y in pairs:
            _warp(*(frames.of(np.array([token])).frames.numpy() for token in (x, y)))
        timed.append((ours, own, 1e9 * (time.perf_counter() - start) / naive_cells))
    return {
        "benchmark": "abx",
        "dim": dim,
        "tokens": options.tokens,
        "contexts": options.contexts,
        "cells": cells,
        "ns_per_cell": spread([ours for ours, _, _ in timed]),
        "cpu_ns_per_cell": spread([own for _, own, _ in timed]),
        "peer_ns_per_cell": spread([peer for _, _, peer in timed]),
        "ratio": spread([peer / ours for ours, _, peer in timed]),
        "peak_bytes": peak,
    }


def _peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _score(tokens: list[Token], frames: Frames, dim: int) -> None:
    found = Score(LABELS, 1)
    with torch.inference_mode():
        distance = frame_distance("angular" if dim else "identical", "far")
        score(
            groups(tokens, speaker="within", context="within", limits=Limits(None, None, 0)),
            frames,
            distance,
            found,
        )
    found.mean()


def _cells(tokens: list[Token], lengths: np.ndarray) -> int:
    """Return how many cells the warping of all pairs has."""
    total = 0
    for group in groups(tokens, speaker="within", context="within", limits=Limits(None, None, 0)):
        columns = int(lengths[group.columns].sum())
        total += columns * sum(int(lengths[rows].sum()) for _, rows in group.queries)
    return total


def _warp(x: np.ndarray, y: np.ndarray) -> float:
    """Return the distance of two tokens (N, D) and (M, D), or (N, 1) and (M, 1) units."""
    if x.dtype == np.float32:
        x, y = (frames / np.linalg.norm(frames, axis=1, keepdims=True) for frames in (x, y))
        costs = np.arccos(np.clip(x @ y.T, -1, 1)) / math.pi
    else:
        costs = (x != y.T).astype(np.float32)
    above: list[tuple[float, int]] = []
    for row in costs.tolist():
        here: list[tuple[float, int]] = []
        for place, cost in enumerate(row):
            before = [above[place - 1]] if above and place else []
            before += here[-1:] + above[place : place + 1]
            best, length = min(before, key=_FIRST, default=(0.0, 0))
            here.append((best + cost, length + 1))
        above = here
    total, length = above[-1]
    return total / length


if __name__ == "__main__":
    main()
