"""How much of a search exact bounds could leave out: the share of latents times codewords that must be compared.

    python tests/benchmarks/pruning.py [--run RUN ...] [--latents 8192] [--codes 2048] [--groups 16 64 256] [--json]

Codewords are k-means centres of the latents that are searched, in groups around k-means centres of their own. A group
cannot hold the nearest codeword of a latent x that is further from the group's centre than its radius and the distance
to the nearest codeword known so far. Two bounds know that distance in advance: "oracle" is given the nearest distance
itself, which no search can beat; "step before" is given the code that the latent had with the codebook of the step
before (a codebook moved by 1 % of the latents' deviation), as when a search repeats. Each is a lower bound on the work: the
comparisons with the centres of groups are counted, too, lost efficiency of scattered products is not. Latents are
standard normal, or of a run's encoder over its test split.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import torch
from measurement import arguments, facts, show

import unitdisc
from unitdisc import loader
from unitdisc.codebook import k_means, nearest
from unitdisc.plan import Position, Stream

if TYPE_CHECKING:
    import argparse

    from torch import Tensor


def main() -> None:
    """Measure, then print."""
    parser = arguments(__doc__, runs=1)
    parser.add_argument("--run", nargs="*", default=[], help="folders of finished runs")
    parser.add_argument("--latents", type=int, default=8192, help="N (8192)")
    parser.add_argument("--codes", type=int, default=2048, help="K (2048)")
    parser.add_argument("--groups", nargs="+", type=int, default=[16, 64, 256], help="groups of codewords")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    sets = {"standard normal, D = 64": torch.randn(options.latents, 64)}
    sets |= {f"encoder of {run}": _latents(run, options.latents) for run in options.run}
    measurements = [item for name, latents in sets.items() for item in _measured(name, latents, options)]
    rows = [["latents", "N, K", "groups", "oracle", "step before"]]
    rows += [
        [
            item["latents"],
            f"{item['num_latents']}, {item['num_codes']}",
            str(item["groups"]),
            f"{item['oracle']:.0%}",
            f"{item['step_before']:.0%}",
        ]
        for item in measurements
    ]
    show(measurements, rows, as_json=options.json)


def _measured(name: str, latents: Tensor, options: argparse.Namespace) -> list[dict[str, Any]]:
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
        least = torch.cdist(latents, clusters.codebook) - radius  # (N, groups)
        shares = {
            bound: float(((least <= distance[:, None]) * sizes).sum()) / (len(latents) * num_codes)
            + groups / num_codes
            for bound, distance in (("oracle", oracle), ("step_before", step_before))
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


@torch.no_grad()
def _latents(path: str, most: int) -> Tensor:
    run = unitdisc.load(path)
    split = run.source.split("test")
    found: list[Tensor] = []
    stream = Stream(split.lengths, 4096, 0)
    for batch in loader.batches(split, stream, Position(), crop=None, rank=0, ranks=1, workers=0):
        latents = run.model.encode(run.model.standardized(batch).inputs)
        found.append(latents.values[latents.mask])
        if sum(map(len, found)) >= most:
            return torch.cat(found)[:most]
    print(f"{path}: fewer than {most} latents", file=sys.stderr)
    return torch.cat(found)


if __name__ == "__main__":
    main()
