"""The laws that decoders and heads share: both give a loss per valid input frame from quantised latents."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from unitdisc.coded import Coded
from unitdisc.likelihood import Likelihood
from unitdisc.parts import Batch, Decoder, Head, Padded
from unitdisc.testing.laws import (
    noise,
    require,
    require_close,
    require_gradients,
    require_scalar,
    require_state,
    require_tensors,
    spoil,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from unitdisc.data import TargetSpec

    Build = Callable[[], Decoder | Head]

_TOLERANCE = 1e-4  # of float32 products whose order depends on the size of the batch


def latents_of(batch: Batch, *, dim: int, stride: int, num_codes: int, num_codebooks: int) -> Coded:
    """Return random latents and codes that fit the batch."""
    lengths = (batch.inputs.lengths + stride - 1) // stride
    latents = noise(lengths.tolist(), dim, seed=2)
    generator = torch.Generator().manual_seed(4)
    codes = torch.randint(num_codes, (*latents.values.shape[:2], num_codebooks), generator=generator)
    return Coded(latents.values, lengths, spoil(Padded(codes, lengths), -1).values)


def labels(targets: dict[str, TargetSpec], lengths: list[int], stride: int) -> dict[str, Padded]:
    """Return random references: labels with some frames unlabelled, transcripts that CTC can spell."""
    generator = torch.Generator().manual_seed(3)
    made = {}
    for name, spec in targets.items():
        size = len(spec.vocab)
        sizes = (
            lengths if spec.kind == "frames" else [max(1, -(-length // stride) // 2) for length in lengths]
        )
        values = torch.randint(size, (len(sizes), max(sizes)), generator=generator)
        if spec.kind == "frames":
            values[:, 1::4] = -1
        made[name] = spoil(Padded(values, torch.tensor(sizes)), -1)
    return made


def check_explained(build: Build, latents: Padded, batch: Batch, *, sends_gradient: bool) -> None:
    """Check what holds for decoders and heads alike."""
    _loss(build, latents, batch)
    _weighted_by_frames(build, latents, batch)
    _padding(build, latents, batch)
    _gradients(build, latents, batch, sends_gradient=sends_gradient)
    _half_precision(build, latents, batch)


def _loss(build: Build, latents: Padded, batch: Batch) -> None:
    law = "the loss is one finite number"
    part = build()
    require_tensors(part)
    for made in (batch, _unknown(batch)):
        loss, stats = part(latents, made)
        require_scalar(loss, law, "the loss")
        for name, value in stats.items():
            require_scalar(value, "numbers for the log are finite and ()", f"{name!r}")


def _weighted_by_frames(build: Build, latents: Padded, batch: Batch) -> None:
    part = build().eval()
    with torch.no_grad():
        whole, _ = part(latents, batch)
        total = torch.zeros(())
        for number in range(len(batch.keys)):
            one = _single(batch, number)
            total += part(_row(latents, number), one)[0] * one.num_frames
    law = "the loss of a batch is the mean of its utterances' losses weighted by valid frames"
    require_close(whole, total / batch.num_frames, law, "losses", tolerance=_TOLERANCE)


def _padding(build: Build, latents: Padded, batch: Batch) -> None:
    law = "padding changes nothing"
    parts = build(), build()
    losses = []
    spoiled = _spoiled(batch)
    for part, seen, made in zip(
        parts, (latents, spoil(latents, 1e3, extra=2)), (batch, spoiled), strict=True
    ):
        part.eval()
        with torch.no_grad():
            losses.append(part(seen, made)[0])
    require_close(losses[1], losses[0], law, "losses", tolerance=_TOLERANCE)
    for part, seen, made in zip(parts, (latents, spoil(latents, 1e3)), (batch, batch), strict=True):
        part.train()
        part.before_step(0.5)
        torch.manual_seed(1)
        losses.append(part(seen, made)[0])
        part.after_step(0.5)
    require_close(losses[3], losses[2], law, "losses in training", tolerance=_TOLERANCE)
    require_state(parts[1], parts[0], law, tolerance=_TOLERANCE)


def _gradients(build: Build, latents: Padded, batch: Batch, *, sends_gradient: bool) -> None:
    part = build().train()
    values = latents.values.clone().requires_grad_(
        latents.values.is_floating_point()
    )  # code numbers take none
    loss, _ = part(replace(latents, values=values), batch)
    if loss.requires_grad:  # a part that only counts has none
        loss.backward()
    require_gradients(part)
    gradient = torch.zeros_like(values) if values.grad is None else values.grad
    reached = int((gradient[latents.mask] != 0).any(-1).sum())
    if sends_gradient:
        require(reached > 0, "gradients pass to the latents", "all are zero")
    else:
        require(reached == 0, "a probe sends no gradient back", f"{reached} latents get one")
    leaked = int((gradient[~latents.mask] != 0).any(-1).sum())
    require(leaked == 0, "padding changes nothing", f"{leaked} latents of padding get a gradient")


def _half_precision(build: Build, latents: Padded, batch: Batch) -> None:
    law = "nats are (B,) float32, whatever the precision around them"
    part = build().eval()
    if isinstance(part, Likelihood):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            nats = part.nats(latents, batch)
        right = nats.dtype == torch.float32 and nats.shape == (len(batch.keys),)
        require(right, law, f"they are {nats.dtype} of shape {tuple(nats.shape)}")


def _unknown(batch: Batch) -> Batch:
    unknown = {
        name: values if isinstance(values, Padded) else torch.full_like(values, -1)
        for name, values in batch.conditions.items()
    }
    return Batch(batch.keys, batch.inputs, batch.targets, unknown)


def _spoiled(batch: Batch) -> Batch:
    targets = {name: spoil(target, -1, extra=3) for name, target in batch.targets.items()}
    conditions = {
        name: spoil(values, 1e3, extra=3) if isinstance(values, Padded) else values
        for name, values in batch.conditions.items()
    }
    return Batch(batch.keys, spoil(batch.inputs, 1e3, extra=3), targets, conditions)


def _single(batch: Batch, number: int) -> Batch:
    return Batch(
        batch.keys[number : number + 1],
        _row(batch.inputs, number),
        {name: _row(target, number) for name, target in batch.targets.items()},
        {
            name: _row(values, number) if isinstance(values, Padded) else values[number : number + 1]
            for name, values in batch.conditions.items()
        },
    )


def _row(sequences: Padded, number: int) -> Padded:
    lengths = sequences.lengths[number : number + 1]
    values = sequences.values[number : number + 1, : int(lengths)]
    if isinstance(sequences, Coded):
        return Coded(values, lengths, sequences.codes[number : number + 1, : int(lengths)])
    return Padded(values, lengths)
