"""Reestimation: jumps as announced, Algorithm 1, the policies. Whole runs: see test_reestimate_runs."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from tests.plugins import oracle
from unitdisc.codebook.clustering import k_means
from unitdisc.errors import RecipeError
from unitdisc.parts import Bottleneck, Padded
from unitdisc.testing import check_bottleneck
from unitdisc_ema.rule import EMA
from unitdisc_gradient.rule import Gradient
from unitdisc_none.rule import Identity
from unitdisc_reestimate.rule import Reestimate
from unitdisc_revive.rule import Revive

DIM = 4


def batch_of(vectors: torch.Tensor) -> Padded:
    return Padded(vectors[None], torch.tensor([len(vectors)]))


def noise(count: int = 30, seed: int = 0) -> Padded:
    return batch_of(torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed)))


def take_step(rule: Bottleneck, *batches: Padded, seed: int = 0) -> None:
    """One step as the engine takes it, outer parts first; nothing learns by gradient."""
    parts: list[Any] = [part for part in rule.modules() if isinstance(part, Bottleneck)]
    for part in parts:
        part.before_step(0.0)
    for batch in batches:
        rule(batch)
    torch.manual_seed(seed)
    with torch.no_grad():
        for part in parts:
            part.after_step(0.0)


def jumps(rule: Reestimate, num_steps: int) -> list[int]:
    """The steps, counted from 1, after which the codebook is another."""
    found = []
    for step in range(1, num_steps + 1):
        before = rule.inner.codebook.detach().clone()
        take_step(rule, noise(seed=step))
        if not torch.equal(rule.inner.codebook, before):
            found.append(step)
    return found


@pytest.mark.parametrize(
    ("inner", "books", "settings"),
    [
        (Gradient, 1, {"warm_up": 0, "every": 1, "duration": 3}),
        (Gradient, 2, {"warm_up": 9, "moments": "keep", "average": "keep"}),
        (EMA, 2, {"warm_up": 1, "every": 1, "duration": 2, "lloyd": 2, "reset_reservoir": "interval"}),
        (EMA, 1, {"warm_up": 1, "every": 1, "duration": 3, "counts": "keep"}),
    ],
)
def test_reestimate_keeps_the_contract(inner, books, settings):
    check_bottleneck(
        lambda dim: Reestimate(
            dim, rule=inner(dim, num_codes=5, num_codebooks=books), capacity=20, **settings
        )
    )


def test_reestimate_around_revive_keeps_the_contract():
    def make(dim: int) -> Reestimate:
        inner = Revive(dim, rule=EMA(dim, num_codes=6, distance="cosine"), patience=1, every=1)
        return Reestimate(dim, rule=inner, warm_up=1, every=1, duration=3, restarts=2)

    check_bottleneck(make)


@pytest.mark.parametrize(
    "settings",
    [
        {"warm_up": 3, "every": 2, "duration": 6},
        {"warm_up": 3, "every": 2, "duration": 7},
        {"warm_up": 0, "every": 4, "duration": 9},
        {"warm_up": 1, "every": 1, "duration": 4, "expansion": 2.0},
        {"warm_up": 7, "every": 5, "duration": 50},
    ],
)
@pytest.mark.parametrize("inner", [Gradient, EMA])
def test_codebook_jumps_exactly_when_announced(settings, inner):
    rule = Reestimate(DIM, rule=inner(DIM, num_codes=3), **settings)
    if inner is EMA:
        rule.rule.observe = lambda vectors, codes: None  # between the jumps it stays where it is
    (line,) = rule.announce(15)
    announced = [int(step) for step in re.findall(r"\d+", line.partition("after steps ")[2].split(";")[0])]
    assert jumps(rule, 15) == announced


def test_announcement_reads_well():
    rule = Reestimate(DIM, rule=Gradient(DIM, num_codes=3), warm_up=500, every=500, duration=2000)
    (line,) = rule.announce(1800)
    assert line == (
        "reestimate: no quantisation in the first 500 steps; new codewords from k-means++ after steps "
        "500, 1000, 1500; 1 more would follow the last step"
    )


@pytest.mark.parametrize(("warm_up", "every", "duration"), [(500, 10, 100), (900, 10, 100), (0, 10, 10)])
def test_a_schedule_that_never_fires_is_refused(warm_up, every, duration):
    rule = Reestimate(DIM, rule=Gradient(DIM, num_codes=3), warm_up=warm_up, every=every, duration=duration)
    with pytest.raises(RecipeError, match=r"first reestimation is due .* in a run of 500 steps; accepted:"):
        list(rule.announce(500))


def test_warm_up_passes_latents_without_loss_and_leaves_the_rule_inside_alone():
    rule = Reestimate(DIM, rule=EMA(DIM, num_codes=3), warm_up=2)
    state = {name: value.clone() for name, value in rule.rule.state_dict().items()}
    batch = noise()
    batch.values.requires_grad_()

    rule.before_step(0.0)
    output = rule(batch)
    take_step(rule, noise(seed=1))

    assert torch.equal(output.values, batch.values)
    assert output.loss.item() == 0
    codes = oracle.codes_of(batch.values[0].detach().double().numpy(), rule.rule.codebook.double().numpy())
    assert np.array_equal(output.codes[0].numpy(), codes)
    for name, value in rule.rule.state_dict().items():
        assert torch.equal(value, state[name]), name
    (gradient,) = torch.autograd.grad(output.values.sum(), batch.values)
    assert torch.equal(gradient, torch.ones_like(gradient))


def test_evaluation_in_the_warm_up_quantises_with_the_codebook_at_hand():
    rule = Reestimate(DIM, rule=Gradient(DIM, num_codes=3), warm_up=2).eval()
    output = rule(noise())
    assert torch.equal(output.values, rule.lookup(output.codes))


def points(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed)) + 10 * seed


def are_among(vectors: torch.Tensor, others: torch.Tensor) -> bool:
    """Whether each vector is one of the others, up to rounding."""
    return bool(((vectors[:, None] - others[None]).abs().amax(-1).amin(1) < 1e-5).all())


def as_set(vectors: torch.Tensor) -> set[tuple[float, ...]]:
    return {tuple(vector) for vector in vectors.tolist()}


@pytest.mark.parametrize("inner", [Gradient, EMA])
def test_k_means_plus_plus_of_as_many_points_as_codes_finds_them_all(inner):
    """Algorithm 1 where chance plays no part: a point that is taken has no distance left to be drawn for."""
    rule = Reestimate(DIM, rule=inner(DIM, num_codes=7), warm_up=3)
    for step in range(3):
        take_step(rule, batch_of(points(7, seed=1).repeat(3, 1)), seed=step)
    assert are_among(points(7, seed=1), rule.inner.codebook[0])
    output = rule(batch_of(points(7, seed=1)))
    torch.testing.assert_close(output.values[0], points(7, seed=1))


@pytest.mark.parametrize(
    ("reset", "first", "second"),
    [
        ("never", [1, 2, 3, 4], [1, 2, 3, 4, 5, 6]),
        ("reestimation", [1, 2, 3, 4], [5, 6]),
        ("interval", [3, 4], [5, 6]),
    ],
)
def test_reservoir_is_emptied_as_asked(reset, first, second):
    rule = Reestimate(
        DIM, rule=Gradient(DIM, num_codes=3), warm_up=4, every=2, duration=3, reset_reservoir=reset
    )
    samples: list[set[tuple[float, ...]]] = []
    reestimate = rule._reestimate
    rule._reestimate = lambda: (samples.append(as_set(rule.reservoir.samples)), reestimate())[1]
    for step in range(1, 7):
        take_step(rule, batch_of(points(5, seed=step)))
    assert samples == [as_set(torch.cat([points(5, seed=step) for step in part])) for part in (first, second)]


@pytest.mark.parametrize("books", [1, 2])
@pytest.mark.parametrize("lloyd", [0, 3])
def test_codebook_is_the_clustering_of_all_latents_seen(books, lloyd):
    rule = Reestimate(
        DIM, rule=Gradient(DIM, num_codes=6, num_codebooks=books), warm_up=2, lloyd=lloyd, restarts=2
    )
    long = Padded(torch.randn(2, 9, DIM), torch.tensor([9, 4]))
    take_step(rule, long, noise(seed=1))
    take_step(rule, noise(seed=2), seed=5)

    seen = torch.cat([long.values[long.mask], noise(seed=1).values[0], noise(seed=2).values[0]])
    torch.manual_seed(5)
    expected = k_means(seen, 6, num_codebooks=books, iterations=lloyd, restarts=2)
    assert torch.equal(rule.inner.codebook, expected.codebook)
    if lloyd == 0:
        blocks = seen.view(len(seen), books, -1)
        for q in range(books):
            assert are_among(rule.inner.codebook[q], blocks[:, q])


@pytest.mark.parametrize("counts", ["reset", "keep"])
@pytest.mark.parametrize("init_count", [0.0, 1.0, 5.0])
def test_ema_goes_on_from_the_new_codewords(counts, init_count):
    inner = EMA(DIM, num_codes=4, num_codebooks=2, decay=0.8, init_count=init_count, init="normal")
    rule = Reestimate(DIM, rule=inner, warm_up=1, every=2, duration=3, counts=counts)
    for step in (1, 2):
        take_step(rule, noise(seed=step))
    before = inner.counts.clone()
    take_step(rule, noise(seed=3))

    expected = before if counts == "keep" else torch.full_like(before, init_count)
    assert torch.equal(inner.counts, expected)
    held = torch.where(expected > 0, expected, 1.0)
    torch.testing.assert_close(inner.sums / held.unsqueeze(-1), inner.codebook)

    slow = oracle.EMA(inner.codebook.double().numpy(), decay=0.8, epsilon=1e-5, init_count=init_count)
    slow.counts, slow.sums = expected.double().numpy().copy(), inner.sums.double().numpy().copy()
    take_step(rule, noise(seed=4))
    slow.step(noise(seed=4).values[0].double().numpy())
    assert np.allclose(inner.codebook.numpy(), slow.codebook, rtol=1e-4, atol=1e-5)


def test_replaced_names_a_learned_codebook_in_the_step_of_its_reestimation_alone():
    rule = Reestimate(
        DIM,
        rule=Gradient(DIM, num_codes=3),
        warm_up=2,
        every=2,
        duration=1,
        moments="keep",
        average="restart",
    )
    found = []
    for step in range(4):
        take_step(rule, noise(seed=step))
        found.append(list(rule.replaced()))
    assert [len(replaced) for replaced in found] == [0, 1, 0, 0]
    (replaced,) = found[1]
    assert replaced.parameter is rule.rule.codebook
    assert replaced.rows.shape == (1, 3)
    assert replaced.rows.all()
    assert (replaced.moments, replaced.average) == ("keep", "restart")


def test_moving_codebook_has_neither_moments_nor_averages():
    rule = Reestimate(DIM, rule=EMA(DIM, num_codes=3), warm_up=1)
    take_step(rule, noise())
    assert not list(rule.replaced())
    assert [event["event"] for event in rule.events()] == ["reestimate"]


def test_event_holds_use_and_error_of_the_reservoir_before_and_after():
    rule = Reestimate(DIM, rule=EMA(DIM, num_codes=5, init="normal"), warm_up=1)
    books = [rule.rule.codebook.double().numpy().copy()]
    take_step(rule, noise(40))
    books.append(rule.rule.codebook.double().numpy())
    latents = noise(40).values[0].double().numpy()

    (event,) = rule.events()

    assert event["samples"] == 40
    for name, book in zip(("before", "after"), books, strict=True):
        codes = oracle.codes_of(latents, book)
        shares = np.array([np.mean(codes == k) for k in range(5)])
        entropy = -sum(share * np.log2(share) for share in shares if share > 0)
        error = float(((latents - oracle.values_of(codes, book)) ** 2).mean())
        assert event[f"perplexity_{name}"] == pytest.approx(2**entropy, rel=1e-5)
        assert event[f"error_{name}"] == pytest.approx(error, rel=1e-5)
    take_step(rule, noise(40))
    assert not list(rule.events())


def test_too_few_latents_are_told_and_tried_again_after_the_next_step():
    rule = Reestimate(DIM, rule=Gradient(DIM, num_codes=25), warm_up=2, every=3, duration=7)
    before = rule.rule.codebook.detach().clone()
    told = []
    for _ in range(8):
        take_step(rule, noise(10, seed=len(told)))
        told.append([event["event"] for event in rule.events()])
        if len(told) == 2:
            assert torch.equal(rule.rule.codebook, before)
            assert list(rule.events()) == [{"event": "reestimate skipped", "samples": 20, "needed": 25}]
    once, skipped, none = ["reestimate"], ["reestimate skipped"], []
    assert told == [none, skipped, once, none, once, none, none, once]


def test_revive_inside_leaves_new_codewords_alone():
    inner = Revive(DIM, rule=EMA(DIM, num_codes=3), patience=50)
    rule = Reestimate(DIM, rule=inner, warm_up=2)
    inner.uses.zero_()
    take_step(rule, noise())
    take_step(rule, noise())
    assert torch.equal(inner.uses, torch.full_like(inner.uses, inner.first))


@pytest.mark.parametrize("inner", [Identity(DIM), Reestimate(DIM, rule=Gradient(DIM, num_codes=2)).reservoir])
def test_rule_without_a_codebook_is_named(inner):
    with pytest.raises(RecipeError, match=rf"rule: {type(inner).__name__} has no codebook .*; accepted: "):
        Reestimate(DIM, rule=inner)


def test_reservoir_smaller_than_the_codebook_is_refused():
    with pytest.raises(RecipeError, match="capacity: a reservoir of 10 latents cannot give 11 codewords"):
        Reestimate(DIM, rule=Gradient(DIM, num_codes=11), capacity=10)
