"""One linear map for each block of a vector."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from unitdisc.errors import RecipeError


class BlockLinear(nn.Module):
    """Maps (N, Q, in) to (N, Q, out), each of the Q blocks by weights and bias of its own, without autocast.

    Weights are uniform within sqrt(6 / (in + out)) of 0 at first (Glorot and Bengio 2010), biases 0.

    Args:
        num_blocks: Q.
        in_size: Size of a block before the map.
        out_size: Size of a block after it.
    """

    def __init__(self, num_blocks: int, in_size: int, out_size: int) -> None:
        super().__init__()
        bound = math.sqrt(6 / (in_size + out_size))
        self.weight = nn.Parameter(torch.empty(num_blocks, in_size, out_size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(num_blocks, out_size))

    def forward(self, blocks: Tensor) -> Tensor:
        """Map (N, Q, in) to (N, Q, out)."""
        with torch.autocast(blocks.device.type, enabled=False):
            return torch.einsum("nqi,qio->nqo", blocks, self.weight) + self.bias


def block_size(dim: int, num_codebooks: int) -> int:
    """Return D / Q. Raises `RecipeError` naming the accepted Q where D cannot be divided."""
    if dim % num_codebooks:
        divisors = [str(q) for q in range(1, dim + 1) if dim % q == 0]
        raise RecipeError(
            f"num_codebooks is {num_codebooks}, which does not divide the latent size {dim}; accepted: "
            f"{', '.join(divisors)} (or change latents.dim)"
        )
    return dim // num_codebooks
