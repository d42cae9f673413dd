"""What each process encodes of a corpus or of files, and what all of them together have found."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from unitdisc import distributed, export
from unitdisc.data import DataSource, Example, Split
from unitdisc.errors import DataError
from unitdisc.infer import as_units, passes
from unitdisc.progress import Kept

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from unitdisc.infer import Wanted
    from unitdisc.progress import Progress, Spool
    from unitdisc.run import Run

T = TypeVar("T")
PLAIN_SPLIT = "all"
"""Name of the split of files that no manifest names."""
_WINDOW = 8
"""Batches whose inputs are in memory at once, so that files of similar length meet."""
_SHARE_BYTES, _SHARE_FILES = 2**24, 256
"""Files that one process takes at a time: a quarter of an hour of speech, or so many."""


@dataclass(frozen=True)
class Found:
    """What was encoded.

    Args:
        checksum: Of the corpus.
        units: By split.
        skipped: Why files were left out.
    """

    checksum: str
    units: dict[str, Spool]
    skipped: dict[str, str] = field(default_factory=dict)


class Task(ABC):
    """Examples to encode in batches that depend neither on the number of processes nor on what is done.

    Attributes:
        about: What tells the task from others.
    """

    about: Mapping[str, Any]

    @abstractmethod
    def do(self, progress: Progress) -> None:
        """Encode this process's share of what is not done."""

    @abstractmethod
    def found(self, progress: Progress) -> Found:
        """Return what all have done."""


class OfCorpus(Task):
    """Splits of a prepared data source: the processes take turns at the batches.

    Args:
        run: Whose model.
        source: Whose splits.
        splits: Their names.
    """

    def __init__(self, run: Run, source: DataSource, splits: Sequence[str]) -> None:
        self._run, self._source = run, source
        self._splits = {name: source.split(name) for name in splits}
        self._checksum = source.checksum()
        self.about = {"corpus": self._checksum}

    def do(self, progress: Progress) -> None:
        """Encode this process's batches."""
        for name, split in self._splits.items():
            done = progress.done(name)

            def is_own(number: int, indices: list[int], done: set[int] = done) -> bool:
                return number % distributed.world_size() == distributed.rank() and indices[0] not in done

            for batch in _encoded(self._run, split, is_own):
                progress.put(
                    name,
                    [
                        replace(kept, units=replace(kept.units, fields=split.fields(kept.number)))
                        for kept in batch
                        if kept.units is not None
                    ],
                )

    def found(self, progress: Progress) -> Found:
        """Return the units of all splits."""
        return Found(self._checksum, {name: progress.units(name) for name in self._splits})


class OfFiles(Task):
    """Files without a manifest, in shares of neighbours.

    Args:
        run: Whose model, and whose way from a file to inputs.
        files: By id.
        skip_bad: Leave out what cannot be read.
    """

    def __init__(self, run: Run, files: Mapping[str, Path], *, skip_bad: bool) -> None:
        self._run, self._skip_bad = run, skip_bad
        self._files = list(files.items())
        self._source: DataSource = run.recipe.data.build()
        stats = [(key, str(path), path.stat()) for key, path in self._files]
        self._sizes = [stat.st_size for _, _, stat in stats]
        seen = [[key, path, stat.st_size, stat.st_mtime_ns] for key, path, stat in stats]
        self.about = {"files": hashlib.sha256(json.dumps(seen).encode()).hexdigest()}

    def do(self, progress: Progress) -> None:
        """Encode this process's files."""
        for reason in progress.left_out(PLAIN_SPLIT).values():
            self._require_skipping(DataError(reason))
        for window in _ahead(self._windows(progress.done(PLAIN_SPLIT))):
            found = [kept for batch in _encoded(self._run, window) for kept in batch]
            own = [
                replace(kept, number=window.numbers[kept.number], digest=window.digests[kept.number])
                for kept in found
            ]
            progress.put(PLAIN_SPLIT, [*own, *window.left_out])

    def found(self, progress: Progress) -> Found:
        """Return the units of the files that could be read."""
        skipped = {
            str(self._files[number][1]): reason for number, reason in progress.left_out(PLAIN_SPLIT).items()
        }
        units = progress.units(PLAIN_SPLIT)
        if not units:
            reason = next(iter(skipped.values()))
            raise DataError(f"{reason}: like all {len(self._files)} files, cannot be read; give others")
        total = hashlib.sha256()
        for number, digest in progress.digests(PLAIN_SPLIT).items():
            total.update(f"{self._files[number][0]} {digest}\n".encode())
        return Found(total.hexdigest(), {PLAIN_SPLIT: units}, skipped)

    def _windows(self, done: set[int]) -> Iterator[_Window]:
        """Yield what is not done of this process's shares; what is done ends where a window did."""
        shares = _shares(self._sizes)[distributed.rank() :: distributed.world_size()]
        most = _WINDOW * self._run.recipe.evaluate.batch_frames
        for share in shares:
            window = _Window()
            for number in (number for number in share if number not in done):
                self._load(number, window)
                if sum(window.lengths) >= most:
                    yield window
                    window = _Window()
            if window.keys or window.left_out:
                yield window

    def _load(self, number: int, window: _Window) -> None:
        key, path = self._files[number]
        try:
            inputs, digest = self._source.load_file(path), export.sha256(path)
        except DataError as error:
            self._require_skipping(error)
            window.left_out.append(Kept(number, None, reason=str(error)))
        else:
            window.add(number, Example(key, inputs), digest)

    def _require_skipping(self, error: DataError) -> None:
        if not self._skip_bad:
            raise DataError(f"{error}, or leave such files out with --skip-bad") from error


class _Window(Split):
    """Examples that are in memory, with what is known of their files, and files that cannot be read."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.lengths: list[int] = []
        self.numbers: list[int] = []
        self.digests: list[str] = []
        self.left_out: list[Kept] = []
        self._examples: list[Example] = []

    def add(self, number: int, example: Example, digest: str) -> None:
        """Add the example of a file."""
        self.keys.append(example.key)
        self.lengths.append(len(example.inputs))
        self.numbers.append(number)
        self.digests.append(digest)
        self._examples.append(example)

    def __getitem__(self, index: int) -> Example:
        return self._examples[index]


def _shares(sizes: Sequence[int]) -> list[list[int]]:
    """Return runs of numbers whose files, of these sizes in bytes, one process encodes."""
    shares: list[list[int]] = []
    held = 0
    for number, size in enumerate(sizes):
        if not shares or held >= _SHARE_BYTES or len(shares[-1]) >= _SHARE_FILES:
            shares.append([])
            held = 0
        shares[-1].append(number)
        held += size
    return shares


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield the items; a thread gets each while its predecessor is worked on."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


def _encoded(run: Run, split: Split, wanted: Wanted | None = None) -> Iterator[list[Kept]]:
    """Yield the batches of a split, of which those that are ``wanted`` (see `passes`)."""
    for passed in passes(run.model, split, batch_frames=run.recipe.evaluate.batch_frames, wanted=wanted):
        yield [
            Kept(
                index,
                as_units(split.keys[index], codes, split.lengths[index], run.model.stride, run.features),
            )
            for index, codes in passed.codes()
        ]
