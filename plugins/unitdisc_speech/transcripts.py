"""Transcripts without times as targets: symbols, characters, or words that a lexicon spells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unitdisc.data import TargetSpec
from unitdisc.errors import DataError
from unitdisc.text_lines import lines
from unitdisc_speech.targets import folded

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from unitdisc_speech.cuts import Utterance

_SPACE = "|"
"""What stands for the space among characters: a symbol of a label table cannot be blank."""
_AROUND = re.compile(r"^[^\w']+|[^\w']+$")


class Transcripts:
    """The sequence target of a manifest field.

    Args:
        field: Name of the field, which every utterance must have.
        utterances: All utterances, whose symbols make the vocabulary (sorted, the same for every split).
        characters: Whether the field is spelt by its characters; else its symbols stand between spaces.
        lexicon: Word to symbols; the field then holds words.
        fold: Symbol to class; an empty class is left out. None takes the symbols as they are.
        silence: Classes that are left out.
    """

    def __init__(
        self,
        field: str,
        utterances: Sequence[Utterance],
        *,
        characters: bool,
        lexicon: Mapping[str, Sequence[str]] | None,
        fold: Mapping[str, str] | None,
        silence: Collection[str],
    ) -> None:
        self.field, self.characters, self.lexicon = field, characters, lexicon
        left_out = {"", *silence}
        pairs: dict[str, list[tuple[str, str]]] = {
            utterance.key: [
                (symbol, kind)
                for symbol in self._spelt(utterance)
                if (kind := folded(symbol, fold, f"{utterance.key}: {field}")) not in left_out
            ]
            for utterance in utterances
        }
        self._pairs = pairs
        kinds = {kind for row in pairs.values() for _, kind in row}
        self.sequence = TargetSpec("sequence", tuple(sorted(kinds)))
        self._numbers = {kind: number for number, kind in enumerate(self.sequence.vocab)}

    def transcript(self, utterance: Utterance) -> Tensor:
        """Return the symbols (U,) int64."""
        return torch.tensor(
            [self._numbers[kind] for _, kind in self._pairs[utterance.key]], dtype=torch.int64
        )

    def symbols(self, utterance: Utterance) -> list[str]:
        """Return the symbols of `transcript` before folding."""
        return [symbol for symbol, _ in self._pairs[utterance.key]]

    def _spelt(self, utterance: Utterance) -> list[str]:
        if self.field not in utterance.fields:
            found = ", ".join(sorted(utterance.fields)) or "none"
            raise DataError(
                f"{utterance.key}: the manifest has no field {self.field!r} for data.transcript (fields: {found}); "
                "add it to every line, import the corpus again, or name another field"
            )
        words = utterance.fields[self.field].split()
        if self.characters:
            return list(_SPACE.join(words))
        if self.lexicon is None:
            return words
        return [symbol for word in words for symbol in self._looked_up(word, utterance.key)]

    def _looked_up(self, word: str, key: str) -> Sequence[str]:
        """Return the symbols of a word; what is punctuation alone has none."""
        assert self.lexicon is not None  # noqa: S101  (only called with one)
        bare = _bare(word)
        quoted = bare.strip("'")
        if not quoted:
            return ()
        if bare not in self.lexicon and quoted not in self.lexicon:
            raise DataError(f"{key}: {word!r} is not in data.lexicon; add a line with its symbols")
        return self.lexicon.get(bare) or self.lexicon[quoted]


def read_lexicon(path: Path) -> dict[str, list[str]]:
    """Read a word and its symbols per line, separated by white space, as Kaldi, LibriSpeech and CMUdict do.

    The first pronunciation of a word counts. Case and punctuation around a word do not; ``;;;`` is a comment.
    """
    lexicon: dict[str, list[str]] = {}
    for line, text in lines(path):
        word, *symbols = text.split()
        if word.startswith(";;;"):
            continue
        if not symbols:
            raise DataError(
                f"{path}:{line}: {word!r} has no symbols; write them behind it, separated by spaces"
            )
        lexicon.setdefault(_bare(word), symbols)
    if not lexicon:
        raise DataError(f"{path}: empty; write a word and its symbols per line")
    return lexicon


def _bare(word: str) -> str:
    """Return the word as it is compared."""
    word = word.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return _AROUND.sub("", word)
