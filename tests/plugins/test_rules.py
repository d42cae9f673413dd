"""The rules none, gradient and EMA against plain loops, the papers' statements, and two processes."""

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

from tests.plugins import oracle, share
from unitdisc.codebook import quantize
from unitdisc.errors import RecipeError
from unitdisc.parts import Padded
from unitdisc.testing import check_bottleneck
from unitdisc_ema.rule import EMA
from unitdisc_gradient.rule import Gradient
from unitdisc_none.rule import Identity


def padded(lengths: list[int], dim: int, seed: int = 0) -> Padded:
    generator = torch.Generator().manual_seed(seed)
    return Padded(
        torch.randn(len(lengths), max(lengths) + 2, dim, generator=generator), torch.tensor(lengths)
    )


def step(rule: EMA, *batches: Padded) -> None:
    rule.before_step(0.0)
    for batch in batches:
        rule(batch)
    rule.after_step(0.0)


def valid(batch: Padded) -> np.ndarray:
    return batch.values[batch.mask].detach().double().numpy()


@pytest.mark.parametrize(
    "make",
    [
        Identity,
        partial(Gradient, num_codes=5),
        partial(Gradient, num_codes=1, commitment=0.0, init="uniform"),
        partial(EMA, num_codes=5),
        partial(EMA, num_codes=5, num_codebooks=4, init="normal", init_count=0.0),
        partial(EMA, num_codes=300, epsilon=0.0),
    ],
)
def test_rules_keep_the_contract(make):
    check_bottleneck(make)


def test_none_passes_latents_and_has_no_codes():
    batch = padded([3, 1], 4)
    output = Identity(4)(batch)
    assert torch.equal(output.values, batch.values)
    assert output.codes.shape == (2, 5, 0)
    assert Identity(4).lookup(output.codes).shape == (2, 5, 4)


@pytest.mark.parametrize("books", [1, 3])
def test_gradient_matches_loop_oracle(books):
    torch.manual_seed(0)
    rule = Gradient(6, num_codes=5, num_codebooks=books, commitment=0.4, codebook_weight=1.5)
    batch = padded([4, 7, 1], 6)
    batch.values.requires_grad_()
    task = torch.randn(batch.values.shape)
    expected = oracle.gradient_step(
        valid(batch),
        rule.codebook.detach().double().numpy(),
        task[batch.mask].double().numpy(),
        commitment=0.4,
        codebook_weight=1.5,
    )

    output = rule(batch)
    ((output.values * task)[batch.mask].sum() + output.loss).backward()

    assert np.array_equal(output.codes[batch.mask].numpy(), expected.codes)
    assert np.allclose(output.values[batch.mask].detach().numpy(), expected.values, atol=1e-6)
    assert output.loss.item() == pytest.approx(expected.loss, abs=1e-6)
    assert np.allclose(batch.values.grad[batch.mask].numpy(), expected.latent_gradient, atol=1e-6)
    assert np.allclose(rule.codebook.grad.numpy(), expected.codebook_gradient, atol=1e-6)


def test_codebook_of_gradient_learns_at_its_own_rate():
    rule = Gradient(4, num_codes=3, lr_scale=10.0)
    (group,) = rule.param_groups()
    assert group["params"] == [rule.codebook]
    assert group["lr_scale"] == 10.0


@pytest.mark.parametrize("books", [1, 2])
@pytest.mark.parametrize(("epsilon", "init_count"), [(1e-5, 1.0), (0.1, 3.0), (1e-5, 0.0)])
def test_ema_matches_loop_oracle(books, epsilon, init_count):
    torch.manual_seed(0)
    rule = EMA(
        6, num_codes=4, num_codebooks=books, decay=0.8, epsilon=epsilon, init_count=init_count, init="normal"
    )
    slow = oracle.EMA(rule.codebook.double().numpy(), decay=0.8, epsilon=epsilon, init_count=init_count)
    for seed in range(3):
        batch = padded([5, 9, 1, 20], 6, seed)
        output = rule(batch)
        assert output.loss.item() == pytest.approx(0.25 * commitment_term(batch, slow.codebook), rel=1e-5)
        step(rule, batch)
        assert np.array_equal(output.codes[batch.mask].numpy(), slow.step(valid(batch)))
        assert np.allclose(rule.counts.numpy(), slow.counts, rtol=1e-5)
        assert np.allclose(rule.codebook.numpy(), slow.codebook, rtol=1e-4, atol=1e-5)


def commitment_term(batch: Padded, codebook: np.ndarray) -> float:
    latents = valid(batch)
    return float(((latents - oracle.values_of(oracle.codes_of(latents, codebook), codebook)) ** 2).mean())


