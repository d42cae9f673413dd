"""Likelihood of line images over quantised grey levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le
from torch import Tensor, nn

from unitdisc.likelihood import Likelihood
from unitdisc.parts import Batch, Decoder, Padded
from unitdisc_handwriting.grey import bits, check_lines, grey_levels, told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unitdisc.data import FeatureSpec

_LEAK = 0.1


class GreyLevels(Likelihood, Decoder):
    """Explains each pixel by a distribution over grey levels; pixels are independent given the latents.

    A convolution over the latents, a transposed one that turns each into ``stride`` columns, and two over the
    columns. A pixel x in [0, 1] has the level min(floor(x * levels), levels - 1). Bits per pixel of different
    ``levels`` cannot be compared, so both numbers stand in the log.

    Args:
        dim: Size D of a latent.
        features: What one input frame is.
        stride: Columns per latent.
        conditions: Number of values of each condition in the data.
        levels: Grey levels that are told apart; 4 in the released recipes of paper A.
        channels: Channels of the convolutions.
        condition: Condition that the decoder is told, as a vector added to the latents, so that units need
            not hold it; such as "document", null for none. A value that training did not know is given the
            mean of the trained vectors.
    """

    def __init__(
        self,
        dim: int,
        features: FeatureSpec,
        *,
        stride: int,
        conditions: Mapping[str, int],
        levels: Annotated[int, Ge(2), Le(256)] = 4,
        channels: Annotated[int, Gt(0)] = 128,
        condition: str | None = None,
    ) -> None:
        super().__init__()
        check_lines("grey_levels", features, conditions, condition)
        self.levels = levels
        self.height = features.shape[0]
        self.condition = condition
        # Zeros: all values start as one, so their mean is never far from what the network has seen.
        self.embeddings = nn.Parameter(torch.zeros(conditions[condition], dim)) if condition else None
        self.context = nn.Conv1d(dim, channels, 3, padding=1)
        self.spread = nn.ConvTranspose1d(channels, channels, stride, stride)
        self.columns = nn.Conv1d(channels, channels, 5, padding=2)
        self.pixels = nn.Conv1d(channels, self.height * levels, 5, padding=2)

    def nats(self, latents: Padded, batch: Batch) -> Tensor:
        """Return (B,) -ln p of the levels of each line's valid columns."""
        mask = batch.inputs.mask
        logits = self._logits(latents, batch.inputs.lengths, batch.conditions)[:, : mask.shape[1]]
        level = grey_levels(batch.inputs, self.levels)  # (B, T, F)
        nats = F.cross_entropy(logits.float().flatten(0, 2), level.flatten(), reduction="none")
        return (nats.view(level.shape).sum(2) * mask).sum(1)

    def numbers(self, loss: Tensor) -> dict[str, Tensor]:
        """Return "bpd", bits per pixel, and the levels, without which it means nothing."""
        return bits(loss, self.height, self.levels)

    @torch.no_grad()
    def reconstruct(
        self, latents: Padded, lengths: Tensor, conditions: Mapping[str, Tensor] | None = None
    ) -> list[Tensor]:
        """Return B images (T_b, height) of expected values in [0, 1], a level counting as its middle.

        ``lengths`` (B,) are the numbers of columns T_b; without ``conditions`` their values count as unknown.
        """
        share = self._logits(latents, lengths, conditions or {}).float().softmax(-1)
        middles = (torch.arange(self.levels, device=share.device) + 0.5) / self.levels
        return [image[:length] for image, length in zip(share @ middles, lengths.tolist(), strict=True)]

    def _logits(self, latents: Padded, lengths: Tensor, conditions: Mapping[str, Tensor]) -> Tensor:
        """Return (B, S * stride, height, levels); zeros stand behind both latents and columns."""
        value = conditions.get(self.condition) if self.condition else None
        x = told(latents.values, self.embeddings, value)
        x = x.masked_fill(~latents.mask[:, :, None], 0).mT  # (B, D, S)
        x = self.spread(F.leaky_relu(self.context(x), _LEAK))  # (B, C, S * stride)
        outside = ~Padded(x.mT, lengths).mask[:, None]
        x = F.leaky_relu(self.columns(x.masked_fill(outside, 0)), _LEAK)
        x = self.pixels(x.masked_fill(outside, 0))
        return x.mT.unflatten(2, (self.height, self.levels))  # type: ignore[no-any-return]
