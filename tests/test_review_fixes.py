"""What a review of training found: deadlocks, lost checkpoints, traps that a user walks into at once."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.test_train import log
from tests.toy import ToySource, ToySplit, toy_recipe
from unitdisc import checkpoint, device, distributed, export, loader, settings, steps
from unitdisc.checkpoint import Checkpoint
from unitdisc.data import Example, Split
from unitdisc.display import Display
from unitdisc.errors import DataError, RecipeError, StorageError, TrainingError
from unitdisc.model import Model, build
from unitdisc.plan import Position, Stream
from unitdisc.recipe import read
from unitdisc.run import Run
from unitdisc.run_folder import RunFolder
from unitdisc.train import Trainer
from unitdisc_ema.rule import EMA


def test_a_process_of_a_finished_run_does_not_wait_for_one_that_has_left(tmp_path: Path, monkeypatch):
    recipe = toy_recipe(steps=2)
    steps.train(recipe, tmp_path)
    monkeypatch.setattr(distributed, "start", lambda _: pytest.fail("waits for the other processes"))
    assert steps.train(recipe, tmp_path) is False


def test_a_step_that_is_skipped_leaves_no_trace_in_the_log(tmp_path: Path, monkeypatch):
    recipe = toy_recipe(steps=3, log_every=1)
    take = Trainer._accumulate

    def spoiled(self: Trainer, batches: list[Any], frames: float) -> Any:
        taken = take(self, batches, frames)
        taken.is_bad = self.step == 1
        return taken

    monkeypatch.setattr(Trainer, "_accumulate", spoiled)
    steps.train(recipe, tmp_path)
    assert ["loss" in record for record in log(tmp_path)] == [True, False, True]


class Drawing(EMA):
    """Draws in both of its step methods and keeps what it drew."""

    drawn: list[tuple[float, float]]

    def before_step(self, progress: float) -> None:
        super().before_step(progress)
        self.first = float(torch.rand(()))

    def after_step(self, progress: float) -> None:
        super().after_step(progress)
        self.drawn.append((self.first, float(torch.rand(()))))


def test_what_parts_draw_in_a_step_does_not_depend_on_what_was_drawn_before(tmp_path: Path):
    def drawn(path: Path, noise: int) -> list[tuple[float, float]]:
        recipe = toy_recipe(rule=(Drawing, {"num_codes": 4}), steps=3)
        source = ToySource()
        model = build(recipe, source.features, source.targets, source.conditions)
        model.bottleneck.drawn = []
        path.mkdir()
        torch.manual_seed(noise)
        trainer = Trainer(recipe, model=model, split=source.split("train"), folder=RunFolder(path))
        # Another process sees other micro-batches, with other noise.
        forward = Model.forward
        model.forward = lambda batch: (forward(model, batch), torch.rand(noise))[0]  # type: ignore[method-assign]
        trainer.run(Display(steps=3, quiet=True))
        found: list[tuple[float, float]] = model.bottleneck.drawn
        return found

    assert drawn(tmp_path / "a", 1) == drawn(tmp_path / "b", 2)


class Answering(ToySplit):
    """Tells the worker's handlers."""

    def __getitem__(self, index: int) -> Example:
        example = super().__getitem__(index)
        left = [signal.getsignal(number) == signal.SIG_IGN for number in (signal.SIGINT, signal.SIGTERM)]
        return replace(example, inputs=torch.full_like(example.inputs, float(all(left))))


def test_a_signal_to_the_whole_group_leaves_data_workers_alone():
    split = Answering(4, seed=1)
    stream = Stream(split.lengths, 100, 1)
    batches = loader.batches(split, stream, Position(), crop=None, rank=0, ranks=1, workers=1)
    assert next(batches).inputs.values.max() == 1


def test_a_recipe_that_failed_before_its_first_step_does_not_hold_the_folder(tmp_path: Path):
    folder = RunFolder(tmp_path / "run")
    folder.claim(toy_recipe(lr=1e-2))
    folder.claim(toy_recipe(lr=1e-3))
    assert "lr: 0.001" in folder.recipe.read_text()
    steps.train(toy_recipe(lr=1e-3, steps=1), folder.path)
    with pytest.raises(RecipeError, match="another recipe"):
        folder.claim(toy_recipe(lr=1e-2, steps=1))


def test_a_run_from_before_a_setting_existed_goes_on_with_its_default(tmp_path: Path):
    recipe = read("speech/demo", overrides=["train.steps=1"])
    folder = RunFolder(tmp_path / "run")
    folder.claim(recipe)
    folder.record.write_text("{}")
    older = folder.recipe.read_text().replace("  alarms: warn\n", "").replace("  distance: euclidean\n", "")
    assert older != folder.recipe.read_text()
    folder.recipe.write_text(older)
    folder.claim(recipe)
    with pytest.raises(RecipeError, match="alarms: warn there, stop here"):
        folder.claim(read("speech/demo", overrides=["train.steps=1", "train.alarms=stop"]))


