"""Search, quantisation and usage against float64, autograd and closed forms."""

from __future__ import annotations

import importlib
import math

import pytest
import torch
from torch.overrides import TorchFunctionMode

from unitdisc.codebook import (
    batch_stats,
    code_counts,
    dead_share,
    initial_codebook,
    lookup,
    nearest,
    perplexity,
    put_back,
    quantize,
    search_workspace,
    valid_latents,
)
from unitdisc.parts import Padded


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def nearest64(latents: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
    """The definition, in float64."""
    distances = (latents.double()[:, None] - codebook.double()[None]).square().sum(2)
    return distances.argmin(1)


@pytest.mark.parametrize(("offset", "spread"), [(0.0, 1.0), (100.0, 1.0), (5.0, 0.01)])
@pytest.mark.parametrize("shape", [(3000, 16, 64), (257, 64, 5), (1, 3, 7), (2, 1, 1000), (0, 4, 3)])
def test_nearest_is_exact_wherever_the_data_lie(offset, spread, shape):
    count, dim, codes = shape
    latents = offset + spread * randn(count, dim)
    codebook = offset + spread * randn(codes, dim, seed=1)
    assert torch.equal(nearest(latents, codebook), nearest64(latents, codebook))


def test_nearest_of_several_codebooks_is_the_nearest_of_each_block():
    latents, codebooks = randn(4, 9, 6), randn(3, 8, 2, seed=1)
    codes = nearest(latents, codebooks)
    assert codes.shape == (4, 9, 3)
    for q, codebook in enumerate(codebooks):
        assert torch.equal(codes[..., q], nearest(latents[..., 2 * q : 2 * q + 2].contiguous(), codebook))


@pytest.mark.parametrize("count", [1, 2, 65, 200])
@pytest.mark.parametrize("codes", [2, 37, 513])
def test_ties_go_to_the_lowest_code(count, codes):
    different = randn(max(codes // 3, 1), 24)
    codebook = different[torch.arange(codes) % len(different)]
    codes_found = nearest(randn(count, 24, seed=1), codebook)
    assert codes_found.max() < len(different)


@pytest.mark.parametrize("books", [1, 3])
@pytest.mark.parametrize(("size", "widest"), [(1, 2**11), (2**20, 7), (3000, 16), (5000, 33)])
def test_result_does_not_depend_on_tiles(monkeypatch, books, size, widest):
    latents, codebook = randn(1000, 24), randn(books, 150, 24 // books, seed=1)
    whole = nearest(latents, codebook)
    search = importlib.import_module("unitdisc.codebook.dense")
    monkeypatch.setattr(search, "_TILE", {"cpu": size})
    monkeypatch.setattr(search, "_WIDEST", {"cpu": widest})
    assert torch.equal(nearest(latents, codebook), whole)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_search_runs_in_float32(dtype):
    codebook = randn(64, 8)
    latents = randn(500, 8, seed=1).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(nearest(latents, codebook), nearest64(latents, codebook))


def test_reduced_precision_that_the_process_allows_is_off_in_the_search_and_back_afterwards():
    backend = torch.backends.mkldnn.matmul
    before = backend.fp32_precision
    backend.fp32_precision = "bf16"
    try:
        latents, codebook = randn(500, 8), randn(64, 8, seed=1)
        assert torch.equal(nearest(latents, codebook), nearest64(latents, codebook))
        assert backend.fp32_precision == "bf16"
    finally:
        backend.fp32_precision = before


class Allocated(TorchFunctionMode):
    """Keeps all memory that functions return, so that none is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: dict[int, torch.UntypedStorage] = {}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        del types
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.storages[result.untyped_storage().data_ptr()] = result.untyped_storage()
        return result


@pytest.mark.parametrize(("count", "dim", "codes"), [(3000, 16, 512), (150, 4, 65536)])
def test_search_holds_no_more_than_its_workspace(count, dim, codes):
    latents, codebook = randn(count, dim), randn(codes, dim, seed=1)
    given = {tensor.untyped_storage().data_ptr() for tensor in (latents, codebook)}
    with Allocated() as allocated:
        nearest(latents, codebook)
    used = sum(len(storage) for address, storage in allocated.storages.items() if address not in given)
    assert used <= search_workspace(count, codes, dim) + 2 * 8 * count  # the codes, per book and together
    assert search_workspace(10**9, codes, dim) < 24 * 2**20


@pytest.mark.parametrize(
    ("latents", "codebook", "message"),
    [
        (
            (5, 3),
            (4, 2),
            r"latents have shape \(5, 3\); accepted for a codebook of shape \(4, 2\): \(..., 2\)",
        ),
        ((5, 3), (2, 4, 2), r"accepted for a codebook of shape \(2, 4, 2\): \(..., 4\)"),
        ((), (4, 2), r"latents have shape \(\)"),
        ((5, 3), (3,), r"codebook has shape \(3,\); accepted: \(K, D\) or \(Q, K, d\)"),
        ((5, 3), (0, 3), r"codebook has shape \(0, 3\)"),
    ],
)
def test_wrong_shapes_are_named(latents, codebook, message):
    with pytest.raises(ValueError, match=message):
        nearest(torch.zeros(latents), torch.zeros(codebook))


def test_lookup_gives_codewords_and_zeros():
    codebooks = randn(2, 5, 3)
    vectors = lookup(torch.tensor([[[4, 0]], [[-1, 2]]]), codebooks)
    assert torch.equal(vectors[0, 0], torch.cat([codebooks[0, 4], codebooks[1, 0]]))
    assert torch.equal(vectors[1, 0], torch.cat([torch.zeros(3), codebooks[1, 2]]))
    assert torch.equal(
        lookup(torch.tensor([3, -1]), codebooks[0]), torch.stack([codebooks[0, 3], torch.zeros(3)])
    )


def detach_trick(latents, codebook):
    """Paper A, eq. 2 in plain operations on one codebook."""
    codes = nearest64(latents.detach(), codebook.detach())
    chosen = codebook[codes]
    values = latents + (chosen - latents).detach()
    return values, (latents.detach() - chosen).square().mean(), (latents - chosen.detach()).square().mean()


@pytest.mark.parametrize("weights", [(1.0, 1.0, 0.25), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
def test_gradients_of_quantize_are_those_of_the_detach_trick(weights):
    task = randn(50, 6, seed=2)

    def gradients(function):
        latents, codebook = randn(50, 6).requires_grad_(), randn(7, 6, seed=1).requires_grad_()
        values, codebook_loss, commitment_loss = function(latents, codebook)
        loss = weights[0] * (values * task).sum() + weights[1] * codebook_loss + weights[2] * commitment_loss
        loss.backward()
        return values, codebook_loss, commitment_loss, latents.grad, codebook.grad

    def ours(latents, codebook):
        found = quantize(latents, codebook)
        return found.values, found.codebook_loss, found.commitment_loss

    for found, expected in zip(gradients(ours), gradients(detach_trick), strict=True):
        if expected is not None:
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_losses_reach_their_own_side_only():
    latents, codebook = randn(10, 4).requires_grad_(), randn(2, 5, 2, seed=1).requires_grad_()
    found = quantize(latents, codebook)
    inputs = (latents, codebook)
    assert torch.autograd.grad(found.codebook_loss, inputs, retain_graph=True, allow_unused=True)[0] is None
    assert torch.autograd.grad(found.commitment_loss, inputs, retain_graph=True, allow_unused=True)[1] is None
    to_latents, to_codebook = torch.autograd.grad(found.values.sum(), inputs, allow_unused=True)
    assert to_codebook is None
    assert torch.equal(to_latents, torch.ones(10, 4))


def test_quantize_saves_one_matrix_of_the_latents_size():
    latents, codebook = randn(100, 8).requires_grad_(), randn(5, 8, seed=1)  # a buffer, as in EMA
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: saved.append(tensor.shape), lambda tensor: tensor
    ):
        quantize(latents, codebook)
    assert saved == [(100, 8)]


def test_quantize_nothing():
    found = quantize(torch.zeros(0, 4, requires_grad=True), randn(2, 5, 2).requires_grad_())
    assert found.codes.shape == (0, 2)
    assert found.codebook_loss.item() == found.commitment_loss.item() == 0
    (found.codebook_loss + found.commitment_loss).backward()


def test_counts_leave_out_padding():
    codes = torch.tensor([[[0, 2], [0, 1]], [[2, 2], [-1, -1]]])
    assert code_counts(codes, 3).tolist() == [[2, 0, 1], [0, 1, 2]]
    assert code_counts(torch.empty(0, 2, dtype=torch.int64), 3).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_perplexity_of_known_distributions():
    counts = torch.tensor([[5, 5, 5, 5], [9, 0, 0, 0], [1, 1, 2, 0], [0, 0, 0, 0]])
    bits = 1.5  # of (1/4, 1/4, 1/2)
    assert perplexity(counts).tolist() == pytest.approx([4, 1, 2**bits, 1])
    assert dead_share(counts).tolist() == [0, 0.75, 0.25, 1]


def test_stats_of_no_latents_are_finite():
    stats = batch_stats(torch.zeros(0, 4), torch.zeros(0, 2, dtype=torch.int64), randn(2, 5, 2))
    assert {name: value.item() for name, value in stats.items()} == {
        "batch_perplexity": 1,
        "used": 0,
        "norm_ratio": 0,
    }


def test_valid_latents_go_and_come_back():
    latents = Padded(randn(3, 4, 2), torch.tensor([4, 0, 2]))
    vectors, places = valid_latents(latents)
    assert torch.equal(vectors, latents.values[latents.mask])
    back = put_back(vectors, places, latents, fill=-1)
    assert torch.equal(back, torch.where(latents.mask[..., None], latents.values, -1))


def test_latents_that_are_not_finite_are_counted():
    latents = Padded(torch.zeros(2, 4, 3), torch.tensor([4, 2]))
    latents.values[0, 1, 2] = math.nan
    latents.values[1, 0] = math.inf
    latents.values[1, 3] = math.nan  # padding
    with pytest.raises(ValueError, match="2 of 6 latents are not finite"):
        valid_latents(latents)


@pytest.mark.parametrize(("init", "bound"), [("xavier_uniform", math.sqrt(6 / 104)), ("uniform", 0.01)])
def test_first_codebook_fills_its_interval(init, bound):
    torch.manual_seed(0)
    codebook = initial_codebook(init, num_codebooks=2, num_codes=100, dim=8)
    assert codebook.shape == (2, 100, 4)
    assert bound * 0.98 < codebook.abs().max() <= bound
