"""Exact search for the nearest codeword that leaves out groups of codewords which cannot hold it."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from unitdisc.codebook.dense import dense_codes, first_best, pooled
from unitdisc.codebook.precision import full_products

# Smaller searches take about as long as making the groups (measured on the encoder's latents of trained models), and
# a comparison costs two to three times as much in pieces.
FEWEST_LATENTS = 4096
FEWEST_CODES = 8192
_LARGEST_SHARE = 0.2

_SAMPLE = 32  # latents that foretell the share
_PER_GROUP = 16  # codewords that place a group's centre
_LLOYD = 2
_BOUNDS = 2**19  # groups times latents of a chunk
_SCORES = 2**18
_LANES = 8  # a group is filled up to a multiple of it, and a wide one is searched in so many parts


@torch.no_grad()
def pruned_codes(latents: Tensor, codebook: Tensor) -> Tensor | None:
    """Return (N,) int64, the codeword nearest to each latent, or None where too little could be left out.

    Groups of codewords lie around centres. A latent is compared with the codewords of the centre nearest to it, which
    gives a distance to beat, then with those groups alone of which a bound does not say that all are further: for
    the latent x, its centre h and a codeword c of the group around g, |x - c| |g - h| >= (c - x).(g - h), of which
    c.(g - h) has a minimum over the group and the rest is a product of latents and centres. (That is the distance to
    the plane that parts the group from h. Balls around the groups, as in Elkan 2003, leave out less than half as
    much.) Bounds have a margin for rounding, so codes are exact. A sample foretells what they leave out.

    Args:
        latents: (N, D), finite; None is returned for fewer than `FEWEST_LATENTS`, and on a GPU.
        codebook: (K, D), finite; None is returned for fewer than `FEWEST_CODES`.
    """
    if latents.device.type != "cpu" or len(latents) < FEWEST_LATENTS or len(codebook) < FEWEST_CODES:
        return None
    with torch.autocast("cpu", enabled=False), full_products(latents.device):
        latents, codebook = latents.float(), codebook.float()
        centres = _promising_centres(_strided(latents, _SAMPLE), codebook)
        if centres is None:
            return None
        groups = _grouped(codebook, centres)
        chunks = latents.split(_BOUNDS // len(groups.centres))
        return torch.cat([_search(chunk, groups) for chunk in chunks])


def pruned_workspace(num_latents: int, num_codes: int, dim: int) -> int:
    """Return the bytes that `pruned_codes` needs at most beyond its arguments and the codes."""
    if num_latents < FEWEST_LATENTS or num_codes < FEWEST_CODES:
        return 0
    groups = _num_groups(num_codes)
    chunk = min(num_latents, _BOUNDS // groups)
    table = (num_codes + _LANES * groups) * (dim + 3)
    return (
        4 * (table + chunk * (3 * dim + 8 * groups + 16) + 3 * groups * groups + 2 * _SCORES)
        + 8 * num_codes * 3
    )


def _dense(latents: Tensor, codewords: Tensor) -> Tensor:
    return dense_codes(latents[:, None], codewords[None])[:, 0]


class _Groups(NamedTuple):
    """Codewords in groups; all but ``mean`` lies around the mean codeword."""

    mean: Tensor  # (D,)
    centres: Tensor  # (G, D)
    table: Tensor  # (K', D + 1), codewords c group by group, and -|c|^2 / 2; -inf in what fills groups up
    codes: Tensor  # (K',), their place in the codebook
    parts: list[slice]  # of the table, one for each group
    sizes: Tensor  # (G,)
    least: Tensor  # (G, G), of c.(g - h) over the codewords c of the group around g
    apart: Tensor  # (G, G), |g - h|
    longest: Tensor  # (), of |c|


def _num_groups(num_codes: int) -> int:
    """Return about 2 K^(1/3): the groups' codewords, the bounds and the pieces cost as much there."""
    return _LANES * max(round(2 * math.cbrt(num_codes) / _LANES), 1)


