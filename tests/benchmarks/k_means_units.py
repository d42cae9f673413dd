"""Units of features by the nearest centre: ours beside faiss's search, on the same threads.

    python tests/benchmarks/k_means_units.py [--runs 15] [--frames 20000] [--shape 768,500 768,2000] [--cold] [--json]

What HuBERT-like systems do last: each frame (D 768) becomes the number of its k-means centre. Every shape has a
process of its own, in which `nearest` and ``faiss.IndexFlatL2(D).search(frames, 1)`` take turns (ours, peer, ours, ...,
ours); a ratio is the peer's time over the mean of ours right before and after it, so above 1 we are faster. The index
is made once before, with ``--cold`` in every search. Frames are a mixture of 300 normals around standard normal
centres, with deviation 0.5, and the k-means centres are frames. A code that is further from its frame than faiss's by
more than 1e-4 of the distance voids the timing. Needs ``pip install faiss-cpu``.
"""

from __future__ import annotations

import argparse
import time
from importlib.metadata import version
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from measurement import alone, arguments, facts, show, spread, text

from unitdisc.codebook import nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

MIXTURE, DEVIATION = 300, 0.5
MOST_EXCESS = 1e-4


def main() -> None:
    """Measure, then print."""
    parser = arguments(__doc__, runs=15)
    parser.add_argument("--frames", type=int, default=20_000, help="N (20000)")
    parser.add_argument("--shape", nargs="+", default=["768,500", "768,2000"], help="D,K of each case")
    parser.add_argument("--cold", action="store_true", help="make the index in each search of faiss")
    options = parser.parse_args()
    cases = [tuple(map(int, shape.split(","))) for shape in options.shape]
    measurements = [alone(measure, options, *case) for case in cases]
    rows = [
        ["N, D, K", "faiss / ours: median (p10 to p90)", "ours, frames per second", "faiss", "other codes"]
    ]
    rows += [_row(item) for item in measurements]
    show(measurements, rows, as_json=options.json)


def measure(options: argparse.Namespace, dim: int, num_codes: int) -> dict[str, Any]:
    """Return the measurement of one shape; the process should have done nothing else."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    frames, centres = _drawn(options.frames + num_codes, dim).split([options.frames, num_codes])
    peer = _faiss(frames, centres, threads=options.threads, is_cold=options.cold)
    ours, theirs = nearest(frames, centres), peer()
    seconds, peer_seconds = [], []
    for _ in range(options.runs):
        seconds.append(_seconds(lambda: nearest(frames, centres)))
        peer_seconds.append(_seconds(peer))
    seconds.append(_seconds(lambda: nearest(frames, centres)))
    around = [(before + after) / 2 for before, after in pairwise(seconds)]
    return {
        "benchmark": "k-means units",
        "shape": [options.frames, dim, num_codes],
        "cold": options.cold,
        "other_codes": (ours != theirs).float().mean().item(),
        "excess": _excess(frames, centres, ours, theirs),
        "ratio": spread([peer / own for peer, own in zip(peer_seconds, around, strict=True)]),
        "frames_per_second": spread([options.frames / own for own in seconds]),
        "peer_frames_per_second": spread([options.frames / own for own in peer_seconds]),
        "peer": version("faiss-cpu"),
        **facts(options),
    }


def _drawn(count: int, dim: int) -> Tensor:
    return torch.randn(MIXTURE, dim)[torch.randint(MIXTURE, (count,))] + DEVIATION * torch.randn(count, dim)


def _faiss(frames: Tensor, centres: Tensor, *, threads: int, is_cold: bool) -> Callable[[], Tensor]:
    import faiss

    faiss.omp_set_num_threads(threads)
    values, table = frames.numpy(), centres.numpy()

    def made() -> Any:
        index = faiss.IndexFlatL2(table.shape[1])
        index.add(table)
        return index

    index = made()

    def search() -> Tensor:
        return torch.from_numpy((made() if is_cold else index).search(values, 1)[1][:, 0])

    return search


def _excess(frames: Tensor, centres: Tensor, ours: Tensor, theirs: Tensor) -> float:
    """Return how much further, as a share, our worst code is from its frame than faiss's."""
    frames, centres = frames.double(), centres.double()
    own, peer = ((frames - centres[codes]).square().sum(1) for codes in (ours, theirs))
    return float(((own - peer) / peer.clamp(min=1e-9)).max())


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _row(item: dict[str, Any]) -> list[str]:
    is_void = item["excess"] > MOST_EXCESS
    return [
        ", ".join(map(str, item["shape"])),
        "void: wrong codes" if is_void else text(item["ratio"]),
        text(item["frames_per_second"], ",.0f"),
        text(item["peer_frames_per_second"], ",.0f"),
        f"{item['other_codes']:.3%}",
    ]


if __name__ == "__main__":
    main()
