"""The rule that rounds each dimension to a few levels."""

from __future__ import annotations

import math
from itertools import accumulate
from operator import mul
from typing import Annotated

import torch
from annotated_types import Ge, Gt, MinLen
from torch import Tensor, nn

from unitdisc.codebook import code_stats, put_back, valid_latents
from unitdisc.errors import RecipeError
from unitdisc.layers.block_linear import BlockLinear, block_size
from unitdisc.parts import Bottleneck, Padded, Quantized

_MOST_CODES = 2**16
_MARGIN = 1e-3  # keeps tanh at its limits from rounding to a level too many


class FSQ(Bottleneck):
    """Finite scalar quantisation: a grid instead of a codebook, no loss (Mentzer et al. 2024, section 3).

    A block of the latent is projected to as many dimensions as there are levels, each is bounded by
    ``tanh(z + shift) * (L - 1) / 2 - offset`` and rounded to one of its L levels, scaled to [-1, 1], and
    projected back. The gradient takes rounding as the identity. Offset and shift are those of the authors'
    code: half a level where L is even, none where it is odd. Dimension i counts L_0 * ... * L_(i - 1) in a
    code.

    Args:
        dim: Size D of a latent.
        levels: Levels of each dimension; their product is the number K of codes, at most 65,536. The paper's
            table 1: [8, 6, 5] stands for K = 2^8, [8, 5, 5, 5] for 2^10, [7, 5, 5, 5, 5] for 2^12,
            [8, 8, 8, 6, 5] for 2^14, [8, 8, 8, 5, 5, 5] for 2^16.
        num_codebooks: Q equal blocks of the latent are quantised independently, each by these levels.
        project: Linear maps of a block to its levels' dimensions and back. Without them a block must have as
            many dimensions as there are levels.
    """

    shift: Tensor
    offset: Tensor
    reach: Tensor
    steps: Tensor
    place: Tensor
    sizes: Tensor

    def __init__(
        self,
        dim: int,
        *,
        levels: Annotated[list[Annotated[int, Ge(2)]], MinLen(1)],
        num_codebooks: Annotated[int, Gt(0)] = 1,
        project: bool = True,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.num_codes = math.prod(levels)
        self.num_codebooks = num_codebooks
        size = block_size(dim, num_codebooks)
        if self.num_codes > _MOST_CODES:
            raise RecipeError(
                f"levels are {list(levels)}, which makes {self.num_codes:,} codes; accepted: at most "
                f"{_MOST_CODES:,} (or use several codebooks with num_codebooks)"
            )
        if not project and size != len(levels):
            raise RecipeError(
                f"project is false, but there are {len(levels)} levels for blocks of {size} dimensions; "
                f"accepted: {size} levels, or project: true"
            )
        self.into = BlockLinear(num_codebooks, size, len(levels)) if project else nn.Identity()
        self.back = BlockLinear(num_codebooks, len(levels), size) if project else nn.Identity()
        reach = [(count - 1) * (1 - _MARGIN) / 2 for count in levels]
        offset = [0.0 if count % 2 else 0.5 for count in levels]
        shift = [math.tan(off / most) for off, most in zip(offset, reach, strict=True)]
        places = accumulate([1, *levels[:-1]], mul)
        for name, values in {"reach": reach, "offset": offset, "shift": shift}.items():
            self.register_buffer(name, torch.tensor(values), persistent=False)
        for name, numbers in {"steps": [n // 2 for n in levels], "place": places, "sizes": levels}.items():
            self.register_buffer(name, torch.tensor(list(numbers)), persistent=False)

    def forward(self, latents: Padded) -> Quantized:
        """Round the valid latents to the grid."""
        vectors, places = valid_latents(latents)
        blocks = self.into(vectors.float().unflatten(1, (self.num_codebooks, -1)))
        bounded = torch.tanh(blocks + self.shift) * self.reach - self.offset  # (N, Q, levels)
        rounded = bounded.detach().round()
        codes = ((rounded.long() + self.steps) * self.place).sum(-1)
        values = self.back((rounded + (bounded - bounded.detach())) / self.steps).flatten(1)
        return Quantized(
            put_back(values, places, latents, fill=0),
            put_back(codes, places, latents, fill=-1),
            values.new_zeros(()),
            code_stats(codes, self.num_codes),
        )

    def lookup(self, codes: Tensor) -> Tensor:
        """Return the vectors (..., D) of the grid's points ``codes`` (..., Q)."""
        digits = codes.reshape(-1, self.num_codebooks, 1).clamp(min=0) // self.place % self.sizes
        vectors: Tensor = self.back((digits - self.steps) / self.steps)  # (N, Q, d)
        return (vectors * (codes.reshape(vectors.shape[:2]) >= 0).unsqueeze(-1)).reshape(
            *codes.shape[:-1], self.dim
        )

    def workspace(self, num_latents: int) -> int:
        """Return the bytes of the grid's points, their digits and the counts."""
        return 8 * (
            3 * num_latents * self.num_codebooks * len(self.sizes) + self.num_codebooks * self.num_codes
        )
