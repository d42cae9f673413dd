"""The rule of the original VQ-VAE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt
from torch import Tensor, nn

from unitdisc.codebook import (
    Init,
    batch_stats,
    initial_codebook,
    lookup,
    put_back,
    quantize,
    search_workspace,
    valid_latents,
)
from unitdisc.parts import Bottleneck, Padded, Quantized

if TYPE_CHECKING:
    from collections.abc import Iterator


class Gradient(Bottleneck):
    """Codebook learned by gradient descent, straight-through gradient to the encoder (paper A, eq. 2).

    The loss is ``codebook_weight * |sg[e(x)] - q(x)|^2 + commitment * |e(x) - sg[q(x)]|^2``, each term a mean
    over valid latents and their D elements as in the authors' code (eq. 2 sums over the elements).

    Args:
        dim: Size D of a latent.
        num_codes: Size K of each codebook.
        num_codebooks: Q equal blocks of the latent are quantised independently (paper A, Table III).
        commitment: Weight of the pull of latents towards their codewords (gamma in eq. 2).
        codebook_weight: Weight of the pull of codewords towards their latents.
        lr_scale: The codebook's learning rate over the recipe's; paper A's "codebook LR" is 10.
        init: First codebook. "xavier_uniform": as in the code of paper A; "uniform": within 1 / K of 0, as
            van den Oord et al. 2017; "normal": standard normal.
    """

    def __init__(
        self,
        dim: int,
        *,
        num_codes: Annotated[int, Gt(0)],
        num_codebooks: Annotated[int, Gt(0)] = 1,
        commitment: Annotated[float, Ge(0)] = 0.25,
        codebook_weight: Annotated[float, Ge(0)] = 1.0,
        lr_scale: Annotated[float, Gt(0)] = 1.0,
        init: Init = "xavier_uniform",
    ) -> None:
        super().__init__()
        self.dim = dim
        self.num_codes = num_codes
        self.num_codebooks = num_codebooks
        self.commitment = commitment
        self.codebook_weight = codebook_weight
        self.lr_scale = lr_scale
        first = initial_codebook(init, num_codebooks=num_codebooks, num_codes=num_codes, dim=dim)
        self.codebook = nn.Parameter(first)  # (Q, K, D / Q)

    def forward(self, latents: Padded) -> Quantized:
        """Quantise the valid latents; the loss carries both terms."""
        vectors, places = valid_latents(latents)
        found = quantize(vectors, self.codebook)
        return Quantized(
            put_back(found.values, places, latents, fill=0),
            put_back(found.codes, places, latents, fill=-1),
            self.codebook_weight * found.codebook_loss + self.commitment * found.commitment_loss,
            batch_stats(vectors, found.codes, self.codebook),
        )

    def lookup(self, codes: Tensor) -> Tensor:
        """Return the codewords (..., D) of ``codes`` (..., Q)."""
        return lookup(codes, self.codebook)

    def param_groups(self) -> Iterator[dict[str, Any]]:
        """Give the codebook its own learning rate."""
        yield {"params": [self.codebook], "lr_scale": self.lr_scale}

    def workspace(self, num_latents: int) -> int:
        """Return the bytes of the search; codebooks are searched one after the other."""
        _, num_codes, size = self.codebook.shape
        return search_workspace(num_latents, num_codes, size, device_type=self.codebook.device.type)
