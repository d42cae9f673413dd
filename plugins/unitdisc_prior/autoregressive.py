"""What the priors share: the codes of one latent, one codebook after the other, given the latents before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unitdisc.likelihood import Prior
from unitdisc.parts import Padded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Autoregressive(Prior, ABC):
    """ln p(c_q | latents before, c_1 ... c_(q-1)) from a vector of the former plus the codes' vectors.

    Args:
        num_codes: Size K of each codebook.
        num_codebooks: Number Q of codebooks.
        stride: Input frames per latent.
        hidden: Size H of all vectors.
        dropout: Share of the numbers of each vector that training leaves out.
        lr_scale: Its learning rate over the recipe's.
    """

    def __init__(
        self, *, num_codes: int, num_codebooks: int, stride: int, hidden: int, dropout: float, lr_scale: float
    ) -> None:
        super().__init__()
        self.stride = stride
        self.lr_scale = lr_scale
        self.vectors = nn.Parameter(torch.randn(num_codebooks, num_codes, hidden) / num_codebooks**0.5)
        self.told = nn.Linear(hidden, hidden)
        self.weights = nn.Parameter(torch.randn(num_codebooks, num_codes, hidden) / hidden**0.5)
        self.biases = nn.Parameter(torch.zeros(num_codebooks, num_codes))
        self.dropout = nn.Dropout(dropout)

    @abstractmethod
    def contexts(self, latents: Tensor) -> Tensor:
        """Return (B, S, H), for each latent what those before it say of it; ``latents`` (B, S, H) are vectors."""

    @abstractmethod
    def scan(self, choose: Callable[[Tensor], Tensor], size: tuple[int, int]) -> None:
        """Give ``choose`` the contexts (B, H) of one latent after the other; it returns that latent's vector (B, H).

        ``size`` is (B, S); there may be more calls than S.
        """

    def param_groups(self) -> Iterator[dict[str, Any]]:
        """Yield all of it at its own rate."""
        yield {"params": [*self.parameters()], "lr_scale": self.lr_scale}

    def log_probs(self, latents: Padded) -> Tensor:
        """Return (B, S, Q, K) ln p of what each code can be, given the codes before it."""
        codes = latents.values.masked_fill(~latents.mask[:, :, None], 0)
        vectors = self.dropout(self._looked_up(codes))  # (B, S, Q, H)
        context = self.told(self.dropout(self.contexts(vectors.sum(2))))
        # Shifted, not subtracted from the whole sum: that would leave rounding errors that know the code.
        lower = F.pad(vectors.cumsum(2)[:, :, :-1], (0, 0, 1, 0))
        seen = F.relu(context[:, :, None] + lower)
        logits = torch.einsum("bsqh,qkh->bsqk", seen, self.weights) + self.biases
        return logits.float().log_softmax(3)

    @torch.no_grad()
    def draw(self, lengths: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Return (B, S, Q) codes of ``lengths`` (B,) latents; a temperature below 1 prefers what is likely."""
        drawn: list[Tensor] = []  # (B, Q) each

        def choose(context: Tensor) -> Tensor:
            codes, vector = self._drawn(self.told(context), temperature)
            drawn.append(codes)
            return vector

        size = len(lengths), int(lengths.max())
        self.scan(choose, size)
        codes = torch.stack(drawn, 1)[:, : size[1]]
        return codes.masked_fill(~Padded(codes, lengths.to(codes.device)).mask[:, :, None], -1)

    def _drawn(self, context: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """Return codes (B, Q) of one latent and the sum of their vectors (B, H)."""
        lower = torch.zeros_like(context)
        codes = []
        for vectors, weights, biases in zip(self.vectors, self.weights, self.biases, strict=True):
            logits = F.linear(F.relu(context + lower), weights, biases).float()
            codes.append(torch.multinomial((logits / temperature).softmax(1), 1)[:, 0])
            lower = lower + vectors[codes[-1]]
        return torch.stack(codes, 1), lower

    def _looked_up(self, codes: Tensor) -> Tensor:
        """Return (B, S, Q, H), the vectors of codes (B, S, Q)."""
        num_codebooks, num_codes, _ = self.vectors.shape
        offsets = num_codes * torch.arange(num_codebooks, device=codes.device)
        return F.embedding(codes + offsets, self.vectors.flatten(0, 1))
