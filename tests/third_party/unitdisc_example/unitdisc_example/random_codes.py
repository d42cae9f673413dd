"""A codebook that is drawn once and never learns."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from unitdisc.codebook import lookup, nearest, put_back, search_workspace, valid_latents
from unitdisc.parts import Bottleneck, Padded, Quantized


class RandomCodes(Bottleneck):
    """Nearest of K random vectors, only the encoder learns (after BEST-RQ, Chiu et al. 2022, section 3.1).

    Differs from the paper: distances are Euclidean, and the gradient passes straight through.

    Args:
        dim: Size D of a latent.
        num_codes: Size K of the codebook.
        commitment: Weight of the pull of latents towards their codes.
        seed: Seed of the codebook.
    """

    codebook: Tensor

    def __init__(
        self,
        dim: int,
        *,
        num_codes: Annotated[int, Gt(0)] = 64,
        commitment: Annotated[float, Ge(0)] = 0.25,
        seed: Annotated[int, Ge(0)] = 0,
    ) -> None:
        super().__init__()
        self.dim, self.num_codes, self.num_codebooks = dim, num_codes, 1
        self.commitment = commitment
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("codebook", torch.randn(num_codes, dim, generator=generator))

    def forward(self, latents: Padded) -> Quantized:
        """Quantise latents (B, S, D)."""
        vectors, places = valid_latents(latents)  # (N, D)
        codes = nearest(vectors.detach(), self.codebook)  # (N,)
        chosen = self.codebook[codes]
        loss = self.commitment * (vectors - chosen).square().sum() / max(len(vectors), 1)
        values = vectors + (chosen - vectors).detach()  # the gradient of the identity
        return Quantized(
            put_back(values, places, latents, fill=0.0),
            put_back(codes[:, None], places, latents, fill=-1),
            loss,
        )

    def lookup(self, codes: Tensor) -> Tensor:
        """Return (..., D) for codes (..., 1); -1 gives zeros."""
        return lookup(codes[..., 0], self.codebook)

    def workspace(self, num_latents: int) -> int:
        """Return the bytes that the search needs."""
        return search_workspace(num_latents, self.num_codes, self.dim)
