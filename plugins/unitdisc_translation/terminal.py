"""The latents that stand for nothing more: found while training, used to stop early (paper B, Table 5)."""

from __future__ import annotations

import torch
from torch import Tensor

from unitdisc import distributed
from unitdisc.coded import Coded
from unitdisc.parts import Padded, Part

_MEMORY = 0.99
"""Share of the counts that each step keeps: codes change what they stand for."""


class TerminalCodes(Part):
    """Counts how often each code stands for <pad> alone: those that do nearly always end a latent sentence.

    Paper B sees one such code in the last place of every latent sentence; it names neither how to find it nor what
    it saves.

    Args:
        num_codebooks: Q.
        num_codes: K.
        purity: Share of a code's uses that must stand for <pad> alone.
    """

    counts: Tensor
    pending: Tensor

    def __init__(self, *, num_codebooks: int, num_codes: int, purity: float) -> None:
        super().__init__()
        self.purity = purity
        # All uses, and those for <pad> alone.
        zeros = torch.zeros(2, num_codebooks, num_codes, dtype=torch.float64)
        self.register_buffer("counts", zeros)
        self.register_buffer("pending", zeros.clone(), persistent=False)

    def before_step(self, progress: float) -> None:
        """Forget what a skipped step left."""
        del progress
        self.pending.zero_()

    def after_step(self, progress: float) -> None:
        """Take in the codes of the step."""
        del progress
        self.counts.mul_(_MEMORY).add_(distributed.all_sum_(self.pending.clone()))

    def add(self, latents: Coded, tokens: Padded, *, stride: int, pad: int) -> None:
        """Count the codes (B, S, Q) of a batch with the tokens (B, T) that they stand for, ``stride`` each."""
        mask = latents.mask
        words = tokens.mask & (tokens.values != pad)
        missing = mask.shape[1] * stride - words.shape[1]
        has_words = torch.nn.functional.pad(words, (0, missing)).unflatten(1, (mask.shape[1], stride)).any(2)
        for number, which in enumerate((mask, mask & ~has_words)):
            for book in range(latents.codes.shape[2]):
                codes = latents.codes[..., book][which]
                ones = torch.ones_like(codes, dtype=torch.float64)
                self.pending[number, book].index_add_(0, codes, ones)

    @property
    def found(self) -> Tensor:
        """(Q, K) bool: which codes end a sentence."""
        return (self.counts[1] > 1) & (self.counts[1] >= self.purity * self.counts[0])
