"""The rule of blocks that share a codebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Gt

from unitdisc.errors import RecipeError
from unitdisc.parts import Bottleneck, Padded, Quantized

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


class Shared(Bottleneck):
    """Equal blocks of a latent, quantised one by one by a single rule (paper B, appendix A).

    To the rule inside, S latents of size D are S times ``num_blocks`` latents of size D / ``num_blocks``; the
    codes of a latent are those of its blocks in their order. So 8 x 8 latents of 10 blocks are the 640 latents of
    paper B, which share a codebook. With ``num_codebooks`` of the rule itself each block has a codebook of its own.

    Args:
        dim: Size D of a latent.
        rule: How a block is quantised: any rule, which is supplied the size of a block.
        num_blocks: Blocks of a latent; must divide D.
    """

    def __init__(self, dim: int, *, rule: Bottleneck, num_blocks: Annotated[int, Gt(0)]) -> None:
        super().__init__()
        if rule.num_codes == 0:
            raise RecipeError(f"rule: {type(rule).__name__} quantises nothing; accepted: a rule with codes")
        self.dim = dim
        self.rule = rule
        self.num_blocks = num_blocks
        self.num_codes = rule.num_codes
        self.num_codebooks = num_blocks * rule.num_codebooks

    @classmethod
    def inside(cls, supplied: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the engine supplies to the rule inside: the size of a block."""
        dim, num_blocks = supplied["dim"], arguments["num_blocks"]
        if dim % num_blocks:
            divisors = ", ".join(str(number) for number in range(1, dim + 1) if dim % number == 0)
            raise RecipeError(
                f"num_blocks is {num_blocks}, which does not divide the latent size {dim}; accepted: {divisors} "
                "(or change latents.dim)"
            )
        return {**supplied, "dim": dim // num_blocks}

    def forward(self, latents: Padded) -> Quantized:
        """Quantise the blocks as latents of their own."""
        blocks = latents.values.unflatten(2, (self.num_blocks, self.dim // self.num_blocks)).flatten(1, 2)
        found: Quantized = self.rule(Padded(blocks, latents.lengths * self.num_blocks))
        return Quantized(
            self._joined(found.values),
            self._joined(found.codes),
            found.loss,
            found.stats,
            None if found.samples is None else self._joined(found.samples),
        )

    def lookup(self, codes: Tensor) -> Tensor:
        """Return the vectors (..., D) of ``codes`` (..., Q)."""
        return self.rule.lookup(codes.unflatten(-1, (self.num_blocks, self.rule.num_codebooks))).flatten(-2)

    def workspace(self, num_latents: int) -> int:
        """Return the bytes that the rule inside needs for all blocks."""
        return self.rule.workspace(num_latents * self.num_blocks)

    def _joined(self, blocks: Tensor) -> Tensor:
        """Return (B, S, num_blocks * size, ...) of (B, S * num_blocks, size, ...)."""
        return blocks.unflatten(1, (blocks.shape[1] // self.num_blocks, self.num_blocks)).flatten(2, 3)  # type: ignore[no-any-return]