def test_ema_with_counts_of_one_is_gradient_descent():
    """Paper A, proposition 1: the learning rate of the codebook term is (1 - decay) / 2."""
    decay = 0.9
    rule = EMA(5, num_codes=6, decay=decay, epsilon=0.0, init="normal")
    latents = rule.codebook[0] + 0.01 * torch.randn(6, 5)  # one latent for each codeword, so N stays 1
    codebook = rule.codebook[0].clone().requires_grad_()
    sum_of_squares = quantize(latents, codebook).codebook_loss * latents.numel()
    sum_of_squares.backward()
    expected = codebook.detach() - (1 - decay) / 2 * codebook.grad

    step(rule, Padded(latents[None], torch.tensor([6])))

    torch.testing.assert_close(rule.codebook[0], expected, rtol=0, atol=1e-6)


def test_product_of_one_block_is_the_plain_rule():
    """Q independent rules on the blocks give what one rule with Q codebooks gives."""
    batch = padded([9, 4], 6)
    product = EMA(6, num_codes=4, num_codebooks=2, init="normal")
    blocks = [EMA(3, num_codes=4) for _ in range(2)]
    for q, block in enumerate(blocks):
        block.codebook.copy_(product.codebook[q : q + 1])
        block.sums.copy_(product.sums[q : q + 1])
        step(block, Padded(batch.values[..., 3 * q : 3 * q + 3], batch.lengths))
    step(product, batch)
    torch.testing.assert_close(product.codebook, torch.cat([block.codebook for block in blocks]))


def test_step_without_valid_latents_leaves_ema_alone():
    rule = EMA(4, num_codes=3)
    step(rule, padded([5, 2], 4))
    before = {name: value.clone() for name, value in rule.state_dict().items()}
    step(rule, Padded(torch.ones(2, 3, 4), torch.tensor([0, 0])))
    assert all(torch.equal(value, before[name]) for name, value in rule.state_dict().items())


def test_unused_code_stays_where_it_is_with_a_first_count_of_one():
    rule = EMA(4, num_codes=3)
    blown_up = EMA(4, num_codes=3, init_count=0.0)
    for kind in (rule, blown_up):
        kind.codebook.copy_(torch.eye(3, 4) * torch.tensor([[1.0], [1.0], [9.0]]))
        kind.sums.copy_(kind.codebook)
        step(kind, Padded(torch.eye(2, 4)[None], torch.tensor([2])))
    assert rule.codebook[0, 2].norm() == pytest.approx(9.0, rel=1e-4)
    assert blown_up.codebook[0, 2].norm() > 1e5  # the trap of the released code, chosen by init_count: 0


def test_ema_is_the_same_bytes_every_time():
    rules = [EMA(8, num_codes=20) for _ in range(2)]
    rules[1].load_state_dict(rules[0].state_dict())
    for rule in rules:
        for seed in range(3):
            step(rule, padded([100, 50], 8, seed), padded([70], 8, seed + 10))
    assert all(
        torch.equal(value, rules[1].state_dict()[name]) for name, value in rules[0].state_dict().items()
    )


@pytest.mark.parametrize("make", [Gradient, EMA])
def test_size_that_codebooks_do_not_divide_is_named(make):
    with pytest.raises(
        RecipeError, match="num_codebooks is 5, which does not divide the latent size 8; accepted: 1, 2"
    ):
        make(8, num_codes=4, num_codebooks=5)


@pytest.mark.parametrize("make", [Gradient, EMA])
def test_stats_are_those_of_valid_latents(make):
    rule = make(2, num_codes=4)
    rule.load_state_dict({"codebook": torch.tensor([[[1.0, 0], [-1, 0], [0, 2], [0, -3]]])}, strict=False)
    latents = torch.tensor([[[3.0, 0], [-3, 0], [3, 0], [-3, 0], [0, 50]]])
    stats = rule(Padded(latents, torch.tensor([4]))).stats
    assert stats["batch_perplexity"].item() == pytest.approx(2.0)
    assert stats["used"].item() == pytest.approx(0.5)
    assert stats["norm_ratio"].item() == pytest.approx(1 / 3)


def test_two_ranks_learn_the_codebook_and_statistics_of_one(tmp_path: Path):
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen([sys.executable, share.__file__, str(rank), str(tmp_path)], env=environment)
        for rank in (0, 1)
    ]
    assert [rank.wait(timeout=100) for rank in ranks] == [0, 0]

    alone = share.learn(list(range(len(share.LENGTHS))))

    for rank in (0, 1):
        state = load_file(tmp_path / f"{rank}.safetensors")
        assert state.keys() == alone.keys()
        for name, value in alone.items():
            torch.testing.assert_close(state[name], value, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rule", [Gradient, EMA])
def test_the_scale_of_the_first_codebook_multiplies_what_is_drawn(rule):
    drawn = []
    for parameters in ({}, {"init_scale": 1.0}, {"init_scale": 0.01}):
        torch.manual_seed(3)
        drawn.append(rule(6, num_codes=5, **parameters))
    assert torch.equal(drawn[0].codebook, drawn[1].codebook)
    assert torch.equal(drawn[0].codebook * 0.01, drawn[2].codebook)
    if rule is EMA:
        assert torch.equal(drawn[2].sums, drawn[2].codebook)
