"""BLEU of translations."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt

from unitdisc.errors import DataError, RecipeError
from unitdisc.metric import Metric

if TYPE_CHECKING:
    from unitdisc.metric import Evaluated

Option = float | bool | Path | None


class Translated(Metric):
    """What scores of translations share: sentences are written, kept, and scored as a corpus.

    Args:
        bleu: sacreBLEU's metric.
        reference: Field of the corpus that holds the reference.
        decoding: How to write, as `unitdisc.translation.translate` takes it; what is None is left to the decoder.
        forced: Whether the decoder is shown the truth; ``decoding`` then counts for nothing.
    """

    has_chance: ClassVar[bool] = False

    def __init__(self, bleu: Any, *, reference: str, decoding: dict[str, Option], forced: bool) -> None:
        self._bleu = bleu
        self._reference = reference
        chosen = {name: value for name, value in decoding.items() if value is not None}
        if chosen.get("early_stop"):
            del chosen["early_stop"]  # what decoders do anyway
        self._decoding: dict[str, Option] = {"forced": True} if forced else chosen
        self._written: list[str] = []
        self._references: list[str] = []
        self._signature = ""

    def prepared(self, text: str) -> str:
        """Return a sentence as sacreBLEU is to see it: as it is."""
        return text

    def update(self, item: Evaluated) -> None:
        """Translate one sentence."""
        if item.translate is None:
            raise RecipeError(
                "there is no decoder that translates; take one, such as autoregressive, or leave bleu out"
            )
        if self._reference not in item.fields:
            known = ", ".join(sorted(item.fields)) or "none"
            raise RecipeError(
                f"reference: the corpus has no field {self._reference!r} (it has: {known}); name one of those"
            )
        self._written.append(self.prepared(item.translate(**self._decoding)))
        self._references.append(self.prepared(item.fields[self._reference]))

    def compute(self) -> dict[str, float]:
        """Return BLEU in percent. Raises `DataError` when the split has no sentence."""
        if not self._written:
            raise DataError("bleu: there is no sentence to score; score a split that has some")
        found = self._bleu.corpus_score(self._written, [self._references])
        self._signature = str(self._bleu.get_signature())
        return {
            "value": float(found.score),
            **{f"precision_{n}": float(share) for n, share in enumerate(found.precisions, 1)},
            "brevity_penalty": float(found.bp),
            "length_ratio": float(found.sys_len / max(found.ref_len, 1)),
            "sentences": float(len(self._written)),
        }

    def signature(self) -> str | None:
        """Return sacreBLEU's signature, and how the translations were searched for."""
        decoding = "|".join(f"{name}:{value}" for name, value in self._decoding.items())
        return f"BLEU|{self._signature}|{decoding}" if self._signature else None


class BLEU(Translated):
    """Corpus BLEU (Papineni et al. 2002) by sacreBLEU (Post 2018) of what the decoder writes, with its signature.

    The reference is the target sentence as it stands in the file. "precision_1" to "precision_4" are n-gram
    precisions in percent, "brevity_penalty" and "length_ratio" say how long the translations are, "sentences" how
    many there are. There is no chance value: a translation is written without units.

    Args:
        reference: Field of the corpus that holds the reference.
        beam: Partial translations kept at each step; 1 is greedy. Of decoders that predict latents, latent sentences;
            of those with fertilities, guesses (noisy parallel decoding).
        length_penalty: Alpha of Wu et al. 2016, eq. 14.
        max_length: Tokens of a translation at most; null lets the decoder decide.
        teacher: Folder of a run that chooses among the candidates of a sentence by its own probabilities; null takes
            the decoder's own choice.
        early_stop: Whether decoders that predict latents stop at the one that stands for nothing more.
        forced: Score what the decoder writes where it is shown the truth: teacher-forced BLEU (paper B, Fig. 3).
            Watches training and compares with nothing else; the arguments of the search then count for nothing.
        tokenize: sacreBLEU's tokeniser.
        lowercase: Whether capitals count as small letters.
    """

    def __init__(
        self,
        *,
        reference: str = "target",
        beam: Annotated[int, Gt(0)] = 4,
        length_penalty: Annotated[float, Ge(0)] = 0.6,
        max_length: Annotated[int, Gt(0)] | None = None,
        teacher: Path | None = None,
        early_stop: bool = True,
        forced: bool = False,
        tokenize: Literal["13a", "intl", "char", "zh", "none"] = "13a",
        lowercase: bool = False,
    ) -> None:
        decoding: dict[str, Option] = {
            "beam": beam,
            "length_penalty": length_penalty,
            "max_length": max_length,
            "teacher": teacher,
            "early_stop": early_stop,
        }
        bleu = sacrebleu().BLEU(tokenize=tokenize, lowercase=lowercase)
        super().__init__(bleu, reference=reference, decoding=decoding, forced=forced)


def sacrebleu() -> Any:
    """Return sacreBLEU's metrics. Raises `RecipeError` where it is not installed."""
    try:
        return importlib.import_module("sacrebleu.metrics")
    except ImportError as error:
        raise RecipeError(
            "bleu needs sacrebleu: pip install 'unitdisc[translation]', or leave the score out (metrics.bleu=null)"
        ) from error