def saved(step: int) -> Checkpoint:
    return Checkpoint(step, {"model": {"w": torch.ones(2)}, "average": {"w": torch.zeros(2)}}, {})


def test_a_damaged_newer_checkpoint_does_not_cost_the_one_just_written(tmp_path: Path):
    damaged = checkpoint.write(tmp_path, saved(100), keep=1)
    (damaged / "model.safetensors").write_bytes(b"")
    checkpoint.write(tmp_path, saved(60), keep=1)
    found, complaints = checkpoint.newest(tmp_path)
    assert found is not None
    assert found.step == 60
    assert complaints == []


def test_no_flipped_bit_of_the_manifest_hides_a_file(tmp_path: Path):
    folder = checkpoint.write(tmp_path, saved(1), keep=1)
    manifest = folder / "manifest.json"
    original = manifest.read_bytes()
    for bit in range(8 * len(original)):
        flipped = bytearray(original)
        flipped[bit // 8] ^= 1 << bit % 8
        manifest.write_bytes(flipped)
        with pytest.raises(StorageError):
            checkpoint.read(folder)


def test_an_export_never_replaces_a_folder_of_other_files(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(StorageError, match="other files"):
        export.write(tmp_path, {}, exporters={}, meta={"num_codes": 4})
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    export.write(tmp_path / "units", {}, exporters={}, meta={"num_codes": 4})
    export.write(tmp_path / "units", {}, exporters={}, meta={"num_codes": 4})  # its own it replaces


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of the toy world, opened without reading its recipe back (no plugin offers the toy parts)."""
    recipe = toy_recipe(steps=1)
    steps.train(recipe, tmp_path)
    monkeypatch.setattr("unitdisc.recipe.read", lambda _: recipe)
    return Run(tmp_path)


def test_new_scores_take_the_old_report_away(trained: Run):
    trained.folder.report.write_text("scores of an earlier checkpoint")
    steps.evaluate(trained)
    assert not trained.folder.report.exists()


def test_a_run_without_scores_says_how_to_get_them(trained: Run):
    with pytest.raises(StorageError, match="unitdisc evaluate"):
        _ = trained.metrics


def test_data_whose_symbols_have_changed_are_not_scored(trained: Run):
    record = json.loads(trained.folder.record.read_text())
    record["targets"]["states"][1][0] = "another"
    trained.folder.record.write_text(json.dumps(record))
    with pytest.raises(DataError, match="not those of training"):
        _ = Run(trained.folder.path).source


class Timeless(ToySource):
    """Transcripts without times."""

    def split(self, name: str) -> Split:
        class Bare(ToySplit):
            def __getitem__(self, index: int) -> Example:
                return replace(super().__getitem__(index), middles={})

        return Bare(4, seed=1)


@pytest.mark.parametrize(("crop", "is_refused"), [(11, True), (1000, False), (None, False)])
def test_a_transcript_without_times_is_not_cropped(tmp_path: Path, crop: int | None, is_refused: bool):
    recipe = toy_recipe(steps=1, crop=crop)
    recipe = replace(recipe, data=replace(recipe.data, component=Timeless))
    if is_refused:
        with pytest.raises(RecipeError, match=r"train\.crop: .*states_sequence"):
            steps.train(recipe, tmp_path)
    else:
        assert steps.train(recipe, tmp_path)


def test_more_processes_than_cuda_devices_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setitem(os.environ, "LOCAL_RANK", "1")
    with pytest.raises(RecipeError, match="1 CUDA device"):
        device.choose(settings.Train())


def test_a_process_that_others_have_left_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch):
    def gone(tensor: torch.Tensor) -> None:
        raise RuntimeError("[gloo] Connection closed by peer\nand more")

    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", gone)
    with pytest.raises(TrainingError, match=r"another process .*closed by peer\); its message says why"):
        distributed.all_sum_(torch.zeros(1))


@pytest.mark.parametrize("content", [b"a: [b\n", b"\xff\xfe", b"[" * 3000])
def test_a_folder_with_a_recipe_that_cannot_be_read_is_refused_and_kept(tmp_path: Path, content: bytes):
    (tmp_path / "recipe.yaml").write_bytes(content)
    with pytest.raises(RecipeError, match="holds other files and no run"):
        steps.train(toy_recipe(), tmp_path)
    assert (tmp_path / "recipe.yaml").read_bytes() == content


def test_a_run_whose_recipe_was_damaged_says_so(tmp_path: Path):
    steps.train(toy_recipe(steps=2), tmp_path)
    (tmp_path / "recipe.yaml").write_text("a: [b\n")
    with pytest.raises(StorageError, match=r"recipe\.yaml: damaged"):
        steps.train(toy_recipe(steps=4), tmp_path)
