"""Soft EM against plain loops, its two limits, and what evaluation promises."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.plugins import oracle_soft_em, share_soft_em
from unitdisc.parts import Padded
from unitdisc.testing import check_bottleneck
from unitdisc_ema.rule import EMA
from unitdisc_soft_em.rule import SoftEM


def padded(lengths: list[int], dim: int, seed: int = 0) -> Padded:
    generator = torch.Generator().manual_seed(seed)
    return Padded(
        torch.randn(len(lengths), max(lengths) + 2, dim, generator=generator), torch.tensor(lengths)
    )


def step(rule, *batches: Padded) -> None:
    rule.before_step(0.0)
    for batch in batches:
        rule(batch)
    rule.after_step(0.0)


def valid(batch: Padded) -> np.ndarray:
    return batch.values[batch.mask].detach().double().numpy()


@pytest.mark.parametrize(
    "make",
    [
        partial(SoftEM, num_codes=5),
        partial(SoftEM, num_codes=5, eval_assign="sample"),
        partial(SoftEM, num_codes=5, num_samples=1, temperature=0.0),
        partial(SoftEM, num_codes=5, distance="cosine", estimator="rotation", temperature=0.1),
        partial(
            SoftEM, num_codes=300, num_codebooks=4, init="normal", epsilon=0.0, init_count=0.0, decay=0.5
        ),
    ],
)
def test_rule_keeps_the_contract(make):
    check_bottleneck(make)


@pytest.mark.parametrize("books", [1, 2])
def test_steps_match_the_loop_oracle_with_the_same_uniforms(books):
    torch.manual_seed(0)
    rule = SoftEM(
        6, num_codes=4, num_codebooks=books, num_samples=3, temperature=2.0, decay=0.8, init="normal"
    )
    slow = oracle_soft_em.SoftEM(
        rule.codebook.numpy(), decay=0.8, epsilon=1e-5, temperature=2.0, commitment=0.25
    )
    for seed in range(3):
        batch = padded([5, 9, 1], 6, seed)
        batch.values.requires_grad_()
        task = torch.randn(batch.values.shape)
        torch.manual_seed(seed)
        uniforms = torch.rand(15, books, 3, dtype=torch.float64)
        expected = slow.step(valid(batch), uniforms.numpy(), task[batch.mask].double().numpy())

        rule.before_step(0.0)
        torch.manual_seed(seed)
        output = rule(batch)
        ((output.values * task)[batch.mask].sum() + output.loss).backward()
        rule.after_step(0.0)

        assert np.array_equal(output.samples[batch.mask].numpy(), expected.samples)
        assert np.allclose(output.values[batch.mask].detach().numpy(), expected.values, atol=1e-5)
        assert output.loss.item() == pytest.approx(expected.loss, rel=1e-5)
        assert np.allclose(batch.values.grad[batch.mask].numpy(), expected.gradient, atol=1e-5)
        assert np.allclose(rule.counts.numpy(), slow.counts, rtol=1e-5)
        assert np.allclose(rule.codebook.numpy(), slow.codebook, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.0, 1e-20])
@pytest.mark.parametrize("books", [1, 3])
def test_one_sample_at_vanishing_temperature_is_hard_em(books, temperature):
    rules = [
        kind(6, num_codes=8, num_codebooks=books, decay=0.9, init="normal")
        for kind in (EMA, partial(SoftEM, num_samples=1, temperature=temperature))
    ]
    rules[1].load_state_dict(rules[0].state_dict())
    for seed in range(5):
        batches = [padded([20, 7], 6, seed), padded([30], 6, seed + 10)]
        hard, soft = (rule(batches[0]) for rule in rules)
        assert torch.equal(soft.codes, hard.codes)
        assert torch.equal(soft.values, hard.values)
        assert torch.equal(soft.loss, hard.loss)
        for rule in rules:
            step(rule, *batches)
        for name, value in rules[0].state_dict().items():
            assert torch.equal(rules[1].state_dict()[name], value), name


def test_many_samples_approach_the_posterior_mean_and_exact_soft_em():
    torch.manual_seed(0)
    num_samples, batch = 4000, padded([6], 4)
    rule = SoftEM(4, num_codes=5, num_samples=num_samples, decay=0.5, epsilon=0.0, init="normal")
    codebook = rule.codebook[0].double().numpy()
    shares = np.array(
        [oracle_soft_em.probabilities(latent, codebook, 1.0) for latent in valid(batch)]
    )  # (N, K)
    counts = 0.5 + 0.5 * shares.sum(0)
    expected = (0.5 * codebook + 0.5 * shares.T @ valid(batch)) / counts[:, None]

    output = rule(batch)
    step(rule, batch)

    error = 5 * np.abs(codebook).max() / np.sqrt(num_samples)  # five standard deviations, at most
    assert np.allclose(output.values[batch.mask].numpy(), shares @ codebook, atol=error)
    assert np.allclose(rule.counts[0].numpy(), counts, atol=error)
    assert np.allclose(rule.codebook[0].numpy(), expected, atol=2 * error)


def test_samples_are_soft_targets_and_codes_the_nearest():
    torch.manual_seed(0)
    rule, batch = SoftEM(4, num_codes=5, num_codebooks=2, num_samples=7), padded([3, 1], 4)
    output = rule(batch)
    assert output.samples.shape == (2, 5, 2, 7)
    assert (output.samples[~batch.mask] == -1).all()
    values = rule.lookup(output.samples.transpose(2, 3)).mean(2)  # (B, S, m, D) over m
    torch.testing.assert_close(output.values, values)
    assert rule.eval()(batch).samples is None
    assert torch.equal(output.codes, rule(batch).codes)
    share = (output.samples == output.codes.unsqueeze(-1))[batch.mask].float().mean()
    torch.testing.assert_close(output.stats["samples_nearest"], share)


def test_micro_batches_draw_what_one_batch_draws():
    rules = [SoftEM(6, num_codes=5, decay=0.9) for _ in range(2)]
    rules[1].load_state_dict(rules[0].state_dict())
    batch = padded([4, 9, 2], 6)
    parts = [Padded(batch.values[:1], batch.lengths[:1]), Padded(batch.values[1:], batch.lengths[1:])]
    for rule, batches in zip(rules, ([batch], parts), strict=True):
        torch.manual_seed(0)
        step(rule, *batches)
    torch.testing.assert_close(rules[1].codebook, rules[0].codebook)


def test_evaluation_by_samples_is_the_same_in_every_batch():
    torch.manual_seed(0)
    rule = SoftEM(4, num_codes=50, eval_assign="sample", temperature=20.0).eval()
    batch = padded([30, 70, 12], 4)
    together = rule(batch).codes
    assert not torch.equal(together, SoftEM.forward(argmin_of(rule), batch).codes)
    for number, length in enumerate(batch.lengths):
        alone = rule(Padded(batch.values[number : number + 1, :length], length[None])).codes
        assert torch.equal(alone[0], together[number, :length])


def argmin_of(rule: SoftEM) -> SoftEM:
    other = SoftEM(rule.dim, num_codes=rule.num_codes).eval()
    other.load_state_dict(rule.state_dict())
    return other


def test_evaluation_by_samples_follows_the_posterior():
    torch.manual_seed(0)
    rule = SoftEM(2, num_codes=4, eval_assign="sample", init="normal").eval()
    latent = torch.randn(2)
    codes = rule(Padded(latent.expand(1, 4000, 2), torch.tensor([4000]))).codes
    found = np.bincount(codes.flatten().numpy(), minlength=4) / 4000
    expected = oracle_soft_em.probabilities(latent.numpy(), rule.codebook[0].numpy(), 1.0)
    assert np.allclose(found, expected, atol=4 * 0.5 / np.sqrt(4000))


def test_two_ranks_learn_the_codebook_of_one(tmp_path: Path):
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen([sys.executable, share_soft_em.__file__, str(rank), str(tmp_path)], env=environment)
        for rank in (0, 1)
    ]
    assert [rank.wait(timeout=100) for rank in ranks] == [0, 0]
    alone = share_soft_em.learn(list(range(len(share_soft_em.LENGTHS))))
    for rank in (0, 1):
        state = load_file(tmp_path / f"{rank}.safetensors")
        for name, value in alone.items():
            torch.testing.assert_close(state[name], value, rtol=1e-6, atol=1e-6)
