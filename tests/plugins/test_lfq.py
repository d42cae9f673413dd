"""The rule lfq against plain loops over all codes and finite differences of its estimator."""

from __future__ import annotations

import math
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch

from tests.plugins.finite_differences import slopes
from unitdisc.errors import RecipeError
from unitdisc.parts import Padded
from unitdisc.testing import check_bottleneck
from unitdisc_lfq.rule import LFQ

LENGTHS = torch.tensor([4, 0, 2])


def padded(dim: int) -> Padded:
    generator = torch.Generator().manual_seed(1)
    return Padded(torch.randn(3, 6, dim, generator=generator).requires_grad_(), LENGTHS)


def entropy(shares: list[float]) -> float:
    return -sum(share * math.log(share) for share in shares if share > 0)


class Oracle:
    """The rule in float64 loops; signs are constants, and p is a softmax over all codes."""

    def __init__(self, rule: LFQ, batch: Padded) -> None:
        self.latents = batch.values.detach()[batch.mask].double().numpy()
        self.arrays = {name: value.detach().double().numpy() for name, value in rule.named_parameters()}
        self.rule = rule
        numbers = self.numbers()
        self.signs = np.where(numbers > 0, 1.0, -1.0)
        self.offset = self.signs - numbers
        self.codes = ((self.signs > 0) * 2 ** np.arange(rule.bits)).sum(-1)

    def numbers(self) -> np.ndarray:
        found = np.zeros((len(self.latents), self.rule.num_codebooks, self.rule.bits))
        for n, q, i in np.ndindex(found.shape):
            block = self.latents[n].reshape(self.rule.num_codebooks, -1)[q]
            if "into.weight" in self.arrays:
                products = [x * w for x, w in zip(block, self.arrays["into.weight"][q, :, i], strict=True)]
                found[n, q, i] = sum(products) + self.arrays["into.bias"][q, i]
            else:
                found[n, q, i] = block[i]
        return found

    def values(self, n: int) -> np.ndarray:
        passed = self.numbers()[n] + self.offset[n]
        if "back.weight" not in self.arrays:
            return passed.flatten()
        weights, biases = self.arrays["back.weight"], self.arrays["back.bias"]
        return np.concatenate(
            [row @ weight + bias for row, weight, bias in zip(passed, weights, biases, strict=True)]
        )

    def entropies(self) -> tuple[float, float]:
        """The mean entropy of p, and the entropy of the mean p; means over codebooks."""
        samples, batches = [], []
        numbers = self.numbers()
        for q in range(numbers.shape[1]):
            rows = [self.shares(row[q]) for row in numbers]
            samples.append(sum(entropy(row) for row in rows) / len(rows))
            batches.append(entropy([sum(column) / len(rows) for column in zip(*rows, strict=True)]))
        return sum(samples) / len(samples), sum(batches) / len(batches)

    def shares(self, numbers: np.ndarray) -> list[float]:
        logits = [
            -sum((z - c) ** 2 for z, c in zip(numbers, code[::-1], strict=True)) / self.rule.temperature
            for code in product([-1, 1], repeat=self.rule.bits)
        ]
        parts = [math.exp(logit - max(logits)) for logit in logits]
        return [part / sum(parts) for part in parts]

    def loss(self) -> float:
        sample, batch = self.entropies()
        pull = float(((self.numbers() - self.signs) ** 2).mean())
        return self.rule.commitment * pull + self.rule.entropy * (sample - self.rule.diversity * batch)

    def total(self, task: np.ndarray) -> float:
        return float(sum(row @ self.values(n) for n, row in enumerate(task))) + self.loss()


@pytest.mark.parametrize(
    "make",
    [
        partial(LFQ, bits=4, num_codebooks=2, project=False),
        partial(LFQ, bits=1, num_codebooks=8, project=False, temperature=1.0),
        partial(LFQ, bits=5, diversity=0.0, temperature=1.0),
        partial(LFQ, bits=11, entropy=0.0),
        partial(LFQ, bits=5, num_codebooks=2),
    ],
)
def test_lfq_keeps_the_contract(make):
    check_bottleneck(make)


