"""``unitdisc ablate`` through the command line, on tiny corpora."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import tiny
from tests.test_faults import wait_for
from tests.test_run_end_to_end import one_line
from tests.tiny import Done, command, finish, start
from unitdisc.ablate.hold import held

pytestmark = pytest.mark.timeout(300)

WIDE = "bottleneck.num_codes=16384"  # more codes than the split has units, so that it counts as collapsed
WILD = "name=wild,train.lr=1.0e+30,train.max_skipped=2"
TABLES = ("ablation.txt", "ablation.md", "ablation.json")


@dataclass(frozen=True)
class Compared:
    """A comparison that was left alone from start to end."""

    place: Path
    arguments: tuple[str, ...]
    done: Done

    @property
    def folder(self) -> Path:
        return self.place / "out"


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.corpora(tmp_path_factory.getbasetemp()) / "lines.yaml")


@pytest.fixture(scope="module")
def compared(lines: str, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    place = tmp_path_factory.mktemp("compared")
    arguments = (
        "ablate",
        lines,
        f"{lines}:{WIDE}",
        f"{lines}:{WILD}",
        "--seeds",
        "2",
        "--out",
        "out",
        "--jobs",
        "3",
    )
    return Compared(place, arguments, finish(start(*arguments, cwd=place), timeout=250))


@pytest.fixture
def copied(compared: Compared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compared:
    shutil.copytree(compared.folder, tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    return Compared(tmp_path, compared.arguments, compared.done)


def tables(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in TABLES}


def any_checkpoint(folder: Path) -> bool:
    return any(folder.glob("*/seed-*/checkpoints/step-*"))


def test_recipes_times_seeds_make_one_table_with_failed_and_collapsed_runs(compared):
    done = compared.done
    assert (done.code, done.err) == (4, "")
    assert "6 runs, 3 at a time; each prints into out/RECIPE/seed-N.txt" in done.out
    assert done.out.count(": begins\n") == 6
    assert "wild seed 2: FAILED, exit code 4: step 3: 2 steps in a row were not finite" in done.out
    assert "4 of 6 runs finished (2 failed, 2 collapsed); seeds 1, 2." in done.out
    assert f"collapsed: lines:{WIDE} seed 1" in done.out
    assert (compared.folder / "ablation.txt").read_text() in done.out
    for name in ("lines", f"lines-{WIDE}"):
        for seed in (1, 2):
            assert "step 24/24" in (compared.folder / name / f"seed-{seed}.txt").read_text()
    assert (compared.folder / "ablation.png").read_bytes().startswith(b"\x89PNG")


def test_the_record_holds_the_numbers_of_the_runs(compared):
    found = json.loads((compared.folder / "ablation.json").read_text())
    assert (found["seeds"], found["baseline"], found["preset"]) == ([1, 2], "lines", None)
    assert found["command"].startswith("unitdisc ablate ")
    for run in found["runs"]:
        folder = compared.folder / run["folder"]
        assert run["finished"] == (folder / "metrics.json").exists()
        if run["finished"]:
            metrics = json.loads((folder / "metrics.json").read_text())
            assert run["scores"]["pnmi"]["value"] == metrics["metrics"]["pnmi"]["values"]["value"]
            assert run["scores"]["decoder.bpd"]["value"] == metrics["losses"]["decoder.bpd"]
            assert run["recipe_sha256"] == json.loads((folder / "run.json").read_text())["recipe_sha256"]
            assert (run["device"][:3], run["threads"]) == ("CPU", 1)
    (base,) = [line for line in found["scores"] if (line["score"], line["recipe"]) == ("perplexity", "lines")]
    assert base["mean"] == pytest.approx(sum(base["values"].values()) / 2)


def test_a_cell_is_the_run_that_run_makes(compared, lines, tmp_path):
    assert command("run", lines, "seed=2", "--out", tmp_path / "run").code == 0
    assert tiny.results(tmp_path / "run") == tiny.results(compared.folder / "lines" / "seed-2")


def test_a_finished_comparison_is_printed_at_once_and_failed_runs_are_tried_again(copied):
    before = tables(copied.folder)
    finished = {path: path.stat().st_mtime_ns for path in (copied.folder / "lines").rglob("*.json")}
    again = command(*copied.arguments)
    assert again.code == 4
    assert "6 runs, 4 finished before, 3 at a time" in again.out
    assert "lines seed" not in again.out
    assert tables(copied.folder) == before

    lines = copied.arguments[1]
    began = time.monotonic()
    done = command(
        "ablate", lines, "--seeds", "2,1", "--out", "out", "--metric", "perplexity", "--metric", "pnmi"
    )
    assert time.monotonic() - began < 10
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("score ")
    assert "decoder.bpd" not in done.out
    assert {path: path.stat().st_mtime_ns for path in finished} == finished


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stop_in_the_middle_and_a_second_start_give_the_table_of_one_go(copied, lines, number, monkeypatch):
    arguments = ("ablate", lines, "--seeds", "2", "--out", "out", "--jobs", "2")
    assert command(*arguments).code == 0
    expected = tables(copied.folder)

    place = copied.place / "again"
    place.mkdir()
    process = start(*arguments, cwd=place)
    wait_for(lambda: any_checkpoint(place / "out"), process)
    process.send_signal(number)
    stopped = finish(process)
    assert not (place / "out/ablation.txt").exists()
    if number == signal.SIGINT:
        told = one_line(stopped, 130)
        assert " of 2 runs are done, what the others learnt is saved; go on with: unitdisc ablate " in told
        assert told.endswith(" --seeds 2 --out out --jobs 2\n")
    else:
        assert stopped.code == -signal.SIGKILL

    monkeypatch.chdir(place)
    done = command(*arguments)
    while done.code == 5:  # the runs of the killed comparison are saving
        assert "another comparison is under way here, or its runs are saving" in done.err
        done = command(*arguments)
    assert (done.code, done.err) == (0, "")
    assert ": goes on\n" in done.out
    assert tables(place / "out") == expected
    for seed in ("seed-1", "seed-2"):
        ours, theirs = (folder / "lines" / seed for folder in (place / "out", copied.folder))
        assert tiny.results(ours) == tiny.results(theirs)
    assert tiny.leftovers(place / "out") == []


def test_a_run_that_is_killed_does_not_end_the_others(lines, tmp_path):
    run = tmp_path / "out/lines/seed-1"
    process = start("ablate", lines, "--seeds", "2", "--out", tmp_path / "out", "--jobs", "2")
    wait_for((run / "checkpoints").exists, process)
    os.kill(int((run / "run.lock").read_text().split()[1]), signal.SIGKILL)
    done = finish(process)
    assert (done.code, done.err) == (1, "")
    assert "lines seed 1: FAILED, killed by SIGKILL: " in done.out
    assert "1 of 2 runs finished (1 failed)" in done.out


def test_a_second_comparison_in_the_same_folder_is_refused(lines, tmp_path):
    with held(tmp_path / "out"):
        told = one_line(command("ablate", lines, "--out", tmp_path / "out"), 5)
    assert f"begun by pid {os.getpid()} on " in told


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (["train.lr=1"], 2, "lines/seed-1: holds a run of another recipe (train.lr: 0.02 there, 1.0 here)"),
        (["train.lrr=1"], 2, "did you mean 'lr'?"),
        (["nothing"], 2, "'nothing' is no recipe"),
        (["--preset", "smal"], 2, "did you mean 'small'?"),
        (["--baseline", "line"], 2, "did you mean 'lines'?"),
        (["--metric", "perplexty"], 2, "did you mean 'perplexity'?"),
        (["--seeds", "x"], 2, "neither a number such as 5 nor a list"),
        (["--jobs", "0"], 2, "0 is not in the range"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_run(copied, lines, more, code, says):
    before = tables(copied.folder)
    done = command("ablate", lines, "--seeds", "2", "--out", "out", *more)
    assert done.code == code, done
    assert says in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    assert tables(copied.folder) == before


def test_a_place_that_cannot_be_written_and_torchrun_are_refused(lines, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    assert "cannot be written" in one_line(command("ablate", lines, "--out", tmp_path / "file/out"), 5)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    assert "start it without torchrun" in one_line(command("ablate", lines, "--out", tmp_path / "out"), 2)


def test_a_curve_that_no_run_logged_is_told_with_those_that_were(copied, lines):
    done = command("ablate", lines, "--seeds", "2", "--out", "out", "--curve", "perplexty", "--curve", "loss")
    assert done.code == 0
    assert "warning: --curve: no run logged 'perplexty'; did you mean 'perplexity'? (logged: " in done.out


@pytest.mark.parametrize(
    ("number", "says"), [("train.steps", "has one value alone"), ("train.stps", "is no number of a recipe")]
)
def test_a_number_over_which_nothing_is_drawn_is_told(copied, lines, number, says):
    done = command("ablate", lines, "--seeds", "2", "--out", "out", "--over", number)
    assert f"warning: --over: {number!r} {says}" in done.out
