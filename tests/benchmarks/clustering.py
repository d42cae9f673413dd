"""Reservoir and k-means beside scikit-learn, faiss, a vectorised numpy reservoir and a plain loop.

    python tests/benchmarks/clustering.py [--runs 10] [--shape 20480,128,4096] [--cases seeds ...] [--json]

Every case has a process of its own, in which ours and the peer take turns (ours, peer, ours, peer, ..., ours); a ratio
is the peer's time over the mean of ours right before and after it. Samples are a mixture of K normals around standard
normal centres, with deviation 0.3. The inertia of both is the mean squared distance to the nearest centre in float64;
ours above 1.01 times the peer's, over all runs, voids the timing. scikit-learn gets float64, with which it is twice as
fast as with float32. The reservoir (20480 vectors with D 64, in batches of 2048) is measured from the first vector
on and after two million. Peers need ``pip install scikit-learn faiss-cpu``; what is not installed is left out.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from itertools import pairwise
from statistics import fmean
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from measurement import alone, arguments, facts, show, spread, text

from unitdisc.codebook.clustering import k_means, kmeans_plus_plus
from unitdisc.codebook.reservoir import Reservoir

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

CASES = {
    "seeds": ("k-means++", "scikit-learn"),
    "seeds_plain": ("k-means++, 1 candidate", "scikit-learn"),
    "k_means": ("k-means, 10 iterations", "scikit-learn"),
    "faiss": ("k-means, 10 iterations", "faiss-cpu"),
    "stream_numpy": ("reservoir from the first vector", "numpy"),
    "late_numpy": ("reservoir after two million", "numpy"),
    "late_loop": ("reservoir after two million", "python loop"),
}
CAPACITY, DIM, BATCH = 20480, 64, 2048
BATCHES, SKIPPED = 2000, 1000
MOST_INERTIA = 1.01


class Adds(Protocol):
    """What takes vectors."""

    def add(self, vectors: Any) -> None:
        """Take them."""


def main() -> None:
    """Measure, then print."""
    parser = arguments(__doc__, runs=10)
    parser.add_argument("--shape", type=_shape, default=_shape("20480,128,4096"), help="N,D,K of k-means")
    parser.add_argument("--batches", type=int, default=BATCHES, help=f"of the reservoir ({BATCHES})")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    options = parser.parse_args()
    for peer, module in (("scikit-learn", "sklearn"), ("faiss-cpu", "faiss")):
        if find_spec(module) is None:
            options.cases = [case for case in options.cases if CASES[case][1] != peer]
            print(f"{peer} is not installed and left out", file=sys.stderr)
    measurements = [alone(measure, options, case) for case in options.cases]
    rows = [["case", "peer", "peer / ours: median (p10 to p90)", "ours", "peer", "inertia, ours / peer"]]
    rows += [_row(item) for item in measurements]
    show(measurements, rows, as_json=options.json)


def measure(options: argparse.Namespace, name: str) -> dict[str, Any]:
    """Return the measurement of one case; the process should have done nothing else."""
    torch.set_num_threads(options.threads)
    run = _reservoirs if name.startswith(("stream", "late")) else _clusterings
    peer = CASES[name][1]
    return {
        "benchmark": "clustering",
        "case": name,
        **run(options, name),
        "peer": version(peer) if peer in {"numpy", "scikit-learn", "faiss-cpu"} else None,
        **facts(options),
    }


def _clusterings(options: argparse.Namespace, name: str) -> dict[str, Any]:
    from threadpoolctl import threadpool_limits

    samples = _mixture(options.shape, options.seed)
    num_codes = options.shape[2]
    ours, theirs = _ours(name, samples, num_codes), _theirs(name, samples, num_codes, options.threads)
    seconds, peer_seconds, inertia, peer_inertia = [], [], [], []
    with threadpool_limits(options.threads):
        ours(0)  # first use of everything
        for seed in range(options.seed, options.seed + options.runs):
            for run, times, found in ((ours, seconds, inertia), (theirs, peer_seconds, peer_inertia)):
                taken, centres = _timed(partial(run, seed))
                times.append(taken)
                found.append(_inertia(samples, centres))
        seconds.append(_timed(partial(ours, seed))[0])
    return {
        "shape": list(options.shape),
        **_compared(seconds, peer_seconds),
        "inertia": fmean(inertia),
        "peer_inertia": fmean(peer_inertia),
    }


def _ours(name: str, samples: Tensor, num_codes: int) -> Callable[[int], Tensor]:
    def run(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        if name.startswith("seeds"):
            candidates = 1 if name == "seeds_plain" else None
            return kmeans_plus_plus(samples, num_codes, candidates=candidates, generator=generator)
        return k_means(samples, num_codes, iterations=10, generator=generator).codebook

    return run


def _theirs(name: str, samples: Tensor, num_codes: int, threads: int) -> Callable[[int], Tensor]:
    if name == "faiss":
        return partial(_faiss, samples.numpy(), num_codes, threads)
    from sklearn import cluster

    values = samples.double().numpy()

    def run(seed: int) -> Tensor:
        if name.startswith("seeds"):
            trials = 1 if name == "seeds_plain" else None
            found, _ = cluster.kmeans_plusplus(values, num_codes, n_local_trials=trials, random_state=seed)
        else:
            search = cluster.KMeans(num_codes, n_init=1, max_iter=10, tol=0, random_state=seed)
            found = search.fit(values).cluster_centers_
        return torch.from_numpy(found)

    return run


def _faiss(values: np.ndarray, num_codes: int, threads: int, seed: int) -> Tensor:
    """From random samples: the one start that it has."""
    import faiss

    faiss.omp_set_num_threads(threads)
    search = faiss.Kmeans(
        values.shape[1],
        num_codes,
        niter=10,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=len(values),
    )
    search.train(values)
    return torch.from_numpy(search.centroids)


def _reservoirs(options: argparse.Namespace, name: str) -> dict[str, Any]:
    draw = torch.Generator().manual_seed(options.seed)
    batches = [torch.randn(BATCH, DIM, generator=draw) for _ in range(16)]
    values = [batch.numpy() for batch in batches]
    torch.manual_seed(options.seed)
    is_late, is_loop = name.startswith("late"), name.endswith("loop")
    skipped = SKIPPED if is_late else 0
    count, peer_count = options.batches, max(options.batches // 100, 1) if is_loop else options.batches
    seconds, peer_seconds = [], []
    for _ in range(options.runs):
        ours, theirs = Reservoir(CAPACITY, DIM), _Loop() if is_loop else _Vectorised(options.seed)
        _add(ours, batches, skipped)
        if not is_loop:
            _add(theirs, values, skipped)
        theirs.seen = skipped * BATCH  # a loop that has kept nothing yet takes as long
        seconds.append(_timed(partial(_add, ours, batches, count))[0] / count)
        peer_seconds.append(_timed(partial(_add, theirs, values, peer_count))[0] / peer_count)
    ours = Reservoir(CAPACITY, DIM)
    _add(ours, batches, skipped)
    seconds.append(_timed(partial(_add, ours, batches, count))[0] / count)
    rate = spread([BATCH / each for each in seconds])
    return {
        "shape": [CAPACITY, DIM, BATCH],
        **_compared(seconds, peer_seconds),
        "vectors_per_second": rate,
        "peer_vectors_per_second": spread([BATCH / each for each in peer_seconds]),
    }


def _add(reservoir: Adds, batches: list[Any], count: int) -> None:
    for number in range(count):
        reservoir.add(batches[number % len(batches)])


class _Vectorised:
    """Algorithm R, a batch at once: which slot does each vector draw, and is there one."""

    def __init__(self, seed: int) -> None:
        self.vectors = np.zeros((CAPACITY, DIM), dtype=np.float32)
        self.seen = 0
        self.draw = np.random.default_rng(seed)

    def add(self, vectors: np.ndarray) -> None:
        places = np.arange(self.seen, self.seen + len(vectors))
        slots = np.where(
            places < CAPACITY, places, (self.draw.random(len(places)) * (places + 1)).astype(np.int64)
        )
        kept = np.flatnonzero(slots < CAPACITY)
        self.vectors[slots[kept]] = vectors[kept]
        self.seen += len(vectors)


class _Loop:
    """Algorithm R, a vector at a time."""

    def __init__(self) -> None:
        self.vectors = torch.zeros(CAPACITY, DIM)
        self.seen = 0

    def add(self, vectors: np.ndarray) -> None:
        from random import randrange

        for vector in torch.from_numpy(vectors):
            self.seen += 1
            slot = self.seen - 1 if self.seen <= CAPACITY else randrange(self.seen)
            if slot < CAPACITY:
                self.vectors[slot] = vector


def _mixture(shape: tuple[int, int, int], seed: int) -> Tensor:
    total, dim, num_codes = shape
    draw = torch.Generator().manual_seed(seed)
    centres = torch.randn(num_codes, dim, generator=draw)
    components = torch.randint(num_codes, (total,), generator=draw)
    return centres[components] + 0.3 * torch.randn(total, dim, generator=draw)


def _inertia(samples: Tensor, centres: Tensor) -> float:
    rows = samples.double().split(512)
    return sum(
        float(torch.cdist(some, centres.double()).min(1).values.square().sum()) for some in rows
    ) / len(samples)


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def _compared(seconds: list[float], peer_seconds: list[float]) -> dict[str, Any]:
    """Compare turns; ``seconds`` has one more."""
    ratios = [
        2 * peer / (before + after)
        for peer, (before, after) in zip(peer_seconds, pairwise(seconds), strict=True)
    ]
    return {"ratio": spread(ratios), "seconds": spread(seconds), "peer_seconds": spread(peer_seconds)}


def _shape(given: str) -> tuple[int, int, int]:
    total, dim, num_codes = map(int, given.split(","))
    return total, dim, num_codes


def _row(item: dict[str, Any]) -> list[str]:
    title, peer = CASES[item["case"]]
    named = f"{peer} {item['peer'] or ''}".strip()
    if "vectors_per_second" in item:
        rates = [item["vectors_per_second"], item["peer_vectors_per_second"]]
        return [
            title,
            named,
            text(item["ratio"]),
            *(f"{rate['median'] / 1e6:.3g} million vectors/s" for rate in rates),
            "",
        ]
    worse = item["inertia"] / item["peer_inertia"]
    is_void = worse > MOST_INERTIA
    return [
        title,
        named,
        f"void: {worse:.3f} times the inertia" if is_void else text(item["ratio"]),
        *(f"{item[times]['median']:.2f} s" for times in ("seconds", "peer_seconds")),
        f"{item['inertia']:.3f} / {item['peer_inertia']:.3f} = {worse:.3f}",
    ]


if __name__ == "__main__":
    main()
