"""Contract of data whose inputs are sentences and whose conditions are sentences, too: what translates needs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from unitdisc.data import DataSource
from unitdisc.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from torch import Tensor


class SentenceSource(DataSource, ABC):
    """A data source that spells sentences of its own and of anybody else.

    All of it works after ``prepare``; after `spell_with` only `sentence`, `spelled` and ``conditions`` do.
    """

    @abstractmethod
    def sentence(self, text: str) -> Tensor:
        """Return a sentence to translate (U,) int64 as it stands among the conditions."""

    @abstractmethod
    def spelled(self, tokens: Tensor) -> str:
        """Return what tokens (T,) such as the inputs spell, as `Split.text` does."""

    @abstractmethod
    def speller(self) -> bytes:
        """Return what spells sentences, which a run keeps so that it translates where its data are not."""

    @abstractmethod
    def spell_with(self, speller: bytes, name: str) -> None:
        """Spell with what `speller` returned, read from the file ``name``, in place of ``prepare``.

        Raises `DataError` where it is damaged.
        """

    def check_translated(self, split: str) -> None:
        """Raise `DataError` where `write_translated` would refuse ``split``: it is asked hours before."""

    @abstractmethod
    def write_translated(self, folder: Path, split: str, translations: Iterable[str]) -> str:
        """Write a corpus in which the inputs of ``split`` are ``translations`` into the empty ``folder``.

        It has the layout and file names of this one, whose other splits are copied, and what spells its sentences.
        Returns a line on what it holds.

        Args:
            folder: Where to.
            split: Name of a split.
            translations: One for each of its examples, in order, without line feeds.
        """


def sentence_source(source: DataSource) -> SentenceSource:
    """Return the source as one of sentences. Raises `DataError` for any other."""
    if not isinstance(source, SentenceSource):
        raise DataError(
            f"the data of {type(source).__name__} are no sentences to translate; give a run of a translation recipe"
        )
    return source
