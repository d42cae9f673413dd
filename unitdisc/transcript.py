"""Contracts of parts that write text: transcripts that can be aligned, and translations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from unitdisc.parts import Head, Part
from unitdisc.watch import UNWATCHED, Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from torch import Tensor

    from unitdisc.parts import Batch, Padded


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
    """What a decoder also is that writes a sentence from another alone: it finds latents, if it reads any, itself.

    Attributes:
        source: Name of the condition that is the sentence to translate.
    """

    source: str

    @abstractmethod
    def candidates(
        self,
        source: Padded,
        *,
        lookup: Callable[[Tensor], Tensor],
        beam: int = 1,
        length_penalty: float = 0.6,
        max_length: int | None = None,
        early_stop: bool = True,
        watch: Watch = UNWATCHED,
    ) -> list[list[Tensor]]:
        """Return of each of B sentences at most ``beam`` translations (U,) int64, by its own judgement the best first.

        A translation is as the data gives inputs, with </s>; the same for a sentence alone and in a batch.

        Args:
            source: (B, U) int64.
            lookup: That of the bottleneck: what codes (..., Q) stand for.
            beam: Partial translations, latent sentences or other guesses kept; 1 is greedy.
            length_penalty: Alpha of Wu et al. 2016, eq. 14: 0 compares sums of ln p, 1 about their means.
            max_length: Tokens of a translation at most; None lets the part decide by the source's length.
            early_stop: Whether a part that predicts latents stops at the one that stands for nothing more, and at the
                one behind those that ``max_length`` needs.
            watch: Is told what is done.
        """

    @abstractmethod
    def forced(self, latents: Padded, batch: Batch) -> list[Tensor]:
        """Return of each of B sentences what it writes (U,) int64 where it is shown the truth; U may be T.

        Word by word: at each place the likeliest token after the true tokens before. From latents or fertilities: the
        likeliest tokens given those of the target itself. BLEU of it watches training (paper B, Fig. 3); as nothing
        is predicted from the source alone, it is not comparable with that of translations.

        Args:
            latents: As ``forward`` gets them, found from the target.
            batch: With the true targets as inputs.
        """

    def terminal_codes(self) -> np.ndarray | None:
        """Return (Q, K) bool, codes that stand for nothing more; None of what predicts no codes."""
        return None