@pytest.mark.parametrize(("bits", "books"), [(1, 2), (3, 1), (4, 2)])
@pytest.mark.parametrize("project", [True, False])
def test_values_codes_loss_and_gradients_are_those_of_the_loops(bits, books, project):
    torch.manual_seed(0)
    dim = books * (3 if project else bits)
    rule = LFQ(
        dim,
        bits=bits,
        num_codebooks=books,
        project=project,
        entropy=0.7,
        diversity=1.3,
        temperature=2.5,
        commitment=0.4,
    )
    batch = padded(dim)
    task = torch.randn(batch.values.shape)
    oracle = Oracle(rule, batch)

    output = rule(batch)
    ((output.values * task)[batch.mask].sum() + output.loss).backward()

    assert np.array_equal(output.codes[batch.mask].numpy(), oracle.codes)
    expected = np.array([oracle.values(n) for n in range(6)])
    assert np.allclose(output.values[batch.mask].detach().numpy(), expected, atol=1e-6)
    found = [output.stats[name].item() for name in ("sample_entropy", "batch_entropy")]
    assert found == pytest.approx(list(oracle.entropies()), rel=1e-5)
    assert output.loss.item() == pytest.approx(oracle.loss(), rel=1e-5, abs=1e-6)
    function = partial(oracle.total, task[batch.mask].double().numpy())
    slope = slopes(function, oracle.latents)
    assert np.allclose(batch.values.grad[batch.mask].numpy(), slope, rtol=1e-4, atol=1e-5)
    for name, parameter in rule.named_parameters():
        slope = slopes(function, oracle.arrays[name])
        assert np.allclose(parameter.grad.numpy(), slope, rtol=1e-4, atol=1e-5)


def test_entropies_of_16_bits_are_exact_and_keep_nothing_as_large_as_codes_times_latents():
    """Signs drawn evenly and far from 0: no doubt about a latent's code, and as many codes as latents."""
    torch.manual_seed(0)
    latents = (torch.randn(1, 500, 16).sign() * 5).requires_grad_()
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda saved: kept.append(saved.numel()) or saved, lambda x: x
    ):
        output = LFQ(16, bits=16, project=False)(Padded(latents, torch.tensor([500])))
    used = output.codes.unique(return_counts=True)[1].double() / 500
    assert output.stats["sample_entropy"].item() == pytest.approx(0.0, abs=1e-6)
    assert output.stats["batch_entropy"].item() == pytest.approx(entropy(used.tolist()), rel=1e-5)
    assert max(kept) <= 500 * 2**8
    output.loss.backward()
    assert torch.isfinite(latents.grad).all()


def test_codes_count_their_bits_and_lookup_gives_the_signs():
    rule = LFQ(3, bits=3, project=False)
    latents = torch.tensor([[[0.1, -2.0, 3.0], [-1.0, 0.5, 0.0]]])
    output = rule(Padded(latents, torch.tensor([2])))
    assert output.codes.flatten().tolist() == [5, 2]
    assert output.values.tolist() == [[[1, -1, 1], [-1, 1, -1]]]
    assert rule.lookup(torch.tensor([[5], [-1]])).tolist() == [[1, -1, 1], [0, 0, 0]]


def test_gradient_of_diversity_spreads_bits_that_are_all_equal():
    rule = LFQ(2, bits=2, project=False, temperature=1.0, commitment=0.0)
    latents = torch.tensor([[[0.2, 0.2], [0.1, 0.1]]], requires_grad=True)
    rule(Padded(latents, torch.tensor([2]))).loss.backward()
    down = latents.grad[0, 0] - latents.grad[0, 1]
    assert (down < 0).all()  # descent moves the two apart: p doubts less and its mean more


def test_loss_is_float32_under_autocast():
    rule, batch = LFQ(4, bits=4, temperature=1.0), padded(4)
    expected = rule(batch)
    with torch.autocast("cpu", torch.bfloat16):
        found = rule(batch)
    assert torch.equal(found.values, expected.values)
    assert torch.equal(found.loss, expected.loss)


def test_blocks_that_do_not_fit_the_bits_are_named():
    with pytest.raises(RecipeError, match="5 bits for blocks of 4 dimensions; accepted: bits: 4"):
        LFQ(8, bits=5, num_codebooks=2, project=False)
    with pytest.raises(RecipeError, match="num_codebooks is 3, which does not divide the latent size 8"):
        LFQ(8, bits=5, num_codebooks=3)
