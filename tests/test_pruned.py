"""Tests of the search that leaves out groups of codewords."""

from __future__ import annotations

import pytest
import torch
from clouds import mixture, randn, squared

from unitdisc.codebook import nearest, pruned
from unitdisc.codebook.dense import dense_codes
from unitdisc.codebook.pruned import pruned_codes

SHAPES = [(500, 300, 5), (257, 1000, 16), (1000, 64, 3), (128, 40, 1)]


PROMISING = pruned._promising_centres


@pytest.fixture(autouse=True)
def _always_pruned(monkeypatch):
    monkeypatch.setattr(pruned, "FEWEST_LATENTS", 2)
    monkeypatch.setattr(pruned, "FEWEST_CODES", 2)
    monkeypatch.setattr(pruned, "_PER_GROUP", 2)
    monkeypatch.setattr(pruned, "_promising_centres", lambda _, codebook: pruned._centres(codebook[:61]))


def clusters(total: int, dim: int, *, seed: int) -> torch.Tensor:
    return mixture(total, 12, dim, seed=0) + 0.1 * randn(total, dim, seed=seed)


def dense(latents: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
    return dense_codes(latents[:, None], codebook[None])[:, 0]


def nearest64(latents: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
    return squared(latents, codebook).argmin(1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_pruned_search_is_exact_wherever_clusters_lie(shape, offset):
    count, num_codes, dim = shape
    latents = clusters(count, dim, seed=1).double() + offset
    codebook = clusters(num_codes, dim, seed=2).double() + offset
    latents, codebook = latents.float(), codebook.float()
    distances = squared(latents, codebook)
    found = distances.gather(1, pruned_codes(latents, codebook)[:, None])[:, 0]
    assert torch.all(found <= distances.amin(1) * (1 + 1e-4) + 1e-6)
    assert torch.equal(nearest(latents, codebook), dense(latents, codebook))


@pytest.mark.parametrize("shape", SHAPES[:2], ids=str)
def test_pruned_search_is_exact_without_clusters(shape):
    count, num_codes, dim = shape
    latents, codebook = randn(count, dim, seed=1), randn(num_codes, dim, seed=2)
    assert torch.equal(pruned_codes(latents, codebook), nearest64(latents, codebook))


def test_lowest_code_wins_where_codewords_are_equal():
    few = clusters(50, 8, seed=1)
    codebook = few[torch.randperm(400, generator=torch.Generator().manual_seed(0)) % 50]
    latents = clusters(300, 8, seed=2)
    assert torch.equal(pruned_codes(latents, codebook), nearest64(latents, codebook))


def test_lowest_code_wins_between_groups_at_one_distance():
    corners = torch.cartesian_prod(
        *[torch.tensor([-1.0, 1.0])] * 6
    )  # their mean is 0, and all sums are exact
    grid = torch.cartesian_prod(*[torch.tensor([-1.0, 0.0, 1.0])] * 6)
    assert torch.equal(pruned_codes(grid, corners), nearest64(grid, corners))


def test_all_codewords_at_one_place_give_code_0():
    assert not pruned_codes(clusters(100, 4, seed=1), torch.ones(64, 4)).any()


def test_latents_far_beyond_all_codewords_find_the_nearest():
    latents, codebook = 1e4 * clusters(200, 6, seed=1), clusters(300, 6, seed=2)
    assert torch.equal(pruned_codes(latents, codebook), dense(latents, codebook))


def test_chunks_and_pieces_change_nothing(monkeypatch):
    latents, codebook = clusters(700, 8, seed=1), clusters(600, 8, seed=2)
    whole = pruned_codes(latents, codebook)
    monkeypatch.setattr(pruned, "_BOUNDS", 1000)
    monkeypatch.setattr(pruned, "_SCORES", 300)
    assert torch.equal(pruned_codes(latents, codebook), whole)


def test_search_compares_few_codewords_of_clusters(monkeypatch):
    compared = []
    best = pruned._best
    monkeypatch.setattr(
        pruned,
        "_best",
        lambda table, rows, scores: compared.append(len(table) * len(rows)) or best(table, rows, scores),
    )
    pruned_codes(clusters(1000, 16, seed=1), clusters(1200, 16, seed=2))
    assert 0 < sum(compared) < 0.3 * 1000 * 1200


def test_noise_is_left_to_the_whole_search(monkeypatch):
    monkeypatch.setattr(pruned, "_promising_centres", PROMISING)
    latents, codebook = randn(300, 32, seed=1), randn(400, 32, seed=2)
    assert pruned_codes(latents, codebook) is None
    assert torch.equal(nearest(latents, codebook), dense(latents, codebook))


def test_sample_of_clusters_promises_a_small_share(monkeypatch):
    monkeypatch.setattr(pruned, "_promising_centres", PROMISING)
    assert pruned_codes(clusters(300, 16, seed=1), clusters(1000, 16, seed=2)) is not None


@pytest.mark.parametrize(("name", "few"), [("FEWEST_LATENTS", (9, 500)), ("FEWEST_CODES", (500, 9))])
def test_small_searches_are_left_to_the_whole_search(monkeypatch, name, few):
    monkeypatch.setattr(pruned, name, 10)
    latents, codebook = clusters(few[0], 8, seed=1), clusters(few[1], 8, seed=2)
    assert pruned_codes(latents, codebook) is None
    assert torch.equal(nearest(latents, codebook), dense(latents, codebook))
