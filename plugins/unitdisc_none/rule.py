"""The bottleneck that is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unitdisc.parts import Bottleneck, Padded, Quantized

if TYPE_CHECKING:
    from torch import Tensor


class Identity(Bottleneck):
    """Latents pass unchanged: the continuous baseline, "no bottleneck" of paper A, Table I.

    There are no codes (Q = 0), so nothing can be exported and metrics of units do not apply.
    """

    num_codes = 0
    num_codebooks = 0

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, latents: Padded) -> Quantized:
        """Return the latents themselves with no codes and a loss of 0."""
        values = latents.values
        codes = torch.empty(*values.shape[:2], 0, dtype=torch.int64, device=values.device)
        return Quantized(values, codes, values.new_zeros(()))

    def lookup(self, codes: Tensor) -> Tensor:
        """Return zeros (..., D): codes (..., 0) tell nothing of the latents."""
        return torch.zeros(*codes.shape[:-1], self.dim, device=codes.device)
