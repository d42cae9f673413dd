"""Checkpoints: complete, atomic, verified and safe to load.

A checkpoint is a folder of safetensors files (tensors, no code), one JSON file of numbers, and a manifest with the
SHA-256 of each. It is written beside its place and renamed into it, so that it is there whole or not at all.
Nothing is pickled. Neither torch nor safetensors notices a flipped bit; the manifest does.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load, save

from unitdisc.errors import StorageError
from unitdisc.storage import new_folder, write_bytes, write_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_PREFIX = "step-"
_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Checkpoint:
    """What is needed to go on as if nothing had happened.

    Args:
        step: Optimiser steps done.
        tensors: By file ("model", "optimizer", "average"), each a flat mapping of names to tensors.
        state: JSON numbers and text: position in the data, loss scale, and the like.
        digest: SHA-256 over the manifest; names this checkpoint in metrics and unit files.
    """

    step: int
    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]
    digest: str = ""


def write(folder: Path, checkpoint: Checkpoint, *, keep: int) -> Path:
    """Write ``checkpoint`` under ``folder`` and remove all but the newest ``keep``. Raises `StorageError`."""
    target = folder / f"{_PREFIX}{checkpoint.step:08d}"
    with new_folder(target) as partial:
        sums = {}
        for name, tensors in sorted(checkpoint.tensors.items()):
            content = save({key: _plain(tensor) for key, tensor in sorted(tensors.items())})
            write_bytes(partial / f"{name}.safetensors", content)
            sums[f"{name}.safetensors"] = hashlib.sha256(content).hexdigest()
        state = json.dumps({"step": checkpoint.step, **checkpoint.state}, sort_keys=True)
        write_text(partial / "state.json", state)
        sums["state.json"] = hashlib.sha256(state.encode()).hexdigest()
        write_text(partial / _MANIFEST, json.dumps(sums, indent=1, sort_keys=True))
    # A newer one is damaged, or training would have gone on from it.
    kept = [path for path in _folders(folder) if path.name <= target.name][:keep]
    for path in _folders(folder):
        if path not in kept:
            shutil.rmtree(path)
    return target


def newest(folder: Path, *, files: tuple[str, ...] = ()) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest checkpoint that is what was written, and a line for each newer one that is not.

    Args:
        folder: The run's ``checkpoints`` folder.
        files: Only these tensor files are read; () reads all. Whatever is read is verified.
    """
    complaints: list[str] = []
    for candidate in _folders(folder):
        try:
            return read(candidate, files=files), complaints
        except StorageError as error:
            complaints.append(str(error))
    return None, complaints


def read(folder: Path, *, files: tuple[str, ...] = ()) -> Checkpoint:
    """Read and verify one checkpoint. Raises `StorageError` that names the damaged file."""
    try:
        manifest = (folder / _MANIFEST).read_bytes()
        sums = json.loads(manifest)
        if {"state.json", *(path.name for path in folder.glob("*.safetensors"))} != set(sums):
            raise StorageError(f"{folder}: does not hold the files that {_MANIFEST} lists")
        state = json.loads(_verified(folder, "state.json", sums))
        tensors = {
            name.removesuffix(".safetensors"): load(_verified(folder, name, sums))
            for name in sums
            if name.endswith(".safetensors") and (not files or name.removesuffix(".safetensors") in files)
        }
        step = int(state.pop("step"))
    except (OSError, ValueError, KeyError, AttributeError, TypeError, SafetensorError) as error:
        raise StorageError(
            f"{folder}: not a readable checkpoint ({type(error).__name__}: {error})"
        ) from error
    return Checkpoint(step, tensors, state, hashlib.sha256(manifest).hexdigest())


def _verified(folder: Path, name: str, sums: Mapping[str, str]) -> bytes:
    if Path(name).name != name:
        raise StorageError(f"{folder / _MANIFEST}: {name!r} is not a file name of a checkpoint")
    content = (folder / name).read_bytes()
    if hashlib.sha256(content).hexdigest() != sums[name]:
        raise StorageError(f"{folder / name}: damaged (its SHA-256 is not the one in {_MANIFEST})")
    return content


def _folders(folder: Path) -> list[Path]:
    """Return the checkpoint folders, newest first."""
    return sorted((path for path in folder.glob(f"{_PREFIX}*") if path.name[5:].isdigit()), reverse=True)


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous().clone()
