"""How much of a search exact bounds leave out, and the time of a search that uses them.

    python tests/benchmarks/pruning.py [--run RUN ...] [--latents 8192] [--codes 2048] [--groups 16 64 256]
        [--search 8192 16384 65536] [--json]

The first table counts. Codewords are k-means centres of the latents that are searched, in groups around k-means
centres of their own. "ball": a group cannot hold the nearest codeword of a latent x that is further from the group's
centre than its radius and the distance to the nearest codeword known so far. "plane": nor where x is further than that
distance from the plane that touches the group, square to the line from the centre nearest to x to the group's. Two
bounds know the distance in advance: "oracle" is given the nearest distance itself, which no search can beat; "before"
is given the code that the latent had with the codebook of the step before (a codebook moved by 1 % of the latents'
deviation), as when a search repeats. Each is a lower bound on the work: the comparisons with the centres of groups are
counted, too, lost efficiency of scattered products is not. Latents are standard normal, or of a run's encoder over its
test split.

The second table takes times. The floor (one product of all latents with all codewords, in blocks of rows into a buffer
that is there), `dense_codes` without bounds and `nearest`, which makes its groups anew in every call, take turns in
one process; a ratio is of times of one turn. Latents and codewords are standard normal, or of a mixture of 256 normals,
or latents are of a run's encoder over crops of its training split and codewords their k-means centres after one
iteration from some of them. Codes that differ from those of `dense_codes` end it all.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import torch
from measurement import arguments, facts, show, spread, text

import unitdisc
from unitdisc import loader
from unitdisc.codebook import k_means, nearest
from unitdisc.codebook.dense import dense_codes
from unitdisc.codebook.pruned import pruned_codes
from unitdisc.plan import Position, Stream

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from torch import Tensor

    from unitdisc.codebook import Clusters

KINDS = ("ball", "plane")
KNOWN = ("oracle", "before")
RATIOS = ("pruned_to_nearest", "pruned_to_floor", "nearest_to_floor")
SCORES = 2**25  # of the floor at once


def main() -> None:
    """Measure, then print."""
    parser = arguments(__doc__, runs=15)
    parser.add_argument("--run", nargs="*", default=[], help="folders of finished runs")
    parser.add_argument("--latents", type=int, default=8192, help="N (8192)")
    parser.add_argument("--codes", type=int, default=2048, help="K (2048)")
    parser.add_argument("--groups", nargs="+", type=int, default=[16, 64, 256], help="groups of codewords")
    parser.add_argument(
        "--search", nargs="*", type=int, default=[8192, 16384, 65536], help="K of timed searches"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    sets = {"standard normal, D = 64": torch.randn(options.latents, 64)}
    sets |= {f"encoder of {run}": _latents(run, "test", options.latents) for run in options.run}
    counted = [item for name, latents in sets.items() for item in _counted(name, latents, options)]
    rows = [["latents", "N, K", "groups", *(f"{kind}, {known}" for kind in KINDS for known in KNOWN)]]
    rows += [
        [
            item["latents"],
            f"{item['num_latents']}, {item['num_codes']}",
            str(item["groups"]),
            *(f"{item[kind][known]:.0%}" for kind in KINDS for known in KNOWN),
        ]
        for item in counted
    ]
    show(counted, rows, as_json=options.json)
    timed = [item for num_codes in options.search for item in _timed(num_codes, options)]
    if timed:
        _show_times(timed, as_json=options.json)


def _show_times(timed: list[dict[str, Any]], *, as_json: bool) -> None:
    rows = [["latents", "N, K", "bounds used", *(ratio.replace("_", " ") for ratio in RATIOS)]]
    rows += [
        [
            item["latents"],
            f"{item['num_latents']}, {item['num_codes']}",
            "yes" if item["pruned"] else "no",
            *(text(item[ratio]) for ratio in RATIOS),
        ]
        for item in timed
    ]
    if not as_json:
        print()
    show(timed, rows, as_json=as_json)


def _counted(name: str, latents: Tensor, options: argparse.Namespace) -> list[dict[str, Any]]:
    num_codes = min(options.codes, len(latents) // 2)
    codebook = k_means(latents, num_codes, iterations=10).codebook
    before = codebook + 0.01 * latents.std() * torch.randn_like(codebook)
    codes, known = nearest(latents, codebook), nearest(latents, before)
    oracle = (latents - codebook[codes]).norm(dim=1)
    step_before = (latents - codebook[known]).norm(dim=1)
    results = []
    for groups in options.groups:
        clusters = k_means(codebook, groups, iterations=20)
        radius = torch.zeros(groups).scatter_reduce(
            0, clusters.codes, (codebook - clusters.codebook[clusters.codes]).norm(dim=1), "amax"
        )
        sizes = torch.bincount(clusters.codes, minlength=groups)
        ball = torch.cdist(latents, clusters.codebook) - radius  # (N, groups)
        shares = {
            kind: {
                known: float(((least <= distance[:, None]) * sizes).sum()) / (len(latents) * num_codes)
                + groups / num_codes
                for known, distance in zip(KNOWN, (oracle, step_before), strict=True)
            }
            for kind, least in zip(KINDS, (ball, _planes(latents, codebook, clusters)), strict=True)
        }
        results.append(
            {
                "benchmark": "pruning",
                "latents": name,
                "num_latents": len(latents),
                "num_codes": num_codes,
                "groups": groups,
                **shares,
                **facts(options),
            }
        )
    return results


def _planes(latents: Tensor, codebook: Tensor, clusters: Clusters) -> Tensor:
    """Return (N, groups), how far each latent is from the plane that touches a group, 0 for its own."""
    centres, home = clusters.codebook, nearest(latents, clusters.codebook)
    distances = torch.zeros(len(latents), len(centres))
    for own, centre in enumerate(centres):
        normals = torch.nn.functional.normalize(centres - centre)
        places = torch.full((len(centres),), torch.inf)  # of the planes on their normals
        along = (codebook * normals[clusters.codes]).sum(1)
        places.scatter_reduce_(0, clusters.codes, along, "amin")
        rows = (home == own).nonzero()[:, 0]
        distances[rows] = places - latents[rows] @ normals.T
        distances[rows, own] = 0
    return distances


def _timed(num_codes: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    count = options.latents
    mixture = torch.randn(256, 64)[torch.randint(256, (count + num_codes,))]
    mixture += 0.3 * torch.randn_like(mixture)
    sets = {
        "standard normal, D = 64": (torch.randn(count, 64), torch.randn(num_codes, 64)),
        "mixture, D = 64": (mixture[:count], mixture[count:]),
    }
    for run in options.run:
        found = _latents(run, "train", max(2 * num_codes, 5 * count), crop=97)
        found = found[torch.randperm(len(found))]
        codebook = k_means(found, num_codes, iterations=1, first=found[-num_codes:]).codebook
        sets[f"encoder of {run}"] = (found[:count], codebook)
    return [
        {
            "benchmark": "pruned search",
            "latents": name,
            "num_latents": count,
            "num_codes": num_codes,
            "pruned": pruned_codes(latents, codebook) is not None,
            **_ratios(latents, codebook, options.runs),
            **facts(options),
        }
        for name, (latents, codebook) in sets.items()
    ]


def _ratios(latents: Tensor, codebook: Tensor, runs: int) -> dict[str, dict[str, float]]:
    table = (codebook - codebook.mean(0)).T.contiguous()
    scores = torch.empty(max(SCORES // len(codebook), 1), len(codebook))

    def floor() -> None:
        for some in latents.split(len(scores)):
            torch.mm(some, table, out=scores[: len(some)])

    if not torch.equal(nearest(latents, codebook), _dense(latents, codebook)):
        raise SystemExit("the search with bounds finds other codes than the one without")
    floor()
    ratios: dict[str, list[float]] = {ratio: [] for ratio in RATIOS}
    for _ in range(runs):
        least = _seconds(floor)
        whole = _seconds(lambda: _dense(latents, codebook))
        pruned = _seconds(lambda: nearest(latents, codebook))
        for samples, ratio in zip(
            ratios.values(), (pruned / whole, pruned / least, whole / least), strict=True
        ):
            samples.append(ratio)
    return {ratio: spread(samples) for ratio, samples in ratios.items()}


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


@torch.no_grad()
def _latents(path: str, name: str, most: int, *, crop: int | None = None) -> Tensor:
    run = unitdisc.load(path)
    split = run.source.split(name)
    found: list[Tensor] = []
    stream = Stream([min(length, crop or length) for length in split.lengths], 4096, 0)
    for batch in loader.batches(split, stream, Position(), crop=crop, rank=0, ranks=1, workers=0):
        latents = run.model.encode(run.model.standardized(batch))
        found.append(latents.values[latents.mask])
        if sum(map(len, found)) >= most:
            return torch.cat(found)[:most]
    print(f"{path}: fewer than {most} latents", file=sys.stderr)
    return torch.cat(found)


def _dense(latents: Tensor, codebook: Tensor) -> Tensor:
    return dense_codes(latents[:, None], codebook[None])[:, 0]


if __name__ == "__main__":
    main()
