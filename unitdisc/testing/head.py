"""The laws of heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unitdisc.parts import Batch, Head, Padded
from unitdisc.testing.explained import check_explained, labels, latents_of
from unitdisc.testing.laws import noise, require, supply
from unitdisc.views import Indicators

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from unitdisc.data import TargetSpec

    Build = Callable[[], Head]

_LENGTHS = [17, 6, 1]


def check_head(
    make: Callable[..., Head],
    targets: Mapping[str, TargetSpec],
    *,
    target: str | None = None,
    sends_gradient: bool = True,
    dim: int = 8,
    stride: int = 3,
) -> None:
    """Raise an AssertionError that names the first law of `Head` that a head breaks.

    Args:
        make: Builds the head when called with what it names of ``dim``, ``stride``, ``targets``, ``num_codes`` and
            ``num_codebooks``.
        targets: What the data's targets mean.
        target: The target it predicts; may be left out where there is one only.
        sends_gradient: Whether the latents learn from it; False for a probe.
        dim: Size D of the latents; the number of units for a head on units or codes alone.
        stride: Input frames per latent.
    """
    targets = dict(targets)

    def build() -> Head:
        torch.manual_seed(0)
        return supply(make, dim=dim, targets=targets, stride=stride, num_codes=dim, num_codebooks=1)

    batch = Batch(
        [f"u{number}" for number in range(len(_LENGTHS))],
        noise(_LENGTHS, 1),
        labels(targets, _LENGTHS, stride),
    )
    latents: Padded = latents_of(batch, dim=dim, stride=stride, num_codes=dim, num_codebooks=1)
    if "bottleneck" not in build().places:
        codes = latents.values.argmax(2, keepdim=True)
        on_codes = build().places == ("codes",)
        latents = Padded(codes, latents.lengths) if on_codes else Indicators(codes, dim, latents.lengths)
    predicted = targets[target or next(iter(targets))]
    with torch.random.fork_rng(devices=[]):
        check_explained(build, latents, batch, sends_gradient=sends_gradient)
        _predictions(build, latents, batch, predicted)


def _predictions(build: Build, latents: Padded, batch: Batch, target: TargetSpec) -> None:
    law = "predict gives one int64 label per frame, or a transcript, in [0, V), for each utterance"
    head = build().eval()
    with torch.no_grad():
        predictions = head.predict(latents, batch.inputs.lengths)
    require(len(predictions) == len(_LENGTHS), law, f"{len(predictions)} predictions for {len(_LENGTHS)}")
    size = len(target.vocab)
    for prediction, length in zip(predictions, _LENGTHS, strict=True):
        shape, kind = tuple(prediction.shape), prediction.dtype
        require(prediction.dim() == 1 and kind == torch.int64, law, f"one is {kind} of shape {shape}")
        if target.kind == "frames":
            require(len(prediction) == length, law, f"{len(prediction)} labels for {length} frames")
        outside = int(((prediction < 0) | (prediction >= size)).sum())
        require(outside == 0, law, f"{outside} labels are outside [0, {size})")