def _strided(vectors: Tensor, count: int) -> Tensor:
    return vectors.index_select(0, torch.arange(count) * len(vectors) // count)


def _centres(codewords: Tensor) -> Tensor:
    centres = codewords[::_PER_GROUP]
    for _ in range(_LLOYD):
        codes = _dense(codewords, centres)
        counts = torch.bincount(codes, minlength=len(centres))[:, None]
        sums = torch.zeros_like(centres).index_add_(0, codes, codewords)
        centres = torch.where(counts > 0, sums / counts, centres)
    return centres


def _grouped(codebook: Tensor, centres: Tensor) -> _Groups:
    dim, mean = codebook.shape[1], codebook.mean(0)
    group, order = _dense(codebook, centres).sort(stable=True)  # within a group the lowest code comes first
    sizes = group.bincount(minlength=len(centres))
    centres, sizes = centres[sizes > 0] - mean, sizes[sizes > 0]
    ends = (-(-sizes // _LANES) * _LANES).cumsum(0)
    parts = [slice(*ends_) for ends_ in zip([0, *ends.tolist()], ends.tolist(), strict=False)]
    table = codebook.new_zeros(int(ends[-1]), dim + 1)
    table[:, dim] = -torch.inf
    codes = order.new_zeros(len(table))
    least = []
    for own, (part, some) in enumerate(zip(parts, order.split(sizes.tolist()), strict=True)):
        codewords, bias = table[part, :dim][: len(some)], table[part, dim][: len(some)]
        torch.sub(codebook.index_select(0, some), mean, out=codewords)
        torch.linalg.vecdot(codewords, codewords, out=bias).mul_(-0.5)
        codes[part][: len(some)] = some
        products = centres @ codewords.T  # (G, W)
        least.append((products[own] - products).amin(1))
    apart = torch.cdist(centres, centres, compute_mode="donot_use_mm_for_euclid_dist")
    longest = (-2 * table[:, dim].masked_fill(table[:, dim].isinf(), 0)).amax().sqrt()
    return _Groups(mean, centres, table, codes, parts, sizes, torch.stack(least), apart, longest)


def _promising_centres(sample: Tensor, codebook: Tensor) -> Tensor | None:
    """Return centres of groups (G, D), or None where bounds would leave too many of them to be searched."""
    squares = (sample - codebook[_dense(sample, codebook)]).square_().sum(1)
    some = _strided(codebook, _PER_GROUP * _num_groups(len(codebook)))
    # The squared distance of two codewords is twice the variance in the mean, and no plane is further than half way.
    if squares.median() > some.var(0).sum() / 2:
        return None
    centres = _centres(some)
    groups = _grouped(some, centres)
    shifted = sample - groups.mean
    products, home = _at_home(shifted, groups)
    needed = _needed(shifted, products, home, squares, groups)
    needed[home, torch.arange(len(sample))] = True
    share = (needed * groups.sizes[:, None]).sum() / (len(sample) * len(some))
    return None if share > _LARGEST_SHARE else centres


def _at_home(shifted: Tensor, groups: _Groups) -> tuple[Tensor, Tensor]:
    """Return the products of centres with latents (G, N), and the nearest centre (N,)."""
    products = groups.centres @ shifted.T
    squares = torch.linalg.vecdot(groups.centres, groups.centres)
    _, home = pooled((products - squares[:, None] / 2)[None, None])
    return products, home[0, 0]


def _needed(shifted: Tensor, products: Tensor, home: Tensor, squares: Tensor, groups: _Groups) -> Tensor:
    """Return (G, N), whether a group may hold a codeword that is as close as ``squares`` (N,) says.

    A float32 product of a and b is off by D 2^-24 |a| |b| at most, whatever the order of its sum; the margins are
    several times that, so that they hold for the scores of both this search and `nearest`, too.
    """
    rounding = (shifted.shape[1] + 8) * 2.0**-23
    lengths = torch.linalg.vecdot(shifted, shifted)
    reach = squares.clamp(min=0).add_(4 * rounding * (lengths + groups.longest**2)).sqrt_().mul_(1 + rounding)
    margin = 4 * rounding * groups.centres.norm(dim=1).amax() * (lengths.sqrt() + groups.longest)
    own = products.gather(0, home[None])
    beyond = groups.least.index_select(1, home).sub_(products).add_(own - margin)
    return beyond <= groups.apart.index_select(1, home).mul_(reach)


def _search(latents: Tensor, groups: _Groups) -> Tensor:
    shifted = latents - groups.mean
    products, home = _at_home(shifted, groups)
    home, order = home.sort(stable=True)  # neighbours lie side by side
    rows = shifted.new_ones(len(shifted), shifted.shape[1] + 1)
    rows[:, :-1] = shifted.index_select(0, order)
    shifted, products = rows[:, :-1], products.index_select(1, order)
    best, codes = rows.new_empty(len(rows)), order.new_empty(len(rows))
    scores = rows.new_empty(_SCORES)
    counts = home.bincount(minlength=len(groups.parts)).tolist()
    start = 0
    for part, count in zip(groups.parts, counts, strict=True):
        for first in range(start, start + count, _rows(part)):
            those = slice(first, min(first + _rows(part), start + count))
            best[those], place = _best(groups.table[part], rows[those], scores)
            codes[those] = groups.codes[part].index_select(0, place)
        start += count
    squares = torch.linalg.vecdot(shifted, shifted) - 2 * best
    needed = _needed(shifted, products, home, squares, groups)
    needed[home, torch.arange(len(rows))] = False
    some = needed.nonzero()[:, 1].split(needed.sum(1).tolist())
    for part, wanted in zip(groups.parts, some, strict=True):
        for those in wanted.split(_rows(part)) if len(wanted) else ():
            found, place = _best(groups.table[part], rows.index_select(0, those), scores)
            _keep_better(best, codes, those, found, groups.codes[part].index_select(0, place))
    return codes.new_empty(len(codes)).index_copy_(0, order, codes)


def _rows(part: slice) -> int:
    width: int = part.stop - part.start
    return max(_SCORES // width, 2)


def _best(table: Tensor, rows: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the best score (R,) of the codewords of ``table`` (W, D + 1) for ``rows`` (R, D + 1), and its place."""
    if len(rows) == 1:  # a product with one row is rounded otherwise
        best, place = _best(table, rows.expand(2, -1).contiguous(), scores)
        return best[:1], place[:1]
    width, count = len(table), len(rows)
    if width * count > len(scores):
        scores = scores.new_empty(width * count)
    products = torch.mm(table, rows.T, out=scores[: width * count].view(width, count))
    parts = _LANES if width >= _LANES**3 else 1
    best, place = pooled(products.view(1, parts, width // parts, count))
    return best.amax(0)[0], first_best(best, place)[0]


def _keep_better(best: Tensor, codes: Tensor, those: Tensor, found: Tensor, code: Tensor) -> None:
    """Write what was found for ``those`` where it is better, or as good with a lower code."""
    known, before = best.index_select(0, those), codes.index_select(0, those)
    better = (found > known) | ((found == known) & (code < before))
    best.index_copy_(0, those, torch.where(better, found, known))
    codes.index_copy_(0, those, torch.where(better, code, before))
