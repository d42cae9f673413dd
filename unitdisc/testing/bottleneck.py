"""The laws of bottlenecks."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING

import torch

from unitdisc.parts import Bottleneck, Padded
from unitdisc.testing.laws import noise, require, require_close, require_scalar, require_tensors
from unitdisc.testing.learning import LEARNING_LAWS, LENGTHS, draws, evaluate

if TYPE_CHECKING:
    from collections.abc import Callable

    Build = Callable[..., Bottleneck]

_DRAWS = 20


def check_bottleneck(make: Callable[..., Bottleneck], *, dim: int = 8) -> None:
    """Raise an AssertionError that names the first law of `Bottleneck` that a rule breaks.

    Args:
        make: Builds the rule when called with ``dim``: ``partial(EMA, num_codes=5)``. Where it has a
            parameter ``num_codebooks`` that is not set, it is also tried with 2.
        dim: Size D of the latents, even.
    """
    makes = [make]
    parameter = inspect.signature(make).parameters.get("num_codebooks")
    if parameter is not None and parameter.default in {1, inspect.Parameter.empty}:
        makes.append(partial(make, num_codebooks=2))
    with torch.random.fork_rng(devices=[]):
        for made in makes:
            for law in [*_LAWS, *LEARNING_LAWS]:
                law(partial(_build, made, dim))


def _build(make: Callable[..., Bottleneck], dim: int, seed: int = 0) -> Bottleneck:
    torch.manual_seed(seed)
    return make(dim=dim)


def _tensors(build: Build) -> None:
    require_tensors(build())


def _shapes(build: Build) -> None:
    law = "shapes and types are those of Quantized"
    rule = build()
    for lengths in (LENGTHS, [1]):
        batch = noise(lengths, rule.dim)
        steps = batch.values.shape[:2]
        output = rule(batch)
        for what, value, shape, dtype in (
            ("values", output.values, (*steps, rule.dim), torch.float32),
            ("codes", output.codes, (*steps, rule.num_codebooks), torch.int64),
        ):
            found = (
                f"{what} are {value.dtype} of shape {tuple(value.shape)} instead of {dtype} of shape {shape}"
            )
            require(value.shape == shape and value.dtype == dtype, law, found)
        require_scalar(output.loss, law, "the loss")
        for name, value in output.stats.items():
            require_scalar(value, law, f"the number {name!r}")


def _code_range(build: Build) -> None:
    law = "codes lie in [0, K), and are -1 on padding and there alone"
    rule = build()
    batch = noise(LENGTHS, rule.dim, spare=2)
    codes = rule(batch).codes
    if codes.numel():
        valid, padding = codes[batch.mask], codes[~batch.mask]
        require(
            bool((padding == -1).all()),
            law,
            f"padding has the codes {sorted(set(padding.flatten().tolist()))}",
        )
        low, high = int(valid.min()), int(valid.max())
        require(
            low >= 0 and high < rule.num_codes, law, f"codes from {low} to {high} with K = {rule.num_codes}"
        )


def _deterministic(build: Build) -> None:
    rule = build()
    batch = noise(LENGTHS, rule.dim)
    generator = torch.get_rng_state()
    first, second = evaluate(rule, batch), evaluate(rule, batch)
    changed = int((first.codes != second.codes).sum())
    require(changed == 0, "the same latents get the same codes in evaluation", f"{changed} codes changed")
    untouched = torch.equal(torch.get_rng_state(), generator)
    require(untouched, "evaluation leaves torch's generator alone", "it has moved")


def _gradient(build: Build) -> None:
    """Ask for a gradient of every latent; where a rule draws, in one of several draws, as it may saturate."""
    law = "gradients pass to the latents"
    rule = build()
    batch = noise(LENGTHS, rule.dim, spare=2)
    batch.values.requires_grad_()
    weights = noise(LENGTHS, rule.dim, seed=1, spare=2).values
    missed = batch.mask
    for _ in range(_DRAWS if draws(rule) else 1):
        output = rule(batch)
        total = (output.values * weights).sum() + output.loss
        require(total.requires_grad, law, "values and loss have none")
        (gradient,) = torch.autograd.grad(total, batch.values, allow_unused=True)
        if gradient is None:
            break
        missed = missed & (gradient == 0).all(-1)
        leaked = int((gradient[~batch.mask] != 0).any(-1).sum())
        require(leaked == 0, "padding changes nothing", f"{leaked} steps of padding get a gradient")
    require(not missed.any(), law, f"{int(missed.sum())} latents get none")


def _lookup(build: Build) -> None:
    law = "lookup gives the values that evaluation gives"
    rule = build()
    batch = noise(LENGTHS, rule.dim, spare=2)
    output = evaluate(rule, batch)
    vectors = rule.lookup(output.codes)
    require_close(
        vectors[~batch.mask], torch.zeros_like(vectors[~batch.mask]), "lookup of -1 gives zeros", "they"
    )
    if rule.num_codes:
        require_close(vectors[batch.mask], output.values[batch.mask], law, "vectors")
    single = rule.lookup(output.codes[0, 0])
    require(
        single.shape == (rule.dim,),
        law,
        f"codes (Q,) give the shape {tuple(single.shape)}, not ({rule.dim},)",
    )


def _precision(build: Build) -> None:
    """Latents halfway between codewords, where bfloat16 cannot tell which is nearer."""
    law = "codes are found in float32 under mixed precision"
    rule = build()
    if not rule.num_codes:
        return
    pairs = torch.randint(rule.num_codes, (2, 1, 500, rule.num_codebooks))
    vectors = rule.lookup(pairs).detach()
    vectors = vectors.mean(0) + vectors.std() * 0.01 * torch.randn(vectors.shape[1:])
    batch = Padded(vectors, torch.tensor([500]))
    expected = evaluate(rule, batch).codes
    with torch.autocast("cpu", torch.bfloat16):
        changed = int((evaluate(rule, batch).codes != expected).sum())
    require(changed == 0, law, f"{changed} of {expected.numel()} codes are others in bfloat16")
    double = Padded(batch.values.double(), batch.lengths)
    changed = int((evaluate(rule, double).codes != expected).sum())
    require(changed == 0, law, f"{changed} of {expected.numel()} codes are others for float64 latents")


def _param_groups(build: Build) -> None:
    law = "param_groups name own parameters, each once"
    rule = build()
    own = {id(parameter) for parameter in rule.parameters()}
    groups = list(rule.param_groups())
    named = [id(parameter) for group in groups for parameter in group["params"]]
    foreign = sum(name not in own for name in named)
    require(foreign == 0, law, f"{foreign} parameters are not the rule's own")
    require(len(named) == len(set(named)), law, f"{len(named) - len(set(named))} parameters stand twice")
    for group in groups:
        require(set(group) <= {"params", "lr_scale"}, law, f"a group has the keys {sorted(group)}")


def _workspace(build: Build) -> None:
    rule = build()
    sizes = [rule.workspace(count) for count in (0, 10, 1000)]
    right = all(isinstance(size, int) and size >= 0 for size in sizes) and sizes == sorted(sizes)
    found = f"0, 10 and 1000 latents give {sizes}"
    require(right, "workspace is a number of bytes that grows with the latents", found)


_LAWS = [
    _tensors,
    _shapes,
    _code_range,
    _deterministic,
    _gradient,
    _lookup,
    _precision,
    _param_groups,
    _workspace,
]
