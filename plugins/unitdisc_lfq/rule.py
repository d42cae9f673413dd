"""The rule that keeps the signs of a latent."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor, nn
from torch.nn import functional

from unitdisc.codebook import code_stats, put_back, valid_latents
from unitdisc.errors import RecipeError
from unitdisc.layers.block_linear import BlockLinear, block_size
from unitdisc.parts import Bottleneck, Padded, Quantized


class LFQ(Bottleneck):
    """Lookup-free quantisation: a code is the signs of a latent (Yu et al. 2024, MAGVIT-v2, eq. 3-5).

    A block is projected to one number z per bit, quantised to q = 1 where z > 0 and to -1 elsewhere, and
    projected back; the gradient takes the sign as the identity. With p the softmax of
    ``-|z - c|^2 / temperature`` over all K = 2^bits sign vectors c, the loss is ``commitment * |z - sg[q]|^2
    + entropy * (mean H(p) - diversity * H(mean p))``, in nats, each term a mean over codebooks, the first
    also over bits. Bit i counts 2^i in a code.

    Both entropies are exact: bits are independent given a latent, so H(p) is a sum over bits, and the mean of
    p over latents is a product of two matrices of size N x sqrt(K), so that nothing of size N x K arises
    (the authors split 18 bits into groups instead). The mean is over a micro-batch of one rank: H(mean p)
    is the one number that depends on how a step is divided.

    Args:
        dim: Size D of a latent.
        bits: Bits of a code; there are K = 2^bits codes.
        num_codebooks: Q equal blocks of the latent are quantised independently.
        project: Linear maps of a block to its bits and back. Without them a block must have as many dimensions
            as a code has bits.
        entropy: Weight of the entropy term.
        diversity: Weight of the entropy of the mean within it; the paper's is 1.
        temperature: Softness of p; at 0.01, the usual value, only numbers within about 0.02 of 0 feel either entropy.
        commitment: Weight of the pull of z towards its signs.
    """

    def __init__(
        self,
        dim: int,
        *,
        bits: Annotated[int, Gt(0), Le(16)],
        num_codebooks: Annotated[int, Gt(0)] = 1,
        project: bool = True,
        entropy: Annotated[float, Ge(0)] = 0.1,
        diversity: Annotated[float, Ge(0)] = 1.0,
        temperature: Annotated[float, Gt(0)] = 0.01,
        commitment: Annotated[float, Ge(0)] = 0.25,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.bits = bits
        self.num_codes = 2**bits
        self.num_codebooks = num_codebooks
        self.entropy = entropy
        self.diversity = diversity
        self.temperature = temperature
        self.commitment = commitment
        size = block_size(dim, num_codebooks)
        if not project and size != bits:
            raise RecipeError(
                f"project is false, but there are {bits} bits for blocks of {size} dimensions; "
                f"accepted: bits: {size}, or project: true"
            )
        self.into = BlockLinear(num_codebooks, size, bits) if project else nn.Identity()
        self.back = BlockLinear(num_codebooks, bits, size) if project else nn.Identity()

    def forward(self, latents: Padded) -> Quantized:
        """Quantise the valid latents."""
        vectors, places = valid_latents(latents)
        numbers = self.into(vectors.float().unflatten(1, (self.num_codebooks, -1)))  # (N, Q, bits)
        is_one = numbers.detach() > 0
        signs = is_one.to(numbers) * 2 - 1
        values = self.back(signs + (numbers - numbers.detach())).flatten(1)
        with torch.autocast(vectors.device.type, enabled=False):
            loss, entropies = self._loss(numbers, signs)
        codes = (is_one.long() << self._places(vectors)).sum(-1)
        return Quantized(
            put_back(values, places, latents, fill=0),
            put_back(codes, places, latents, fill=-1),
            loss,
            {**code_stats(codes, self.num_codes), **entropies},
        )

    def lookup(self, codes: Tensor) -> Tensor:
        """Return the vectors (..., D) of the signs of ``codes`` (..., Q)."""
        rows = codes.reshape(-1, self.num_codebooks, 1)
        signs = (rows.clamp(min=0) >> self._places(codes) & 1) * 2.0 - 1.0
        vectors: Tensor = self.back(signs)
        return (vectors * (rows >= 0)).reshape(*codes.shape[:-1], self.dim)

    def workspace(self, num_latents: int) -> int:
        """Return the bytes of the factors of the mean probabilities, of the bits, and of the counts."""
        factors = 4 * num_latents * (1 << (1 + (self.bits + 1) // 2))
        return self.num_codebooks * (2 * factors + 24 * num_latents * self.bits + 16 * self.num_codes)

    def _loss(self, numbers: Tensor, signs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss () and both entropies for the log, given numbers and signs (N, Q, bits)."""
        if not len(numbers):
            nothing = numbers.sum()
            return nothing, {"sample_entropy": nothing.detach(), "batch_entropy": nothing.detach()}
        commitment = functional.mse_loss(numbers, signs)
        logits = 4 / self.temperature * numbers  # of a bit being 1: |z + 1|^2 - |z - 1|^2 = 4 z
        sample = (functional.softplus(logits) - logits * logits.sigmoid()).sum(-1).mean()
        means = torch.stack([_mean_probabilities(book) for book in logits.unbind(1)])  # (Q, K)
        batch = torch.special.entr(means.clamp(min=torch.finfo(means.dtype).tiny)).sum(-1).mean()
        loss = self.commitment * commitment + self.entropy * (sample - self.diversity * batch)
        return loss, {"sample_entropy": sample.detach(), "batch_entropy": batch.detach()}

    def _places(self, like: Tensor) -> Tensor:
        return torch.arange(self.bits, device=like.device)


def _mean_probabilities(logits: Tensor) -> Tensor:
    """Return (2^bits,), the mean over latents of each code's probability, given its bits' logits (N, bits)."""
    middle = logits.shape[1] // 2
    low, high = _probabilities(logits[:, :middle]), _probabilities(logits[:, middle:])
    return (high.T @ low / len(logits)).flatten()


def _probabilities(logits: Tensor) -> Tensor:
    """Return (N, 2^bits), the probability of each code of independent bits (N, bits)."""
    found = logits.new_ones(len(logits), 1)
    for ones, zeros in zip(logits.sigmoid().unbind(1), (-logits).sigmoid().unbind(1), strict=True):
        found = torch.cat([found * zeros.unsqueeze(1), found * ones.unsqueeze(1)], 1)
    return found
