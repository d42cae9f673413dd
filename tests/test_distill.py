"""``unitdisc distill``: the same files whatever the processes, stopped or killed, one or several at once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import unitdisc
from tests import tiny, words
from tests.tiny import Done, command
from unitdisc import distill
from unitdisc.claims import Claims
from unitdisc.cli import distill as command_module
from unitdisc.copies import run_copies
from unitdisc.distill import SIDECAR, Distillation
from unitdisc.errors import DataError, RecipeError, StorageError
from unitdisc_translation.source import Parallel

pytest.importorskip("sentencepiece")
PATIENCE = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return words.trained(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    return folder / "run"


@pytest.fixture(scope="module")
def undisturbed(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process writes that nobody disturbs."""
    out = tmp_path_factory.mktemp("distilled") / "out"
    done = command("distill", run, "--out", out, "--jobs", "1", "--beam", "2")
    assert done == Done(0, f"train: 1,300 pairs with translations as targets; copied: dev, test\n{out}\n", "")
    return out


@pytest.fixture(autouse=True)
def _no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on the screen depends on how fast this machine is."""
    monkeypatch.setattr(command_module, "_TELL_EVERY", float("inf"))


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


def wait_for_a_shard(out: Path) -> None:
    parts = out.with_name(f"{out.name}.parts")
    end = time.monotonic() + PATIENCE
    while not list(parts.glob("*.txt")):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_targets_are_the_runs_translations_and_all_else_is_copied(undisturbed: Path, folder: Path):
    opened = unitdisc.load(folder / "run")
    assert (undisturbed / "train.de").read_text().splitlines() == opened.translate(
        words.sentences(1300), beam=2
    )
    names = ["train.en", *(f"{split}.{language}" for split in ("dev", "test") for language in ("en", "de"))]
    for name in names:
        assert (undisturbed / name).read_bytes() == (folder / "text" / name).read_bytes()
    others = {"train.de", "sentencepiece.model", SIDECAR}
    assert set(contents(undisturbed)) == {*names, *others}
    assert [path.name for path in undisturbed.parent.iterdir()] == ["out"]


def test_a_student_reads_it_and_spells_as_the_teacher(undisturbed: Path, folder: Path):
    student = Parallel(root=undisturbed, vocab_size=330, vocabulary=undisturbed / "sentencepiece.model")
    student.prepare()
    assert student.conditions == unitdisc.load(folder / "run").source.conditions
    assert len(student.split("train")) == 1300


def test_the_sidecar_says_how_it_came_about(undisturbed: Path, run: Path):
    about = json.loads((undisturbed / SIDECAR).read_text())
    wanted = {
        "run": str(run),
        "split": "train",
        "beam": 2,
        "length_penalty": 0.6,
        "sentences": 1300,
        "empty": 0,
    }
    assert wanted.items() <= about.items()
    assert about["checkpoint_sha256"] == unitdisc.load(run).checkpoint.digest


def test_one_process_and_several_at_once_both_end_with_the_same_bytes(
    undisturbed: Path, run: Path, tmp_path: Path
):
    arguments = ("distill", run, "--out", tmp_path / "out", "--beam", "2")
    processes = [tiny.start(*arguments, "--jobs", jobs) for jobs in ("1", "2")]
    ended = [tiny.finish(process) for process in processes]
    assert [done.code for done in ended] == [0, 0], ended
    assert contents(tmp_path / "out") == contents(undisturbed)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_killed_it_goes_on_and_repeats_nothing_that_was_done(
    undisturbed: Path, run: Path, tmp_path: Path, monkeypatch
):
    out = tmp_path / "out"
    process = tiny.start("distill", run, "--out", out, "--jobs", "2", "--beam", "2")
    wait_for_a_shard(out)
    os.killpg(process.pid, signal.SIGKILL)
    tiny.finish(process)
    with Claims(tmp_path / "out.parts") as claims:
        assert claims.alone()  # its processes stop with it
    there = {path.name for path in (tmp_path / "out.parts").glob("*.txt")}
    translated = []
    translate = Distillation._translate
    monkeypatch.setattr(
        Distillation,
        "_translate",
        lambda self, number, path: translated.append(path.name) or translate(self, number, path),
    )
    done = command("distill", run, "--out", out, "--jobs", "1", "--beam", "2")
    assert (done.code, done.err) == (0, "")
    assert {*there, *translated} == {f"{number:06d}.txt" for number in range(3)}
    assert not there & set(translated)
    assert contents(out) == contents(undisturbed)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_is_done_is_not_done_again(undisturbed: Path, run: Path, monkeypatch):
    before = contents(undisturbed)
    monkeypatch.setattr(Distillation, "_translate", None)
    done = command("distill", run, "--out", undisturbed, "--beam", "2")
    assert done.code == 0
    assert contents(undisturbed) == before


def test_other_options_need_another_folder(undisturbed: Path, run: Path):
    done = command("distill", run, "--out", undisturbed, "--beam", "3")
    assert done.code == 5
    assert (
        "holds another distillation (beam: 2 there, 3 here); remove it, or choose another --out\n" in done.err
    )


def test_other_files_are_not_written_over(run: Path, tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine")
    done = command("distill", run, "--out", tmp_path, "--jobs", "1")
    assert (done.code, done.err) == (
        5,
        f"unitdisc: {tmp_path}: holds other files, which would be lost; give a new folder\n",
    )
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_split_that_is_not_there_is_named(run: Path, tmp_path: Path):
    done = command("distill", run, "--out", tmp_path / "out", "--split", "tets")
    assert done.code == 3
    assert "no split 'tets' (accepted: dev, test, train)" in done.err
    assert not list(tmp_path.iterdir())


def test_a_split_without_sentences_is_refused(folder: Path, tmp_path: Path):
    opened = unitdisc.load(folder / "run")
    shutil.copytree(folder / "text", tmp_path / "text")
    words.write(tmp_path / "text", "none", [])
    opened.source = Parallel(root=tmp_path / "text", vocab_size=330)
    opened.source.prepare()
    with pytest.raises(DataError, match="split none has no sentence to translate; give --split another"):
        Distillation(opened, tmp_path / "out", "none").check()


def test_a_damaged_shard_is_named(run: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(distill, "SHARD", 700)
    work = Distillation(unitdisc.load(run), tmp_path / "out", "test", {"beam": 1})
    monkeypatch.setattr(Distillation, "_translate", lambda self, number, path: path.write_text("a\nb"))
    with pytest.raises(
        StorageError, match=r"000000.txt: damaged \(1 lines, not 40\); remove it, and the same"
    ):
        work.work(lambda: None)
    assert not (tmp_path / "out").exists()


def test_a_process_that_ends_badly_stops_the_others_and_is_told(tmp_path: Path):
    arguments = ["convert", str(tmp_path), "--from=jsonl", "--to=nothing", "--out", str(tmp_path / "out")]
    with pytest.raises(
        StorageError, match=r"one of the processes ended \(exit code \d\): .+; what is done is kept"
    ):
        run_copies(arguments, 2, look=lambda: None)


def test_pairs_that_training_leaves_out_are_left_out(folder: Path, tmp_path: Path, monkeypatch):
    shutil.copytree(folder / "run", tmp_path / "run")
    english = ["two dog", "", "a man", " ".join(["dog"] * 300), "a dog"]
    words.write(tmp_path / "text", "train", english, ["zwei Hund", "leer", "ein Mann", "Hund", "ein Hund"])
    words.write(tmp_path / "text", "other", ["a"])
    opened = unitdisc.load(folder / "run")
    (tmp_path / "own.model").write_bytes(opened.source.vocabulary.model)
    recipe = (tmp_path / "run" / "recipe.yaml").read_text()
    recipe = recipe.replace(str(folder / "text"), str(tmp_path / "text"))
    recipe = recipe.replace("vocabulary: null", f"vocabulary: {tmp_path / 'own.model'}")
    (tmp_path / "run" / "recipe.yaml").write_text(recipe)

    done = command("distill", tmp_path / "run", "--out", tmp_path / "out", "--jobs", "1")

    assert done.code == 0
    assert "left out of training: 1 with an empty side, the first on line 2; 1 longer than 256" in done.err
    assert done.out.startswith("train: 3 pairs with translations as targets, 2 left out; copied: other\n")
    assert (tmp_path / "out" / "train.en").read_text() == "two dog\na man\na dog\n"
    assert (tmp_path / "out" / "train.de").read_text().count("\n") == 3


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train": "train", "dev": "train"}, "is a file of train and of another split"),
        ({"train": "train", "dev": "../other/dev"}, "would lie outside the new folder"),
        ({"train": "train", "dev": "{elsewhere}/dev"}, "would lie outside the new folder"),
    ],
)
def test_files_that_would_be_lost_or_lie_elsewhere_are_refused(folder: Path, tmp_path: Path, files, message):
    for name in ("text", "other"):
        shutil.copytree(folder / "text", tmp_path / name)
    files = {split: name.format(elsewhere=tmp_path / "other") for split, name in files.items()}
    opened = unitdisc.load(folder / "run")
    opened.source = Parallel(root=tmp_path / "text", vocab_size=330, files=files)
    opened.source.prepare()
    with pytest.raises(DataError, match=message):
        Distillation(opened, tmp_path / "out").check()  # before anything is translated
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match=message):
        opened.source.write_translated(tmp_path / "out", "train", [""] * 1300)
    assert not any((tmp_path / "out").iterdir())


def test_a_run_that_does_not_translate_is_refused(run: Path, tmp_path: Path):
    opened = unitdisc.load(run)
    opened.model.decoder = None
    with pytest.raises(RecipeError, match="no decoder that translates"):
        Distillation(opened, tmp_path / "out").check()


CLAIM = """
import sys, time
from pathlib import Path
from unitdisc.claims import Claims
with Claims(Path(sys.argv[1])) as claims, claims.claimed(7, wait=True):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_claim_is_one_processs_alone_and_ends_with_it(tmp_path: Path):
    holder = subprocess.Popen([sys.executable, "-c", CLAIM, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with holder, Claims(tmp_path) as claims:
        assert holder.stdout.readline() == "held\n"
        with claims.claimed(7, wait=False) as mine, claims.claimed(8, wait=False) as other:
            assert (mine, other) == (False, True)
        holder.kill()
        holder.wait()
        with claims.claimed(7, wait=True) as mine:
            assert mine
        assert claims.alone()


def test_who_comes_to_be_alone_after_the_folder_is_gone_is_told(tmp_path: Path):
    with Claims(tmp_path / "parts") as claims:
        shutil.rmtree(tmp_path / "parts")
        assert not claims.alone()
