"""The laws of decoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unitdisc.parts import Batch, Decoder, Padded
from unitdisc.testing.explained import check_explained, latents_of
from unitdisc.testing.laws import noise, supply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from unitdisc.data import FeatureSpec

_LENGTHS = [11, 4, 1]


def check_decoder(
    make: Callable[..., Decoder],
    features: FeatureSpec,
    *,
    conditions: Mapping[str, int] | None = None,
    dim: int = 8,
    stride: int = 4,
) -> None:
    """Raise an AssertionError that names the first law of `Decoder` that a decoder breaks.

    Args:
        make: Builds the decoder when called with what it names of ``dim``, ``features``, ``stride`` and
            ``conditions``.
        features: What an input frame is; inputs are random in [0, 1].
        conditions: {name: number of values} of the data, for example {"speaker": 3}.
        dim: Size D of the latents.
        stride: Input frames per latent.
    """
    conditions = dict(conditions or {})

    def build() -> Decoder:
        torch.manual_seed(0)
        return supply(make, dim=dim, features=features, stride=stride, conditions=conditions)

    inputs = noise(_LENGTHS, *features.shape)
    inputs = Padded((inputs.values + 2) / 4, inputs.lengths)
    values = {name: torch.arange(len(_LENGTHS)) % count for name, count in conditions.items()}
    batch = Batch([f"u{number}" for number in range(len(_LENGTHS))], inputs, {}, values)
    with torch.random.fork_rng(devices=[]):
        check_explained(build, latents_of(batch, dim=dim, stride=stride), batch, sends_gradient=True)
