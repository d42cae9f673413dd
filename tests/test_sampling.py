"""Sampled codes: distribution, the same draws as plain float64 loops, ties and extremes, memory."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from unitdisc.codebook import nearest, sampling
from unitdisc.codebook.sampling import (
    draw_uniforms,
    quantize_mean,
    sample_codes,
    samples_at,
    sampling_workspace,
)


def posterior(latent: np.ndarray, codebook: np.ndarray, temperature: float) -> np.ndarray:
    """Softmax of minus squared distances over the temperature, in float64."""
    logits = np.array([-sum((latent - codeword) ** 2) / temperature for codeword in codebook])
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def loop_codes(latents, codebook, uniforms, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Codes (N, Q, m) by adding up probabilities, and how far each uniform is from the nearest edge."""
    blocks = latents.double().numpy().reshape(len(latents), len(codebook), -1)
    codes = np.zeros(uniforms.shape, dtype=int)
    margins = np.zeros(uniforms.shape)
    for n, row in enumerate(blocks):
        for q, block in enumerate(row):
            edges = posterior(block, codebook[q].double().numpy(), temperature).cumsum()
            for s, uniform in enumerate(uniforms[n, q].numpy()):
                codes[n, q, s] = sum(edges <= uniform)
                margins[n, q, s] = abs(edges - uniform).min()
    return codes, margins


