"""Seeding against exact probabilities, Lloyd against loops and scikit-learn."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch

from unitdisc.codebook import nearest
from unitdisc.codebook.clustering import k_means, kmeans_plus_plus
from unitdisc.codebook.seeding import _Near, seeds

POINTS = torch.tensor([[0.0, 0.0], [1.13, 0.57], [0.31, 3.02], [-2.24, 1.09], [1.71, 2.46]])
COPIES = torch.tensor([3, 1, 2, 4, 5])
"""With different numbers no two choices leave the same sum; between such rounding decides."""


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def mixture(total: int, components: int, dim: int, *, spread: float = 0.1, seed: int = 0) -> torch.Tensor:
    centres = randn(components, dim, seed=seed)
    return centres[torch.arange(total) % components] + spread * randn(total, dim, seed=seed + 1)


def squared(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """All squared distances in float64, by their definition."""
    return (left.double()[:, None] - right.double()[None]).square().sum(2)


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
    runs = 3000
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
    samples, runs = mixture(300, 40, 8), 80
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
    for seed in range(40):
        ours.append(seeds(samples, 80, generator=generator).distances.sum().item())
        centres, _ = cluster.kmeans_plusplus(samples.double().numpy(), 80, random_state=seed)
        theirs.append(squared(samples, torch.from_numpy(centres)).min(1).values.sum().item())
    assert np.mean(ours) == pytest.approx(np.mean(theirs), rel=0.02)


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


def lloyd(samples: torch.Tensor, centres: torch.Tensor, iterations: int) -> tuple[np.ndarray, list[int], int]:
    """Plain loops in float64, with a centre's samples as a list."""
    rows, means = samples.double().numpy(), centres.double().numpy().copy()

    def assign() -> list[int]:
        return [int(np.argmin([((row - mean) ** 2).sum() for mean in means])) for row in rows]

    codes = assign()
    moves = 0
    while moves < iterations:
        moves += 1
        groups = [[row for row, code in enumerate(codes) if code == number] for number in range(len(means))]
        far = sorted(range(len(rows)), key=lambda row: -((rows[row] - means[codes[row]]) ** 2).sum())
        for number in [number for number, group in enumerate(groups) if not group]:
            row = far.pop(0)
            groups[codes[row]].remove(row)
            groups[number] = [row]
        means = np.stack([rows[group].mean(0) for group in groups])
        old, codes = codes, assign()
        if codes == old:
            break
    return means, codes, moves


@pytest.mark.parametrize("offset", [0.0, 50.0])
@pytest.mark.parametrize(
    ("samples", "first"),
    [
        (randn(200, 3), randn(7, 3, seed=1)),
        (mixture(240, 12, 5), mixture(240, 12, 5)[:12]),
        (mixture(150, 6, 4), mixture(150, 6, 4)[[0, 6, 12, 1, 2, 3]]),
        (randn(100, 2), torch.cat([randn(4, 2, seed=2), torch.full((3, 2), 30.0)])),  # codes without a sample
        (randn(20, 2), randn(15, 2, seed=3)),
    ],
    ids=["one cloud", "clusters", "clusters to find", "empty", "many codes"],
)
def test_iterations_match_loops(samples, first, offset):
    samples, first = samples + offset, first + offset
    means, codes, iterations = lloyd(samples, first, 25)
    found = k_means(samples, len(first), first=first, iterations=25)
    np.testing.assert_allclose(found.codebook.numpy(), means, rtol=1e-5, atol=1e-5)
    assert found.codes.tolist() == codes
    assert found.iterations == iterations
    inertia = squared(samples, torch.from_numpy(means)).min(1).values.sum().item()
    assert found.inertia.item() == pytest.approx(inertia, rel=1e-4)
    assert found.inertia.dtype == torch.float64


@pytest.mark.parametrize("iterations", [1, 3, 10])
@pytest.mark.parametrize("samples", [randn(2000, 8), mixture(2000, 40, 8)], ids=["one cloud", "clusters"])
def test_iterations_match_scikit_learn(samples, iterations):
    cluster = pytest.importorskip("sklearn.cluster")
    first = samples[:40]
    theirs = cluster.KMeans(40, init=first.numpy(), n_init=1, max_iter=iterations, tol=0)
    theirs.fit(samples.numpy())
    found = k_means(samples, 40, first=first, iterations=iterations)
    np.testing.assert_allclose(found.codebook.numpy(), theirs.cluster_centers_, rtol=1e-4, atol=1e-5)
    assert found.inertia.item() == pytest.approx(theirs.inertia_, rel=1e-5)


