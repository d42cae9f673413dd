"""Contracts of parts that write text: transcripts that can be aligned, and translations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from unitdisc.parts import Head, Part

if TYPE_CHECKING:
    from torch import Tensor

    from unitdisc.parts import Padded


class Transcriber(Head, ABC):
    """A head that says at each latent a symbol of a transcript or a blank, so that transcripts can be aligned.

    Attributes:
        target: Name of its "sequence" target.
    """

    target: str

    @abstractmethod
    def log_probs(self, latents: Padded) -> Tensor:
        """Return (B, S, 1 + V) log-probabilities: 0 is the blank, n + 1 the symbol n of the target."""


class Translator(Part, ABC):
    """What a decoder also is that writes a sentence from another alone, without latents of what it writes.

    Attributes:
        source: Name of the condition that is the sentence to translate.
    """

    source: str

    @abstractmethod
    def translate(
        self,
        source: Padded,
        *,
        beam: int = 1,
        length_penalty: float = 0.6,
        max_length: int | None = None,
    ) -> list[Tensor]:
        """Return B translations (U_b,) int64, as the data gives inputs; the same for a sentence alone and in a batch.

        Args:
            source: (B, U) int64.
            beam: Partial translations kept at each step; 1 is greedy.
            length_penalty: Alpha of Wu et al. 2016, eq. 14: 0 compares sums of ln p, 1 about their means.
            max_length: Tokens of a translation at most; None lets the part decide by the source's length.
        """
