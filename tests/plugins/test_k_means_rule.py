"""k-means of the latents of the first steps. Two processes: see test_reestimate_runs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.plugins import oracle
from tests.test_train import assert_same, final, log
from tests.toy import toy_recipe
from unitdisc import steps as run_steps
from unitdisc.codebook.clustering import k_means
from unitdisc.errors import RecipeError
from unitdisc.parts import Padded
from unitdisc.testing import check_bottleneck
from unitdisc.train import Trainer
from unitdisc_k_means.rule import KMeans

DIM = 4


def noise(count: int = 30, seed: int = 0) -> Padded:
    generator = torch.Generator().manual_seed(seed)
    return Padded(torch.randn(1, count + 3, DIM, generator=generator), torch.tensor([count]))


def take_step(rule: KMeans, *batches: Padded, seed: int = 0) -> None:
    rule.before_step(0.0)
    for batch in batches:
        rule(batch)
    torch.manual_seed(seed)
    rule.after_step(0.0)


@pytest.mark.parametrize(
    "settings",
    [
        {"collect": 1, "capacity": 9},
        {"collect": 2, "distance": "cosine", "iterations": 3},
        {"collect": 50},
    ],
)
def test_k_means_keeps_the_contract(settings):
    check_bottleneck(partial(KMeans, num_codes=5, **settings))


@pytest.mark.parametrize("books", [1, 2])
def test_codebook_is_k_means_of_the_first_steps_and_stays(books):
    rule = KMeans(DIM, num_codes=5, num_codebooks=books, collect=2, restarts=2)
    for step in range(2):
        take_step(rule, noise(seed=step), noise(7, seed=10 + step), seed=step)
    latents = torch.cat(
        [batch.values[0, :-3] for step in (0, 1) for batch in (noise(seed=step), noise(7, 10 + step))]
    )
    torch.manual_seed(1)
    expected = k_means(latents, 5, num_codebooks=books, iterations=100, restarts=2).codebook
    assert torch.equal(rule.codebook, expected)
    _is_fixed_point_of_lloyd(rule.codebook, latents)
    (event,) = rule.events()
    codes = oracle.codes_of(latents.double().numpy(), expected.double().numpy())
    values = oracle.values_of(codes, expected.double().numpy())
    assert event["samples"] == 74
    assert event["error"] == pytest.approx(float(((latents.numpy() - values) ** 2).mean()), rel=1e-5)
    for step in range(3):
        take_step(rule, noise(seed=20 + step))
        assert not list(rule.events())
    assert torch.equal(rule.codebook, expected)


def _is_fixed_point_of_lloyd(codebook: torch.Tensor, latents: torch.Tensor) -> None:
    """Every codeword is the mean of the latents that are nearest to it."""
    codes = oracle.codes_of(latents.double().numpy(), codebook.double().numpy())
    blocks = latents.double().numpy().reshape(len(latents), len(codebook), -1)
    for q, book in enumerate(codebook):
        for k, codeword in enumerate(book):
            assert np.allclose(blocks[codes[:, q] == k, q].mean(0), codeword, atol=1e-5)


def test_latents_pass_before_and_are_quantised_behind_without_a_loss():
    rule = KMeans(DIM, num_codes=3, collect=1)
    batch = noise()
    assert torch.equal(rule(batch).values[batch.mask], batch.values[batch.mask])
    take_step(rule, noise())
    batch.values.requires_grad_()
    output = rule(batch)
    assert output.loss.item() == 0
    assert torch.equal(output.values, rule.lookup(output.codes))
    (gradient,) = torch.autograd.grad(output.values.sum(), batch.values)
    assert torch.equal(gradient, batch.mask[..., None].expand_as(gradient).float())


def test_evaluation_before_quantises_with_the_codebook_at_hand():
    rule = KMeans(DIM, num_codes=3).eval()
    output = rule(noise())
    assert torch.equal(output.values, rule.lookup(output.codes))


def test_too_few_latents_are_told_and_tried_again_after_the_next_step():
    rule = KMeans(DIM, num_codes=25, collect=2)
    told = []
    for step in range(4):
        take_step(rule, noise(10, seed=step))
        told.append([event["event"] for event in rule.events()])
    assert told == [[], ["k_means skipped"], ["k_means"], []]


def test_announcement_reads_well_and_a_codebook_behind_the_run_is_refused():
    rule = KMeans(DIM, num_codes=3, collect=50)
    assert list(rule.announce(50)) == [
        "k_means: no quantisation in the first 50 steps; k-means of their latents after the last"
    ]
    with pytest.raises(
        RecipeError, match="collect asks for the latents of 50 steps, and the run has 49; accepted"
    ):
        list(rule.announce(49))


def test_sample_smaller_than_the_codebook_is_refused():
    with pytest.raises(
        RecipeError, match="capacity: a sample of 10 latents cannot give 11 codewords; accepted"
    ):
        KMeans(DIM, num_codes=11, capacity=10)


@pytest.mark.parametrize("last", [3, 7])
def test_a_stopped_run_ends_with_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last):
    rule = KMeans, {"num_codes": 6, "collect": 5, "capacity": 50}
    recipe = toy_recipe(rule=rule, checkpoint_every=1)
    run_steps.train(recipe, tmp_path / "whole")
    take = Trainer._take_step

    def dies(self, *arguments, **more):
        if self.step == last:
            raise MemoryError("killed")
        return take(self, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_take_step", dies)
        with pytest.raises(MemoryError):
            run_steps.train(recipe, tmp_path / "cut")
    run_steps.train(recipe, tmp_path / "cut")

    assert_same(final(tmp_path / "whole"), final(tmp_path / "cut"))
    events = [event for record in log(tmp_path / "cut") for event in record.get("events", [])]
    assert [event["step"] for event in events if event["event"] == "k_means"] == [5]
