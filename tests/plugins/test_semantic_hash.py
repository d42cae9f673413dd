"""The rule semantic_hash against plain loops and finite differences of its estimator."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch

from tests.plugins.finite_differences import slopes
from unitdisc.parts import Padded
from unitdisc.testing import check_bottleneck
from unitdisc_semantic_hash.rule import SemanticHash

LENGTHS = torch.tensor([6, 0, 3])


def padded(dim: int = 4) -> Padded:
    generator = torch.Generator().manual_seed(1)
    return Padded(torch.randn(3, 7, dim, generator=generator).requires_grad_(), LENGTHS)


def saturating(number: float) -> float:
    return max(0.0, min(1.0, 1.2 / (1 + math.exp(-number)) - 0.1))


class Oracle:
    """The rule in float64 loops; ``offset`` is what makes a value of the sigmoid a bit, a constant."""

    def __init__(self, rule: SemanticHash, batch: Padded, noise: np.ndarray, is_hard: np.ndarray) -> None:
        self.latents = batch.values.detach()[batch.mask].double().numpy()
        self.arrays = {name: value.detach().double().numpy() for name, value in rule.named_parameters()}
        self.noise, self.is_hard = noise, is_hard
        self.offset = np.zeros_like(noise)
        self.codes = np.zeros(noise.shape[:2], dtype=int)
        for n, q, i in np.ndindex(noise.shape):
            value = self.soft(n, q, i)
            bit = int(value > 0.5)
            self.offset[n, q, i] = bit - value if is_hard[n] else 0.0
            self.codes[n, q] += bit * 2**i

    def soft(self, n: int, q: int, i: int) -> float:
        weight = self.arrays["into.weight"][q]
        block = self.latents[n, q * len(weight) : (q + 1) * len(weight)]
        number = sum(x * w for x, w in zip(block, weight[:, i], strict=True))
        return saturating(number + self.arrays["into.bias"][q, i] + self.noise[n, q, i])

    def values(self, n: int) -> np.ndarray:
        found = []
        for q, (weight, bias) in enumerate(
            zip(self.arrays["back.weight"], self.arrays["back.bias"], strict=True)
        ):
            passed = [self.soft(n, q, i) + self.offset[n, q, i] for i in range(len(weight))]
            found += [
                sum(v * w for v, w in zip(passed, column, strict=True)) + bias[d]
                for d, column in enumerate(weight.T)
            ]
        return np.array(found)

    def total(self, task: np.ndarray) -> float:
        return float(sum(row @ self.values(n) for n, row in enumerate(task)))


@pytest.mark.parametrize(
    "make",
    [
        partial(SemanticHash, bits=5),
        partial(SemanticHash, bits=4, noise=0.0, ramp_until=0.0),
        partial(SemanticHash, bits=12, num_codebooks=4, noise=0.5, discrete_share=1.0),
    ],
)
def test_semantic_hash_keeps_the_contract(make):
    check_bottleneck(make)


@pytest.mark.parametrize("books", [1, 2])
def test_training_and_its_gradients_are_those_of_the_loops(books):
    torch.manual_seed(0)
    rule = SemanticHash(4, bits=3, num_codebooks=books, noise=0.8)
    rule.before_step(0.5)
    batch = padded()
    task = torch.randn(batch.values.shape)
    torch.manual_seed(7)
    noise = 0.8 * torch.randn(9, books, 3).double().numpy()
    oracle = Oracle(rule, batch, noise, torch.rand(9).numpy() < 0.5)
    assert 0 < oracle.is_hard.sum() < 9

    torch.manual_seed(7)
    output = rule(batch)
    (output.values * task)[batch.mask].sum().backward()

    assert np.array_equal(output.codes[batch.mask].numpy(), oracle.codes)
    expected = np.array([oracle.values(n) for n in range(9)])
    assert np.allclose(output.values[batch.mask].detach().numpy(), expected, atol=1e-6)
    assert output.loss.item() == 0
    function = partial(oracle.total, task[batch.mask].double().numpy())
    slope = slopes(function, oracle.latents)
    assert np.allclose(batch.values.grad[batch.mask].numpy(), slope, rtol=1e-4, atol=1e-5)
    for name, parameter in rule.named_parameters():
        slope = slopes(function, oracle.arrays[name])
        assert np.allclose(parameter.grad.numpy(), slope, rtol=1e-4, atol=1e-5)


def test_evaluation_uses_bits_without_noise():
    torch.manual_seed(0)
    rule, batch = SemanticHash(4, bits=5, num_codebooks=2).eval(), padded()
    oracle = Oracle(rule, batch, np.zeros((9, 2, 5)), np.ones(9, dtype=bool))
    output = rule(batch)
    assert np.array_equal(output.codes[batch.mask].numpy(), oracle.codes)
    expected = np.array([oracle.values(n) for n in range(9)])
    assert np.allclose(output.values[batch.mask].detach().numpy(), expected, atol=1e-6)


def test_saturated_bits_pass_no_gradient():
    """The slope of the sigmoid is 0 where 1.2 sigmoid(x) - 0.1 leaves [0, 1], from |x| = log 11 on."""
    rule = SemanticHash(1, bits=1, noise=0.0)
    torch.nn.init.ones_(rule.into.weight)
    torch.nn.init.ones_(rule.back.weight)
    edge = math.log(11)
    latents = torch.tensor([[[edge + 0.01], [edge - 0.01], [-edge - 0.01], [0.0]]], requires_grad=True)
    rule(Padded(latents, torch.tensor([4]))).values.sum().backward()
    assert latents.grad.flatten().tolist() == pytest.approx([0.0, 1.2 * 11 / 144, 0.0, 0.3], abs=2e-3)


def test_share_of_bits_rises_to_its_end_and_stays():
    rule = SemanticHash(4, bits=3, discrete_share=0.6, ramp_until=0.2)
    shares = []
    for progress in (0.0, 0.1, 0.2, 0.9):
        rule.before_step(progress)
        shares.append(rule(padded()).stats["discrete_share"].item())
    assert shares == pytest.approx([0.0, 0.3, 0.6, 0.6])
    assert SemanticHash(4, bits=3, ramp_until=0.0).share == 0.5


def test_that_share_of_latents_passes_bits_on():
    torch.manual_seed(0)
    rule = SemanticHash(4, bits=4, discrete_share=0.3, ramp_until=0.0)
    output = rule(Padded(torch.randn(1, 10_000, 4), torch.tensor([10_000])))
    is_codeword = (output.values - rule.lookup(output.codes)).abs().amax(-1) < 1e-5
    assert is_codeword.float().mean().item() == pytest.approx(0.3, abs=0.02)


def test_stats_count_the_codes():
    rule = SemanticHash(2, bits=2).eval()
    with torch.no_grad():
        rule.into.weight.copy_(torch.eye(2))
    latents = torch.tensor([[[1.0, -1.0], [-1.0, -1.0], [2.0, -3.0], [-4.0, -0.1], [9.0, 9.0]]])
    output = rule(Padded(latents, torch.tensor([4])))
    assert output.codes.flatten().tolist() == [1, 0, 1, 0, -1]
    assert output.stats["batch_perplexity"].item() == pytest.approx(2.0)
    assert output.stats["used"].item() == pytest.approx(0.5)
