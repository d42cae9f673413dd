"""Sequence-level distillation (Kim & Rush 2016): text whose targets are translations by a trained run."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from unitdisc import __version__, device
from unitdisc.claims import Claims
from unitdisc.errors import DataError, StorageError
from unitdisc.run_folder import read_json
from unitdisc.sentences import SentenceSource, sentence_source
from unitdisc.storage import new_folder, refuse_other_files, sync_folder, write_text
from unitdisc.translation import as_line, translate_all, translator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from unitdisc.data import Split
    from unitdisc.run import Run

SIDECAR = "distill.json"
"""Says how the text came about; where it stands, all is done."""
SHARD = 512
"""Sentences that are translated together: what a killed process loses at most."""
_PLAN = 0
"""Claim of the plan; shard n has the claim n + 1."""


@dataclass(frozen=True)
class Distillation:
    """Translations of the sources of a split, and the text that they become.

    Shards are written whole into ``OUT.parts`` and joined when all are there. What a shard holds does not depend on
    who translates it, so any number of processes, begun at any time, give the same bytes.

    Args:
        run: Whose decoder translates.
        out: Folder to write.
        split: Split whose targets the translations replace.
        decoding: Arguments of `unitdisc.translation.translate` that JSON can hold.
    """

    run: Run
    out: Path
    split: str = "train"
    decoding: dict[str, Any] = field(default_factory=lambda: {"beam": 4})

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What decides the bytes of the translations."""
        return {
            "checkpoint_sha256": self.run.checkpoint.digest,
            "checkpoint_step": self.run.checkpoint.step,
            "weights": self.run.weights,
            "data_sha256": self.source.checksum(),
            "split": self.split,
            "sentences": len(self.pairs),
            **self.decoding,
            "batch_tokens": self.run.recipe.evaluate.batch_frames,
            "shard": SHARD,
        }

    @cached_property
    def source(self) -> SentenceSource:
        """The run's data. Raises `DataError` where they are no sentences."""
        return sentence_source(self.run.source)

    @cached_property
    def pairs(self) -> Split:
        """The split."""
        return self.source.split(self.split)

    @property
    def shards(self) -> list[Path]:
        """The files of the shards, in order."""
        return [self._parts / f"{number:06d}.txt" for number in range(-(-len(self.pairs) // SHARD))]

    def num_done(self) -> int:
        """Return the number of sentences that are translated."""
        return min(SHARD * sum(path.exists() for path in self.shards), len(self.pairs))

    def check(self) -> None:
        """Refuse what would fail later. Raises `RecipeError`, `DataError` or `StorageError`."""
        translator(self.run.model)
        if not len(self.pairs):
            raise DataError(
                f"{self.run.folder.path}: split {self.split} has no sentence to translate; give --split another"
            )
        self.source.check_translated(self.split)
        refuse_other_files(self.out, SIDECAR)
        for folder in (self.out, self._parts):
            self._compare(folder)

    def is_done(self) -> bool:
        """Whether the text is there."""
        return (self.out / SIDECAR).is_file()

    def work(self, told: Callable[[], object]) -> None:
        """Translate what nobody else translates, wait for the others, and join it all; in one thread.

        Args:
            told: Is called after each shard.
        """
        self.run.model.to(device.choose(self.run.recipe.train))
        torch.set_num_threads(1)  # sums, and with them ties, depend on the number
        with Claims(self._parts) as claims:
            with claims.claimed(_PLAN, wait=True):
                if not (self._parts / SIDECAR).exists():
                    write_text(self._parts / SIDECAR, _dump(self.facts))
            self.check()
            for wait in () if self.is_done() else (False, True):  # again for what a killed one left
                for number, path in enumerate(self.shards):
                    with claims.claimed(number + 1, wait=wait) as is_mine:
                        if is_mine and not path.exists():
                            self._translate(number, path)
                            told()
            if claims.alone():
                self._join()

    @property
    def _parts(self) -> Path:
        return self.out.with_name(f"{self.out.name}.parts")

    def _compare(self, folder: Path) -> None:
        """Raise `StorageError` where ``folder`` holds a distillation of other facts."""
        if not (folder / SIDECAR).exists():
            return
        there = read_json(folder / SIDECAR)
        differing = [
            f"{name}: {there.get(name)} there, {fact} here"
            for name, fact in self.facts.items()
            if there.get(name) != fact
        ]
        if differing:
            raise StorageError(
                f"{folder}: holds another distillation ({differing[0]}); remove it, or choose another --out"
            )

    def _translate(self, number: int, path: Path) -> None:
        """Write a shard."""
        name = translator(self.run.model).source
        indices = range(number * SHARD, min((number + 1) * SHARD, len(self.pairs)))
        sentences = [self.pairs[index].conditions[name] for index in indices]
        rows = translate_all(
            self.run.model,
            [each for each in sentences if isinstance(each, torch.Tensor)],
            batch_tokens=self.facts["batch_tokens"],
            **self.decoding,
        )
        write_text(path, "".join(f"{as_line(self.source.spelled(row))}\n" for row in rows))

    def _join(self) -> None:
        """Make the text of the shards; it appears whole, with the sidecar, and the shards vanish."""
        if not self.is_done():
            empty = sum(not line for line in self._lines())
            with new_folder(self._parts / "joined") as folder:
                holds = self.source.write_translated(folder, self.split, self._lines())
                about = {
                    "run": str(self.run.folder.path.absolute()),
                    "recipe": self.run.recipe.name,
                    **self.facts,
                    "empty": empty,
                    "holds": holds,
                    "unitdisc": __version__,
                }
                write_text(folder / SIDECAR, _dump(about))
            try:
                (self._parts / "joined").rename(self.out)
                sync_folder(self.out.parent)
            except OSError as error:
                raise StorageError(
                    f"{self.out}: could not be written ({error.strerror}); the same command goes on"
                ) from error
        shutil.rmtree(self._parts, ignore_errors=True)

    def _lines(self) -> Iterator[str]:
        """Yield the translations. Raises `StorageError` for a shard that is not whole."""
        for number, path in enumerate(self.shards):
            lines = path.read_bytes().decode(errors="replace").split("\n")[:-1]
            wanted = min(SHARD, len(self.pairs) - number * SHARD)
            if len(lines) != wanted:
                raise StorageError(
                    f"{path}: damaged ({len(lines):,} lines, not {wanted:,}); remove it, and the same command makes it "
                    "anew"
                )
            yield from lines


def _dump(facts: dict[str, Any]) -> str:
    return json.dumps(facts, indent=1) + "\n"
