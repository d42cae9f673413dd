"""The BLEU that papers of the time give for WMT14 En-De: tokenised, with compounds split at their hyphens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt

from unitdisc_translation.bleu import Translated, sacrebleu
from unitdisc_translation.words import words

if TYPE_CHECKING:
    from unitdisc_translation.bleu import Option

_HYPHEN = re.compile(r"(\S)-(\S)")


class CompoundSplitBLEU(Translated):
    """Corpus BLEU of tokenised sentences with compounds split at hyphens, as papers of 2016 to 2019 give it.

    The chain behind "tokenised BLEU" of newstest2014 En-De (get_ende_bleu.sh of paper B's code base): punctuation of
    unicode is replaced by that of ASCII, the rules of Moses make tokens, "rich-text" becomes "rich ##AT##-##AT## text",
    and multi-bleu counts: no smoothing, capitals count. One model had 29.3 by it and 28.6 by sacreBLEU's 13a, so give
    both, and compare like with like.

    Differs from that chain: the reference is tokenised here as the translation is, while the scripts read one that
    was tokenised before; and the abbreviations after which a full stop stays with its word are a short list of our own.

    Args:
        language: Whose rules for apostrophes and abbreviations make tokens: "de", "en" or "fr".
        reference: Field of the corpus that holds the reference.
        beam: As in bleu.
        length_penalty: As in bleu.
        max_length: As in bleu.
        teacher: As in bleu.
        early_stop: As in bleu.
        forced: As in bleu.
        lowercase: Whether capitals count as small letters.
    """

    def __init__(
        self,
        *,
        language: Literal["de", "en", "fr"] = "de",
        reference: str = "target",
        beam: Annotated[int, Gt(0)] = 4,
        length_penalty: Annotated[float, Ge(0)] = 0.6,
        max_length: Annotated[int, Gt(0)] | None = None,
        teacher: Path | None = None,
        early_stop: bool = True,
        forced: bool = False,
        lowercase: bool = False,
    ) -> None:
        decoding: dict[str, Option] = {
            "beam": beam,
            "length_penalty": length_penalty,
            "max_length": max_length,
            "teacher": teacher,
            "early_stop": early_stop,
        }
        bleu = sacrebleu().BLEU(tokenize="none", lowercase=lowercase, smooth_method="none", force=True)
        super().__init__(bleu, reference=reference, decoding=decoding, forced=forced)
        self._language: Literal["de", "en", "fr"] = language

    def prepared(self, text: str) -> str:
        """Return the tokens of a sentence, hyphens inside of words apart."""
        return _HYPHEN.sub(r"\1 ##AT##-##AT## \2", " ".join(words(text, self._language)))

    def signature(self) -> str | None:
        """Return sacreBLEU's signature, which knows of no tokens, and what has been done before."""
        found = super().signature()
        return f"{found}|words:moses-rules.{self._language}|compounds:split" if found else None
