"""Residual levels against plain loops, the chain rule, and the rule inside."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.plugins import oracle
from unitdisc.errors import RecipeError
from unitdisc.parts import Bottleneck, Padded, Part, Quantized
from unitdisc.testing import check_bottleneck
from unitdisc_ema.rule import EMA
from unitdisc_fsq.rule import FSQ
from unitdisc_gradient.rule import Gradient
from unitdisc_none.rule import Identity
from unitdisc_residual.rule import Residual


def padded(lengths: list[int], dim: int, seed: int = 0) -> Padded:
    generator = torch.Generator().manual_seed(seed)
    return Padded(
        torch.randn(len(lengths), max(lengths) + 2, dim, generator=generator), torch.tensor(lengths)
    )


def stack(inner, dim: int, **arguments) -> Residual:
    """A stack whose parts all take part in a step, as the engine has it."""
    rule = Residual(dim, rule=inner(dim), **arguments)

    def every(name: str):
        return lambda progress: [
            getattr(type(part), name)(part, progress) for part in rule.modules() if isinstance(part, Part)
        ]

    rule.before_step, rule.after_step = every("before_step"), every("after_step")
    return rule


def valid(batch: Padded) -> np.ndarray:
    return batch.values[batch.mask].detach().double().numpy()


RULES = [
    partial(EMA, num_codes=5),
    partial(EMA, num_codes=3, num_codebooks=2, distance="cosine"),
    partial(Gradient, num_codes=7, estimator="rotation"),
    partial(FSQ, levels=[3, 3]),
]


@pytest.mark.parametrize("inner", RULES)
@pytest.mark.parametrize(
    "arguments", [{"num_levels": 1}, {"num_levels": 3}, {"num_levels": 2, "shared": True}]
)
def test_stack_keeps_the_contract(inner, arguments):
    check_bottleneck(lambda dim: stack(inner, dim, **arguments))


@pytest.mark.parametrize("arguments", [{"dropout": 0.7}, {"dropout": 1.0, "shared": True}])
@pytest.mark.parametrize("inner", [EMA, Gradient])
def test_stack_keeps_the_contract_with_dropout(inner, arguments):
    check_bottleneck(lambda dim: stack(partial(inner, num_codes=5), dim, num_levels=4, **arguments))


def test_micro_batches_drop_the_levels_that_the_whole_batch_drops():
    whole, parts = (stack(partial(EMA, num_codes=5), 4, num_levels=3, dropout=0.8) for _ in range(2))
    parts.load_state_dict(whole.state_dict())
    batch = padded([5, 3, 6, 1, 4], 4)
    halves = [Padded(batch.values[cut], batch.lengths[cut]) for cut in (slice(0, 2), slice(2, 5))]
    losses = []
    for rule, batches in ((whole, [batch]), (parts, halves)):
        rule.before_step(0.0)
        torch.manual_seed(5)
        losses.append(sum(rule(part).loss * part.lengths.sum() for part in batches).item())
        rule.after_step(0.0)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value)


def test_one_level_is_the_rule_itself():
    rule = Gradient(6, num_codes=5, num_codebooks=2)
    batch = padded([5, 3], 6)
    batch.values.requires_grad_()
    results = []
    for one in (rule, Residual(6, rule=rule, num_levels=1)):
        output = one(batch)
        gradients = torch.autograd.grad(output.values.square().sum() + output.loss, batch.values)
        results.append([output.values, output.codes, output.loss, *gradients])
    for found, wanted in zip(*results, strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("books", [1, 3])
def test_stack_matches_loop_oracle(books):
    torch.manual_seed(0)
    rule = Residual(
        6, rule=Gradient(6, num_codes=5, num_codebooks=books, commitment=0.4, init="normal"), num_levels=3
    )
    batch = padded([4, 7, 1], 6)
    batch.values.requires_grad_()
    task = torch.randn(batch.values.shape)
    latents = left = valid(batch)
    wanted, loss, latent_gradient = np.zeros_like(latents), 0.0, task[batch.mask].double().numpy()
    codes, codebook_gradients = [], []
    for level in rule.levels():
        step = oracle.gradient_step(
            left,
            level.codebook.detach().double().numpy(),
            np.zeros_like(left),
            commitment=0.4,
            codebook_weight=1.0,
        )
        left, wanted, loss = left - step.values, wanted + step.values, loss + step.loss
        latent_gradient = latent_gradient + step.latent_gradient
        codes.append(step.codes)
        codebook_gradients.append(step.codebook_gradient)

    output = rule(batch)
    ((output.values * task)[batch.mask].sum() + output.loss).backward()

    assert np.array_equal(output.codes[batch.mask].numpy(), np.concatenate(codes, 1))
    assert np.allclose(output.values[batch.mask].detach().numpy(), wanted, atol=1e-5)
    assert output.loss.item() == pytest.approx(loss, rel=1e-5)
    assert output.stats["left_over"].item() == pytest.approx((left**2).sum() / (latents**2).sum(), rel=1e-5)
    assert np.allclose(batch.values.grad[batch.mask].numpy(), latent_gradient, atol=1e-6)
    for level, gradient in zip(rule.levels(), codebook_gradients, strict=True):
        assert np.allclose(level.codebook.grad.numpy(), gradient, atol=1e-6)


class Smooth(Bottleneck):
    """A level whose derivative is known everywhere: values ``weight * tanh(x)``, loss ``mean(x^4)``."""

    num_codes, num_codebooks = 2, 1

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.weight = torch.nn.Parameter(torch.tensor(0.7))

    def forward(self, latents: Padded) -> Quantized:
        values, mask = latents.values, latents.mask
        loss = values[mask].pow(4).mean()
        return Quantized(
            self.weight * values.tanh() * mask[..., None], torch.where(mask[..., None], 1, -1), loss
        )

    def lookup(self, codes: Tensor) -> Tensor:
        return torch.zeros(*codes.shape[:-1], self.dim)


def test_values_follow_the_chain_rule_and_losses_pass_by_the_levels_before():
    """Central differences in float64; for the loss, what the levels before subtract is held."""
    rule = Residual(3, rule=Smooth(3), num_levels=3)
    batch = padded([4], 3)
    batch.values.requires_grad_()
    latents, task = valid(batch), np.random.default_rng(0).normal(size=(4, 3))
    weights = [0.7, 0.7, 0.7]

    def residuals(start: np.ndarray, weights: list[float]) -> list[np.ndarray]:
        found = [start]
        for weight in weights:
            found.append(found[-1] - weight * np.tanh(found[-1]))
        return found

    held = [residual - latents for residual in residuals(latents, weights)[:-1]]

    def total(start: np.ndarray, weights: list[float]) -> float:
        values = start - residuals(start, weights)[-1]
        return (values * task).sum() + sum(((start + shift) ** 4).mean() for shift in held)

    step = 1e-5
    expected = np.zeros_like(latents)
    for place in np.ndindex(*latents.shape):
        nudge = np.zeros_like(latents)
        nudge[place] = step
        expected[place] = (total(latents + nudge, weights) - total(latents - nudge, weights)) / (2 * step)

    output = rule(batch)
    (output.loss + (output.values[batch.mask] * torch.from_numpy(task)).sum()).backward()

    assert np.allclose(batch.values.grad[batch.mask].numpy(), expected, atol=1e-4)
    nudged = [total(latents, [0.7, 0.7 + sign * step, 0.7]) for sign in (1, -1)]
    second = list(rule.levels())[1].weight.grad.item()
    assert second == pytest.approx((nudged[0] - nudged[1]) / (2 * step), abs=1e-4)


def test_each_level_learns_from_what_is_left_over():
    torch.manual_seed(0)
    rule = stack(partial(EMA, num_codes=4, decay=0.8, init="normal"), 5, num_levels=3)
    slow = [
        oracle.EMA(level.codebook.double().numpy(), decay=0.8, epsilon=1e-5, init_count=1.0)
        for level in rule.levels()
    ]
    for seed in range(3):
        batch = padded([5, 9, 20], 5, seed)
        rule.before_step(0.0)
        rule(batch)
        rule.after_step(0.0)
        left = valid(batch)
        for level in slow:
            before = level.codebook.copy()
            left = left - oracle.values_of(level.step(left), before)
    for level, expected in zip(rule.levels(), slow, strict=True):
        assert np.allclose(level.codebook.numpy(), expected.codebook, rtol=1e-4, atol=1e-5)
        assert np.allclose(level.counts.numpy(), expected.counts, rtol=1e-5)


def test_levels_begin_elsewhere_unless_they_share_a_codebook():
    own = Residual(4, rule=EMA(4, num_codes=3), num_levels=3)
    books = [level.codebook for level in own.levels()]
    assert not torch.equal(books[0], books[1])
    assert not torch.equal(books[1], books[2])
    shared = Residual(4, rule=EMA(4, num_codes=3), num_levels=3, shared=True)
    assert len({id(level) for level in shared.levels()}) == 1
    assert shared.num_codebooks == 3


def test_shared_codebook_counts_the_latents_of_all_levels():
    rule = stack(partial(EMA, num_codes=3, init_count=0.0, decay=0.5), 4, num_levels=3, shared=True)
    rule.before_step(0.0)
    rule(padded([5, 2], 4))
    rule.after_step(0.0)
    assert rule.rules[0].counts.sum().item() == pytest.approx(0.5 * 3 * 7)


def test_dropped_levels_have_codes_but_enter_nothing_else():
    torch.manual_seed(1)
    rule = Residual(4, rule=EMA(4, num_codes=6, init="normal"), num_levels=3, dropout=1.0)
    batch = padded([4, 6, 2, 5, 3, 1], 4)
    expected = Residual(4, rule=rule.rules[0], num_levels=3)
    expected.rules = rule.rules
    everything = expected.eval()(batch)
    rule.train()

    output = rule(batch)

    assert torch.equal(output.codes, everything.codes)
    used = []
    for row, length in enumerate(batch.lengths.tolist()):
        sums = [rule.lookup(cut(output.codes[row, :length], levels)) for levels in (1, 2, 3)]
        errors = [(output.values[row, :length] - values).abs().max().item() for values in sums]
        assert min(errors) < 1e-6
        used.append(int(np.argmin(errors)) + 1)
    assert set(used) == {1, 2, 3}
    for level, inner in enumerate(rule.levels()):
        seen = sum(length for length, n in zip(batch.lengths.tolist(), used, strict=True) if n > level)
        assert inner.pending[-6:].sum().item() == seen


def cut(codes: Tensor, levels: int) -> Tensor:
    return torch.where(torch.arange(codes.shape[-1]) < levels, codes, -1)


def test_levels_that_remain_are_drawn_evenly_for_the_share_that_dropout_says():
    torch.manual_seed(0)
    rule = Residual(4, rule=EMA(4, num_codes=2), num_levels=4, dropout=0.8)
    counts = torch.bincount(rule._levels_used(20000), minlength=5) / 20000
    assert counts[0] == 0
    assert counts[1:].tolist() == pytest.approx([0.2, 0.2, 0.2, 0.4], abs=0.02)
    assert (rule.eval()._levels_used(100) == 4).all()


def test_rule_without_codes_is_refused():
    with pytest.raises(RecipeError, match="rule: Identity quantises nothing; accepted: a rule with codes"):
        Residual(4, rule=Identity(4), num_levels=2)
