"""Dead-code revival against plain loops, its draws, its policies. Two processes: see test_reestimate_runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.plugins import oracle
from unitdisc.errors import RecipeError
from unitdisc.parts import Padded
from unitdisc.testing import check_bottleneck
from unitdisc_ema.rule import EMA
from unitdisc_gradient.rule import Gradient
from unitdisc_none.rule import Identity
from unitdisc_reestimate.rule import Reestimate
from unitdisc_revive.rule import Revive, _draw

DIM = 4


def noise(count: int = 20, seed: int = 0) -> Padded:
    generator = torch.Generator().manual_seed(seed)
    return Padded(torch.randn(1, count + 3, DIM, generator=generator), torch.tensor([count]))


def valid(batch: Padded) -> np.ndarray:
    return batch.values[batch.mask].double().numpy()


def take_step(rule: Revive, *batches: Padded, seed: int = 0) -> None:
    """One step as the engine takes it; nothing learns by gradient."""
    for part in (rule, rule.rule):
        part.before_step(0.0)
    for batch in batches:
        rule(batch)
    torch.manual_seed(seed)
    with torch.no_grad():
        for part in (rule, rule.rule):
            part.after_step(0.0)


@pytest.mark.parametrize(
    ("inner", "settings"),
    [
        (Gradient, {"every": 1, "patience": 1}),
        (Gradient, {"every": 2, "patience": 1, "threshold": 3.0, "moments": "keep"}),
        (EMA, {"every": 1, "patience": 1, "counts": "keep"}),
        (EMA, {}),
    ],
)
@pytest.mark.parametrize("books", [1, 2])
def test_revive_keeps_the_contract(inner, books, settings):
    check_bottleneck(lambda dim: Revive(dim, rule=inner(dim, num_codes=40, num_codebooks=books), **settings))


@pytest.mark.parametrize("books", [1, 2])
@pytest.mark.parametrize("every", [1, 3])
def test_codes_die_and_return_as_in_the_loop_oracle(books, every):
    rule = Revive(
        DIM,
        rule=Gradient(DIM, num_codes=12, num_codebooks=books, init="normal"),
        threshold=0.7,
        decay=0.8,
        patience=2,
        every=every,
    )
    uses = np.full((books, 12), 0.7 / 0.8**1.5)
    since, revived = 0, 0
    for step in range(12):
        batches = noise(9, seed=step), noise(4, seed=100 + step)
        latents = np.concatenate([valid(batch) for batch in batches])
        codebook = rule.rule.codebook.detach().double().numpy().copy()
        codes = oracle.codes_of(latents, codebook)
        dead = np.zeros_like(uses, dtype=bool)
        since += 1
        for q in range(books):
            for k in range(12):
                uses[q, k] = 0.8 * uses[q, k] + 0.2 * sum(int(code) == k for code in codes[:, q])
                dead[q, k] = since >= every and uses[q, k] < 0.7
        uses[dead] = 0.7 / 0.8**1.5
        since = 0 if since >= every else since

        take_step(rule, *batches, seed=step)

        found = rule.rule.codebook.detach().double().numpy()
        moved = (found != codebook).any(-1)
        assert np.array_equal(moved, dead)
        assert np.allclose(rule.uses.numpy(), uses, rtol=1e-4)
        blocks = latents.reshape(len(latents), books, -1)
        for q in range(books):
            sources = [
                [row for row in range(len(latents)) if np.array_equal(blocks[row, q], codeword)]
                for codeword in found[q][dead[q]]
            ]
            assert all(len(rows) == 1 for rows in sources)  # each is a latent of this step
            assert len({rows[0] for rows in sources}) == len(sources)  # and none is taken twice
        assert [event["revived"] for event in rule.events()] == ([dead.sum()] if dead.any() else [])
        revived += dead.sum()
    assert revived > 0


@pytest.mark.parametrize("patience", [1, 7, 100])
def test_a_code_without_a_use_is_replaced_after_as_many_steps_as_it_is_given(patience):
    rule = Revive(DIM, rule=Gradient(DIM, num_codes=2), patience=patience, every=1)
    with torch.no_grad():
        rule.rule.codebook[0, 1] = 1e3
    for step in range(1, patience + 1):
        take_step(rule, noise())
        assert bool(list(rule.events())) == (step == patience)


def test_draws_are_uniform_and_without_replacement_as_long_as_latents_suffice():
    torch.manual_seed(0)
    total, count, repeats = 7, 3, 3000
    draws = torch.stack([_draw(count, total, torch.device("cpu")) for _ in range(repeats)])
    assert all(len(set(draw.tolist())) == count for draw in draws)
    shares = torch.bincount(draws.flatten(), minlength=total) / (repeats * count)
    assert (shares - 1 / total).abs().max() < 0.01  # four deviations
    more = _draw(17, total, torch.device("cpu")).bincount(minlength=total)
    assert more.sum() == 17
    assert more.min() >= 2


def test_more_dead_codes_than_latents_take_latents_again():
    rule = Revive(DIM, rule=EMA(DIM, num_codes=40, init="normal"), patience=1, every=1)
    batch = noise(3)
    take_step(rule, batch)
    (event,) = rule.events()
    distances = (rule.rule.codebook[0][:, None] - batch.values[0, :3]).abs().amax(-1)
    assert int((distances.amin(1) < 1e-6).sum()) == event["revived"] > 3


def test_a_step_without_latents_replaces_and_forgets_nothing():
    rule = Revive(DIM, rule=EMA(DIM, num_codes=5), patience=1, every=1)
    state = {name: value.clone() for name, value in rule.state_dict().items()}
    take_step(rule, Padded(torch.ones(2, 3, DIM), torch.tensor([0, 0])))
    assert all(torch.equal(value, state[name]) for name, value in rule.state_dict().items())
    assert not list(rule.events())


@pytest.mark.parametrize("counts", ["reset", "keep"])
def test_ema_goes_on_from_the_new_codewords(counts):
    inner = EMA(DIM, num_codes=30, init="normal", epsilon=0.0)
    rule = Revive(DIM, rule=inner, patience=1, every=1, counts=counts)
    for step in range(4):
        take_step(rule, noise(seed=step))
        torch.testing.assert_close(inner.sums / inner.counts.unsqueeze(-1), inner.codebook)


def test_latents_take_their_place_as_they_are_compared():
    rule = Revive(DIM, rule=EMA(DIM, num_codes=30, distance="cosine"), patience=1, every=1)
    batch = noise()
    take_step(rule, batch)
    assert list(rule.events())
    output = rule.eval()(batch)
    found = torch.nn.functional.normalize(batch.values[batch.mask], dim=-1)
    assert int(((output.values[batch.mask] - found).abs().amax(-1) < 1e-6).sum()) > 0


def test_replaced_names_the_rows_of_a_learned_codebook():
    rule = Revive(DIM, rule=Gradient(DIM, num_codes=30), patience=1, every=1, moments="keep", average="keep")
    before = rule.rule.codebook.detach().clone()
    take_step(rule, noise())
    (replaced,) = rule.replaced()
    assert replaced.parameter is rule.rule.codebook
    assert torch.equal(replaced.rows, (rule.rule.codebook != before).any(-1))
    assert (replaced.moments, replaced.average) == ("keep", "keep")
    rule.before_step(0.0)
    assert not list(rule.replaced())
    moving = Revive(DIM, rule=EMA(DIM, num_codes=30), patience=1, every=1)
    take_step(moving, noise())
    assert not list(moving.replaced())


@pytest.mark.parametrize("make", [lambda: Identity(DIM), lambda: Reestimate(DIM, rule=EMA(DIM, num_codes=2))])
def test_rule_without_a_codebook_of_its_own_is_named(make):
    inner: Any = make()
    with pytest.raises(
        RecipeError, match=rf"rule: {type(inner).__name__} has no codebook .* accepted: a rule"
    ):
        Revive(DIM, rule=inner)


def test_patience_that_the_average_cannot_hold_is_refused():
    with pytest.raises(
        RecipeError, match=r"with decay 0.5 cannot tell 2000 steps without a use; accepted: at most 92"
    ):
        Revive(DIM, rule=EMA(DIM, num_codes=2), decay=0.5, patience=2000)
