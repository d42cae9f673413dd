"""Two text files whose lines belong together, and which of their pairs a split has."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from unitdisc.data import Example, Split
from unitdisc.errors import DataError
from unitdisc.text_lines import read_bytes
from unitdisc_translation.alignment import Aligner
from unitdisc_translation.fertility import fertilities
from unitdisc_translation.vocabulary import PAD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from unitdisc_translation.vocabulary import Vocabulary

_CHUNK = 4096
"""Lines that are spelled at once: what lies in memory as Python's own numbers is little."""


@dataclass(frozen=True)
class Pair:
    """A source and a target file, one sentence per line, line n of both belonging together."""

    source: Path
    target: Path

    def contents(self) -> tuple[bytes, bytes]:
        """Return what both files hold."""
        return read_bytes(self.source), read_bytes(self.target)

    def lines(self) -> tuple[list[str], list[str]]:
        """Return the sentences of both without space at their ends. Raises `DataError` for unequal numbers."""
        sides = read_lines(self.source), read_lines(self.target)
        counts = len(sides[0]), len(sides[1])
        if counts[0] != counts[1]:
            raise DataError(
                f"{self.source}: has {counts[0]:,} lines, {self.target.name} has {counts[1]:,}; line n of both must "
                "belong together, so give files of equally many lines"
            )
        return sides


def read_lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 file, empty ones too, without space at their ends. Only line feeds end a line."""
    content = read_bytes(path).removeprefix(b"\xef\xbb\xbf")
    try:
        lines = content.decode().split("\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: not UTF-8; save the file as UTF-8") from None
    if not lines[-1]:
        lines.pop()  # behind the last line feed
    return [line.strip() for line in lines]


@dataclass
class Chosen:
    """Lines of a pair that a split has, from 0, and why the others are left out.

    Args:
        numbers: In order.
        left_out: By reason, how many, and the first one's line from 1.
    """

    numbers: list[int] = field(default_factory=list)
    left_out: dict[str, tuple[int, int]] = field(default_factory=dict)

    def leave_out(self, reason: str, number: int) -> None:
        """Count a line."""
        count, first = self.left_out.get(reason, (0, number + 1))
        self.left_out[reason] = count + 1, first


class Tokens:
    """Token sequences one after the other.

    Args:
        rows: (U,) int32 each.
    """

    def __init__(self, rows: list[np.ndarray]) -> None:
        self.values = np.concatenate([np.empty(0, np.int32), *rows])
        self.ends = np.cumsum([0, *map(len, rows)])
        self.lengths: list[int] = np.diff(self.ends).tolist()

    def __getitem__(self, index: int) -> torch.Tensor:
        """Return (U,) int64."""
        row = self.values[self.ends[index] : self.ends[index + 1]]
        return torch.from_numpy(row.astype(np.int64))


class ParallelSplit(Split):
    """Sentence pairs: inputs are the tokens of the target, the condition "source" those of the source.

    Args:
        pair: Where they stand.
        vocabulary: Spells them.
        name: Of the split, which begins their ids.
        limit: Pairs at most: the first. None takes all.
        max_tokens: Longer pairs, and those with an empty side, are left out; None refuses an empty side, and leaves
            none out.
        aligner: Finds the target "fertility"; None finds none.
        most: Target tokens at most that a source token stands for.
        pad: Targets are lengthened to max(|y|, 2 |x|), rounded up to a multiple of this; None leaves them.
    """

    def __init__(
        self,
        pair: Pair,
        vocabulary: Vocabulary,
        *,
        name: str,
        limit: int | None,
        max_tokens: int | None,
        aligner: Aligner | None = None,
        most: int = 0,
        pad: int | None = None,
    ) -> None:
        self._pair, self._vocabulary = pair, vocabulary
        self._aligner, self._most = aligner, most
        self.chosen = Chosen()
        kept = [
            (source, target)
            for number, source, target in _spelled(pair, vocabulary, limit)
            if self._takes(number, source, target, max_tokens)
        ]
        self._source = Tokens([source for source, _ in kept])
        self._target = Tokens([target for _, target in kept])
        self.lengths = self._target.lengths
        if pad is not None:
            sides = zip(self._source.lengths, self._target.lengths, strict=True)
            self.lengths = [-(-max(target, 2 * source) // pad) * pad for source, target in sides]
        self.keys = [f"{name}-{number + 1:07d}" for number in self.chosen.numbers]

    def __getitem__(self, index: int) -> Example:
        """Return one pair."""
        source, target = self._source[index], self._target[index]
        targets = {}
        if self._aligner is not None:
            found = fertilities(self._aligner, source.numpy(), target.numpy(), most=self._most)
            targets["fertility"] = torch.from_numpy(found)
        padded = F.pad(target, (0, self.lengths[index] - len(target)), value=PAD)
        return Example(self.keys[index], padded, targets, {"source": source})

    def aligner(self) -> Aligner:
        """Learn which tokens of its pairs stand for each other. Raises `DataError` where there is no pair."""
        if not self.keys:
            raise DataError(f"{self._pair.source}: no pair is left to align words in; give more text")
        sides = (
            [row[:-1] for row in np.split(side.values, side.ends[1:-1])]  # without </s>
            for side in (self._source, self._target)
        )
        return Aligner.fit(*sides, vocab_size=len(self._vocabulary))

    def fields(self, index: int) -> Mapping[str, str]:
        """Return the sentences as they stand in the files."""
        number = self.chosen.numbers[index]
        source, target = self._lines
        return {"source": source[number], "target": target[number]}

    def text(self, tokens: torch.Tensor) -> str:
        """Return the sentence that tokens (T,) spell."""
        return self._vocabulary.decode(tokens.tolist())

    @cached_property
    def _lines(self) -> tuple[list[str], list[str]]:
        return self._pair.lines()  # again, and only where somebody asks: large files take much memory

    def _takes(self, number: int, source: np.ndarray, target: np.ndarray, max_tokens: int | None) -> bool:
        longest = max(len(source), len(target))
        is_empty = min(len(source), len(target)) == 1  # </s> alone
        if is_empty and max_tokens is None:
            path = self._pair.source if len(source) == 1 else self._pair.target
            raise DataError(
                f"{path}:{number + 1}: empty; what is scored needs a sentence on both sides, so fill it in or take "
                "the line out of both files"
            )
        if is_empty:
            self.chosen.leave_out("with an empty side", number)
        elif max_tokens is not None and longest > max_tokens:
            self.chosen.leave_out(f"longer than {max_tokens:,} tokens", number)
        else:
            self.chosen.numbers.append(number)
            return True
        return False


def _spelled(
    pair: Pair, vocabulary: Vocabulary, limit: int | None
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield number, source and target tokens of each pair of lines."""
    source, target = (side[:limit] for side in pair.lines())
    for start in range(0, len(source), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        spelled = zip(vocabulary.encode(source[chunk]), vocabulary.encode(target[chunk]), strict=True)
        yield from ((start + place, *sides) for place, sides in enumerate(spelled))
