"""Checkpoints: whole or absent, verified, never a silent wrong number."""

from __future__ import annotations

import errno
import json
import random
from functools import partial
from pathlib import Path

import pytest
import torch

from unitdisc import checkpoint, storage
from unitdisc.checkpoint import Checkpoint
from unitdisc.errors import StorageError


def some(step: int = 7) -> Checkpoint:
    torch.manual_seed(step)
    return Checkpoint(
        step, {"model": {"w": torch.randn(5, 3), "n": torch.tensor(4)}}, {"epoch": 1, "batch": 2}
    )


def same(a: Checkpoint, b: Checkpoint) -> bool:
    assert {file: set(a.tensors[file]) for file in a.tensors} == {f: set(b.tensors[f]) for f in b.tensors}
    return (a.step, a.state) == (b.step, b.state) and all(
        torch.equal(a.tensors[file][name], b.tensors[file][name])
        for file in a.tensors
        for name in a.tensors[file]
    )


def test_what_is_written_is_read(tmp_path: Path):
    checkpoint.write(tmp_path, some(), keep=2)
    found, complaints = checkpoint.newest(tmp_path)
    assert found is not None
    assert same(found, some())
    assert complaints == []


def test_only_the_newest_are_kept(tmp_path: Path):
    for step in (1, 2, 30):
        checkpoint.write(tmp_path, some(step), keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000030"]


def test_equal_states_are_equal_bytes(tmp_path: Path):
    first = checkpoint.write(tmp_path / "a", some(), keep=1)
    second = checkpoint.write(tmp_path / "b", some(), keep=1)
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()


def test_no_damage_passes_unseen(tmp_path: Path):
    """500 random flips, cuts and holes: each is refused, or left what is read unharmed."""
    folder = checkpoint.write(tmp_path, some(), keep=1)
    originals = {path: path.read_bytes() for path in folder.iterdir()}
    rng = random.Random(1)
    refused = 0
    for _ in range(500):
        path = rng.choice(sorted(originals))
        content = bytearray(originals[path])
        match rng.randrange(3):
            case 0:
                content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            case 1:
                del content[rng.randrange(len(content)) :]
            case 2:
                start = rng.randrange(len(content))
                content[start : start + 64] = bytes(len(content[start : start + 64]))
        path.write_bytes(content)
        try:
            assert same(checkpoint.read(folder), some())
        except StorageError:
            refused += 1
        path.write_bytes(originals[path])
    assert refused > 450


def test_the_one_before_a_damaged_one_is_taken_and_named(tmp_path: Path):
    checkpoint.write(tmp_path, some(1), keep=2)
    newer = checkpoint.write(tmp_path, some(2), keep=2)
    (newer / "model.safetensors").write_bytes(b"")
    found, complaints = checkpoint.newest(tmp_path)
    assert found is not None
    assert found.step == 1
    assert "step-00000002" in complaints[0]


def test_a_manifest_cannot_point_outside(tmp_path: Path):
    folder = checkpoint.write(tmp_path / "run", some(), keep=1)
    (tmp_path / "secret.safetensors").write_bytes(b"x")
    (folder / "manifest.json").write_text(json.dumps({"../../secret.safetensors": "0", "state.json": "0"}))
    with pytest.raises(StorageError):
        checkpoint.read(folder)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_fault_at_any_call_keeps_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    """Every fsync and every rename of a save fails once; what was there can always be read."""
    checkpoint.write(tmp_path, some(1), keep=2)
    failures = 0
    real_sync, real_replace, real_rename = storage.os.fsync, Path.replace, Path.rename
    for call in range(40):
        counter = iter(range(1000))

        def fails(real, *arguments, counter=counter, call=call, **more):
            if next(counter) == call:
                raise OSError(number, "injected")
            return real(*arguments, **more)

        with monkeypatch.context() as patch:
            patch.setattr(storage.os, "fsync", partial(fails, real_sync))
            patch.setattr(Path, "replace", lambda *a, f=fails: f(real_replace, *a))
            patch.setattr(Path, "rename", lambda *a, f=fails: f(real_rename, *a))
            try:
                checkpoint.write(tmp_path, some(2), keep=2)
            except StorageError as error:
                failures += 1
                assert "free" in str(error)  # noqa: PT017
        found, complaints = checkpoint.newest(tmp_path)
        assert found is not None
        assert same(found, some(found.step))
        assert complaints == []
        storage.sweep(tmp_path)
        if found.step == 2 and next(counter) <= call:
            break
        for path in tmp_path.glob("step-00000002"):
            storage.shutil.rmtree(path)
    assert failures >= 10
