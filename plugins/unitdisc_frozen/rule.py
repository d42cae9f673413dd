"""The rule of a codebook that stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from unitdisc.codebook import Assignment, CodebookRule, Counts, Distance, Estimator
from unitdisc.codebook.files import read_codebook
from unitdisc.errors import RecipeError


class Frozen(CodebookRule):
    """A codebook from a file, which training does not move: units of others, or of an earlier run.

    The file gives the number of codebooks and codes. It is read when the model is built, so it is needed for
    evaluation and export, too; the weights of the run hold its content.

    Args:
        dim: Size D of a latent.
        codebook: A .npy file or the tensor "codebook" of a .safetensors file, (K, D) or (Q, K, d); or a
            checkpoint's folder or its model.safetensors; or the folder of a run, for its newest checkpoint.
        commitment: Weight of the pull of latents towards their codewords.
        distance: "cosine" compares directions: latents and codewords are scaled to length 1 per block.
        estimator: Gradient of the latents: "straight_through", or "rotation" (Fifty et al. 2025).
    """

    def __init__(
        self,
        dim: int,
        *,
        codebook: Path,
        commitment: Annotated[float, Ge(0)] = 0.25,
        distance: Distance = "euclidean",
        estimator: Estimator = "straight_through",
    ) -> None:
        found = read_codebook(codebook)
        books, num_codes, size = found.shape
        if books * size != dim:
            raise RecipeError(
                f"codebook: {codebook}: {books} x {num_codes} codewords of size {size} are for latents of size "
                f"{books * size}, and these have size {dim}; set latents.dim to {books * size}"
            )
        super().__init__(
            dim, num_codes=num_codes, num_codebooks=books, distance=distance, estimator=estimator
        )
        self.commitment = commitment
        self.register_buffer("codebook", found)

    def first_codebook(self) -> Tensor:
        """Return the codebook: there is no other to begin with."""
        return self.codebook

    def loss(self, found: Assignment) -> Tensor:
        """Return the commitment term."""
        return self.commitment * found.commitment_loss

    def replace(self, codebook: Tensor, rows: Tensor, *, counts: Counts = "reset") -> None:
        """Take over codewords, where something around this rule asks for it."""
        del counts
        self.codebook.copy_(torch.where(rows.unsqueeze(-1), codebook, self.codebook))
