"""The laws of how bottlenecks learn: steps, state, padding, random numbers, and what must leave no trace.

As in training, torch's generator is seeded before each micro-batch and before the two step methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unitdisc.parts import Bottleneck, Padded, Quantized
from unitdisc.testing.laws import (
    noise,
    require,
    require_close,
    require_state,
    snapshot,
    spoil,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Build = Callable[..., Bottleneck]

LENGTHS = [6, 3, 1, 5]


def train_step(rule: Bottleneck, *batches: Padded, seeds: Sequence[int] = ()) -> list[Quantized]:
    """Run one optimiser step of plain gradient descent over micro-batches, weighted by valid latents.

    Without ``seeds``, one for each micro-batch, they draw from one stream of random numbers.
    """
    _begin(rule)
    outputs = []
    for number, batch in enumerate(batches):
        if seeds:
            torch.manual_seed(seeds[number])
        outputs.append(rule(batch))
    counts = [int(batch.lengths.sum()) for batch in batches]
    loss = sum(output.loss * count for output, count in zip(outputs, counts, strict=True)) / max(
        sum(counts), 1
    )
    _descend(rule, loss)
    torch.manual_seed(8)
    rule.after_step(0.5)
    return outputs


def _begin(rule: Bottleneck) -> None:
    rule.train()
    torch.manual_seed(6)
    rule.before_step(0.5)
    torch.manual_seed(7)


def _descend(rule: Bottleneck, loss: Tensor | float) -> None:
    parameters = [parameter for parameter in rule.parameters() if parameter.requires_grad]
    if parameters and isinstance(loss, Tensor) and loss.requires_grad:
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                if gradient is not None:
                    parameter.sub_(gradient, alpha=0.1)


def evaluate(rule: Bottleneck, batch: Padded) -> Quantized:
    """Run a rule as evaluation does."""
    rule.eval()
    with torch.no_grad():
        output: Quantized = rule(batch)
    return output


def draws(rule: Bottleneck) -> bool:
    """Return whether ``forward`` draws random numbers in training."""
    before = torch.get_rng_state()
    rule.train()
    rule(noise(LENGTHS, rule.dim))
    return not torch.equal(torch.get_rng_state(), before)


def _padding(build: Build) -> None:
    law = "padding changes nothing"
    batch = noise(LENGTHS, build().dim)
    longer = spoil(batch, 1e3, extra=3)
    rules = build(), build()
    (clean,), (padded,) = train_step(rules[0], batch), train_step(rules[1], longer)
    require(torch.equal(clean.codes[batch.mask], padded.codes[longer.mask]), law, "codes are others")
    require_close(padded.values[longer.mask], clean.values[batch.mask], law, "values")
    require_close(padded.loss, clean.loss, law, "losses")
    for name, value in clean.stats.items():
        require_close(padded.stats[name], value, law, f"numbers {name!r}")
    require_state(rules[1], rules[0], law, tolerance=1e-5)


def _moves_after_step(build: Build) -> None:
    law = "the codebook moves in after_step alone"
    rule = build()
    batch = noise(LENGTHS, rule.dim)
    train_step(rule, batch)
    codes = torch.randint(max(rule.num_codes, 1), (20, rule.num_codebooks))
    before = rule.lookup(codes).detach().clone()
    rule.train()
    rule.before_step(0.5)
    rule(batch)
    require_close(rule.lookup(codes), before, law, "codewords before and after forward", tolerance=0)


def _skipped_step(build: Build) -> None:
    rules = build(), build()
    skipped, batch = noise(LENGTHS, rules[0].dim, seed=1), noise(LENGTHS, rules[0].dim)
    _begin(rules[0])
    rules[0](skipped)
    for rule in rules:
        train_step(rule, batch)
    require_state(rules[0], rules[1], "a skipped step leaves no trace")


def _micro_batches(build: Build) -> None:
    """Compare one batch with its two parts, except for what differs between them by right.

    A rule may draw other numbers for the parts, or have a term of the loss that is no sum over latents, such as
    the entropy of a batch: then its micro-batches must at least add up.
    """
    rules = build(), build()
    batch, halves = _halves(rules[0].dim)
    for _ in range(2):
        train_step(rules[0], batch)
        train_step(rules[1], *halves)
    try:
        require_state(rules[1], rules[0], "micro-batches of a step count as one batch", tolerance=1e-5)
    except AssertionError:
        if not draws(build()) and _loss_adds_up(build()):
            raise
        _micro_batches_add_up(build)


def _micro_batches_add_up(build: Build) -> None:
    rules = build(), build(), build()
    _, (first, second) = _halves(rules[0].dim)
    empty = Padded(torch.ones_like(first.values), torch.zeros_like(first.lengths))
    for _ in range(2):
        train_step(rules[0], first, second, seeds=[1, 2])
        train_step(rules[1], second, first, seeds=[2, 1])
        train_step(rules[2], first, empty, second, seeds=[1, 3, 2])
    require_state(rules[1], rules[0], "micro-batches of a step may come in any order", tolerance=1e-5)
    law = "a micro-batch without valid latents changes nothing"
    require_state(rules[2], rules[0], law, tolerance=1e-5)


def _loss_adds_up(rule: Bottleneck) -> bool:
    rule.train()
    batch, halves = _halves(rule.dim)
    whole = rule(batch).loss * batch.lengths.sum()
    parts = torch.stack([rule(half).loss * half.lengths.sum() for half in halves])
    return torch.allclose(whole, parts.sum(), rtol=1e-5, atol=1e-7)


def _mean_loss(build: Build) -> None:
    """A sum over latents would double; a mean does not, nor does a function of means."""
    rule = build().train()
    if draws(rule):
        return
    batch = noise(LENGTHS, rule.dim)
    twice = Padded(batch.values.repeat(2, 1, 1), batch.lengths.repeat(2))
    law = "the loss is a mean over valid latents"
    require_close(rule(twice).loss, rule(batch).loss, law, "the losses of a batch twice and once")


def _halves(dim: int) -> tuple[Padded, list[Padded]]:
    batch = noise(LENGTHS, dim)
    parts = slice(0, 2), slice(2, None)
    return batch, [Padded(batch.values[part], batch.lengths[part]) for part in parts]


def _repeatable(build: Build) -> None:
    law = "training is a function of latents, state and torch's generator"
    rules = build(), build()
    for seed in range(2):
        batch = noise(LENGTHS, rules[0].dim, seed=seed)
        (first,), (second,) = (train_step(rule, batch) for rule in rules)
        require(torch.equal(first.codes, second.codes), law, "codes were others the second time")
        require_close(second.values, first.values, law, "values", tolerance=0)
        require_close(second.loss, first.loss, law, "losses", tolerance=0)
    require_state(rules[1], rules[0], law)


def _draws_for_valid_latents(build: Build) -> None:
    law = "random numbers are drawn for valid latents alone"
    rules = build(), build()
    batch = noise(LENGTHS, rules[0].dim)
    states = []
    for rule, given in zip(rules, (batch, spoil(batch, 1e3, extra=3)), strict=True):
        torch.manual_seed(7)
        rule.train()(given)
        states.append(torch.get_rng_state())
    require(torch.equal(states[0], states[1]), law, "more padding moves the generator further")


def _whole_state(build: Build) -> None:
    law = "state_dict holds the whole state"
    straight, resumed = build(), build(seed=1)
    batches = [noise(LENGTHS, straight.dim, seed=seed) for seed in range(3)]
    for batch in batches[:2]:
        train_step(straight, batch)
    resumed.load_state_dict(snapshot(straight))
    (expected,), (found,) = train_step(straight, batches[2]), train_step(resumed, batches[2])
    require(torch.equal(found.codes, expected.codes), law, "codes are others after loading it")
    require_close(found.values, expected.values, law, "values after loading it", tolerance=0)
    require_close(found.loss, expected.loss, law, "losses after loading it", tolerance=0)
    require_state(resumed, straight, law)


def _evaluation(build: Build) -> None:
    law = "evaluation changes no state"
    used, untouched = build(), build()
    batch = noise(LENGTHS, used.dim)
    for rule in (used, untouched):
        train_step(rule, batch)
    evaluate(used, noise(LENGTHS, used.dim, seed=1))
    require_state(used, untouched, law)
    for rule in (used, untouched):
        train_step(rule, batch)
    require_state(used, untouched, law)


def _nothing_valid(build: Build) -> None:
    law = "a batch without valid latents has a loss of 0 and a finite step"
    rule = build()
    (output,) = train_step(rule, Padded(torch.ones(2, 3, rule.dim), torch.tensor([0, 0])))
    require(output.loss.shape == () and output.loss.item() == 0, law, f"the loss is {output.loss.tolist()}")
    for name, value in rule.state_dict().items():
        require(bool(torch.isfinite(value.double()).all()), law, f"{name!r} is not finite after the step")


def _not_finite(build: Build) -> None:
    law = "latents that are not finite are refused before any statistic"
    rules = build(), build()
    if not rules[0].num_codes:
        return
    good = noise(LENGTHS, rules[0].dim)
    bad = Padded(good.values.clone(), good.lengths)
    bad.values[0, 1, 0], bad.values[1, 2, 1] = torch.nan, torch.inf
    _begin(rules[0])
    try:
        rules[0](bad)
    except ValueError as error:
        require("2" in str(error), law, f"the ValueError does not say that there are 2: {error}")
    else:
        require(holds=False, law=law, found="no ValueError for NaN and infinity")
    _begin(rules[1])
    for rule in rules:
        torch.manual_seed(7)
        rule(good)
        torch.manual_seed(8)
        rule.after_step(0.5)
    require_state(rules[0], rules[1], law)


LEARNING_LAWS = [
    _padding,
    _moves_after_step,
    _skipped_step,
    _micro_batches,
    _mean_loss,
    _repeatable,
    _draws_for_valid_latents,
    _whole_state,
    _evaluation,
    _nothing_valid,
    _not_finite,
]
