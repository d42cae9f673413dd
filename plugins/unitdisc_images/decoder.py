"""Likelihood of pictures over the levels of each colour."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from unitdisc.errors import RecipeError
from unitdisc.likelihood import Likelihood
from unitdisc.parts import Batch, Decoder, Padded
from unitdisc_images.residual import Dense, Residual

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unitdisc.data import FeatureSpec

_CHUNK = {"cpu": 2**11, "cuda": 2**16}
"""Pixels whose distributions are in memory at once: 6 MiB, for the cache, and 192 MiB of three colours."""


class DeconvLevels(Likelihood, Decoder):
    """Explains each colour of each pixel by a softmax over levels; all are independent given the latents.

    A 1 x 1 convolution of the latents, residual blocks, transposed convolutions of stride 2 until there are as many
    rows and columns as pixels, and a 1 x 1 convolution into the levels (van den Oord et al. 2017, section 4.1; paper A,
    section IV-C). A value x in [0, 1] has the level min(floor(x * levels), levels - 1). Bits per dimension of
    different ``levels`` cannot be compared, so both numbers stand in the log.

    The distributions, 3 MiB for a picture of 32 x 32, are found for a few pictures at a time, and again for the
    gradient: a batch of 128 would keep three copies of 384 MiB otherwise, at the same speed on a CPU.

    Args:
        dim: Size D of a latent.
        features: What one input frame is.
        grid: Rows and columns of latents.
        levels: Levels of a colour that are told apart.
        channels: Channels of every layer.
        residual_layers: Residual blocks.
        kernel: Rows and columns of the windows of the transposed convolutions; 5 in paper B.
        dense: Rows and columns that a dense layer over the whole picture makes of the latents before the residual
            blocks, as in paper B; null keeps those of the latents.
    """

    def __init__(
        self,
        dim: int,
        features: FeatureSpec,
        *,
        grid: tuple[int, int] | None,
        levels: Annotated[int, Ge(2), Le(256)] = 256,
        channels: Annotated[int, Gt(0)] = 256,
        residual_layers: Annotated[int, Ge(0)] = 2,
        kernel: Annotated[int, Ge(2)] = 4,
        dense: tuple[Annotated[int, Gt(0)], Annotated[int, Gt(0)]] | None = None,
    ) -> None:
        super().__init__()
        if features.grid is None or features.standardize or grid is None:
            raise RecipeError(
                f"decoder: deconv_levels explains pictures of a grid of latents, the data has frames of shape "
                f"{features.shape} per {features.unit_of_time} and the encoder the grid {grid}; choose data, encoder "
                "and decoder of one kind"
            )
        self.pixels = features.grid
        self.grid = grid
        self.levels = levels
        self.colours = features.shape[0]
        doublings = _doublings(dense or grid, features.grid)
        self.mix = nn.Conv2d(dim, channels, 1)
        self.dense = Dense(channels, grid, dense) if dense else nn.Identity()
        self.residual = nn.Sequential(*(Residual(channels) for _ in range(residual_layers)))
        self.spread = nn.ModuleList(
            nn.ConvTranspose2d(channels, channels, kernel, 2, (kernel - 1) // 2, kernel % 2)
            for _ in range(doublings)
        )
        self.logits = nn.Linear(channels, self.colours * levels)

    def nats(self, latents: Padded, batch: Batch) -> Tensor:
        """Return (B,) -ln p of the levels of each picture."""
        hidden = self._hidden(latents)
        values = batch.inputs.values[:, : hidden.shape[1]]
        level = (values * self.levels).floor().clamp(0, self.levels - 1).long()  # (B, T, C)
        size = self._pictures_at_once(hidden)
        found = [
            checkpoint(self._nats, *chunk, use_reentrant=False, preserve_rng_state=False)
            for chunk in zip(hidden.split(size), level.split(size), strict=True)
        ]
        return torch.cat(found)

    def numbers(self, loss: Tensor) -> dict[str, Tensor]:
        """Return "bpd", bits per colour of a pixel, and the levels, without which it means nothing."""
        bpd = loss / (self.colours * math.log(2))
        return {"bpd": bpd, "levels": torch.tensor(float(self.levels), device=bpd.device)}

    @torch.no_grad()
    def reconstruct(
        self, latents: Padded, lengths: Tensor, conditions: Mapping[str, Tensor] | None = None
    ) -> list[Tensor]:
        """Return B pictures (T, colours) of expected values in [0, 1], a level counting as its middle."""
        del lengths, conditions
        middles = self._middles(latents.values.device)
        return [
            picture
            for hidden in self._chunks(latents)
            for picture in self._logits(hidden).softmax(-1).matmul(middles).unbind()
        ]

    @torch.no_grad()
    def sample(
        self,
        latents: Padded,
        lengths: Tensor,
        conditions: Mapping[str, Tensor] | None = None,
        *,
        temperature: float = 1.0,
    ) -> list[Tensor]:
        """Return B pictures (T, colours) whose levels are drawn, a level counting as its middle."""
        del lengths, conditions
        middles = self._middles(latents.values.device)
        drawn: list[Tensor] = []
        for hidden in self._chunks(latents):
            shares = (self._logits(hidden) / temperature).softmax(-1)
            level = torch.multinomial(shares.flatten(0, 2), 1).view(shares.shape[:3])
            drawn += middles[level].unbind()
        return drawn

    def _nats(self, hidden: Tensor, level: Tensor) -> Tensor:
        """Return (b,) -ln p of levels (b, T, C) given (b, T, channels)."""
        logits = self._logits(hidden).flatten(0, 2)
        return F.cross_entropy(logits, level.flatten(), reduction="none").view(len(level), -1).sum(1)

    def _logits(self, hidden: Tensor) -> Tensor:
        """Return (b, T, C, levels) float32."""
        return self.logits(hidden).float().unflatten(2, (self.colours, self.levels))  # type: ignore[no-any-return]

    def _hidden(self, latents: Padded) -> Tensor:
        """Return (B, T, channels)."""
        rows, columns = self.grid
        x = latents.values[:, : rows * columns].unflatten(1, (rows, columns)).permute(0, 3, 1, 2)
        x = self.residual(self.dense(self.mix(x)))
        for transposed in self.spread:
            x = transposed(F.relu(x))
        return F.relu(x).permute(0, 2, 3, 1).flatten(1, 2)

    def _chunks(self, latents: Padded) -> tuple[Tensor, ...]:
        hidden = self._hidden(latents)
        return hidden.split(self._pictures_at_once(hidden))  # type: ignore[no-any-return]

    def _pictures_at_once(self, hidden: Tensor) -> int:
        return max(_CHUNK.get(hidden.device.type, _CHUNK["cpu"]) // hidden.shape[1], 1)

    def _middles(self, device: torch.device) -> Tensor:
        return (torch.arange(self.levels, device=device) + 0.5) / self.levels


def _doublings(before: tuple[int, int], after: tuple[int, int]) -> int:
    """Return how often rows and columns must be doubled to become as many as pixels."""
    for doublings in range(16):
        if (before[0] << doublings, before[1] << doublings) == after:
            return doublings
    raise RecipeError(
        f"decoder: {before[0]} x {before[1]} latents cannot be doubled into {after[0]} x {after[1]} pixels; change "
        "encoder.halvings, encoder.dense or decoder.dense"
    )
