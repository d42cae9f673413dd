"""BLEU of translations."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt

from unitdisc.errors import DataError, RecipeError
from unitdisc.metric import Metric

if TYPE_CHECKING:
    from unitdisc.metric import Evaluated


class BLEU(Metric):
    """Corpus BLEU (Papineni et al. 2002) by sacreBLEU (Post 2018) of what the decoder writes, with its signature.

    The reference is the target sentence as it stands in the file. "precision_1" to "precision_4" are n-gram
    precisions in percent, "brevity_penalty" and "length_ratio" say how long the translations are, "sentences" how
    many there are. There is no chance value: a translation is written without units.

    Args:
        reference: Field of the corpus that holds the reference.
        beam: Partial translations kept at each step; 1 is greedy.
        length_penalty: Alpha of Wu et al. 2016, eq. 14.
        max_length: Tokens of a translation at most; null lets the decoder decide.
        tokenize: sacreBLEU's tokeniser.
        lowercase: Whether capitals count as small letters.
    """

    has_chance: ClassVar[bool] = False

    def __init__(
        self,
        *,
        reference: str = "target",
        beam: Annotated[int, Gt(0)] = 4,
        length_penalty: Annotated[float, Ge(0)] = 0.6,
        max_length: Annotated[int, Gt(0)] | None = None,
        tokenize: Literal["13a", "intl", "char", "zh", "none"] = "13a",
        lowercase: bool = False,
    ) -> None:
        self._reference = reference
        self._decoding = {"beam": beam, "length_penalty": length_penalty, "max_length": max_length}
        self._bleu = _sacrebleu().BLEU(tokenize=tokenize, lowercase=lowercase)
        self._written: list[str] = []
        self._references: list[str] = []
        self._signature = ""

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
        self._written.append(item.translate(**self._decoding))
        self._references.append(item.fields[self._reference])

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
        decoding = "|".join(f"{name}:{value}" for name, value in self._decoding.items() if value is not None)
        return f"BLEU|{self._signature}|{decoding}" if self._signature else None


def _sacrebleu() -> Any:
    try:
        return importlib.import_module("sacrebleu.metrics")
    except ImportError as error:
        raise RecipeError(
            "bleu needs sacrebleu: pip install 'unitdisc[translation]', or leave the score out (metrics.bleu=null)"
        ) from error
