"""Contract of readers: corpora as owners distribute them, as utterances or text lines that can be imported."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy as np

LONGEST = 1e9
"""Seconds that no recording lasts; nanoseconds of any less fit into 64 bits."""


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


@dataclass(frozen=True)
class Drawn:
    """One text line.

    Args:
        key: Id, unique in the corpus.
        split: Name of its split; "train" is the one that recipes train on.
        where: File and line, or member of an archive, that names it, for messages.
        files: What it is made of, a description and a scan such as; when one of them changes, it is imported anew.
        read: Returns its image (H, W) uint8, grey, 0 is black. The file is opened only then, so that a corpus
            need not fit into memory. Raises `DataError`.
        fields: What is known of it; "document" (the hand that wrote it) and "text" among them, where they are.
        tables: Labels by table, such as "characters": (start, end, symbol) in columns of the image, end
            excluded.
    """

    key: str
    split: str
    where: str
    files: tuple[Path, ...]
    read: Callable[[], np.ndarray] = field(compare=False, repr=False)
    fields: dict[str, str] = field(default_factory=dict)
    tables: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict)


class Reader(ABC):
    """Reads one kind of distribution. Its docstring says what the folder, or the file, must look like."""

    @abstractmethod
    def read(self, folder: Path) -> Iterator[Recorded | Drawn]:
        """Yield the utterances or the lines of ``folder``, which may be a file such as an archive.

        All of one kind. Raises `DataError` with file and line; nothing is ever run.
        """

    def beside(self) -> Sequence[Path]:
        """Return files to copy beside what is imported, such as tables that fold symbols into classes."""
        return ()
