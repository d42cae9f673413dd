"""Subword units over codes: sequences that come often become one piece, as letters do in words."""

from __future__ import annotations

import importlib
import io
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Ge

from unitdisc.errors import DataError, RecipeError, StorageError
from unitdisc.storage import new_folder, refuse_other_files, write_bytes, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PIECES, MODEL = "pieces.json", "sentencepiece.model"

_FIRST = 0xF0000
"""The private use planes 15 and 16 of Unicode begin here; no text has a letter there by chance."""
_LETTERS = 0x110000 - _FIRST
_LONGEST = 16
"""Units of the longest piece; sentencepiece's default for text too."""


class Subwords:
    """A vocabulary of pieces, each a short sequence of codes.

    Byte-pair encoding (Sennrich et al. 2016) by sentencepiece: the commonest two neighbours become a piece, again
    and again; of equally common ones the shorter, then the one of lower codes.

    ``decode(encode(codes))`` is ``codes``, for every sequence and bit for bit: each code has a private character
    and is a piece of its own whether or not training met it, and nothing is normalised or split at anything. With
    Q codebooks a unit is Q characters and each codebook has characters of its own, so K * Q may be up to 131,072;
    a piece may then begin or end inside a unit.

    Pieces are numbered from 1, in the order in which they were merged, single codes last; 0 is never written and
    free for padding. Give sequences without repeats (`unitdisc.repeats`): with them pieces mostly spell how long
    a unit lasts.

    Args:
        num_codes: Size K of each codebook.
        num_codebooks: Codes per unit, Q.
        pieces: For each piece its codes, those of codebook q raised by q * K; the first one is empty.
        model: The vocabulary in the form of sentencepiece.
        checkpoint: SHA-256 of the weights that chose the codes; "" where it is not known.
    """

    def __init__(
        self,
        num_codes: int,
        num_codebooks: int,
        *,
        pieces: Sequence[Sequence[int]],
        model: bytes,
        checkpoint: str = "",
    ) -> None:
        self.num_codes, self.num_codebooks, self.checkpoint = num_codes, num_codebooks, checkpoint
        self.pieces = [tuple(piece) for piece in pieces]
        self._model = model

    @classmethod
    def train(
        cls,
        sequences: Iterable[np.ndarray],
        *,
        num_codes: Annotated[int, Ge(1)],
        num_codebooks: Annotated[int, Ge(1)] = 1,
        size: int,
        checkpoint: str = "",
    ) -> Subwords:
        """Learn pieces from ``sequences`` (S, Q) of codes; the same sequences give the same bytes.

        Args:
            sequences: Read once.
            num_codes: Size K of each codebook.
            num_codebooks: Codes per unit, Q.
            size: Pieces with the empty one, more than K * Q; fewer come out where there is nothing more to merge.
            checkpoint: SHA-256 of the weights that chose the codes, to be kept.
        """
        letters = num_codes * num_codebooks
        if letters > _LETTERS:
            raise RecipeError(f"subwords: {letters:,} codes in all codebooks; at most {_LETTERS:,} fit")
        if size <= letters:
            raise RecipeError(
                f"subwords: size {size:,} leaves no room: each of the {letters:,} codes is a piece and 0 stays free; "
                f"give {letters + 1:,} or more"
            )
        alphabet = cls(num_codes, num_codebooks, pieces=(), model=b"")
        texts = [text for text in map(alphabet._text, sequences) if text]
        if not texts:
            raise DataError("subwords: there is no unit to learn from; give sequences that are not empty")
        # Each merge leaves a letter less, and sentencepiece takes memory for as many pieces as it is asked for.
        size = min(size, letters + 1 + sum(map(len, texts)))
        # A line of its own makes each code known and adds no pair, so merges stay those of the sequences.
        texts += map(chr, range(_FIRST, _FIRST + letters))
        longest = min(_LONGEST * num_codebooks, 512)
        model, pieces = _learnt(texts, vocab_size=size, max_sentencepiece_length=longest)
        return cls(num_codes, num_codebooks, pieces=pieces, model=model, checkpoint=checkpoint)

    @classmethod
    def load(cls, folder: str | Path) -> Subwords:
        """Read what `save` wrote. Raises `StorageError` when it is not there or damaged."""
        folder = Path(folder)
        try:
            content = json.loads((folder / PIECES).read_text(encoding="utf-8"))
            return cls(**content, model=(folder / MODEL).read_bytes())
        except FileNotFoundError:
            raise StorageError(
                f"{folder}: no subwords are here ({PIECES}, {MODEL}); make them with: unitdisc subwords train"
            ) from None
        except (OSError, ValueError, TypeError) as error:
            raise StorageError(f"{folder / PIECES}: damaged ({error}); train anew or restore it") from error

    def save(self, folder: str | Path) -> None:
        """Write two files into ``folder``, which is replaced as a whole. Decoding needs only ``pieces.json``."""
        folder = Path(folder)
        refuse_other_files(folder, PIECES)
        content = {
            "num_codes": self.num_codes,
            "num_codebooks": self.num_codebooks,
            "checkpoint": self.checkpoint,
            "pieces": self.pieces,
        }
        with new_folder(folder) as partial:
            write_text(partial / PIECES, json.dumps(content) + "\n")
            write_bytes(partial / MODEL, self._model)

    def encode(self, codes: np.ndarray) -> list[int]:
        """Return the pieces, each from 1, that spell ``codes`` (S, Q), or (S,) where there is one codebook."""
        pieces: list[int] = self._processor.encode(self._text(codes))
        return pieces

    def decode(self, pieces: Sequence[int]) -> np.ndarray:
        """Return the codes (S, Q) int64 that ``pieces`` spell. Raises `DataError` where they spell none."""
        wrong = next((piece for piece in pieces if not 0 < piece < len(self.pieces)), None)
        if wrong is not None:
            raise DataError(
                f"piece {wrong} is not in [1, {len(self.pieces) - 1}]; decode with the subwords that encoded"
            )
        letters = np.array([code for piece in pieces for code in self.pieces[piece]], np.int64)
        if len(letters) % self.num_codebooks == 0:
            codes: np.ndarray = letters.reshape(-1, self.num_codebooks) - self._offsets
            if np.all((codes >= 0) & (codes < self.num_codes)):
                return codes
        raise DataError(
            f"the pieces do not spell whole units of {self.num_codebooks} codes; take them in order and all"
        )

    @property
    def _offsets(self) -> np.ndarray:
        """What the codes of each codebook are raised by, (Q,)."""
        return self.num_codes * np.arange(self.num_codebooks)

    @cached_property
    def _processor(self) -> Any:
        try:
            return _sentencepiece().SentencePieceProcessor(model_proto=self._model)
        except RuntimeError as error:
            raise StorageError(f"{MODEL}: damaged; train the subwords anew or restore it") from error

    def _text(self, codes: np.ndarray) -> str:
        """Return a character per code, unit by unit."""
        array = np.asarray(codes)
        if array.size == 0:
            return ""
        if array.ndim == 1 and self.num_codebooks == 1:
            array = array[:, None]
        if array.ndim != 2 or array.shape[1] != self.num_codebooks or array.dtype.kind not in "iu":
            raise DataError(
                f"codes: found shape {array.shape} of {array.dtype}; expected whole numbers (S, {self.num_codebooks})"
            )
        if array.min() < 0 or array.max() >= self.num_codes:
            found = array.min() if array.min() < 0 else array.max()
            raise DataError(f"codes: found {found}; these subwords know 0 to {self.num_codes - 1}")
        letters: np.ndarray = array.astype(np.int64) + self._offsets + _FIRST
        return letters.astype("<u4").tobytes().decode("utf-32-le")


def _learnt(texts: Iterable[str], **options: Any) -> tuple[bytes, list[list[int]]]:
    """Return sentencepiece's model and the codes of each piece."""
    written = io.BytesIO()
    sentencepiece = _sentencepiece()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        # Not "unigram": version 0.2.3 looks for its pieces by bytes and misses most among letters beyond ASCII.
        model_type="bpe",
        model_writer=written,
        hard_vocab_limit=False,  # fewer pieces where there is nothing more to merge, not an error
        max_sentence_length=2**30,  # longer ones would be left out without a word
        character_coverage=1.0,
        byte_fallback=False,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        split_by_whitespace=False,
        split_by_unicode_script=False,
        split_by_number=False,
        unk_id=0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        num_threads=1,  # sums of floats depend on the order of threads
        minloglevel=2,
        **options,
    )
    model = written.getvalue()
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    texts_of = [processor.id_to_piece(index) for index in range(1, len(processor))]
    return model, [[], *([ord(letter) - _FIRST for letter in text] for text in texts_of)]


def _sentencepiece() -> Any:
    try:
        return importlib.import_module("sentencepiece")
    except ImportError as error:
        raise RecipeError("subwords need sentencepiece: pip install 'unitdisc[translation]'") from error
