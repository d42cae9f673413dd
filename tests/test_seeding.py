"""Seeds against exact probabilities, plain loops and scikit-learn."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch

from tests.clouds import mixture, randn, squared
from unitdisc.codebook.clustering import k_means, kmeans_plus_plus
from unitdisc.codebook.seeding import _Near, seeds

POINTS = torch.tensor([[0.0, 0.0], [1.13, 0.57], [0.31, 3.02], [-2.24, 1.09], [1.71, 2.46]])
COPIES = torch.tensor([3, 1, 2, 4, 5])
"""With different numbers no two choices leave the same sum; between such rounding decides."""


def probabilities(num_codes: int, candidates: int) -> dict[tuple[int, ...], float]:
    """How likely is each sequence of points as seeds, by going through all candidates of all steps."""
    between, copies = squared(POINTS, POINTS).numpy(), COPIES.numpy()
    found = {(first,): share for first, share in enumerate(copies / copies.sum())}
    for _ in range(num_codes - 1):
        longer: Counter = Counter()
        for chosen, share in found.items():
            least = between[list(chosen)].min(0)
            weights = copies * least / (copies * least).sum()
            for drawn in itertools.product(range(len(POINTS)), repeat=candidates):
                left = [(copies * np.minimum(least, between[row])).sum() for row in drawn]
                longer[*chosen, drawn[int(np.argmin(left))]] += share * math.prod(
                    weights[row] for row in drawn
                )
        found = {rows: share for rows, share in longer.items() if share > 0}
    return found


@pytest.mark.parametrize("candidates", [1, 2, 3])
def test_every_sequence_of_seeds_is_as_likely_as_it_should_be(candidates):
    torch.manual_seed(candidates)
    runs = 1500
    points = torch.arange(len(POINTS)).repeat_interleave(COPIES)
    exact = probabilities(3, candidates)
    counts = Counter(
        tuple(points[seeds(POINTS[points], 3, candidates=candidates).rows].tolist()) for _ in range(runs)
    )
    assert set(counts) <= set(exact)
    often = [(counts[rows], runs * share) for rows, share in exact.items() if runs * share >= 5]
    counted, expected = (sum(column) for column in zip(*often, strict=True))
    often.append((runs - counted, runs - expected))  # all that are rare together
    statistic = sum((count - mean) ** 2 / mean for count, mean in often)
    assert statistic < len(often) + 3.5 * math.sqrt(2 * len(often))


@pytest.mark.parametrize("candidates", [1, None])
@pytest.mark.parametrize(
    "samples",
    [
        mixture(3000, 150, 24),
        mixture(3000, 150, 24) + 100,
        randn(3000, 24),
        mixture(3000, 20, 2, spread=1e-5),  # as close as rounding when distances are expanded
        torch.cat([randn(2900, 3), 300 + randn(100, 3)]),
    ],
    ids=["mixture", "away from the origin", "one cloud", "tight", "outliers"],
)
def test_codes_and_distances_are_those_of_the_nearest_seed(samples, candidates):
    found = seeds(samples, 200, candidates=candidates, generator=torch.Generator().manual_seed(1))
    distances = squared(samples - samples.mean(0), (samples - samples.mean(0))[found.rows])
    least = distances.min(1).values
    assert len(found.rows.unique()) == 200
    torch.testing.assert_close(found.distances.double(), least, rtol=1e-4, atol=1e-12)
    chosen = distances.gather(1, found.codes[:, None])[:, 0]
    torch.testing.assert_close(chosen, least, rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize("candidates", [1, 4])
def test_leaving_out_what_cannot_change_changes_nothing(monkeypatch, candidates):
    samples = mixture(4000, 300, 16)
    kept = []
    keep = _Near.keep

    def spy(near: _Near, reached: torch.Tensor) -> None:
        keep(near, reached)
        kept.append(len(near.members))

    monkeypatch.setattr(_Near, "keep", spy)
    some = seeds(samples, 350, candidates=candidates, generator=torch.Generator().manual_seed(2))
    monkeypatch.setattr(_Near, "keep", lambda near, reached: None)
    every = seeds(samples, 350, candidates=candidates, generator=torch.Generator().manual_seed(2))
    assert min(kept) < len(samples) / 3
    assert any(after > before for before, after in itertools.pairwise(kept))  # some were taken back
    assert all(torch.equal(left, right) for left, right in zip(some, every, strict=True))


def inertia_of_loop(
    samples: torch.Tensor, num_codes: int, candidates: int, draw: np.random.Generator
) -> float:
    """Seed with one draw after the other, in float64."""
    between = squared(samples, samples).numpy()
    least = between[draw.integers(len(samples))]
    for _ in range(num_codes - 1):
        drawn = draw.choice(len(samples), candidates, p=least / least.sum())
        least = min((np.minimum(least, between[row]) for row in drawn), key=np.sum)
    return float(least.sum())


@pytest.mark.parametrize("room", [1, 2**24])
@pytest.mark.parametrize("candidates", [1, 5])
def test_rounds_of_any_size_are_as_good_as_single_steps(monkeypatch, room, candidates):
    monkeypatch.setattr("unitdisc.codebook.seeding._DISTANCES", room)
    samples, runs = mixture(300, 40, 8), 60
    generator, draw = torch.Generator().manual_seed(3), np.random.default_rng(0)
    ours = [
        seeds(samples, 35, candidates=candidates, generator=generator).distances.sum().item()
        for _ in range(runs)
    ]
    loops = [inertia_of_loop(samples, 35, candidates, draw) for _ in range(runs)]
    error = math.hypot(np.std(ours), np.std(loops)) / math.sqrt(runs)
    assert abs(np.mean(ours) - np.mean(loops)) < 3.5 * error
    assert error < 0.05 * np.mean(loops)


def test_greedy_seeds_are_as_good_as_those_of_scikit_learn():
    cluster = pytest.importorskip("sklearn.cluster")
    samples = mixture(800, 80, 8, spread=0.2)
    generator = torch.Generator().manual_seed(4)
    ours, theirs = [], []
    for seed in range(25):
        ours.append(seeds(samples, 80, generator=generator).distances.sum().item())
        centres, _ = cluster.kmeans_plusplus(samples.double().numpy(), 80, random_state=seed)
        theirs.append(squared(samples, torch.from_numpy(centres)).min(1).values.sum().item())
    assert np.mean(ours) == pytest.approx(np.mean(theirs), rel=0.03)


def test_seeds_are_samples_and_the_generator_decides():
    samples = randn(90, 6)
    draw = {"num_codebooks": 3, "candidates": 2}
    books = kmeans_plus_plus(samples, 7, generator=torch.Generator().manual_seed(1), **draw)
    again = kmeans_plus_plus(samples, 7, generator=torch.Generator().manual_seed(1), **draw)
    torch.manual_seed(1)
    assert books.shape == (3, 7, 2)
    assert torch.equal(books, again)
    assert torch.equal(books, kmeans_plus_plus(samples, 7, **draw))
    for book, block in zip(books, samples.chunk(3, 1), strict=True):
        assert (book[:, None] == block[None]).all(2).any(1).all()
    assert kmeans_plus_plus(samples, 7).shape == (7, 6)


def test_with_too_few_distinct_samples_each_is_taken_and_the_rest_drawn():
    samples = randn(5, 4).repeat(40, 1)
    torch.manual_seed(0)
    rows = torch.cat([seeds(samples, 150).rows for _ in range(20)])
    assert all(len(seeds(samples, 5).rows.remainder(5).unique()) == 5 for _ in range(20))
    drawn = torch.bincount(rows.remainder(5), minlength=5)
    assert (drawn - 600).abs().max() < 4 * math.sqrt(3000 * 0.2 * 0.8)
    clusters = k_means(samples, 150)
    assert clusters.inertia.item() < 1e-8
    torch.testing.assert_close(clusters.codebook[clusters.codes], samples)
