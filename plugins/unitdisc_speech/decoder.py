"""The frame decoder: what remains of the features once they went through codes and the speaker is known."""

from __future__ import annotations

from math import prod
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le
from torch import Tensor, nn

from unitdisc.data import FeatureSpec
from unitdisc.errors import RecipeError
from unitdisc.parts import Batch, Decoder, Padded


class Frames(Decoder):
    """Reconstructs feature frames from quantised latents and the speaker.

    With the speaker as condition the codes need not hold the voice (van den Oord et al. 2017;
    Chorowski et al. 2019). Differs from both: features are explained in place of the waveform.

    Each element of a frame, deltas included, is a Gaussian of unit variance around the prediction. The loss
    is the squared error, averaged over the elements of a frame and then over valid frames: twice the negative
    log-likelihood per element in nats, less log(2 pi). On standardised features the mean alone reaches 1.0.

    Args:
        dim: Size D of a latent.
        features: What one input frame is.
        stride: Input frames per latent.
        conditions: Number of values of each condition in the data.
        hidden: Channels of the convolutions.
        layers: Residual convolutions at the frame rate, after the latents were repeated.
        kernel: Width of each convolution, in frames.
        condition: Name of the condition, null for none. A value that training did not know is given the mean
            of the trained embeddings.
        jitter: Probability that training replaces a latent by one of its two neighbours, so that a code
            cannot describe one latent alone (time jitter of Chorowski et al. 2019).
    """

    def __init__(
        self,
        dim: int,
        features: FeatureSpec,
        *,
        stride: int,
        conditions: dict[str, int],
        hidden: Annotated[int, Gt(0)] = 128,
        layers: Annotated[int, Ge(0)] = 2,
        kernel: Annotated[int, Gt(0)] = 5,
        condition: str | None = "speaker",
        jitter: Annotated[float, Ge(0), Le(1)] = 0.0,
    ) -> None:
        super().__init__()
        if condition and condition not in conditions:
            names = ", ".join(sorted(conditions)) or "none"
            raise RecipeError(
                f"decoder.condition: the data has no {condition!r} (it has: {names}); "
                "set decoder.condition to one of them, or to null"
            )
        self.stride = stride
        self.shape = features.shape
        self.condition = condition
        self.jitter = jitter
        self.pads = ((kernel - 1) // 2, kernel // 2)
        self.from_latents = nn.Linear(dim, hidden)
        # Zeros: all speakers start as one, so their mean is never far from what the network has seen.
        self.embeddings = nn.Parameter(torch.zeros(conditions[condition], hidden)) if condition else None
        self.convolutions = nn.ModuleList(nn.Conv1d(hidden, hidden, kernel) for _ in range(layers))
        self.to_frames = nn.Linear(hidden, prod(features.shape))

    def forward(self, latents: Padded, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean squared error per valid frame, also as the number "mse"."""
        if self.training and self.jitter > 0:
            latents = _jittered(latents, self.jitter)
        targets = batch.inputs
        predicted = self._predict(latents, targets, batch.conditions)
        # Masked before it is squared: whatever stands on padding reaches neither the loss nor its gradient.
        differences = (predicted.float() - targets.values.flatten(2)).masked_fill(~targets.mask[..., None], 0)
        loss = differences.square().mean(2).sum() / max(batch.num_frames, 1)
        return loss, {"mse": loss.detach()}

    def reconstruct(self, latents: Padded, lengths: Tensor, conditions: dict[str, Tensor]) -> list[Tensor]:
        """Return B predictions (T_b, *shape) for sequences of ``lengths`` (B,) input frames."""
        frames = Padded(latents.values.new_empty(len(lengths), int(lengths.max())), lengths)
        predicted = self._predict(latents, frames, conditions).unflatten(2, self.shape)
        return [row[:length] for row, length in zip(predicted, lengths.tolist(), strict=True)]

    def _predict(self, latents: Padded, frames: Padded, conditions: dict[str, Tensor]) -> Tensor:
        """Return (B, T, elements); of ``frames`` (B, T, ...) only T and the lengths count."""
        hidden = self.from_latents(latents.values.masked_fill(~latents.mask[..., None], 0))
        if self.embeddings is not None and self.condition:
            # An unknown value is -1, the last row: the mean of all.
            table = torch.cat([self.embeddings, self.embeddings.mean(0, keepdim=True)])
            hidden = hidden + table[conditions[self.condition]][:, None]
        hidden = hidden.repeat_interleave(self.stride, dim=1)[:, : frames.values.shape[1]]  # (B, T, hidden)
        mask = frames.mask[:, None]
        hidden = hidden.transpose(1, 2).masked_fill(~mask, 0)
        for convolution in self.convolutions:
            hidden = (hidden + F.relu(convolution(F.pad(hidden, self.pads)))).masked_fill(~mask, 0)
        return self.to_frames(hidden.transpose(1, 2))  # type: ignore[no-any-return]


def _jittered(latents: Padded, probability: float) -> Padded:
    """Replace each latent with ``probability`` by the one before or after it, in equal shares."""
    batch_size, num_latents, _ = latents.values.shape
    device = latents.values.device
    chance = torch.rand(batch_size, num_latents, device=device)
    step = (chance < probability / 2).long() - (chance > 1 - probability / 2).long()  # -1, 0 or 1
    last = (latents.lengths - 1).clamp(min=0)[:, None]
    source = (torch.arange(num_latents, device=device) + step).clamp(min=0).minimum(last)
    return Padded(latents.values.gather(1, source[..., None].expand_as(latents.values)), latents.lengths)
