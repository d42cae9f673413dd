"""The laws of decoders."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import torch

from unitdisc.parts import Batch, Decoder, Padded
from unitdisc.testing.explained import check_explained, labels, latents_of
from unitdisc.testing.laws import noise, supply, tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from unitdisc.data import FeatureSpec, TargetSpec

_LENGTHS = [11, 4, 1]
_NUM_CODES, _NUM_CODEBOOKS = 5, 2


def check_decoder(
    make: Callable[..., Decoder],
    features: FeatureSpec,
    *,
    conditions: Mapping[str, int] | None = None,
    targets: Mapping[str, TargetSpec] | None = None,
    dim: int = 8,
    stride: int = 4,
    grid: tuple[int, int] | None = None,
    sees_latents: bool = True,
) -> None:
    """Raise an AssertionError that names the first law of `Decoder` that a decoder breaks.

    Args:
        make: Builds the decoder when called with what it names of ``dim``, ``features``, ``stride``, ``grid``,
            ``conditions``, ``targets``, ``num_codes`` (5) and ``num_codebooks`` (2).
        features: What an input frame is; inputs are random in [0, 1], or random tokens.
        conditions: {name: number of values} of the data, for example {"speaker": 3}. Of token data they are
            sequences of such values.
        targets: {name: `TargetSpec`} of the data, for a decoder that learns from labels, too.
        dim: Size D of the latents.
        stride: Input frames per latent; of pictures, pixels in a cell of ``grid``.
        grid: Rows and columns of latents of a picture (``features.grid``).
        sees_latents: False for a decoder that explains the inputs by conditions alone.
    """
    conditions = dict(conditions or {})

    def build() -> Decoder:
        torch.manual_seed(0)
        return supply(
            make,
            dim=dim,
            features=features,
            stride=stride,
            grid=grid,
            conditions=conditions,
            targets=dict(targets or {}),
            num_codes=_NUM_CODES,
            num_codebooks=_NUM_CODEBOOKS,
        )

    lengths = _LENGTHS if features.grid is None else [prod(features.grid)] * len(_LENGTHS)
    inputs = noise(lengths, *features.shape)
    values: dict[str, Tensor | Padded] = {
        name: torch.arange(len(lengths)) % count for name, count in conditions.items()
    }
    if features.vocab_size is None:
        inputs = Padded((inputs.values + 2) / 4, inputs.lengths)
    else:
        inputs = tokens(lengths, features.vocab_size)
        values = {name: tokens([5, 2, 1], count) for name, count in conditions.items()}
    keys = [f"u{number}" for number in range(len(lengths))]
    batch = Batch(keys, inputs, labels(dict(targets or {}), lengths, stride), values)
    with torch.random.fork_rng(devices=[]):
        latents = latents_of(
            batch, dim=dim, stride=stride, num_codes=_NUM_CODES, num_codebooks=_NUM_CODEBOOKS
        )
        check_explained(build, latents, batch, sends_gradient=sees_latents)
