"""The rule gumbel against plain loops, finite differences of its estimator, and the papers' statements."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch

import unitdisc_gumbel.rule as gumbel
from tests.plugins.finite_differences import slopes
from unitdisc.errors import RecipeError
from unitdisc.parts import Padded
from unitdisc.testing import check_bottleneck
from unitdisc_gumbel.rule import Gumbel

LENGTHS = torch.tensor([3, 0, 2])


def padded(dim: int = 4) -> Padded:
    generator = torch.Generator().manual_seed(1)
    return Padded(torch.randn(3, 5, dim, generator=generator).requires_grad_(), LENGTHS)


def noise_of(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """What the rule draws after ``torch.manual_seed(seed)``."""
    torch.manual_seed(seed)
    own = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
    uniform = torch.rand(shape, generator=own).double().numpy()
    return -np.log(-np.log(uniform))


class Oracle:
    """The rule in float64 loops. ``fixed`` is the codebook that the gradient of hard values does not reach."""

    def __init__(self, rule: Gumbel, batch: Padded, noise: np.ndarray, task: np.ndarray) -> None:
        self.latents = batch.values.detach()[batch.mask].double().numpy()
        self.arrays = {name: value.detach().double().numpy() for name, value in rule.named_parameters()}
        self.fixed = self.arrays["codebook"].copy()
        self.rule, self.noise, self.task = rule, noise, task
        self.drawn = [[self.code(n, q) for q in range(noise.shape[1])] for n in range(noise.shape[0])]

    def logits(self, n: int, q: int) -> list[float]:
        size = self.fixed.shape[-1]
        block = self.latents[n, q * size : (q + 1) * size]
        found = []
        for k in range(self.fixed.shape[1]):
            if "into.weight" in self.arrays:
                products = [x * w for x, w in zip(block, self.arrays["into.weight"][q, :, k], strict=True)]
                found.append(sum(products) + self.arrays["into.bias"][q, k])
            else:
                codeword = self.arrays["codebook"][q, k]
                found.append(-sum((x - e) ** 2 for x, e in zip(block, codeword, strict=True)))
        return found

    def code(self, n: int, q: int) -> int:
        return int(
            np.argmax([logit + g for logit, g in zip(self.logits(n, q), self.noise[n, q], strict=True)])
        )

    def values(self, n: int, q: int) -> np.ndarray:
        noisy = [
            (logit + g) / self.rule.current
            for logit, g in zip(self.logits(n, q), self.noise[n, q], strict=True)
        ]
        weights = softmax(noisy)
        if not self.rule.hard:
            return sum(w * e for w, e in zip(weights, self.arrays["codebook"][q], strict=True))
        mixed = sum(w * e for w, e in zip(weights, self.fixed[q], strict=True))
        return self.arrays["codebook"][q, self.drawn[n][q]] + mixed

    def loss(self) -> float:
        count, books, codes = self.noise.shape
        perplexities, divergence = [], 0.0
        for q in range(books):
            shares = [softmax(self.logits(n, q)) for n in range(count)]
            mean = [sum(share[k] for share in shares) / count for k in range(codes)]
            perplexities.append(math.exp(-sum(p * math.log(p) for p in mean)))
            divergence += sum(p * math.log(p * codes) for share in shares for p in share) / count
        unused = 1 - sum(perplexities) / books / codes
        return self.rule.diversity * unused + self.rule.kl * divergence

    def total(self) -> float:
        """The scalar whose slopes the rule's gradients are."""
        size = self.fixed.shape[-1]
        found = self.loss()
        for n, row in enumerate(self.task):
            for q in range(self.noise.shape[1]):
                found += float(row[q * size : (q + 1) * size] @ self.values(n, q))
        return found


def softmax(logits: list[float]) -> list[float]:
    top = max(logits)
    parts = [math.exp(logit - top) for logit in logits]
    return [part / sum(parts) for part in parts]


@pytest.mark.parametrize(
    "make",
    [
        partial(Gumbel, num_codes=5),
        partial(Gumbel, num_codes=7, hard=False, decay="linear"),
        partial(Gumbel, num_codes=5, logits="distance", init="normal"),
        partial(Gumbel, num_codes=300, logits="distance", hard=False, kl=0.1, temperature=2.0),
        partial(Gumbel, num_codes=5, diversity=0.1),
    ],
)
def test_gumbel_keeps_the_contract(make):
    check_bottleneck(make)


