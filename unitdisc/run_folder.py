"""The run folder: what stands where, who holds it, and whether it is the run that is asked for."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from unitdisc.errors import RecipeError, StorageError
from unitdisc.recipe import read
from unitdisc.storage import is_partial, sweep, write_text
from unitdisc.yaml_marks import dump

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from unitdisc.recipe import Recipe


@dataclass(frozen=True)
class RunFolder:
    """Paths inside one run's folder.

    Args:
        path: The folder; made when a run starts.
    """

    path: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe with every default."""
        return self.path / "recipe.yaml"

    @property
    def record(self) -> Path:
        """Versions, seed, device, plugins with origin, data checksums, vocabularies."""
        return self.path / "run.json"

    @property
    def speller(self) -> Path:
        """What spells the sentences of a run that translates (`SentenceSource.speller`)."""
        return self.path / "speller.model"

    @property
    def log(self) -> Path:
        """One JSON object per logged step."""
        return self.path / "log.jsonl"

    @property
    def checkpoints(self) -> Path:
        """One folder per checkpoint."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """Scores with their chance values."""
        return self.path / "metrics.json"

    @property
    def units(self) -> Path:
        """Exported unit files and ``units.meta.json``."""
        return self.path / "units"

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.path / "report.html"

    @property
    def picture(self) -> Path:
        """The units of the first examples, drawn."""
        return self.path / "units.png"

    def is_started(self) -> bool:
        """Whether a run was begun here."""
        return self.recipe.exists()

    def claim(self, recipe: Recipe) -> None:
        """Make the folder this recipe's. Raises `RecipeError` when it holds another recipe's run.

        A recipe that failed before its first step, over a wrong path for example, holds nothing back.
        """
        self._refuse_other_files()
        if not (self.record.exists() or self.checkpoints.exists()):
            self.path.mkdir(parents=True, exist_ok=True)
            write_text(self.recipe, recipe.to_yaml())
            return
        try:
            written = self.recipe.read_text(encoding="utf-8")
            changed = _difference(written, recipe.to_yaml()) and _difference(
                self._completed(written), recipe.to_yaml()
            )
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            detail = " ".join(str(error).split())
            raise StorageError(
                f"{self.recipe}: damaged ({detail}); restore it, or choose another --out"
            ) from error
        if changed:
            raise RecipeError(
                f"{self.path}: holds a run of another recipe ({changed}); choose another --out, "
                "or go on with the recipe it has: unitdisc train " + str(self.path)
            )

    def _completed(self, written: str) -> str:
        """Return the folder's recipe with the defaults of settings that are newer than it."""
        try:
            return read(self.recipe).to_yaml()
        except RecipeError:  # of a version that knew other settings: what was written says which
            return written

    def _refuse_other_files(self) -> None:
        if self.record.exists() or self.checkpoints.exists() or not self.path.is_dir():
            return
        others = [entry for entry in self.path.iterdir() if not (is_partial(entry) or self._is_own(entry))]
        if others:
            raise RecipeError(
                f"{self.path}: holds other files and no run ({others[0].name}); choose another --out or an "
                "empty folder"
            )

    def _is_own(self, entry: Path) -> bool:
        """Whether a run left ``entry`` that did not come to its first step."""
        if entry != self.recipe:
            return entry.name == "run.lock"
        try:
            written = entry.read_text(encoding="utf-8")
            return written == dump(yaml.safe_load(written))  # a person's recipe is not to be written over
        except (OSError, ValueError, RecursionError, yaml.YAMLError):
            return False

    def read_record(self) -> dict[str, Any]:
        """Return ``run.json``. Raises `StorageError` when it cannot be read."""
        return read_json(self.record)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder against other processes. Raises `StorageError` naming the holder."""
        self._refuse_other_files()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / "run.lock").open("a+")
        except OSError as error:
            raise StorageError(
                f"{self.path}: cannot be written ({error.strerror}); choose another --out"
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                lock.seek(0)
                holder = lock.read().strip() or "another process"
                raise StorageError(f"{self.path}: another run is under way here, held by {holder}") from error
            lock.truncate(0)
            lock.write(f"pid {os.getpid()} on {socket.gethostname()}\n")
            lock.flush()
            for folder in (self.path, self.checkpoints):
                sweep(folder)
            yield


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in ``path``. Raises `StorageError` when there is none."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise StorageError(f"{path}: missing; is {path.parent} the folder of a run?") from error
    except (OSError, ValueError) as error:
        raise StorageError(f"{path}: cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise StorageError(f"{path}: holds no JSON object")
    return content


def _difference(old: str, new: str) -> str:
    """Name up to three settings that differ between two resolved recipes; "" when none does."""
    before, after = dict(_leaves(yaml.safe_load(old))), dict(_leaves(yaml.safe_load(new)))
    differing = (name for name in before | after if before.get(name) != after.get(name))
    # What a paper reports changes nothing that is trained.
    names = sorted(name for name in differing if not name.startswith("paper."))
    shown = [f"{name}: {before.get(name)} there, {after.get(name)} here" for name in names[:3]]
    return "; ".join(shown) + (f"; and {len(names) - 3} more" if len(names) > 3 else "")


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, tree
