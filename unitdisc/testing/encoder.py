"""The laws of encoders."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import torch

from unitdisc.parts import Encoder, Padded
from unitdisc.testing.laws import (
    random_inputs,
    require,
    require_close,
    require_gradients,
    require_state,
    require_tensors,
    spoil,
    supply,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from unitdisc.data import FeatureSpec

    Build = Callable[[], Encoder]

_TOLERANCE = 1e-4  # of float32 products whose order depends on the size of the batch


def check_encoder(make: Callable[..., Encoder], features: FeatureSpec) -> None:
    """Raise an AssertionError that names the first law of `Encoder` that an encoder breaks.

    Args:
        make: Builds the encoder when called with ``features``.
        features: What an input frame is. Of pictures (``features.grid``) it is given whole ones alone.
    """

    def build() -> Encoder:
        torch.manual_seed(0)
        return supply(make, features=features)

    with torch.random.fork_rng(devices=[]):
        _lengths(build, features)
        _padding(build, features)
        _padding_in_training(build, features)
        _gradients(build, features)


def _lengths(build: Build, features: FeatureSpec) -> None:
    law = "T frames give ceil(T / stride) latents of size dim"
    encoder = build().eval()
    require_tensors(encoder)
    longest = 2 * encoder.stride + 1
    batches = [[length] for length in range(1, longest + 1)]
    batches.append([longest, 1, encoder.stride, 0])
    if features.grid is not None:
        batches = [[prod(features.grid)] * number for number in (1, 2)]
        _grid(encoder, features.grid)
    for lengths in batches:
        latents = encoder(random_inputs(lengths, features))
        expected = [-(-length // encoder.stride) for length in lengths]
        shape = (len(lengths), max(expected), encoder.dim)
        found = tuple(latents.values.shape)
        require(found == shape, law, f"lengths {lengths} give the shape {found} instead of {shape}")
        counts = latents.lengths.tolist()
        require(counts == expected, law, f"lengths {lengths} give the lengths {counts} instead of {expected}")


def _grid(encoder: Encoder, grid: tuple[int, int]) -> None:
    law = "a picture has one latent for each cell of the encoder's grid, and stride is the number of pixels in one"
    cells = prod(encoder.grid or (0,))
    found = f"{grid} pixels, stride {encoder.stride} and {encoder.grid} cells"
    require(cells * encoder.stride == prod(grid), law, found)


def _padding(build: Build, features: FeatureSpec) -> None:
    law = "padding changes nothing"
    encoder = build().eval()
    lengths = _uneven(features, [3 * encoder.stride + 1, 1, 2 * encoder.stride, 0])
    batch = random_inputs(lengths, features)
    with torch.no_grad():
        latents = encoder(batch)
        padded = encoder(spoil(batch, 1e3, extra=2 * encoder.stride + 1))
        require_close(_valid(padded), _valid(latents), law, "latents", tolerance=_TOLERANCE)
        for number, length in enumerate(lengths):
            if length == 0:
                continue
            alone = encoder(
                Padded(batch.values[number : number + 1, :length], batch.lengths[number : number + 1])
            )
            together = latents.values[number : number + 1, : alone.values.shape[1]]
            what = f"latents of {length} frames alone and in a batch"
            require_close(alone.values, together, law, what, tolerance=_TOLERANCE)


def _padding_in_training(build: Build, features: FeatureSpec) -> None:
    law = "padding changes nothing in training"
    encoders = build().train(), build().train()
    stride = encoders[0].stride
    batch = random_inputs(_uneven(features, [3 * stride + 1, 1, 0, 2 * stride]), features)
    outputs = []
    for encoder, inputs in zip(encoders, (batch, spoil(batch, 1e3)), strict=True):
        encoder.before_step(0.5)
        torch.manual_seed(1)
        outputs.append(_valid(encoder(inputs)))
        encoder.after_step(0.5)
    require_close(outputs[1], outputs[0], law, "latents", tolerance=_TOLERANCE)
    require_state(encoders[1], encoders[0], law, tolerance=_TOLERANCE)


def _gradients(build: Build, features: FeatureSpec) -> None:
    encoder = build().train()
    if not any(parameter.requires_grad for parameter in encoder.parameters()):
        return  # it does not learn
    lengths = _uneven(features, [4 * encoder.stride, 0, 2 * encoder.stride])
    latents = _valid(encoder(random_inputs(lengths, features)))
    (latents * torch.randn(latents.shape)).sum().backward()
    require_gradients(encoder)


def _uneven(features: FeatureSpec, lengths: list[int]) -> list[int]:
    """Return ``lengths``, or those of as many whole pictures."""
    return lengths if features.grid is None else [prod(features.grid)] * len(lengths)


def _valid(latents: Padded) -> torch.Tensor:
    return latents.values[latents.mask]
