"""The rule of the original VQ-VAE."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from unitdisc.codebook import Assignment, CodebookRule, Counts, Distance, Estimator, Init

if TYPE_CHECKING:
    from collections.abc import Iterator


class Gradient(CodebookRule):
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
        init_from: File with the first codebook: .npy, .safetensors with a tensor "codebook", a checkpoint's
            folder, or the folder of a run. ``init`` is not used then.
        init_scale: What the first codebook is multiplied with. Codewords longer than the latents leave most codes
            unused (paper A, Fig. 1a); "bottleneck.norm_ratio" in the log tells.
        distance: "cosine" compares directions: latents and codewords are scaled to length 1 per block.
        estimator: Gradient of the latents: "straight_through", or "rotation" (Fifty et al. 2025).
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
        init_from: Path | None = None,
        init_scale: Annotated[float, Gt(0)] = 1.0,
        distance: Distance = "euclidean",
        estimator: Estimator = "straight_through",
    ) -> None:
        super().__init__(
            dim,
            num_codes=num_codes,
            num_codebooks=num_codebooks,
            init=init,
            init_from=init_from,
            init_scale=init_scale,
            distance=distance,
            estimator=estimator,
        )
        self.commitment = commitment
        self.codebook_weight = codebook_weight
        self.lr_scale = lr_scale
        self.codebook = nn.Parameter(self.first_codebook())

    def loss(self, found: Assignment) -> Tensor:
        """Return both terms of eq. 2."""
        return self.codebook_weight * found.codebook_loss + self.commitment * found.commitment_loss

    @torch.no_grad()
    def replace(self, codebook: Tensor, rows: Tensor, *, counts: Counts = "reset") -> None:
        """Take over codewords; this rule counts nothing."""
        del counts
        self.codebook.copy_(torch.where(rows.unsqueeze(-1), codebook, self.codebook))

    def param_groups(self) -> Iterator[dict[str, Any]]:
        """Give the codebook its own learning rate."""
        yield {"params": [self.codebook], "lr_scale": self.lr_scale}
