"""Encoding and export that were killed go on where they were, and several processes write what one does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import tiny
from tests.tiny import command
from unitdisc import export, infer, shares
from unitdisc.progress import Kept, Progress
from unitdisc.run import load
from unitdisc.units import Units

SMALL = ("evaluate.batch_frames=150", "export.splits=[train,test]", "export.formats=[jsonl,ctm]")
SCRIPT = """
import os, signal, sys
from unitdisc import cli, shares
from unitdisc.progress import Progress
shares._SHARE_FILES, shares._WINDOW = 3, 1
left, put = int(sys.argv[1]), Progress.put
def dies(*arguments):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    put(*arguments)
Progress.put = dies
sys.exit(cli.main(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.corpora(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def run(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("goes-on") / "run"
    done = command("train", corpora / "speech.yaml", "--out", folder, "train.steps=2", *SMALL)
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def files(corpora: Path, tmp_path: Path) -> Path:
    """Give recordings without a manifest, one of them damaged."""
    folder = tmp_path / "plain"
    folder.mkdir()
    for path in (corpora / "speech").glob("*.flac"):
        shutil.copyfile(path, folder / path.name)
    (folder / "utt05b.flac").write_bytes(b"nothing that anybody could read")
    return folder


@pytest.fixture(autouse=True)
def _small_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "_SHARE_FILES", 3)
    monkeypatch.setattr(shares, "_WINDOW", 1)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def encoded(*arguments: str | Path) -> None:
    done = command("encode", *arguments)
    assert done.code == 0, done.err


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list to which every key is added that goes through the model from now on."""
    seen: list[str] = []
    encode = infer._encode

    def counting(model: Any, batch: Any) -> Any:
        seen.extend(batch.keys)
        return encode(model, batch)

    monkeypatch.setattr(infer, "_encode", counting)
    return seen


def killed_at(monkeypatch: pytest.MonkeyPatch, moment: str, number: int) -> None:
    """Let the next command end at the moment, as if it had been killed there."""
    put, write, left = Progress.put, export.write_text, [number]

    def dies(self: Progress, split: str, batch: list[Kept]) -> None:
        left[0] -= 1
        if left[0] >= 0:
            put(self, split, batch)
            return
        if moment == "between codes and line":
            with (self.folder / "codes-0").open("ab") as file:
                file.write(b"half a code")
        if moment == "within a line":
            put(self, split, batch)
            done = self.folder / "done-0"
            done.write_bytes(done.read_bytes()[:-20])
        raise MemoryError("killed")

    def dies_writing(path: Path, text: str) -> None:
        write(path, text)
        raise MemoryError("killed")

    if moment == "before the folder is in its place":
        monkeypatch.setattr(export, "write_text", dies_writing)
    else:
        monkeypatch.setattr(Progress, "put", dies)


def killed(monkeypatch: pytest.MonkeyPatch, moment: str, number: int, *words: str | Path) -> None:
    """Run a command that dies there."""
    with monkeypatch.context() as patch:
        killed_at(patch, moment, number)
        with pytest.raises(MemoryError):
            command(*words)


MOMENTS = (
    "before codes",
    "between codes and line",
    "within a line",
    "before the folder is in its place",
)


@pytest.fixture(params=["export", "corpus", "files"])
def words(request: pytest.FixtureRequest, run: Path, corpora: Path, files: Path) -> list[str | Path]:
    """Give a command but for the folder that it writes."""
    if request.param == "export":
        return ["export", run, "--out"]
    given = [corpora / "speech"] if request.param == "corpus" else [files, "--skip-bad"]
    return ["encode", run, *given, "--out"]


@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.parametrize("moment", MOMENTS)
def test_what_was_killed_goes_on_and_repeats_nothing(
    moment: str, number: int, words: list[str | Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert command(*words, tmp_path / "whole").code == 0
    seen = counted(monkeypatch)
    killed(monkeypatch, moment, number, *words, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    done = command(*words, tmp_path / "out")
    assert done.code == 0, done.err
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert len(set(seen)) == 16
    # Each once, but for those of the batches that were under way, of which nothing was kept.
    assert len(seen) - 16 <= (0 if moment == MOMENTS[-1] else 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "plain", "whole"]


def test_a_killed_process_leaves_no_stray_folder_behind(run: Path, tmp_path: Path):
    stray = tmp_path / ".partial-out-abcd_123"
    other = tmp_path / ".partial-out-b-abcd_123"
    for folder in (stray, other):
        folder.mkdir()
        (folder / "half").write_text("of a file")
    assert command("export", run, "--out", tmp_path / "out").code == 0
    assert not stray.exists()
    assert other.exists()  # of another folder, which another process may be writing


def test_what_was_kept_of_other_files_is_not_used(
    run: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    arguments = (run, files, "--skip-bad", "--out")
    killed(monkeypatch, "before codes", 3, "encode", *arguments, tmp_path / "out")
    shutil.copyfile(files / "utt03.flac", files / "utt00.flac")
    encoded(*arguments, tmp_path / "out")
    encoded(*arguments, tmp_path / "whole")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_a_damaged_file_that_was_left_out_is_refused_without_skip_bad(
    run: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    killed(monkeypatch, MOMENTS[-1], 0, "encode", run, files, "--skip-bad", "--out", tmp_path / "out")
    done = command("encode", run, files, "--out", tmp_path / "out")
    assert done.code == 3
    assert "utt05b.flac" in done.err
    assert "leave such files out with --skip-bad" in done.err


def test_two_commands_do_not_write_the_same_units(run: Path, tmp_path: Path):
    progress = Progress(tmp_path / ".progress-out", {}, 1.0, "second")
    with progress.opened():
        done = command("export", run, "--out", tmp_path / "out")
    assert done.code == 5
    assert "another process writes these units; wait for it" in done.err


def script(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    path = tmp_path / "encode_small.py"
    path.write_text(SCRIPT)
    root = str(Path(__file__).parents[1])
    places = os.pathsep.join([root, *sys.path])
    return path, {**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"}


def test_a_process_that_was_really_killed_goes_on(run: Path, files: Path, tmp_path: Path):
    path, environment = script(tmp_path)
    arguments = ["encode", str(run), str(files), "--skip-bad", "--out"]
    command_line = [sys.executable, str(path), "2", *arguments, str(tmp_path / "out")]
    done = subprocess.run(command_line, env=environment, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (tmp_path / ".progress-out/done-0").is_file()
    encoded(*arguments[1:], tmp_path / "out")
    encoded(*arguments[1:], tmp_path / "whole")
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert not (tmp_path / ".progress-out").exists()


@pytest.mark.parametrize("kind", ["corpus", "files"])
def test_two_processes_write_the_bytes_of_one(
    kind: str, run: Path, corpora: Path, files: Path, tmp_path: Path
):
    path, environment = script(tmp_path)
    given = [str(corpora / "speech")] if kind == "corpus" else [str(files), "--skip-bad"]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = ["encode", str(run), *given, "--out"]
    done = subprocess.run(
        [sys.executable, *launcher, str(path), "-1", *arguments, str(tmp_path / "two")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("units.meta.json") == 1
    encoded(run, *given, "--out", tmp_path / "one")
    assert content(tmp_path / "two") == content(tmp_path / "one")


def test_units_come_back_in_the_order_of_their_numbers(tmp_path: Path):
    rng = np.random.default_rng(0)
    given = [
        Units(f"u{n}", rng.integers(0, 70_000, (n, 2)), 0.0, 0.5, n / 2, "second", {"page": "ä"} if n else {})
        for n in (3, 0, 5, 1)
    ]
    progress = Progress(tmp_path / "progress", {"of": 1}, 0.5, "second")
    with progress.opened():
        for numbers in ((2, 0), (3,), (1,)):
            progress.put("dev", [Kept(number, given[number]) for number in numbers])
        progress.put("test", [Kept(0, given[0])])
        assert progress.done("dev") == set()
        progress.look()
        assert progress.done("dev") == {0, 1, 2, 3}
        spool = progress.units("dev")
        for found, expected in zip(
            [*spool, spool[-1], *spool[1:3]], [*given, given[3], *given[1:3]], strict=True
        ):
            assert (found.codes == expected.codes).all()
            assert found.codes.shape == expected.codes.shape
            assert (found.key, found.end, found.fields) == (expected.key, expected.end, expected.fields)
        with pytest.raises(IndexError):
            spool[4]


def test_codes_that_were_damaged_are_done_again(tmp_path: Path):
    progress = Progress(tmp_path / "progress", {}, 1.0, "second")
    item = Units("a", np.array([[1], [2]]), 0.0, 1.0, 2.0, "second")
    with progress.opened():
        progress.put("dev", [Kept(0, item)])
        progress.put("dev", [Kept(1, item)])
        (tmp_path / "progress/codes-0").write_bytes(b"\1\0\0\0\2\0\0\0\1\0\0\0\3\0\0\0")
        progress.look()
        assert progress.done("dev") == {0}


def test_a_run_gives_the_units_that_export_writes(run: Path, tmp_path: Path):
    assert command("export", run, "--out", tmp_path / "out", "--format", "npz", "--split", "test").code == 0
    with np.load(tmp_path / "out/test.npz", allow_pickle=False) as found:
        expected = np.concatenate([item.codes for item in load(run).units("test")])
        assert (found["codes"] == expected).all()


def test_a_codebook_that_is_not_there_is_refused_before_anything_is_encoded(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen = counted(monkeypatch)
    done = command("export", run, "--book", "3", "--out", tmp_path / "out")
    assert (done.code, seen) == (2, [])
    assert "--book 3: found 1 codebooks" in done.err


def test_units_of_another_corpus_are_not_taken_for_those_of_the_run(run: Path, corpora: Path, tmp_path: Path):
    asked = ("--format", "jsonl", "--split", "test", "--out", tmp_path / "out")
    assert command("encode", run, corpora / "speech", *asked).code == 0
    assert "up to date" not in command("export", run, *asked).out
    assert "up to date" in command("export", run, *asked).out