def peak_bytes(work) -> int:
    """The most bytes of tensors that were alive at once while ``work`` ran."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as seen:
        work()
    held = [event.nbytes() for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    return int(np.cumsum(held).max())


@pytest.mark.parametrize("temperature", [0.3, 1.0, 20.0])
@pytest.mark.parametrize("num_codes", [3, 32, 100])
def test_draws_follow_the_float64_softmax(num_codes, temperature):
    """Chi-square over codes that are expected at least 5 times, the others together."""
    torch.manual_seed(1)
    codebook, latent = torch.randn(num_codes, 4), torch.randn(1, 4)
    draws = sample_codes(latent.expand(200, -1), codebook, 500, temperature=temperature)
    shares = posterior(latent[0].double().numpy(), codebook.double().numpy(), temperature)
    expected = shares * draws.numel()
    found = np.bincount(draws.flatten().numpy(), minlength=num_codes)
    often = expected >= 5
    statistic = sum((found[often] - expected[often]) ** 2 / expected[often])
    degrees = often.sum() - 1
    if not often.all():
        statistic += (found[~often].sum() - expected[~often].sum()) ** 2 / max(expected[~often].sum(), 1)
        degrees += 1
    assert statistic < degrees + 4 * math.sqrt(2 * max(degrees, 1)) + 4


@pytest.mark.parametrize(("books", "num_codes", "offset"), [(1, 70, 0.0), (3, 5, 0.0), (2, 40, 100.0)])
def test_draws_are_those_of_loops_with_the_same_uniforms(books, num_codes, offset):
    torch.manual_seed(0)
    codebook = torch.randn(books, num_codes, 4) + offset
    latents = torch.randn(40, 4 * books) + offset
    uniforms = draw_uniforms(latents, (books,), 6)
    codes, margins = loop_codes(latents, codebook, uniforms, temperature=2.0)
    found = samples_at(latents, codebook, uniforms, temperature=2.0)
    others = found.codes.numpy() != codes
    assert others.sum() <= 1
    assert (margins[others] < 1e-5).all()
    assert torch.equal(found.nearest, nearest(latents, codebook))


def test_float32_differs_from_float64_in_fewer_than_one_draw_in_a_hundred_thousand():
    torch.manual_seed(0)
    codebook, latents = torch.randn(1000, 16), torch.randn(500, 16)
    uniforms = draw_uniforms(latents, (), 400)
    squares = (latents.double()[:, None] - codebook.double()).square().sum(-1)
    edges = torch.softmax(-squares, 1).cumsum(1)
    exact = torch.searchsorted(edges, uniforms, right=True)
    assert int((samples_at(latents, codebook, uniforms).codes != exact).sum()) <= 2


@pytest.mark.parametrize("temperature", [0.0, 1e-45, 1e-30, 1e-12])
def test_vanishing_temperature_gives_the_nearest_code(temperature):
    torch.manual_seed(0)
    latents, codebook = torch.randn(300, 8) * 100, torch.randn(2, 50, 4) * 100
    codes = sample_codes(latents, codebook, 3, temperature=temperature)
    assert torch.equal(codes, nearest(latents, codebook).unsqueeze(-1).expand(-1, -1, 3))


def test_equal_codewords_share_their_draws_and_the_lowest_is_taken_at_temperature_zero():
    codebook = torch.tensor([[5.0, 5], [1, 0], [1, 0], [1, 0]])
    latents = torch.tensor([[1.0, 0.1]]).expand(3000, -1)
    torch.manual_seed(0)
    found = torch.bincount(sample_codes(latents, codebook, 1, temperature=1e-6).flatten(), minlength=4)
    assert found[0] == 0
    assert (found[1:] - 1000).abs().max() < 4 * math.sqrt(3000 * 2 / 9)
    assert set(sample_codes(latents, codebook, 2, temperature=0.0).flatten().tolist()) == {1}


def test_ends_of_the_unit_interval_give_codes_with_a_weight():
    codebook = torch.cat([torch.full((40, 2), 1e4), torch.eye(2), torch.full((40, 2), -1e4)])
    uniforms = torch.tensor([[0.0, 1 - 2**-53]], dtype=torch.float64).expand(7, -1)
    codes = samples_at(torch.zeros(7, 2), codebook, uniforms).codes
    assert codes.tolist() == [[40, 41]] * 7


def test_how_the_work_is_cut_does_not_show(monkeypatch):
    torch.manual_seed(0)
    latents, codebook = torch.randn(901, 6), torch.randn(2, 33, 3)
    uniforms = draw_uniforms(latents, (2,), 4)
    whole = samples_at(latents, codebook, uniforms)
    monkeypatch.setitem(sampling._CHUNK, "cpu", 1)
    for found, expected in zip(samples_at(latents, codebook, uniforms), whole, strict=True):
        assert torch.equal(found, expected)
    alone = samples_at(latents[:1], codebook, uniforms[:1])
    assert torch.equal(alone.codes, whole.codes[:1])


def test_micro_batches_draw_what_one_batch_draws():
    latents, codebook = torch.randn(50, 6), torch.randn(2, 9, 3)
    torch.manual_seed(3)
    whole = sample_codes(latents, codebook, 3)
    torch.manual_seed(3)
    parts = [sample_codes(part, codebook, 3) for part in latents.split([1, 20, 0, 29])]
    assert torch.equal(torch.cat(parts), whole)


def test_search_is_float32_under_autocast():
    torch.manual_seed(0)
    latents, codebook = torch.randn(200, 8), torch.randn(30, 8)
    uniforms = draw_uniforms(latents, (), 2)
    expected = samples_at(latents, codebook, uniforms).codes
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(samples_at(latents, codebook, uniforms).codes, expected)
        assert torch.equal(samples_at(latents.double(), codebook, uniforms).codes, expected)


def test_soft_targets_need_no_one_hots():
    torch.manual_seed(0)
    logits, codes = torch.randn(20, 7), torch.randint(7, (20, 5))
    targets = functional.one_hot(codes, 7).float().mean(1)
    loss = -torch.log_softmax(logits, -1).gather(-1, codes).mean(-1)
    torch.testing.assert_close(loss, functional.cross_entropy(logits, targets, reduction="none"))


@pytest.mark.parametrize("estimator", ["straight_through", "rotation"])
def test_mean_of_codewords_has_the_gradient_of_one_codeword(estimator):
    """Equal draws, and draws of one code of the mean itself, give values, losses and gradient of `quantize`."""
    torch.manual_seed(0)
    latents = torch.randn(5, 6, requires_grad=True)
    codebook, samples = torch.randn(2, 4, 3), torch.randint(4, (5, 2, 3))
    found = quantize_mean(latents, codebook, samples, estimator=estimator)
    expected = torch.stack([codebook[q, samples[:, q]].mean(1) for q in range(2)], 1).flatten(1)
    torch.testing.assert_close(found.values, expected)
    loss = (latents - expected).square().mean()
    torch.testing.assert_close(found.commitment_loss, loss)
    (commitment,) = torch.autograd.grad(loss, latents)
    (pulled,) = torch.autograd.grad(found.commitment_loss, latents, retain_graph=True)
    torch.testing.assert_close(pulled, commitment)
    weights = torch.randn(5, 6)
    (passed,) = torch.autograd.grad((found.values * weights).sum(), latents)
    if estimator == "straight_through":
        assert torch.equal(passed, weights)
    else:
        lengths = expected.view(5, 2, 3).norm(dim=-1) / latents.view(5, 2, 3).norm(dim=-1)
        turned = passed.view(5, 2, 3).norm(dim=-1) / weights.view(5, 2, 3).norm(dim=-1)
        torch.testing.assert_close(turned, lengths)  # a rotation and a scale


def test_nothing_to_draw_gives_nothing():
    codes = sample_codes(torch.zeros(0, 4), torch.randn(2, 3, 2), 5)
    assert codes.shape == (0, 2, 5)
    assert quantize_mean(torch.zeros(0, 4), torch.randn(2, 3, 2), codes).values.shape == (0, 4)


def test_memory_is_far_below_all_distances():
    """65536 codes: the workspace is a chunk, and does not grow with the latents."""
    needed = sampling_workspace(100_000, 65536, 64, 10)
    assert needed < 2**26
    assert needed == sampling_workspace(10_000_000, 65536, 64, 10)
    assert needed < 100_000 * 65536 * 4 / 300


@pytest.mark.parametrize(
    ("count", "dim", "num_codes", "num_samples"),
    [(600, 8, 20_000, 10), (3000, 8, 16, 10), (3000, 16, 300, 100)],
)
def test_workspace_bounds_what_is_allocated(count, dim, num_codes, num_samples):
    latents, codebook = torch.randn(count, dim), torch.randn(num_codes, dim)
    uniforms = draw_uniforms(latents, (), num_samples)
    needed = peak_bytes(lambda: samples_at(latents, codebook, uniforms)) - 8 * count * (num_samples + 1)
    assert 0.3 < needed / sampling_workspace(count, num_codes, dim, num_samples) <= 1
