"""k-means on the engine's own search and sums, in memory that does not grow with N x K."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from unitdisc.codebook.nearest import nearest
from unitdisc.codebook.precision import full_products
from unitdisc.codebook.seeding import BOUND, BOUND_SLACK, kmeans_plus_plus, sample_blocks, seeds
from unitdisc.codebook.sums import code_sums

__all__ = ["Clusters", "k_means", "kmeans_plus_plus"]

_CHUNK = 2**20
"""Distances between centres held at once."""


class Clusters(NamedTuple):
    """What `k_means` returns.

    Args:
        codebook: (K, D) or (Q, K, d) float32, the centres.
        codes: (N,) or (N, Q) int64, the nearest centre of each sample.
        inertia: () or (Q,) float64, the sum of squared distances of the samples to their centres.
        iterations: How often the centres moved; with Q codebooks the largest number of them.
    """

    codebook: Tensor
    codes: Tensor
    inertia: Tensor
    iterations: int


@torch.no_grad()
def k_means(
    samples: Tensor,
    num_codes: Annotated[int, Gt(0)],
    *,
    num_codebooks: int | None = None,
    iterations: Annotated[int, Ge(0)] = 10,
    tolerance: Annotated[float, Ge(0)] = 0.0,
    restarts: Annotated[int, Gt(0)] = 1,
    candidates: int | None = None,
    first: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Clusters:
    """Cluster samples (N, D) by Lloyd's algorithm (Lloyd 1982), from `kmeans_plus_plus` or given centres.

    An iteration moves every centre to the mean of its samples. Centres without samples first take the samples
    farthest from their centres, one each, as in scikit-learn; where no sample is away from its centre they stay.
    With fewer distinct samples than K some centres are equal, and the codes are those of the first of them.

    Args:
        samples: (N, D), finite, N >= K.
        num_codes: K.
        num_codebooks: Q: clusters each of Q equal blocks by itself.
        iterations: At most; it ends before where no code changes.
        tolerance: It also ends where the centres' squared movements sum up to at most this share of the mean
            variance of the D dimensions, as in scikit-learn.
        restarts: Runs from seeds of their own; the one with the lowest inertia counts, in each codebook. Given
            ``first`` they would all be the same, and there is one.
        candidates: Of every step of the seeding, see `kmeans_plus_plus`.
        first: Centres to start from, (K, D) or (Q, K, d).
        generator: Source of randomness, torch's global one by default.

    Raises:
        ValueError: Fewer samples than codes, samples that are not finite, or shapes that do not fit.
    """
    blocks = sample_blocks(samples, num_codes, num_codebooks)
    shape = (len(blocks), num_codes, blocks[0].shape[1])
    if first is not None and tuple(first.shape) != (shape if num_codebooks else shape[1:]):
        raise ValueError(
            f"first has shape {tuple(first.shape)}; accepted: {shape if num_codebooks else shape[1:]}"
        )
    found = []
    with torch.autocast(samples.device.type, enabled=False), full_products(samples.device):
        for number, block in enumerate(blocks):
            mean = block.mean(0)  # sums far from the origin would lose digits
            centred = block - mean
            if first is None:
                drawn = (
                    seeds(centred, num_codes, candidates=candidates, generator=generator)
                    for _ in range(restarts)
                )
                starts = [(centred[start.rows], start.codes) for start in drawn]
            else:
                centres = first.reshape(shape)[number].float() - mean
                starts = [(centres, nearest(centred, centres))]
            runs = [_lloyd(centred, *start, iterations, tolerance) for start in starts]
            best = min(runs, key=lambda run: float(run.inertia))
            found.append(best._replace(codebook=best.codebook + mean))
    return found[0] if num_codebooks is None else _side_by_side(found)


def _side_by_side(found: list[Clusters]) -> Clusters:
    return Clusters(
        torch.stack([run.codebook for run in found]),
        torch.stack([run.codes for run in found], 1),
        torch.stack([run.inertia for run in found]),
        max(run.iterations for run in found),
    )


def _lloyd(samples: Tensor, centres: Tensor, codes: Tensor, iterations: int, tolerance: float) -> Clusters:
    """Iterate from centres (K, d) and the nearest of them; ``codes`` are those of the centres returned."""
    enough = tolerance * samples.var(0, correction=0).mean()
    distances = _distances(samples, centres, codes)
    moves = 0
    bounded = 2 * len(centres) <= len(samples)  # the bounds cost K x K distances, the search N x K
    while moves < iterations:
        old_centres, old_codes = centres, codes
        centres = _means(samples, centres, codes, distances)
        moves += 1
        doubtful = _doubtful(samples, centres, codes) if bounded else None
        if doubtful is None or len(doubtful) > len(samples) // 2:
            bounded = False
            codes = nearest(samples, centres)
        else:
            codes = codes.index_put((doubtful,), nearest(samples[doubtful], centres))
        distances = _distances(samples, centres, codes)
        if torch.equal(codes, old_codes) or (centres - old_centres).square_().sum() <= enough:
            break
    return Clusters(centres, codes, distances.sum(dtype=torch.float64), moves)


def _doubtful(samples: Tensor, centres: Tensor, codes: Tensor) -> Tensor:
    """Return (M,), the samples whose nearest centre may be another than that of their code (Elkan 2003, lemma 1).

    A sample that is less than half as far from a centre as the next centre is cannot be closer to that one.
    """
    squares = torch.linalg.vecdot(centres, centres)
    gaps = torch.empty_like(squares)
    rows = max(_CHUNK // len(centres), 1)
    for start in range(0, len(centres), rows):
        some = centres[start : start + rows]
        apart = torch.addmm(squares, some, centres.T, alpha=-2)
        apart.diagonal(start).fill_(torch.inf)
        gaps[start : start + rows] = apart.amin(1)
    gaps += (1 - BOUND_SLACK) * squares
    return (BOUND * _distances(samples, centres, codes) >= gaps[codes]).nonzero()[:, 0]


def _means(samples: Tensor, centres: Tensor, codes: Tensor, distances: Tensor) -> Tensor:
    """Return the means of the samples of each code, which has at least one where that is possible."""
    num_codes = len(centres)
    sums, counts = code_sums(samples, codes[:, None], num_codes)
    empty = (counts[0] == 0).nonzero()[:, 0]
    if len(empty):
        far, rows = distances.topk(len(empty))
        away = far > 0
        codes = codes.index_put((rows[away],), empty[away])
        sums, counts = code_sums(samples, codes[:, None], num_codes)
    counts = counts[0, :, None]
    return torch.where(counts > 0, sums[0] / counts, centres)


def _distances(samples: Tensor, centres: Tensor, codes: Tensor) -> Tensor:
    """Return (N,), the squared distance of each sample to the centre of its code."""
    return (samples - centres[codes]).square_().sum(1)
