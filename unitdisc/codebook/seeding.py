"""First centres of k-means: samples far from each other.

Beyond the samples this holds two centred copies of them, ``candidates`` x N distances of a step or 64 MiB if that is
more, and as many minima of them as a step needs; nothing of size N x K.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from unitdisc.codebook.precision import full_products

_DISTANCES = 2**24
"""Distances held at once, unless one step needs more."""
_ROUNDING = 1e-6
"""Share of the squares by which an expanded distance is too small, more than it can be wrong by rounding."""
BOUND = 4.004
"""A centre this many times the squared distance of a sample away from the sample's own is not closer to it."""
BOUND_SLACK = 3e-5
"""Share of a centre's square by which such a distance may be too large; like the .004, well above rounding."""


class Seeds(NamedTuple):
    """What `seeds` returns.

    Args:
        rows: (K,) int64, the samples that are centres, in the order in which they were chosen.
        codes: (N,) int64, the nearest centre of each sample.
        distances: (N,), the square of its distance.
    """

    rows: Tensor
    codes: Tensor
    distances: Tensor


@torch.no_grad()
def kmeans_plus_plus(
    samples: Tensor,
    num_codes: int,
    *,
    num_codebooks: int | None = None,
    candidates: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return samples (K, D), each drawn with D-squared weights given those before (Arthur & Vassilvitskii 2007).

    Every step draws ``candidates`` samples and takes the one that leaves the smallest sum of squared distances.
    Once all distances are 0, as with fewer distinct samples than K, the rest are drawn uniformly.

    Args:
        samples: (N, D), finite, N >= K.
        num_codes: K.
        num_codebooks: Q: seeds each of Q equal blocks by itself and returns (Q, K, D / Q).
        candidates: Per step, 2 + floor(log K) by default as in scikit-learn; 1 is the plain algorithm.
        generator: Source of randomness, torch's global one by default.

    Raises:
        ValueError: Fewer samples than codes, samples that are not finite, or Q does not divide D.
    """
    books = [
        block[seeds(block, num_codes, candidates=candidates, generator=generator).rows]
        for block in sample_blocks(samples, num_codes, num_codebooks)
    ]
    return books[0] if num_codebooks is None else torch.stack(books)


def sample_blocks(samples: Tensor, num_codes: int, num_codebooks: int | None) -> tuple[Tensor, ...]:
    """Return Q float32 blocks (N, D / Q) of samples (N, D). Raises `ValueError` where they cannot be clustered."""
    books = num_codebooks or 1
    if samples.dim() != 2 or samples.shape[1] == 0 or samples.shape[1] % books:
        raise ValueError(
            f"samples have shape {tuple(samples.shape)}; accepted: (N, D) with D a multiple of the number of "
            f"codebooks, {books}"
        )
    if len(samples) < num_codes:
        raise ValueError(
            f"{num_codes} codes cannot be found in {len(samples)} samples; give at least as many"
        )
    if not torch.isfinite(samples).all():
        bad = int((~torch.isfinite(samples)).any(1).sum())
        raise ValueError(f"{bad} of {len(samples)} samples are not finite; nothing was clustered")
    return samples.detach().float().chunk(books, 1)


def seeds(
    samples: Tensor,
    num_codes: int,
    *,
    candidates: int | None = None,
    generator: torch.Generator | None = None,
) -> Seeds:
    """Choose centres among samples (N, d), see `kmeans_plus_plus`."""
    candidates = candidates or 2 + int(math.log(num_codes))
    with torch.autocast(samples.device.type, enabled=False), full_products(samples.device):
        seeding = _Seeding(samples, num_codes, candidates, generator)
        while seeding.number < num_codes:
            seeding.go_on()
    return Seeds(seeding.rows, seeding.codes, seeding.least)


class _Seeding:
    """Centres chosen so far, in rounds of several steps.

    A round draws proposals by the weights as they are, and one product gives their distances. Weights only
    shrink, so a proposal that is accepted with probability (weight now) / (weight then) is a draw by the
    weights now: the steps of a round take their candidates from the proposals accepted in order. A sample x is
    left out of a round when no proposal y can come closer to it than its centre c, as |y - c| >= 2 |x - c|.
    """

    def __init__(
        self, samples: Tensor, num_codes: int, candidates: int, generator: torch.Generator | None
    ) -> None:
        total, dim = samples.shape
        self.candidates = candidates
        self.generator = generator
        self.device = samples.device
        self.proposals = max(candidates, min(max(10 * candidates, 64), _DISTANCES // total))
        # The product of (x, |x|^2, 1) and (-2 y, 1, |y|^2) is their squared distance.
        self.factors = samples.new_ones(total, dim + 2)
        self.samples = self.factors[:, :dim]
        torch.sub(samples, samples.mean(0), out=self.samples)
        self.factors[:, dim] = torch.linalg.vecdot(self.samples, self.samples) * (1 - _ROUNDING)
        self.centres = samples.new_empty(num_codes, dim + 2)
        self.rows = torch.empty(num_codes, dtype=torch.int64, device=self.device)
        self.number = 0
        self.codes = torch.zeros(total, dtype=torch.int64, device=self.device)
        self.least = samples.new_full((total,), torch.inf)
        self._take((self._uniform(1) * total).long())
        self.least = (self.samples - self.samples[self.rows[0]]).square_().sum(1)
        self.near = _Near(self.factors)
        self.checked = 0
        # Made once: memory that is fresh from the system costs as much as the product that fills it.
        self.distances = samples.new_empty(self.proposals * total)
        self.gaps = samples.new_empty(self.proposals * num_codes)
        self.lowered = samples.new_empty(candidates * total)

    def go_on(self) -> None:
        """Choose the centres of one round."""
        cumulative = self.least.cumsum(0, dtype=torch.float64)
        if not cumulative[-1] > 0:
            self._take((self._uniform(len(self.rows) - self.number) * len(self.least)).long())
            return
        points = self._uniform(self.proposals) * cumulative[-1]
        proposed = torch.searchsorted(cumulative, points, right=True).clamp_(max=len(cumulative) - 1)
        tests = self._uniform(self.proposals) * self.least[proposed]
        left = self.factors[proposed]
        left[:, :-2] *= -2
        left[:, -2:] = left[:, -2:].flip(1)
        if self.near.is_partial or self.number > 1.15 * self.checked:  # not every time where it is in vain
            self.near.keep(self._reached(left))
            self.checked = self.number
        members = self.near.members
        distances = self.distances[: len(left) * len(members)].view(len(left), -1)
        torch.mm(left, self.near.factors.T, out=distances)
        least = self.least[members]
        chosen = self._choose(distances, least, self.near.place[proposed], tests)
        self._take(proposed[chosen])
        self._settle(members, least, distances, chosen)

    def _reached(self, left: Tensor) -> Tensor:
        """Return (N,) bool, the samples that one of the proposals may come closer to."""
        centres = self.centres[: self.number]
        gaps = self.gaps[: len(centres) * len(left)].view(len(centres), -1)
        least = torch.mm(centres, left.T, out=gaps).amin(1).sub_(BOUND_SLACK * centres[:, -2])
        return least[self.codes] < BOUND * self.least

    def _choose(self, distances: Tensor, least: Tensor, places: Tensor, tests: Tensor) -> Tensor:
        """Return the proposals chosen, at least one, of distances (P, n); ``least`` (n,) shrinks with each."""
        lowered = self.lowered[: self.candidates * len(least)].view(self.candidates, -1)
        chosen: list[int] = []
        last = -1
        while self.number + len(chosen) < len(self.rows):
            accepted = (tests < least[places]).nonzero()[:, 0].tolist()
            drawn = [proposal for proposal in accepted if proposal > last][: self.candidates]
            if len(drawn) < self.candidates:
                break
            first, last = drawn[0], drawn[-1]
            rows = distances[first : last + 1] if last - first < self.candidates else distances[drawn]
            torch.minimum(rows, least, out=lowered)
            best = int(lowered.sum(1).argmin()) if self.candidates > 1 else 0
            torch.clamp(lowered[best], min=0, out=least)
            chosen.append(drawn[best])
        return torch.tensor(chosen, dtype=torch.int64, device=self.device)

    def _take(self, rows: Tensor) -> None:
        """Make samples centres."""
        self.rows[self.number : self.number + len(rows)] = rows
        self.centres[self.number : self.number + len(rows)] = self.factors[rows]
        self.number += len(rows)

    def _settle(self, members: Tensor, least: Tensor, distances: Tensor, chosen: Tensor) -> None:
        """Find code and exact distance of the members that have come closer to one of the newest centres."""
        changed = (least < self.least[members]).nonzero()[:, 0]
        codes = distances[chosen[:, None], changed].argmin(0) + (self.number - len(chosen))
        rows = members[changed]
        exact = (self.samples[rows] - self.samples[self.rows[codes]]).square_().sum(1)
        old = self.least[rows]
        self.codes[rows] = torch.where(exact < old, codes, self.codes[rows])
        self.least[rows] = torch.minimum(exact, old)

    def _uniform(self, number: int) -> Tensor:
        # By default on the CPU, so that the same seed gives the same draws on every device.
        device = torch.device("cpu") if self.generator is None else self.generator.device
        drawn = torch.rand(number, dtype=torch.float64, device=device, generator=self.generator)
        return drawn.to(self.device)


class _Near:
    """The samples that a round can change, side by side."""

    def __init__(self, factors: Tensor) -> None:
        self._all = factors
        self._room: Tensor | None = None
        self.factors = factors
        self.members = torch.arange(len(factors), device=factors.device)
        self.place = self.members.clone()

    @property
    def is_partial(self) -> bool:
        """Whether some samples are left out."""
        return len(self.members) < len(self._all)

    def keep(self, reached: Tensor) -> None:
        """Hold at least the samples ``reached`` (N,), and others only where leaving them out does not pay."""
        if int(reached.sum()) < 0.8 * len(self.members):
            self._hold(reached.nonzero()[:, 0], 0)
        elif self.is_partial:
            self._hold((reached & (self.place < 0)).nonzero()[:, 0], len(self.members))

    def _hold(self, rows: Tensor, start: int) -> None:
        """Hold ``rows`` after the first ``start`` that are held."""
        if self._room is None:
            self._room = torch.empty_like(self._all)
        self.members = torch.cat([self.members[:start], rows])
        self.factors = self._room[: len(self.members)]
        torch.index_select(self._all, 0, rows, out=self.factors[start:])
        if start == 0:
            self.place.fill_(-1)
        self.place[rows] = torch.arange(start, len(self.members), device=rows.device)
