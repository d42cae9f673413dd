"""The rule of noisy bits."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from unitdisc.codebook import code_stats, put_back, valid_latents
from unitdisc.layers.block_linear import BlockLinear, block_size
from unitdisc.parts import Bottleneck, Padded, Quantized


class SemanticHash(Bottleneck):
    """Improved semantic hashing (Kaiser and Bengio 2018; compared in paper B, section 5.1.1); no loss.

    A linear map gives a block one number per bit; noise is added to it in training, and a saturating sigmoid,
    ``max(0, min(1, 1.2 sigmoid(x) - 0.1))``, makes a value v of it. Some latents pass v on and the others
    the bit ``v > 0.5``, whose gradient is taken as that of v; a linear map brings either back. Evaluation
    uses bits without noise. Bit i counts 2^i in a code. In training, codes are those of the noisy bits.

    Differs from the authors' code: whether v or its bits are passed on is drawn for each latent, not for each
    sequence; one linear map leads back, not two layers; and the bits' share rises linearly.

    Args:
        dim: Size D of a latent.
        bits: Bits of a code; there are K = 2^bits codes.
        num_codebooks: Q equal blocks of the latent are hashed independently.
        noise: Standard deviation of the normal noise: 1 in the paper, 0.5 (cut off at 1) in the authors' code.
        discrete_share: Share of latents that pass bits on in training.
        ramp_until: Progress of training, 0 to 1, over which this share rises from 0; 0 for no ramp.
    """

    def __init__(
        self,
        dim: int,
        *,
        bits: Annotated[int, Gt(0), Le(16)],
        num_codebooks: Annotated[int, Gt(0)] = 1,
        noise: Annotated[float, Ge(0)] = 1.0,
        discrete_share: Annotated[float, Ge(0), Le(1)] = 0.5,
        ramp_until: Annotated[float, Ge(0), Le(1)] = 0.1,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.bits = bits
        self.num_codes = 2**bits
        self.num_codebooks = num_codebooks
        self.noise = noise
        self.discrete_share = discrete_share
        self.ramp_until = ramp_until
        self.share = self._share(0.0)
        size = block_size(dim, num_codebooks)
        self.into = BlockLinear(num_codebooks, size, bits)
        self.back = BlockLinear(num_codebooks, bits, size)

    def before_step(self, progress: float) -> None:
        """Set the share of latents that pass bits on."""
        self.share = self._share(progress)

    def forward(self, latents: Padded) -> Quantized:
        """Hash the valid latents; in training with noise."""
        vectors, places = valid_latents(latents)
        numbers = self.into(vectors.float().unflatten(1, (self.num_codebooks, -1)))  # (N, Q, bits)
        if self.training:
            noise = torch.randn(numbers.shape, device=numbers.device)  # whatever the layout of the numbers
            numbers = numbers + self.noise * noise
        soft = (1.2 * torch.sigmoid(numbers) - 0.1).clamp(0, 1)
        hard = (numbers.detach() > 0).to(soft)
        passed = hard + (soft - soft.detach())
        if self.training:
            is_hard = torch.rand(len(vectors), 1, 1, device=vectors.device) < self.share
            passed = torch.where(is_hard, passed, soft)
        values = self.back(passed).flatten(1)
        codes = (hard.long() << self._places(vectors)).sum(-1)
        return Quantized(
            put_back(values, places, latents, fill=0),
            put_back(codes, places, latents, fill=-1),
            values.new_zeros(()),
            {**code_stats(codes, self.num_codes), "discrete_share": values.new_full((), self.share)},
        )

    def lookup(self, codes: Tensor) -> Tensor:
        """Return the vectors (..., D) of the bits of ``codes`` (..., Q)."""
        rows = codes.reshape(-1, self.num_codebooks, 1)
        bits = rows.clamp(min=0) >> self._places(codes) & 1
        vectors: Tensor = self.back(bits.to(self.back.bias))
        return (vectors * (rows >= 0)).reshape(*codes.shape[:-1], self.dim)

    def workspace(self, num_latents: int) -> int:
        """Return the bytes of the bits as numbers, and of the counts."""
        return 8 * self.num_codebooks * (3 * num_latents * self.bits + self.num_codes)

    def _share(self, progress: float) -> float:
        return self.discrete_share * min(1.0, progress / self.ramp_until if self.ramp_until else 1.0)

    def _places(self, like: Tensor) -> Tensor:
        return torch.arange(self.bits, device=like.device)
