"""What a run survives: kills at any moment, signals, a second process, a full disk, damaged checkpoints.

UNITDISC_FAULT_SEED chooses other moments, UNITDISC_FAULT_KILLS the kills of the long version.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import tiny
from tests.test_run_end_to_end import assert_sidecar, one_line
from tests.tiny import Done, Ran, command, finish, start
from unitdisc import checkpoint

SEED = int(os.environ.get("UNITDISC_FAULT_SEED", "2026"))
KILLS = int(os.environ.get("UNITDISC_FAULT_KILLS", "40"))
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "unitdisc")


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return tiny.undisturbed(tiny.corpora(tmp_path_factory.getbasetemp()), "lines")


@pytest.fixture
def trained(lines: Ran, tmp_path: Path) -> Path:
    """A run that was trained and no more."""
    folder = shutil.copytree(lines.folder, tmp_path / "run")
    for name in ("metrics.json", "report.html", "units.png"):
        (folder / name).unlink()
    shutil.rmtree(folder / "units")
    return folder


def newest_step(folder: Path) -> int:
    return max((int(path.name[5:]) for path in folder.glob("checkpoints/step-*")), default=0)


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Look every millisecond until it has happened or the process has ended."""
    while process.poll() is None and not happened():
        time.sleep(0.001)


def kill(process: subprocess.Popen[str]) -> Done:
    with contextlib.suppress(ProcessLookupError):  # it has ended by itself
        os.killpg(process.pid, signal.SIGKILL)
    return finish(process)


def assert_whole(folder: Path) -> None:
    """What has its final name is complete at every moment."""
    _, complaints = checkpoint.newest(folder / "checkpoints")
    assert complaints == []
    if (folder / "metrics.json").exists():
        assert json.loads((folder / "metrics.json").read_text())["metrics"]
    if (folder / "units").exists():
        assert_sidecar(folder / "units")
    if (folder / "report.html").exists():
        assert (folder / "report.html").read_text().rstrip().endswith("</html>")


def assert_same(folder: Path, undisturbed: Path) -> None:
    assert tiny.results(folder) == tiny.results(undisturbed)
    assert tiny.logged_steps(folder) == tiny.logged_steps(undisturbed) == list(range(4, tiny.STEPS + 1, 4))
    assert tiny.leftovers(folder) == []


@pytest.mark.timeout(400)
def test_a_run_killed_at_five_moments_ends_with_the_bytes_of_an_undisturbed_one(lines, tmp_path, monkeypatch):
    monkeypatch.setenv("UNITDISC_CACHE", str(tmp_path / "cache"))  # the import may be killed, too
    rng = random.Random(SEED)
    folder = tmp_path / "run"
    first, second = sorted(rng.sample(range(3, tiny.STEPS, 3), 2))
    moment = time.monotonic() + rng.uniform(0.1, 0.9) * lines.seconds
    moments: dict[str, Callable[[], bool]] = {
        "at a fraction of the time": lambda: time.monotonic() > moment,
        f"after checkpoint {first}": lambda: newest_step(folder) >= first,
        f"after checkpoint {second}": lambda: newest_step(folder) >= second,
        "while units are written": lambda: (
            (folder / "metrics.json").exists() and bool([*folder.glob(".partial-*")])
        ),
        "after the export": (folder / "units").exists,
    }
    codes = []
    for name, happened in moments.items():
        process = start("run", lines.recipe, "--out", folder)
        wait_for(happened, process)
        time.sleep(rng.uniform(0, 0.02))
        done = kill(process)
        print(f"seed {SEED}: killed {name}, exit {done.code}, at step {newest_step(folder)}")  # noqa: T201
        assert done.err == ""
        assert_whole(folder)
        codes.append(done.code)
    assert codes.count(-signal.SIGKILL) >= 3, codes
    assert codes.count(-signal.SIGKILL) + codes.count(0) == len(moments), codes
    done = command("run", lines.recipe, "--out", folder)
    assert (done.code, done.err) == (0, "")
    assert_same(folder, lines.folder)


@pytest.mark.slow
@pytest.mark.timeout(60 * KILLS)
def test_runs_killed_at_any_moment_end_with_the_bytes_of_an_undisturbed_one(lines, tmp_path, monkeypatch):
    monkeypatch.setenv("UNITDISC_CACHE", str(tmp_path / "cache"))
    rng = random.Random(SEED)
    ended = 0
    for number in range(KILLS):
        folder = tmp_path / f"run{ended}"
        moment = time.monotonic() + rng.random() * lines.seconds
        step = rng.randrange(newest_step(folder), 2 * tiny.STEPS)
        process = start("run", lines.recipe, "--out", folder)
        wait_for(
            lambda moment=moment, step=step, folder=folder: (
                time.monotonic() > moment if step > tiny.STEPS else newest_step(folder) > step
            ),
            process,
        )
        time.sleep(rng.uniform(0, 0.2))
        done = kill(process)
        print(f"seed {SEED}: kill {number} at step {newest_step(folder)}, exit {done.code}")  # noqa: T201
        assert done.err == ""
        assert_whole(folder)
        if done.code == 0:
            assert_same(folder, lines.folder)
            ended += 1
    assert ended > 0


