"""A run through the command line: what it leaves, what it says, and that the same seed gives the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from PIL import Image

import unitdisc
from tests import tiny
from tests.tiny import Ran, command
from unitdisc import recipe as recipes
from unitdisc.errors import DataError
from unitdisc.unit_lines import read_units

LEFT = {
    "recipe.yaml",
    "run.json",
    "run.lock",
    "log.jsonl",
    "metrics.json",
    "checkpoints",
    "units",
    "report.html",
    "units.png",
}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.corpora(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def lines(corpora: Path) -> Ran:
    return tiny.undisturbed(corpora, "lines")


@pytest.fixture(scope="module")
def speech(corpora: Path) -> Ran:
    done = command("run", corpora / "speech.yaml", "--out", corpora / "speech-run-to-the-end")
    assert done.code == 0, done.err
    return Ran(corpora / "speech.yaml", corpora / "speech-run-to-the-end", done, 0.0)


@pytest.fixture
def copied(lines: Ran, tmp_path: Path) -> Path:
    return shutil.copytree(lines.folder, tmp_path / "run")


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def assert_sidecar(units: Path) -> dict[str, object]:
    meta = json.loads((units / "units.meta.json").read_text())
    assert {path.name for path in units.iterdir()} == {"units.meta.json", *meta["files"]}
    for name, about in meta["files"].items():
        assert hashlib.sha256((units / name).read_bytes()).hexdigest() == about["sha256"]
    return meta


def one_line(done: tiny.Done, code: int) -> str:
    assert done.code == code, done
    assert done.err.count("\n") == 1
    assert done.err.startswith("unitdisc: ")
    return done.err


@pytest.mark.parametrize("kind", ["lines", "speech"])
def test_a_run_leaves_everything_and_prints_scores_and_what_next(kind, request):
    ran = request.getfixturevalue(kind)
    assert {path.name for path in ran.folder.iterdir()} == LEFT
    assert sorted(path.name for path in (ran.folder / "checkpoints").iterdir()) == [
        "step-00000021",
        "step-00000024",
    ]
    assert tiny.logged_steps(ran.folder) == [4, 8, 12, 16, 20, 24]
    meta = assert_sidecar(ran.folder / "units")
    newest = ran.folder / "checkpoints" / "step-00000024" / "manifest.json"
    assert meta["checkpoint_sha256"] == hashlib.sha256(newest.read_bytes()).hexdigest()
    assert meta["recipe_sha256"] == recipes.read(ran.folder / "recipe.yaml").digest()
    assert {about["format"] for about in meta["files"].values()} == {"jsonl", "km", "ctm"}

    assert ran.done.err == ""
    assert f"training on CPU ({os.uname().machine}): 12 examples" in ran.done.out
    assert "step 24/24  loss " in ran.done.out
    for name, found in json.loads((ran.folder / "metrics.json").read_text())["metrics"].items():
        row = next(line for line in ran.done.out.splitlines() if line.startswith(f"│ {name} "))
        assert f"{found['values']['value']:.4g}" in row
        assert not found["chance"] or f"{found['chance']['value']:.4g}" in row
    assert f"report   {ran.folder}/report.html" in ran.done.out
    assert f"unitdisc.load('{ran.folder}')" in ran.done.out


@pytest.mark.parametrize("kind", ["lines", "speech"])
def test_the_recipe_in_the_folder_has_every_default_and_is_the_same_recipe(kind, request):
    ran = request.getfixturevalue(kind)
    written = yaml.safe_load((ran.folder / "recipe.yaml").read_text())
    assert written["train"]["max_skipped"] == 20
    assert written["encoder"].keys() > {"use", "channels", "hidden"}
    read = recipes.read(ran.folder / "recipe.yaml")
    assert read == recipes.read(ran.recipe)
    assert read.digest() == recipes.read(ran.recipe).digest()
    assert json.loads((ran.folder / "run.json").read_text())["recipe_sha256"] == read.digest()


def test_the_same_seed_gives_the_same_bytes_in_another_process(lines, tmp_path):
    again = command("run", lines.folder / "recipe.yaml", "--out", tmp_path / "again")
    assert again.code == 0, again.err
    assert tiny.results(tmp_path / "again") == tiny.results(lines.folder)


def test_a_finished_run_says_so_and_changes_nothing(lines):
    before = times(lines.folder)
    for arguments in ((lines.recipe, "--out", lines.folder), (lines.folder,)):
        done = command("run", *arguments)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith(f"{lines.folder}: finished before, nothing to do\n")
    assert command("train", lines.folder).out == f"{lines.folder}: finished before, nothing to do\n"
    assert times(lines.folder) == before


def test_the_steps_one_by_one_give_the_same_files(lines, tmp_path):
    folder = tmp_path / "run"
    trained = command("train", lines.recipe, "--out", folder)
    assert (trained.code, trained.err) == (0, "")
    assert trained.out.endswith(f"next: unitdisc evaluate {folder}\n")
    assert {path.name for path in folder.iterdir()} == LEFT - {
        "metrics.json",
        "units",
        "report.html",
        "units.png",
    }

    scored = command("evaluate", folder, "--json")
    assert (scored.code, scored.err) == (0, "")
    assert json.loads(scored.out) == json.loads((folder / "metrics.json").read_text())
    exported = command("export", folder)
    assert [Path(line).name for line in exported.out.splitlines()] == [
        path.name
        for path in sorted((folder / "units").iterdir(), key=lambda path: path.name != "units.meta.json")
    ] or {Path(line) for line in exported.out.splitlines()} == set((folder / "units").iterdir())
    assert command("report", folder).code == 0
    assert {path.name for path in folder.iterdir()} == LEFT
    assert tiny.results(folder) == tiny.results(lines.folder)
    assert command("run", folder).out.startswith(f"{folder}: finished before")


def test_other_formats_and_splits_are_exported_elsewhere(lines, tmp_path):
    before = times(lines.folder / "units")
    done = command("export", lines.folder, "--format", "ctm", "--split", "train", "--out", tmp_path / "ctm")
    assert (done.code, done.err) == (0, "")
    meta = assert_sidecar(tmp_path / "ctm")
    assert meta["splits"]["train"]["items"] == 12
    keys = {line.split()[0] for line in (tmp_path / "ctm" / "train.ctm").read_text().splitlines()}
    assert len(keys) == 12
    assert times(lines.folder / "units") == before


def test_scores_are_printed_again_without_work(lines):
    before = times(lines.folder)
    del before[lines.folder / "run.lock"]
    shown = command("evaluate", lines.folder)
    assert shown.code == 0
    assert "pnmi" in shown.out
    assert times(lines.folder).items() > before.items()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("export", "RUN", "--format", "ctn", "--out", "OUT"), 2, "did you mean 'ctm'?"),
        (("export", "RUN", "--split", "dev", "--out", "OUT"), 3, "no split 'dev' (accepted: train, test)"),
        (("export", "OUT"), 5, "no run is here"),
        (("evaluate", "OUT"), 5, "no run is here"),
        (("report", "OUT"), 5, "no run is here"),
        (("train", "OUT"), 2, "is no recipe"),
        (("run", "RUN", "train.lr=1"), 2, "goes on with its own recipe"),
        (("run", "RECIPE", "--preset", "smal", "--out", "OUT"), 2, "did you mean 'small'?"),
        (("run", "RECIPE", "train.lr=1", "--out", "RUN"), 2, "train.lr: 0.02 there, 1.0 here"),
        (("run", "RECIPE", "data.root=nowhere", "--out", "OUT"), 3, "nowhere"),
        (
            ("run", "RECIPE", "train.device=cpu", "train.amp=fp16", "--out", "OUT"),
            2,
            "fp16 works on CUDA only",
        ),
        (("run", "RECIPE", "--out", "FILE/run"), 5, "FILE/run: cannot be written"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_half_written(lines, tmp_path, arguments, code, says):
    places = {
        "RUN": lines.folder,
        "RECIPE": lines.recipe,
        "OUT": tmp_path / "out",
        "FILE/run": tmp_path / "file/run",
    }
    (tmp_path / "file").touch()
    before = times(lines.folder)
    done = command(*(places.get(argument, argument) for argument in arguments))
    assert says.replace("FILE", str(tmp_path / "file")) in one_line(done, code)
    assert {
        path: time for path, time in times(lines.folder).items() if path.name != "run.lock"
    }.items() <= before.items()
    left = {path.name for path in tmp_path.rglob("*")} - {"file"}
    assert left in (set(), {"out", "run.lock"}, {"out", "run.lock", "recipe.yaml"})


def test_a_mistaken_first_attempt_does_not_claim_the_folder(lines, tmp_path):
    assert command("run", lines.recipe, "data.root=nowhere", "--out", tmp_path / "run").code == 3
    done = command("train", lines.recipe, "--out", tmp_path / "run", "train.steps=2")
    assert done.code == 0, done.err


def test_other_files_are_never_replaced(lines, tmp_path):
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "thesis.tex").write_text("precious")
    assert "holds other files" in one_line(command("run", lines.recipe, "--out", thesis), 2)
    assert "holds other files" in one_line(command("export", lines.folder, "--out", thesis), 5)
    assert "holds other files" in one_line(command("export", lines.folder, "--out", thesis / "thesis.tex"), 5)
    assert [path.name for path in thesis.iterdir()] == ["thesis.tex"]
    assert (thesis / "thesis.tex").read_text() == "precious"

    own = tmp_path / "own"
    own.mkdir()
    shutil.copy(lines.recipe, own / "recipe.yaml")
    overrides = [f"data.root={lines.recipe.parent / 'lines'}"]
    for arguments in ((own,), (own / "recipe.yaml", *overrides, "--out", own)):
        assert "holds other files and no run (recipe.yaml)" in one_line(command("run", *arguments), 2)
    assert [path.name for path in own.iterdir()] == ["recipe.yaml"]
    assert (own / "recipe.yaml").read_bytes() == lines.recipe.read_bytes()


def test_an_export_is_replaced_by_the_next(lines, tmp_path):
    for name in ("ctm", "km"):
        assert command("export", lines.folder, "--format", name, "--out", tmp_path / "out").code == 0
    assert {about["format"] for about in assert_sidecar(tmp_path / "out")["files"].values()} == {"km"}


def test_units_of_another_format_in_the_run_folder_are_not_what_a_finished_run_has(lines, copied):
    assert command("export", copied, "--format", "ctm").code == 0
    again = command("run", copied)
    assert "finished before" not in again.out
    assert tiny.results(copied) == tiny.results(lines.folder)


@pytest.mark.parametrize("kind", ["lines", "speech"])
def test_python_gives_the_units_of_the_exported_file(kind, request):
    ran = request.getfixturevalue(kind)
    run = unitdisc.load(ran.folder)
    exported = read_units(ran.folder / "units" / "units-test.jsonl")
    units = list(run.units("test"))
    assert [item.key for item in units] == list(exported)
    for item in units:
        assert item.codes[:, 0].tolist() == exported[item.key]
    assert run.metrics == json.loads((ran.folder / "metrics.json").read_text())

    key = units[0].key
    if kind == "speech":
        signal, rate = soundfile.read(ran.recipe.parent / "speech" / f"{key}.flac")
        encoded = run.encode(signal, rate, key=key)
    else:
        encoded = run.encode(np.asarray(Image.open(ran.recipe.parent / "lines" / f"{key}.png")), key=key)
    assert encoded.codes.tolist() == units[0].codes.tolist()
    assert (encoded.key, encoded.step, encoded.end) == (key, units[0].step, units[0].end)


def test_a_run_without_a_bottleneck_is_scored_and_drawn(lines, tmp_path):
    metrics = [f"metrics.{name}=null" for name in ("perplexity", "usage", "pnmi")]
    overrides = ["bottleneck={use: none}", *metrics]
    late = one_line(command("run", lines.recipe, *overrides, "--out", tmp_path / "run"), 2)
    assert "set export.formats to []" in late
    done = command("run", lines.recipe, *overrides, "export.formats=[]", "--out", tmp_path / "run")
    assert (done.code, done.err) == (0, "")
    assert "accuracy" in done.out
    assert str(tmp_path / "run" / "report.html") in done.out
    assert str(tmp_path / "run" / "units") not in done.out
    assert {path.name for path in (tmp_path / "run").iterdir()} == LEFT - {"units", "units.png"}
    assert command("run", tmp_path / "run").out.startswith(f"{tmp_path / 'run'}: finished before")
    assert "quantises nothing" in one_line(command("export", tmp_path / "run", "--format", "km"), 2)
    assert not (tmp_path / "run" / "units").exists()


def test_changed_data_is_refused(corpora, lines, tmp_path):
    data = shutil.copytree(corpora / "lines", tmp_path / "lines")
    begun = command("train", lines.recipe, f"data.root={data}", "--out", tmp_path / "run")
    assert begun.code == 0
    table = (data / "strokes.tsv").read_text()
    (data / "strokes.tsv").write_text(table.replace("bar", "pole"))
    assert "are not those of training" in one_line(command("run", tmp_path / "run"), 3)
    with pytest.raises(DataError, match="not those of training"):
        list(unitdisc.load(tmp_path / "run").units("test"))
    assert not (tmp_path / "run" / "metrics.json").exists()

    first, _, rest = table.partition("bar")
    (data / "strokes.tsv").write_text(first + "dash" + rest)
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-00000024")
    assert "the data changed since this run began" in one_line(command("run", tmp_path / "run"), 3)
    (data / "strokes.tsv").write_text(table)
    assert command("run", tmp_path / "run").code == 0
    ours, whole = tiny.results(tmp_path / "run"), tiny.results(lines.folder)
    name = "checkpoints/step-00000024/model.safetensors"
    assert ours[name] == whole[name]


def test_a_report_of_a_run_half_way_is_drawn_anew_at_the_end(lines, copied):
    whole = json.loads((copied / "metrics.json").read_text())
    shutil.rmtree(copied / "checkpoints" / "step-00000024")
    assert command("evaluate", copied).code == 0
    assert command("report", copied).code == 0
    assert json.loads((copied / "metrics.json").read_text())["checkpoint_step"] == 21
    assert "21, seed" in (copied / "report.html").read_text()
    assert command("run", copied).code == 0
    assert json.loads((copied / "metrics.json").read_text()) == whole
    assert "24, seed" in (copied / "report.html").read_text()
    assert tiny.results(copied) == tiny.results(lines.folder)


def test_a_terminal_gets_a_bar(lines, tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", terminal)
        from unitdisc import cli

        assert cli.main(["train", str(lines.recipe), "train.steps=8", "--out", str(tmp_path / "run")]) == 0
    shown = b""
    while chunk := _read(ours):
        shown += chunk
    os.close(ours)
    assert b"training" in shown
    assert b"8/8" in shown
    assert b"perplexity" in shown
    assert b"step 8/8" not in shown


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux: the other end is closed
        return b""


def test_tensorboard_gets_each_step_once(lines, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):
        done = command("train", lines.recipe, "train.tensorboard=true", "--out", tmp_path / "run")
        assert (done.code, done.err) == (0, "")
        shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-00000024")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [4, 8, 12, 16, 20, 24]


@pytest.mark.parametrize("info", recipes.available(), ids=lambda info: info.name)
def test_every_recipe_and_preset_is_checked_without_data(info):
    for preset in (None, *info.presets):
        done = command("check", info.name, *(["--preset", preset] if preset else []), "--json")
        assert done.code == 0, done.err
        assert done.err == ""
        shown = json.loads(done.out)
        kinds = {"handwriting": "column", "images": "pixel", "translation": "token"}
        per = kinds.get(info.name.split("/")[0], "second")
        quantises = shown["bottleneck"] != "none, 0 x 0 codes"
        assert shown[f"units per {per}"] > 0
        assert (shown[f"bits per {per}"] > 0) == quantises
        assert {
            "input frame",
            "encoder",
            "latents",
            "parameters encoder",
            "peak quantiser memory",
        } <= shown.keys()


def test_an_unknown_preset_is_answered_with_those_that_exist():
    assert "there is no preset 'smal'; did you mean 'small'? (accepted: " in one_line(
        command("check", "speech/ema", "--preset", "smal"), 2
    )
