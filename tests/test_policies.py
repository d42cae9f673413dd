"""What the engine does when a part replaces weights, tells events and announces; as each policy promises."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests import test_two_processes
from tests.test_train import assert_same, final, log
from tests.tiny import command
from tests.toy import toy_recipe
from unitdisc import checkpoint, policies, settings, steps
from unitdisc.average import Average
from unitdisc.display import Display
from unitdisc.errors import RecipeError
from unitdisc.parts import Part, Replaced
from unitdisc.summary import announcements, summarize
from unitdisc.train import Trainer
from unitdisc_gradient.rule import Gradient

DECAY = 0.9


class Replacing(Gradient):
    """Puts ones into the first two codewords after step ``at`` and tells so."""

    def __init__(
        self, dim: int, *, at: int = 5, moments: str = "reset", average: str = "copy", num_codes: int = 8
    ) -> None:
        super().__init__(dim, num_codes=num_codes)
        self.at, self.policies = at, (moments, average)
        self.register_buffer("done", torch.zeros((), dtype=torch.int64))
        self.rows = torch.zeros(1, num_codes, dtype=torch.bool)
        self.rows[:, :2] = True

    @property
    def is_time(self) -> bool:
        return int(self.done) == self.at

    def after_step(self, progress: float) -> None:
        super().after_step(progress)
        self.done += 1
        if self.is_time:
            self.replace(torch.ones_like(self.codebook), self.rows)

    def replaced(self) -> Iterator[Replaced]:
        if self.is_time:
            yield Replaced(self.codebook, self.rows, *self.policies)  # type: ignore[arg-type]

    def events(self) -> Iterator[dict[str, float | str]]:
        if self.is_time:
            yield {"event": "replaced", "rows": 2.0, "from": "nowhere"}

    def announce(self, steps: int) -> Iterator[str]:
        if self.at > steps:
            raise RecipeError(f"at: step {self.at} never comes in {steps} steps")
        yield f"codewords are replaced after step {self.at} of {steps}"


def recipe(*, moments: str = "reset", average: str = "copy", at: int = 5, **train: Any) -> Any:
    rule = (Replacing, {"at": at, "moments": moments, "average": average})
    return toy_recipe(rule=rule, **{"average": DECAY, "steps": 6, "checkpoint_every": 1, "keep": 9, **train})


def after(path: Path, step: int) -> checkpoint.Checkpoint:
    return checkpoint.read(path / "checkpoints" / f"step-{step:08d}")


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("moments", ["reset", "keep"])
def test_moments_of_replaced_rows_are_zeroed_or_kept(tmp_path: Path, optimizer: str, moments: str):
    steps.train(recipe(moments=moments, optimizer=optimizer, momentum=0.5), tmp_path)
    tensors = after(tmp_path, 5).tensors["optimizer"]
    of_codebook = {name: value for name, value in tensors.items() if "codebook" in name}
    moving = [value for name, value in of_codebook.items() if not name.endswith("/step")]
    assert len(moving) == (2 if optimizer == "adam" else 1)
    for value in moving:
        assert value[:, :2].eq(0).all() == (moments == "reset")
        assert value[:, 2:].ne(0).any()
    assert all(value == 5 for name, value in of_codebook.items() if name.endswith("/step"))


@pytest.mark.parametrize(
    ("betas", "first", "most"), [((0.9, 0.999), 3.162, 6.569), ((0.9, 0.99), 1.0, 2.132)]
)
def test_updates_after_a_reset_are_as_long_as_documented(
    betas: tuple[float, float], first: float, most: float
):
    weight = nn.Parameter(torch.zeros(2, 3))
    adam = torch.optim.Adam([weight], lr=1.0, betas=betas)
    weight.grad = torch.full_like(weight, 0.7)
    adam.step()
    steady = {"step": torch.tensor(1e6), "exp_avg": weight.grad.clone(), "exp_avg_sq": weight.grad.square()}
    adam.state[weight].update(steady)
    policies.forget(adam, Replaced(weight, torch.tensor([True, False])))
    lengths = []
    for _ in range(400):
        before = weight.detach().clone()
        adam.step()
        lengths.append(before - weight.detach())
    reset, kept = torch.stack(lengths).unbind(1)
    assert reset[0, 0] == pytest.approx(first, rel=1e-3)
    assert reset.max() == pytest.approx(most, rel=1e-3)
    assert kept.sub(1).abs().max() < 1e-3
    if betas[1] == 0.999:
        assert reset[286, 0] > 2 > reset[287, 0]


@pytest.mark.parametrize("average", ["keep", "copy", "restart"])
def test_the_average_keeps_copies_or_restarts(tmp_path: Path, average: str):
    steps.train(recipe(average=average), tmp_path)
    before, now, then = after(tmp_path, 4), after(tmp_path, 5), after(tmp_path, 6)
    for name, mean in now.tensors["average"].items():
        weight = now.tensors["model"][name]
        expected = (
            weight if average == "restart" else before.tensors["average"][name].lerp(weight, 1 - 6 / 15)
        )
        if name.endswith("codebook") and average == "copy":
            expected[:, :2] = 1.0
        torch.testing.assert_close(mean, expected, msg=name)
        decay = 2 / 11 if average == "restart" else 7 / 16
        later = mean.lerp(then.tensors["model"][name], 1 - decay)
        torch.testing.assert_close(then.tensors["average"][name], later, msg=name)


def test_a_buffer_has_neither_moments_nor_copies_but_can_restart_the_average():
    class Holding(Part):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(3))
            self.register_buffer("codebook", torch.ones(1, 2, 3))

        def replaced(self) -> Iterator[Replaced]:
            yield Replaced(self.codebook, torch.ones(1, 2, dtype=torch.bool), "reset", "restart")

        def parts(self) -> Iterator[Part]:
            yield self

    model = Holding()
    average = Average(model, 0.9)
    with torch.no_grad():
        model.weight.fill_(2.0)
    policies.carry_out(model, torch.optim.Adam(model.parameters()), average, step=7)  # type: ignore[arg-type]
    assert average.origin == 7
    assert average.values["weight"].tolist() == [2.0] * 3


@pytest.mark.parametrize("average", ["copy", "restart"])
@pytest.mark.parametrize("dies_at", [5, 6, 7, 8])
def test_a_run_stopped_around_a_replacement_ends_with_the_same_bits_and_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, average: str, dies_at: int
):
    """Checkpoints after 3, 6, 9; lines after 4, 8, 12; replaced after step 6, where a checkpoint is, too."""
    wanted = recipe(average=average, at=6, steps=12, checkpoint_every=3, log_every=4)
    steps.train(wanted, tmp_path / "whole")
    take = Trainer._take_step

    def dies(self: Trainer, *arguments: Any, **more: Any) -> Any:
        if self.step == dies_at:
            raise MemoryError("killed")
        return take(self, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_take_step", dies)
        with pytest.raises(MemoryError):
            steps.train(wanted, tmp_path / "cut")
    steps.train(wanted, tmp_path / "cut")
    assert_same(final(tmp_path / "whole"), final(tmp_path / "cut"))
    for name in ("whole", "cut"):
        told = [event for line in log(tmp_path / name) for event in line.get("events", [])]
        assert told == [{"step": 6, "event": "replaced", "rows": 2.0, "from": "nowhere"}]
        assert "events" in log(tmp_path / name)[1]
    newest = [checkpoint.newest(tmp_path / name / "checkpoints")[0] for name in ("whole", "cut")]
    assert newest[0] is not None
    assert newest[1] is not None
    assert newest[0].state == newest[1].state
    assert newest[0].state["average_origin"] == (6 if average == "restart" else 0)


def test_a_checkpoint_from_before_these_keys_is_gone_on_from(tmp_path: Path):
    wanted = recipe(at=9, steps=12, checkpoint_every=6)
    steps.train(wanted, tmp_path / "whole")
    found = after(tmp_path / "whole", 6)
    (tmp_path / "old").mkdir()
    for name in ("recipe.yaml", "run.json", "log.jsonl"):
        (tmp_path / "old" / name).write_bytes((tmp_path / "whole" / name).read_bytes())
    state = {key: value for key, value in found.state.items() if key not in {"average_origin", "events"}}
    tensors = {name: value for name, value in found.tensors.items() if name != "health"}
    checkpoint.write(tmp_path / "old" / "checkpoints", checkpoint.Checkpoint(6, tensors, state), keep=1)
    steps.train(wanted, tmp_path / "old")
    for file in ("model", "optimizer", "average"):
        for name, value in final(tmp_path / "whole")[file].items():
            assert torch.equal(value, final(tmp_path / "old")[file][name])


def test_events_are_shown_as_they_happen(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    steps.train(recipe(), tmp_path)
    assert "step 5: replaced, rows 2, from nowhere\n" in capsys.readouterr().out


def test_events_that_come_again_and_again_are_shown_at_first(capsys: pytest.CaptureFixture[str]):
    display = Display(steps=100)
    for step in range(100):
        display.event({"step": step, "event": "revive_codes", "new_ones": 3})
    *shown, last = capsys.readouterr().out.splitlines()
    assert shown == [f"step {step}: revive codes, new ones 3" for step in range(20)]
    assert last == "more of these are in log.jsonl: revive codes"


def test_announcements_come_before_the_first_step_and_in_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    told = "codewords are replaced after step 5 of 6"
    assert announcements(recipe()) == [told]
    assert summarize(recipe())["announced"] == told
    steps.train(recipe(), tmp_path)
    out = capsys.readouterr().out
    assert 0 < out.index(told) < out.index("step 5")


def test_what_a_part_refuses_to_announce_is_refused_before_anything_is_written(tmp_path: Path):
    wanted = recipe(at=50)
    with pytest.raises(RecipeError, match="test: at: step 50 never comes in 6 steps"):
        steps.train(wanted, tmp_path / "run")
    with pytest.raises(RecipeError, match="never comes"):
        summarize(wanted)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["run", "check"])
def test_a_schedule_that_never_fires_is_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.chdir(tmp_path)
    rule = "{use: reestimate, rule: {use: gradient, num_codes: 64}, warm_up: 5000, every: 10}"
    override = (f"bottleneck={rule}", "train.steps=100")
    done = command(name, "speech/gradient", *override)
    assert done.code == 2
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert re.search(r"first reestimation is due after step 5000 .* in a run of 100 steps", done.err)
    assert list(tmp_path.iterdir()) == []


SCRIPT = """
import json, sys
from pathlib import Path
from tests.test_policies import recipe
from unitdisc import steps
steps.train(recipe(**json.loads(sys.argv[2])), Path(sys.argv[1]))
"""


def test_two_processes_carry_out_the_same_policies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(test_two_processes, "SCRIPT", SCRIPT)
    arguments = {"average": "restart", "steps": 6, "log_every": 2}
    test_two_processes.torchrun(tmp_path / "two", json.dumps(arguments))
    steps.train(recipe(**arguments), tmp_path / "one")
    one, two = final(tmp_path / "one"), final(tmp_path / "two")
    for file in ("model", "average", "optimizer", "health"):
        for name, value in one[file].items():
            torch.testing.assert_close(value, two[file][name], rtol=1e-5, atol=1e-5, msg=f"{file}: {name}")
    for ours, theirs in zip(log(tmp_path / "one"), log(tmp_path / "two"), strict=True):
        assert ours.keys() == theirs.keys()
        assert ours.get("events") == theirs.get("events")
        for name in ours.keys() - {"events", "frames_per_second"}:
            assert ours[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-6), name


def test_deterministic_sets_torchs_flags_and_puts_them_back(tmp_path: Path):
    def flags() -> tuple[object, ...]:
        return (
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.deterministic,
            torch.backends.cudnn.benchmark,
            os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        )

    seen = set()

    class Watching(Gradient):
        def forward(self, latents: Any) -> Any:
            if self.training:
                seen.add(flags())
            return super().forward(latents)

    before = flags()
    runs = {}
    for is_wanted in (False, True):
        wanted = toy_recipe(rule=(Watching, {"num_codes": 8}), deterministic=is_wanted, steps=4)
        steps.train(wanted, tmp_path / str(is_wanted))
        runs[is_wanted] = final(tmp_path / str(is_wanted))
    assert seen == {before, (True, True, False, ":4096:8")}
    assert flags() == before
    assert_same(runs[False], runs[True])


def test_an_operation_without_deterministic_form_names_the_key(tmp_path: Path):
    class Refused(Gradient):
        def after_step(self, progress: float) -> None:
            super().after_step(progress)
            torch.zeros(3).put_(torch.tensor([0]), torch.tensor([1.0]))  # refused on the CPU, too

    wanted = toy_recipe(rule=(Refused, {"num_codes": 8}), deterministic=True)
    with pytest.raises(
        RecipeError, match=r"^train\.deterministic: put_.* no deterministic form on this device"
    ):
        steps.train(wanted, tmp_path)
    assert not torch.are_deterministic_algorithms_enabled()
    assert settings.Train().deterministic is False
