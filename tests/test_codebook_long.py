"""The search for the nearest codeword of long latents, which stay where they are where that loses nothing."""

from __future__ import annotations

import pytest
import torch

from unitdisc.codebook import nearest
from unitdisc.codebook.dense import _may_stay

DIM = 300


def exact(latents: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
    return torch.cdist(
        latents.double(), codebook.double(), compute_mode="donot_use_mm_for_euclid_dist"
    ).argmin(1)


@pytest.mark.parametrize("distance", [0.0, 0.5, 3.0, 1000.0])
@pytest.mark.parametrize("num_codes", [5, 500, 2100])
def test_long_latents_find_the_nearest_codeword_wherever_they_lie(num_codes: int, distance: float) -> None:
    torch.manual_seed(0)
    latents = torch.randn(700, DIM) + distance
    codebook = torch.randn(num_codes, DIM) + distance
    assert torch.equal(nearest(latents, codebook), exact(latents, codebook))


@pytest.mark.parametrize("count", [1, 2, 333])
def test_of_equal_codewords_the_first_is_found(count: int) -> None:
    torch.manual_seed(0)
    codebook = torch.randn(90, DIM).repeat(3, 1)
    latents = codebook[:count] + 0.01
    found = nearest(latents, codebook)
    assert torch.equal(found, exact(latents, codebook))
    assert found.max() < 90


def test_several_codebooks_are_searched_each_by_itself() -> None:
    torch.manual_seed(0)
    latents, codebooks = torch.randn(50, 2, DIM), torch.randn(2, 40, DIM)
    found = nearest(latents.flatten(1), codebooks)
    for book in range(2):
        assert torch.equal(found[:, book], exact(latents[:, book], codebooks[book]))


def test_latents_of_half_precision_are_searched_in_float32() -> None:
    torch.manual_seed(0)
    latents, codebook = torch.randn(50, DIM).bfloat16(), torch.randn(40, DIM)
    assert torch.equal(nearest(latents, codebook), exact(latents.float(), codebook))


@pytest.mark.parametrize(("distance", "stays"), [(0.0, True), (0.5, True), (1.5, False)])
def test_latents_stay_while_codewords_lie_around_the_origin(distance: float, *, stays: bool) -> None:
    torch.manual_seed(0)
    books = torch.randn(1, 200, DIM) + distance
    mean = books.mean(1, keepdim=True)
    bias = (books - mean).square().sum(2) / -2
    assert _may_stay(bias, mean) is stays
    assert not _may_stay(bias, mean[..., :32])
