"""Contracts of parts whose loss is a code length: likelihoods of the inputs, and priors over codes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from unitdisc.parts import Head, Part

if TYPE_CHECKING:
    from torch import Tensor

    from unitdisc.parts import Batch, Padded, Place


class Likelihood(Part, ABC):
    """What a decoder or head also is when its loss is a code length: -ln p of what it explains, nothing else.

    Stands before `Decoder` or `Head` among the base classes and gives them ``forward``. Evaluation then knows the
    nats of every single example, so that bits per dimension and NELBO can be exact.
    """

    @abstractmethod
    def nats(self, latents: Padded, batch: Batch) -> Tensor:
        """Return (B,) float32, -ln p of each example's valid frames (or codes) given the latents (or codes before)."""

    def forward(self, latents: Padded, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean of the nats over valid input frames and `numbers` of it."""
        return self.explained(self.nats(latents, batch), batch)

    def explained(self, nats: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what ``forward`` does, of known nats (B,)."""
        loss = nats.sum() / max(batch.num_frames, 1)
        return loss, self.numbers(loss.detach())

    def numbers(self, loss: Tensor) -> dict[str, Tensor]:
        """Return the loss () per frame in other units for the log, such as bits per pixel; each ()."""
        del loss
        return {}


class Prior(Likelihood, Head, ABC):
    """A distribution over code sequences: looks at "codes", sends no gradient back, and can be drawn from.

    The codes stand in an order, that of the latents and within a latent that of the codebooks, and each is given
    those before it in the same example. So nats, the sum of -ln p over all codes, are an honest code length.

    Attributes:
        stride: Input frames per latent.
    """

    places: ClassVar[tuple[Place, ...]] = ("codes",)
    stride: int

    @abstractmethod
    def log_probs(self, latents: Padded) -> Tensor:
        """Return (B, S, Q, K) ln p of what each code (B, S, Q) can be, given the codes before it."""

    @abstractmethod
    def draw(self, lengths: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Return (B, S, Q) int64 codes of ``lengths`` (B,) latents, -1 on padding, drawn with torch's generator."""

    def nats(self, latents: Padded, batch: Batch) -> Tensor:
        """Return (B,) float32, -ln p of the codes of each example's valid latents."""
        del batch
        codes = latents.values.masked_fill(~latents.mask[:, :, None], 0)
        found = self.log_probs(latents).float().gather(3, codes[..., None])  # (B, S, Q, 1)
        return -found.flatten(2).sum(2).masked_fill(~latents.mask, 0).sum(1)

    def explained(self, nats: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean of the nats over valid input frames, and "bits_per_latent", all codebooks together."""
        loss, numbers = super().explained(nats, batch)
        num_latents = ((batch.inputs.lengths + self.stride - 1) // self.stride).sum().clamp(min=1)
        bits = nats.detach().sum() / (math.log(2) * num_latents)
        return loss, {**numbers, "bits_per_latent": bits}

    def predict(self, latents: Padded, lengths: Tensor) -> list[Tensor]:
        """Return (T_b,) each: for each frame the likeliest code of its latent's first codebook, given those before."""
        likeliest = self.log_probs(latents)[:, :, 0].argmax(2)  # (B, S)
        frames = likeliest.repeat_interleave(self.stride, 1)
        return [row[:length] for row, length in zip(frames, lengths.tolist(), strict=True)]
