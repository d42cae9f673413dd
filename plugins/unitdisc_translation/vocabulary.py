"""Subword pieces that two languages share: trained once from the training text, kept in the cache."""

from __future__ import annotations

import importlib
import io
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from unitdisc.errors import DataError, RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PAD, START, END, UNKNOWN = range(4)
"""<pad>, <s>, </s>, <unk>: no text is ever spelled with these."""
SMALLEST = 300
"""Four marks, 256 bytes, and room for letters."""


class Vocabulary:
    """Byte-pair encoding (Sennrich et al. 2016) by sentencepiece, with a piece for every byte.

    What the pieces have no letter for is spelled in bytes of UTF-8, so that no character is outside the vocabulary
    and ``decode(encode(text))`` is ``text``, spaces included; only U+2581, which stands for a space inside
    sentencepiece, comes back as one. Nothing is normalised.

    Args:
        model: In the form of sentencepiece.
        name: What an error calls it.
    """

    def __init__(self, model: bytes, *, name: str = "vocabulary") -> None:
        self.model, self._name = model, name

    @classmethod
    def train(cls, texts: Iterable[str], *, size: int) -> Vocabulary:
        """Learn ``size`` pieces from sentences; the same sentences and sentencepiece give the same bytes."""
        written = io.BytesIO()
        try:
            _sentencepiece().SentencePieceTrainer.train(
                sentence_iterator=iter(texts),
                model_type="bpe",
                model_writer=written,
                vocab_size=size,
                hard_vocab_limit=False,  # what came out is checked below, in the reader's words
                max_sentence_length=2**30,  # longer ones would be left out without a word
                character_coverage=0.9995,  # of the rest bytes take care
                byte_fallback=True,
                normalization_rule_name="identity",
                remove_extra_whitespaces=False,
                pad_id=PAD,
                bos_id=START,
                eos_id=END,
                unk_id=UNKNOWN,
                num_threads=1,  # sums of floats depend on the order of threads
                minloglevel=2,
            )
        except RuntimeError as error:
            raise DataError(
                f"data.vocab_size: {size:,} pieces cannot be made of the training text ({_last_line(error)}); "
                "give another number or more text"
            ) from error
        made = cls(written.getvalue())
        if len(made) != size:
            fewer = f"set it to {len(made):,} or less" if len(made) >= SMALLEST else "give more text"
            raise DataError(
                f"data.vocab_size: the training text gives {len(made):,} pieces, {size:,} are asked for; {fewer}"
            )
        return made

    def __len__(self) -> int:
        return len(self._processor)

    @property
    def pieces(self) -> tuple[str, ...]:
        """What each number stands for; U+2581 is a space and <0x41> a byte."""
        return tuple(self._processor.id_to_piece(list(range(len(self)))))

    def check(self, size: int) -> None:
        """Raise `DataError` unless it has ``size`` pieces, the four marks first and all bytes."""
        found = self.pieces
        if found[:4] != ("<pad>", "<s>", "</s>", "<unk>") or not self._processor.is_byte(4):
            raise DataError(
                f"{self._name}: begins with {', '.join(found[:5])}; accepted are models with <pad>, <s>, </s>, <unk> "
                "and then the bytes, such as those that data.vocabulary: null makes"
            )
        if len(found) != size:
            raise DataError(
                f"{self._name}: has {len(found):,} pieces; set data.vocab_size to that, it is {size:,}"
            )

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return the pieces (U,) int32 of each text, </s> last."""
        return [np.array([*row, END], np.int32) for row in self._processor.encode(list(texts))]

    def decode(self, pieces: Sequence[int]) -> str:
        """Return what the pieces spell; marks spell nothing, bytes that are no UTF-8 are U+FFFD."""
        text: str = self._processor.decode([int(piece) for piece in pieces if piece > UNKNOWN])
        return text

    @cached_property
    def _processor(self) -> Any:
        try:
            return _sentencepiece().SentencePieceProcessor(model_proto=self.model)
        except RuntimeError as error:
            raise DataError(f"{self._name}: is no model of sentencepiece; give another file") from error


def _last_line(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1]


def _sentencepiece() -> Any:
    try:
        return importlib.import_module("sentencepiece")
    except ImportError as error:
        raise RecipeError("parallel text needs sentencepiece: pip install 'unitdisc[translation]'") from error