@pytest.mark.parametrize("logits", ["linear", "distance"])
@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("books", [1, 2])
def test_values_codes_loss_and_gradients_are_those_of_the_loops(logits, hard, books):
    torch.manual_seed(0)
    rule = Gumbel(
        4, num_codes=3, num_codebooks=books, hard=hard, logits=logits, diversity=0.7, kl=0.3, init="normal"
    )
    rule.before_step(0.4)
    batch = padded()
    task = torch.randn(batch.values.shape)
    oracle = Oracle(rule, batch, noise_of(5, (5, books, 3)), task[batch.mask].double().numpy())

    torch.manual_seed(5)
    output = rule(batch)
    ((output.values * task)[batch.mask].sum() + output.loss).backward()

    assert output.codes[batch.mask].tolist() == oracle.drawn
    for n, row in enumerate(output.values[batch.mask].detach().numpy()):
        codewords = [oracle.arrays["codebook"][q, code] for q, code in enumerate(oracle.drawn[n])]
        expected = codewords if hard else [oracle.values(n, q) for q in range(books)]
        assert np.allclose(row, np.concatenate(expected), atol=1e-6)
    assert output.loss.item() == pytest.approx(oracle.loss(), rel=1e-5)
    slope = slopes(oracle.total, oracle.latents)
    assert np.allclose(batch.values.grad[batch.mask].numpy(), slope, rtol=1e-4, atol=1e-5)
    for name, parameter in rule.named_parameters():
        assert np.allclose(
            parameter.grad.numpy(), slopes(oracle.total, oracle.arrays[name]), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("hard", [True, False])
def test_chunks_change_nothing(monkeypatch, hard):
    def step(batch: Padded) -> list[torch.Tensor]:
        torch.manual_seed(0)
        rule = Gumbel(4, num_codes=6, num_codebooks=2, hard=hard, diversity=0.1, kl=0.1)
        output = rule(batch)
        (output.values.square().sum() + output.loss).backward()
        grads = [parameter.grad for parameter in rule.parameters()]
        return [output.values, output.codes, output.loss, batch.values.grad, *grads]

    whole = step(padded())
    monkeypatch.setattr(gumbel, "_FEWEST_ROWS", 2)
    monkeypatch.setattr(gumbel, "_CHUNK", {"cpu": 1})
    for found, expected in zip(step(padded()), whole, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_nothing_as_large_as_the_logits_is_kept_for_backward():
    rule = Gumbel(4, num_codes=1000, diversity=0.1, kl=0.1)
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda saved: kept.append(saved.numel()) or saved, lambda x: x
    ):
        rule(Padded(torch.randn(1, 3000, 4, requires_grad=True), torch.tensor([3000])))
    assert max(kept) <= 3000 * 4


def test_codes_are_samples_of_the_softmax_at_any_temperature():
    torch.manual_seed(0)
    rule = Gumbel(3, num_codes=4, temperature=0.3)
    latent = torch.randn(3)
    output = rule(Padded(latent.expand(1, 40_000, 3), torch.tensor([40_000])))
    shares = torch.bincount(output.codes.flatten(), minlength=4) / 40_000
    expected = softmax((latent @ rule.into.weight[0]).tolist())
    assert np.allclose(shares.numpy(), expected, atol=4 * 0.5 / 200)


def test_mixtures_become_codewords_as_the_temperature_falls():
    torch.manual_seed(0)
    soft = Gumbel(4, num_codes=6, hard=False, temperature=1e-4, final_temperature=1e-4)
    hard = Gumbel(4, num_codes=6)
    hard.load_state_dict(soft.state_dict())
    outputs = []
    for rule in (soft, hard):
        torch.manual_seed(1)
        outputs.append(rule(padded()).values)
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-5)


def test_evaluation_takes_the_likeliest_code():
    torch.manual_seed(0)
    batch = padded()
    for logits in ("linear", "distance"):
        rule = Gumbel(4, num_codes=6, num_codebooks=2, logits=logits, init="normal").eval()
        oracle = Oracle(rule, batch, np.zeros((5, 2, 6)), np.zeros((5, 4)))
        assert rule(batch).codes[batch.mask].tolist() == oracle.drawn


def test_temperature_follows_its_schedule():
    code_of_paper_b = Gumbel(4, num_codes=3, decay="linear", anneal_until=0.5)
    assert code_of_paper_b.annealed(0.25) == pytest.approx(0.7)
    epochs = Gumbel(4, num_codes=3, temperature=1.0, final_temperature=0.92**40)
    assert epochs.annealed(7 / 40) == pytest.approx(0.92**7)
    for rule in (code_of_paper_b, Gumbel(4, num_codes=3, anneal_until=0.5)):
        assert [rule.annealed(progress) for progress in (0.0, 0.5, 0.9)] == pytest.approx([1.2, 0.2, 0.2])
    assert Gumbel(4, num_codes=3, anneal_until=0.0).current == pytest.approx(0.2)


def test_temperature_of_the_step_is_logged_and_no_state():
    rule = Gumbel(4, num_codes=3, temperature=2.0, final_temperature=0.5)
    rule.before_step(0.5)
    assert rule(padded()).stats["temperature"].item() == pytest.approx(1.0)
    assert set(rule.state_dict()) == {"codebook", "into.weight", "into.bias"}


def test_regularisers_are_0_for_uniform_and_known_for_collapsed_logits():
    rule = Gumbel(4, num_codes=8, diversity=1.0, kl=1.0)
    torch.nn.init.zeros_(rule.into.weight)
    assert rule(padded()).loss.item() == pytest.approx(0.0, abs=1e-6)
    with torch.no_grad():
        rule.into.bias[0, 3] = 300.0
    output = rule(padded())
    assert output.loss.item() == pytest.approx(1 - 1 / 8 + math.log(8), rel=1e-5)
    (gradient,) = torch.autograd.grad(output.loss, rule.into.bias)
    assert torch.isfinite(gradient).all()


def test_training_is_float32_under_autocast():
    torch.manual_seed(0)
    rule = Gumbel(4, num_codes=6, logits="distance", diversity=0.1)
    outputs = []
    for is_mixed in (False, True):
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=is_mixed):
            batch = padded()
            output = rule(batch)
        (output.values.sum() + output.loss).backward()
        outputs.append((output.values, output.loss, batch.values.grad))
    assert all(torch.equal(*pair) for pair in zip(*outputs, strict=True))


def test_size_that_codebooks_do_not_divide_is_named():
    with pytest.raises(RecipeError, match="num_codebooks is 3, which does not divide the latent size 4"):
        Gumbel(4, num_codes=4, num_codebooks=3)