@pytest.mark.parametrize("samples", [randn(3000, 10), mixture(3000, 60, 10)], ids=["one cloud", "clusters"])
def test_codes_are_the_nearest_of_the_centres_returned(samples):
    torch.manual_seed(0)
    for iterations in (0, 1, 4):
        found = k_means(samples, 70, iterations=iterations)
        distances = squared(samples, found.codebook)
        chosen = distances.gather(1, found.codes[:, None])[:, 0]
        torch.testing.assert_close(chosen, distances.min(1).values, rtol=1e-5, atol=1e-7)
        assert found.inertia.item() == pytest.approx(chosen.sum().item(), rel=1e-5)


def test_iterations_never_raise_the_inertia():
    samples = randn(500, 4)
    inertia = [k_means(samples, 20, first=samples[:20], iterations=n).inertia.item() for n in range(8)]
    assert all(after <= before for before, after in itertools.pairwise(inertia))


def test_several_codebooks_are_clustered_each_by_itself():
    samples = randn(300, 6)
    first = samples[:9].view(9, 2, 3).transpose(0, 1)
    found = k_means(samples, 9, num_codebooks=2, first=first, iterations=50)
    assert (found.codebook.shape, found.codes.shape, found.inertia.shape) == ((2, 9, 3), (300, 2), (2,))
    alone = [k_means(block, 9, first=first[q], iterations=50) for q, block in enumerate(samples.chunk(2, 1))]
    for q, one in enumerate(alone):
        assert torch.equal(found.codebook[q], one.codebook)
        assert torch.equal(found.codes[:, q], one.codes)
    assert torch.equal(found.codes, nearest(samples, found.codebook))
    assert found.iterations == max(one.iterations for one in alone)


def test_the_best_of_several_runs_counts():
    samples = mixture(200, 20, 2, spread=0.02)
    draw = torch.Generator().manual_seed(6)
    singles = [k_means(samples, 20, candidates=1, generator=draw).inertia.item() for _ in range(6)]
    draw = torch.Generator().manual_seed(6)
    best = k_means(samples, 20, candidates=1, restarts=6, generator=draw)
    assert max(singles) > min(singles)
    assert best.inertia.item() == min(singles)


def test_a_tolerance_ends_it_where_the_centres_hardly_move():
    samples = randn(2000, 2)
    full = k_means(samples, 30, first=samples[:30], iterations=200)
    ended = k_means(samples, 30, first=samples[:30], iterations=200, tolerance=1e-2)
    before = k_means(samples, 30, first=samples[:30], iterations=ended.iterations - 1)
    enough = 1e-2 * samples.var(0, correction=0).mean()
    assert 1 < ended.iterations < full.iterations < 200
    assert (ended.codebook - before.codebook).square().sum() <= enough


def test_one_code_is_the_mean():
    samples = randn(30, 3)
    found = k_means(samples, 1)
    torch.testing.assert_close(found.codebook, samples.mean(0, keepdim=True))
    assert found.codes.tolist() == [0] * 30


def test_every_sample_can_be_a_code():
    samples = randn(40, 3)
    assert k_means(samples, 40).codes.unique().tolist() == list(range(40))


@pytest.mark.parametrize("cluster", [kmeans_plus_plus, k_means])
def test_what_cannot_be_clustered_is_refused_in_one_line(cluster):
    broken = torch.where(torch.arange(10)[:, None] == 3, torch.nan, randn(10, 4))
    with pytest.raises(ValueError, match=r"^11 codes cannot be found in 10 samples"):
        cluster(randn(10, 4), 11)
    with pytest.raises(ValueError, match=r"^1 of 10 samples are not finite"):
        cluster(broken, 2)
    with pytest.raises(ValueError, match=r"shape \(10, 4\).*codebooks, 3"):
        cluster(randn(10, 4), 2, num_codebooks=3)


def test_first_centres_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"first has shape \(2, 4\); accepted: \(3, 4\)"):
        k_means(randn(10, 4), 3, first=randn(2, 4))


def test_autocast_and_gradients_change_nothing():
    samples, first = randn(200, 8), randn(10, 8, seed=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = k_means(samples.clone().requires_grad_(), 10, first=first)
    assert torch.equal(found.codebook, k_means(samples, 10, first=first).codebook)
    assert not found.codebook.requires_grad


def test_memory_does_not_grow_with_samples_times_codes():
    total, num_codes, dim = 10_000, 1_000, 4
    samples = randn(total, dim)
    cpu = torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[cpu], profile_memory=True, acc_events=True) as profile:
        k_means(samples, num_codes, candidates=1, iterations=1)
    largest = max(event.self_cpu_memory_usage for event in profile.events())
    assert largest < total * num_codes * 4 / 8
