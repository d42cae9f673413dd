"""The laws of how bottlenecks learn: steps, state, padding, and what must leave no trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

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
    from collections.abc import Callable

    Build = Callable[..., Bottleneck]

LENGTHS = [6, 3, 1, 5]


def train_step(rule: Bottleneck, *batches: Padded) -> list[Quantized]:
    """Run one optimiser step of plain gradient descent over micro-batches, weighted by valid latents."""
    rule.train()
    rule.before_step(0.5)
    torch.manual_seed(7)
    outputs = [rule(batch) for batch in batches]
    counts = [int(batch.lengths.sum()) for batch in batches]
    loss = sum(output.loss * count for output, count in zip(outputs, counts, strict=True)) / max(
        sum(counts), 1
    )
    parameters = [parameter for parameter in rule.parameters() if parameter.requires_grad]
    if parameters and isinstance(loss, torch.Tensor) and loss.requires_grad:
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                if gradient is not None:
                    parameter.sub_(gradient, alpha=0.1)
    rule.after_step(0.5)
    return outputs


def evaluate(rule: Bottleneck, batch: Padded) -> Quantized:
    """Run a rule as evaluation does."""
    rule.eval()
    with torch.no_grad():
        output: Quantized = rule(batch)
    return output


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
    rules[0].train()
    rules[0].before_step(0.5)
    rules[0](skipped)
    for rule in rules:
        train_step(rule, batch)
    require_state(rules[0], rules[1], "a skipped step leaves no trace")


def _micro_batches(build: Build) -> None:
    rules = build(), build()
    batch = noise(LENGTHS, rules[0].dim)
    halves = [Padded(batch.values[part], batch.lengths[part]) for part in (slice(0, 2), slice(2, None))]
    for _ in range(2):
        train_step(rules[0], batch)
        train_step(rules[1], *halves)
    require_state(rules[1], rules[0], "micro-batches of a step count as one batch", tolerance=1e-5)


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
    rules[0].train()
    rules[0].before_step(0.5)
    try:
        rules[0](bad)
    except ValueError as error:
        require("2" in str(error), law, f"the ValueError does not say that there are 2: {error}")
    else:
        require(holds=False, law=law, found="no ValueError for NaN and infinity")
    rules[0](good)
    rules[0].after_step(0.5)
    rules[1].train()
    rules[1].before_step(0.5)
    rules[1](good)
    rules[1].after_step(0.5)
    require_state(rules[0], rules[1], law)


LEARNING_LAWS = [
    _padding,
    _moves_after_step,
    _skipped_step,
    _micro_batches,
    _whole_state,
    _evaluation,
    _nothing_valid,
    _not_finite,
]
