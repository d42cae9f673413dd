"""Convolutions over sequences of vectors, in which padding counts as zeros: how latents are made, and spread again."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from unitdisc.parts import Padded
from unitdisc_translation.product import Linear


class ResidualBlock(nn.Module):
    """x + dropout(three convolutions of kernel 3 with ReLUs between, behind a layer norm) (tensor2tensor).

    Args:
        dim: Size D.
        dropout: Share of numbers that training leaves out.
    """

    def __init__(self, dim: int, *, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.convolutions = nn.ModuleList(nn.Conv1d(dim, dim, 3, padding=1) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return (B, T, D) of vectors (B, T, D), of which ``mask`` (B, T) are valid; what is beyond means nothing."""
        found, is_valid = self.norm(x).transpose(1, 2), mask[:, None]
        for number, convolution in enumerate(self.convolutions):
            found = convolution((found.relu() if number else found) * is_valid)
        dropped: Tensor = self.dropout(found.transpose(1, 2))
        return x + dropped


class Halving(nn.Module):
    """A convolution of kernel 2 and stride 2: (B, T, D) to (B, ceil(T / 2), D).

    Args:
        dim: Size D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(dim, dim, 2, stride=2)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the vectors of pairs; ``mask`` (B, T) is true on valid ones."""
        whole = F.pad((x * mask[..., None]).transpose(1, 2), (0, x.shape[1] % 2))
        halved: Tensor = self.convolution(whole)
        return halved.transpose(1, 2)


class Doubling(nn.Module):
    """A transposed convolution of kernel 2 and stride 2: (B, S, D) to (B, 2 S, D).

    Args:
        dim: Size D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = Linear(dim, 2 * dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return two vectors for each."""
        doubled: Tensor = self.linear(x)
        return doubled.unflatten(2, (2, -1)).flatten(1, 2)


class Spread(nn.Module):
    """Latents to one vector per token: for each halving of the encoder a residual block, then a `Doubling`.

    Args:
        dim: Size of a latent.
        hidden: Size D of the vectors.
        doublings: How many.
        dropout: Share of numbers that training leaves out.
    """

    def __init__(self, dim: int, *, hidden: int, doublings: int, dropout: float) -> None:
        super().__init__()
        self.into = nn.Linear(dim, hidden)
        self.blocks = nn.ModuleList(ResidualBlock(hidden, dropout=dropout) for _ in range(doublings))
        self.doublings = nn.ModuleList(Doubling(hidden) for _ in range(doublings))

    def forward(self, latents: Padded) -> Padded:
        """Return (B, S * 2^doublings, D) of latents (B, S, dim)."""
        x, lengths = self.into(latents.values), latents.lengths
        for block, doubling in zip(self.blocks, self.doublings, strict=True):
            x = doubling(block(x, Padded(x, lengths).mask))
            lengths = 2 * lengths
        return Padded(x, lengths)