def test_signals_save_and_a_second_process_is_refused(lines, tmp_path):
    folder = tmp_path / "run"
    arguments: tuple[str | Path, ...] = (lines.recipe, "--out", folder)
    for number in (signal.SIGTERM, signal.SIGINT):
        process = start("run", *arguments)
        before = newest_step(folder)
        wait_for(lambda before=before: newest_step(folder) > before, process)
        process.send_signal(signal.SIGSTOP)
        for other in (("run", *arguments), ("evaluate", folder)):
            assert f"held by pid {process.pid} on " in one_line(command(*other), 5)
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        began = time.monotonic()
        done = finish(process)
        assert time.monotonic() - began < 10
        told = one_line(done, 130)
        step = newest_step(folder)
        assert told == (
            f"unitdisc: stopped after step {step} of {tiny.STEPS}, everything is saved; "
            f"go on with: unitdisc run {folder}\n"
        )
        assert before < step < tiny.STEPS
        arguments = (folder,)
    done = command("run", folder)
    assert (done.code, done.err) == (0, "")
    assert f"going on after step {step} of {tiny.STEPS}" in done.out
    assert_same(folder, lines.folder)


@pytest.mark.parametrize("place", ["checkpoints", "log.jsonl", "metrics.json", "units", "report.html"])
def test_a_full_disk_keeps_what_is_there_and_says_how_much_is_free(lines, tmp_path, monkeypatch, place):
    folder = tmp_path / "run"
    fill(monkeypatch, folder, place)
    told = one_line(command("run", lines.recipe, "--out", folder), 5)
    assert str(folder) in told
    assert "No space left on device" in told
    assert " free" in told
    assert newest_step(folder) == {"checkpoints": 6, "log.jsonl": 6}.get(place, tiny.STEPS)
    assert_whole(folder)
    assert tiny.leftovers(folder) == []
    monkeypatch.undo()
    assert command("run", lines.recipe, "--out", folder).code == 0
    assert_same(folder, lines.folder)


def fill(monkeypatch: pytest.MonkeyPatch, folder: Path, place: str) -> None:
    """Let writes to ``place`` fail once step 6 is saved."""
    sync, write = os.fsync, Path.open

    def full(path: Path) -> bool:
        return newest_step(folder) >= 6 and place in str(
            path.relative_to(folder) if folder in path.parents else ""
        )

    def fails(descriptor: int) -> None:
        if full(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    def opens(path: Path, mode: str = "r", *arguments: object, **more: object) -> object:
        if mode[0] in "aw" and full(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, mode, *arguments, **more)

    monkeypatch.setattr("os.fsync", fails)
    monkeypatch.setattr("pathlib.Path.open", opens)


@pytest.mark.parametrize(
    "file",
    ["model.safetensors", "optimizer.safetensors", "average.safetensors", "state.json", "manifest.json"],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(lines, tmp_path, monkeypatch, file):
    folder = tmp_path / "run"
    fill(monkeypatch, folder, "checkpoints")
    assert command("run", lines.recipe, "--out", folder).code == 5
    monkeypatch.undo()
    damage(folder / "checkpoints" / "step-00000006" / file)
    done = command("run", folder)
    assert (done.code, done.err) == (0, "")
    warning, going_on, *_ = done.out.splitlines()
    assert warning.startswith(f"warning: {folder}/checkpoints/step-00000006")
    assert warning.endswith("; going on from the one before")
    assert going_on == f"going on after step 3 of {tiny.STEPS}"
    assert_same(folder, lines.folder)


def test_a_damaged_last_checkpoint_is_made_again(lines, trained):
    damage(trained / "checkpoints" / "step-00000024" / "model.safetensors")
    done = command("run", trained)
    assert (done.code, done.err) == (0, "")
    assert "step-00000024/model.safetensors: damaged" in done.out
    assert "going on after step 21 of 24" in done.out
    assert_same(trained, lines.folder)


def test_without_any_whole_checkpoint_training_starts_anew(lines, trained):
    for path in trained.glob("checkpoints/*/model.safetensors"):
        damage(path)
    done = command("run", trained)
    assert done.code == 0
    assert done.out.count("training starts anew") == 2
    assert_same(trained, lines.folder)


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_where_no_folder_can_be_made_nothing_is_lost(lines, trained, tmp_path):
    (trained / "units").write_text("a file")
    told = one_line(command("run", trained), 5)
    assert str(trained / "units") in told
    assert (trained / "units").read_text() == "a file"
    (trained / "units").unlink()
    assert command("run", trained).code == 0
    assert_same(trained, lines.folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_one_line(lines, tmp_path):
    tmp_path.chmod(0o500)
    told = one_line(command("run", lines.recipe, "--out", tmp_path / "run"), 5)
    assert f"{tmp_path / 'run'}: cannot be written (Permission denied)" in told


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_processes_of_which_one_is_killed_end_and_go_on(lines, tmp_path):
    def begin(name: str) -> subprocess.Popen[str]:
        return start(
            "run", lines.recipe, "train.batches_per_step=2", "--out", tmp_path / name, module=TORCHRUN
        )

    whole, cut = begin("whole"), begin("cut")
    wait_for(lambda: newest_step(tmp_path / "cut") >= 6, cut)
    os.kill(process_of_rank(cut.pid, 1), signal.SIGKILL)
    began = time.monotonic()
    assert finish(cut).code != 0
    assert time.monotonic() - began < 60
    assert_whole(tmp_path / "cut")
    assert finish(whole).code == 0

    resumed = finish(begin("cut"))
    assert resumed.code == 0, resumed.err
    assert "going on after step" in resumed.out
    assert_same(tmp_path / "cut", tmp_path / "whole")

    again = finish(begin("cut"))
    assert again.code == 0, again.err
    assert again.out.count("finished before, nothing to do") == 1


def process_of_rank(parent: int, rank: int) -> int:
    """Return the id of the child of ``parent`` that torchrun made this rank."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            is_child = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1]) == parent
            if is_child and f"RANK={rank}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                return int(folder.name)
        except OSError:
            continue  # it has ended
    raise AssertionError(f"no process of rank {rank}")
