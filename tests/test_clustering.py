"""Lloyd's algorithm against loops and scikit-learn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from tests.clouds import mixture, randn, squared
from unitdisc.codebook import nearest
from unitdisc.codebook.clustering import k_means, kmeans_plus_plus


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


class Largest(TorchFunctionMode):
    """Notes the size of the largest tensor that an operation returns."""

    size = 0

    def __torch_function__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        for value in result if isinstance(result, tuple | list) else (result,):
            if isinstance(value, torch.Tensor):
                self.size = max(self.size, value.numel())
        return result


def test_no_tensor_holds_all_distances():
    samples = randn(24_000, 4)
    with Largest() as largest:
        k_means(samples, 1_000, candidates=2, iterations=2)
    assert 0 < largest.size < 24_000 * 1_000 / 8
