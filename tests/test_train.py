"""The training loop: learns, resumes to the same bits, skips what is not finite, does not depend on process count."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.toy import ToyEncoder, toy_recipe, train_in_two
from unitdisc import checkpoint, settings, steps
from unitdisc.errors import Interrupted, RecipeError, StorageError, TrainingError
from unitdisc.run_folder import RunFolder
from unitdisc.train import Trainer
from unitdisc_gradient.rule import Gradient


def final(path: Path) -> dict[str, dict[str, Tensor]]:
    found, _ = checkpoint.newest(path / "checkpoints")
    assert found is not None
    return found.tensors


def assert_same(a: dict[str, dict[str, Tensor]], b: dict[str, dict[str, Tensor]]) -> None:
    assert a.keys() == b.keys()
    for file, tensors in a.items():
        assert tensors.keys() == b[file].keys()
        for name, tensor in tensors.items():
            assert torch.equal(tensor, b[file][name]), f"{file}: {name}"


def log(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]


def test_the_loss_falls(tmp_path: Path):
    steps.train(toy_recipe(steps=80, lr=1e-2), tmp_path)
    records = log(tmp_path)
    assert records[-1]["decoder"] < 0.5 * records[0]["decoder"]


@pytest.mark.parametrize("average", [None, 0.9])
@pytest.mark.parametrize("rule", [None, (Gradient, {"num_codes": 8, "lr_scale": 10.0})])
def test_a_stopped_run_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, average, rule
):
    recipe = toy_recipe(rule=rule, encoder={"dropout": 0.2}, average=average, crop=11)
    steps.train(recipe, tmp_path / "whole")
    train_in_two(recipe, tmp_path / "cut", monkeypatch, killed_after=9)
    assert_same(final(tmp_path / "whole"), final(tmp_path / "cut"))
    assert [record["step"] for record in log(tmp_path / "cut")] == [4, 8, 12]


def test_a_finished_run_is_left_as_it_is(tmp_path: Path):
    recipe = toy_recipe()
    assert steps.train(recipe, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert not steps.train(recipe, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number):
    take = Trainer._take_step

    def signalled(self: Trainer, *arguments: Any, **more: Any) -> Any:
        if self.step == 5:
            signal.raise_signal(number)
        return take(self, *arguments, **more)

    recipe = toy_recipe()
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_take_step", signalled)
        with pytest.raises(Interrupted, match="go on with: unitdisc run"):
            steps.train(recipe, tmp_path / "cut")
    assert (tmp_path / "cut/checkpoints/step-00000007").is_dir() or (
        tmp_path / "cut/checkpoints/step-00000006"
    ).is_dir()
    steps.train(recipe, tmp_path / "cut")
    steps.train(recipe, tmp_path / "whole")
    assert_same(final(tmp_path / "whole"), final(tmp_path / "cut"))


def test_a_step_with_nan_touches_nothing_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("unitdisc.standardize.measure_", lambda layer, split: None)
    skips = []
    take = Trainer._take_step

    def watched(self: Trainer, *arguments: Any, **more: Any) -> Any:
        before = {name: value.clone() for name, value in self.model.state_dict().items()}
        taken = take(self, *arguments, **more)
        if self.skipped:
            skips.append(self.step)
            for name, value in self.model.state_dict().items():
                assert torch.equal(value, before[name]), name
        return taken

    monkeypatch.setattr(Trainer, "_take_step", watched)
    steps.train(toy_recipe(data={"spoiled": "u1_3"}, steps=20), tmp_path)
    assert 0 < len(skips) < 20
    assert all(torch.isfinite(value).all() for value in final(tmp_path)["model"].values())


def test_nothing_but_nan_gives_up_and_names_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("unitdisc.standardize.measure_", lambda layer, split: None)
    recipe = toy_recipe(data={"spoiled": "u1"}, max_skipped=3)
    with pytest.raises(TrainingError, match=r"3 steps in a row were not finite \(last examples: u1_"):
        steps.train(recipe, tmp_path)


def test_other_recipe_in_the_same_folder_is_refused(tmp_path: Path):
    steps.train(toy_recipe(steps=4), tmp_path)
    with pytest.raises(RecipeError, match=r"train\.lr: 0\.001 there, 0\.5 here"):
        steps.train(toy_recipe(steps=4, lr=0.5), tmp_path)


def test_a_folder_with_other_files_is_refused(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(RecipeError, match="holds other files and no run"):
        steps.train(toy_recipe(), tmp_path)


def test_two_runs_in_one_folder_are_refused(tmp_path: Path):
    folder = RunFolder(tmp_path / "run")
    with folder.locked(), pytest.raises(StorageError, match=r"held by pid \d+"), folder.locked():
        pass


def test_learning_rate_scale_reaches_the_codebook_alone(tmp_path: Path):
    recipe = toy_recipe(rule=(Gradient, {"num_codes": 8, "lr_scale": 10.0}), lr=1e-4, steps=4)
    seen = {}
    real = Trainer.run

    def watched(self: Trainer, display: Any) -> None:
        seen.update(
            {group["lr"]: [tuple(p.shape) for p in group["params"]] for group in self.optimizer.param_groups}
        )
        real(self, display)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "run", watched)
        steps.train(recipe, tmp_path)
    assert max(seen) == pytest.approx(10 * min(seen))
    assert [shape[-2:] for shape in seen[max(seen)]] == [(8, 4)]


def test_bf16_keeps_quantisation_in_float32(tmp_path: Path):
    kinds = set()

    class Watching(Gradient):
        def forward(self, latents: Any) -> Any:
            kinds.add((latents.values.dtype, torch.is_autocast_enabled("cpu")))
            return super().forward(latents)

    steps.train(toy_recipe(rule=(Watching, {"num_codes": 8}), amp="bf16", steps=4), tmp_path)
    assert kinds == {(torch.float32, False)}


def test_accumulated_gradient_is_that_of_one_batch(tmp_path: Path):
    """Twice as many micro-batches of half the size: the same examples per step, the same weights (no batch norm)."""
    plain = settings.Latents(norm="none", dim=4)
    whole = toy_recipe(
        latents=plain, batch_frames=10_000, batches_per_step=1, steps=3, optimizer="sgd", lr=0.05
    )
    steps.train(whole, tmp_path / "one")
    parts = toy_recipe(latents=plain, batch_frames=1, batches_per_step=12, steps=3, optimizer="sgd", lr=0.05)
    steps.train(parts, tmp_path / "many")
    one, many = final(tmp_path / "one")["model"], final(tmp_path / "many")["model"]
    for name in one:
        torch.testing.assert_close(one[name], many[name], rtol=1e-4, atol=1e-5)


def test_an_encoder_that_no_loss_reaches_is_refused(tmp_path: Path):
    recipe = toy_recipe()
    bare = type(recipe)(**{**vars(recipe), "decoder": None, "heads": {}})
    with pytest.raises(RecipeError, match="neither decoder nor heads"):
        steps.train(bare, tmp_path)


def test_schedules_are_pure_functions_of_the_step():
    from unitdisc.optimizer import schedule

    train = settings.Train(steps=100, warmup=10, schedule="cosine")
    assert schedule(0, train) == pytest.approx(0.1)
    assert schedule(10, train) == pytest.approx(1.0)
    assert schedule(55, train) == pytest.approx(0.5)
    assert schedule(39, settings.Train(steps=100, warmup=10, schedule="rsqrt")) == pytest.approx(0.5)
    assert schedule(100, settings.Train(steps=100, schedule="exponential")) == pytest.approx(0.01)


def test_toy_encoder_keeps_its_contract():
    from functools import partial

    from unitdisc.data import FeatureSpec
    from unitdisc.testing import check_encoder

    check_encoder(partial(ToyEncoder, dim=5), features=FeatureSpec((6,), 100.0, "second", standardize=False))


def test_the_rate_falls_after_each_milestone():
    from unitdisc.optimizer import schedule

    train = settings.Train(steps=9, warmup=2, schedule="steps", milestones=(4, 6), milestone_scale=0.1)
    found = [schedule(step, train) for step in range(9)]
    assert found == pytest.approx([0.5, 1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.01])


def test_a_step_with_a_large_gradient_is_skipped_whatever_it_would_be_clipped_to(tmp_path: Path):
    norms = []
    real = torch.nn.utils.get_total_norm

    def watched(gradients: Any) -> Tensor:
        norms.append(real(gradients))
        return norms[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.nn.utils.get_total_norm", watched)
        steps.train(toy_recipe(clip=1e-3, log_every=12), tmp_path / "all")
    limit = float(torch.stack(norms[1:]).median())
    steps.train(toy_recipe(clip=1e-3, log_every=12, skip_norm=limit), tmp_path / "some")
    assert log(tmp_path / "all")[0]["skipped_share"] == 0
    assert 0 < log(tmp_path / "some")[0]["skipped_share"] < 1
    with pytest.raises(TrainingError, match=r"3 steps in a row .* above train.skip_norm \(1e-09\)"):
        steps.train(toy_recipe(skip_norm=1e-9, max_skipped=3), tmp_path / "none")
