"""Contract of readers: corpora as their owners distribute them, as utterances that a data source can import."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Timed:
    """A symbol and where it stands, in seconds from the beginning of its utterance."""

    start: float
    end: float
    symbol: str


@dataclass(frozen=True)
class Recorded:
    """One utterance: a recording or a part of one.

    Args:
        key: Id, unique in the corpus.
        path: The recording.
        split: Name of its split; "train" is the one that recipes train on.
        where: File and line that name it, for messages.
        span: First and last second in the recording; None takes all of it.
        fields: What is known of it; "speaker" and "text" among them, where they are.
        tables: Labels by table, such as "phones" and "words".
    """

    key: str
    path: Path
    split: str
    where: str
    span: tuple[float, float] | None = None
    fields: dict[str, str] = field(default_factory=dict)
    tables: dict[str, list[Timed]] = field(default_factory=dict)


class Reader(ABC):
    """Reads one kind of distribution. Its docstring says what the folder must look like."""

    @abstractmethod
    def read(self, folder: Path) -> Iterator[Recorded]:
        """Yield the utterances of ``folder``. Raises `DataError` with file and line; nothing is ever run."""

    def beside(self) -> Sequence[Path]:
        """Return files to copy beside what is imported, such as tables that fold symbols into classes."""
        return ()
