"""Alarms: each kind once until it is over, with advice that names keys of the recipe; logged, shown, or the end."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.test_train import log
from tests.toy import toy_recipe
from unitdisc import checkpoint, settings, steps
from unitdisc.alarms import Alarms
from unitdisc.display import Display
from unitdisc.errors import Interrupted, TrainingError
from unitdisc.recipe import Use
from unitdisc.train import Trainer
from unitdisc_ema.rule import EMA
from unitdisc_gradient.rule import Gradient


def lines(count: int = 6, **numbers: Any) -> list[dict[str, Any]]:
    """Return log lines at 10, 20, ... of a run that is well, but for ``numbers`` (a value or one per line)."""
    well = {"perplexity": 200.0, "latents": 90_000, "bottleneck": 0.2, "bottleneck.norm_ratio": 0.9}
    well |= {"epoch_dead": 0.1, "epoch_latents": 90_000, "near_zero_counts": 0.0, "skipped_share": 0.0}
    return [
        {"step": 10 * (number + 1)}
        | {
            name: value[number] if isinstance(value, list) else value
            for name, value in (well | numbers).items()
        }
        for number in range(count)
    ]


def told(records: list[dict[str, Any]], *, rule: Any = None, **more: Any) -> list[tuple[int, str, str]]:
    recipe = toy_recipe(
        rule=rule or (Gradient, {"num_codes": 512, "lr_scale": 1.0, "commitment": 0.25}),
        **{"steps": 60, "log_every": 10, **more},
    )
    alarms = Alarms(recipe, 512)
    return [
        (event["step"], event["kind"], event["change"]) for record in records for event in alarms.look(record)
    ]


def test_a_run_that_is_well_raises_no_alarm():
    assert told(lines()) == []


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({"perplexity": [1, 1, 9, 12, 16, 9]}, [(20, "collapse"), (60, "collapse")]),
        ({"perplexity": 2.0, "latents": 80}, []),
        ({"bottleneck.norm_ratio": [9, 1.4, 1.6, 1.3, 1.1, 1.5]}, [(30, "scale"), (60, "scale")]),
        ({"epoch_dead": [0.99, 0.5, 0.91, 0.85, 0.7, 0.95]}, [(30, "dead"), (60, "dead")]),
        ({"epoch_dead": 0.95, "epoch_latents": 5000}, []),
        ({"bottleneck": [0.01, 0.1, 0.5, 1.1, 0.6, 0.7]}, [(40, "growth")]),
        ({"near_zero_counts": [0.6, 0.45, 0.3, 0.4, 0.5, 0.6]}, [(10, "counts"), (50, "counts")]),
        ({"skipped_share": [0.1, 0.2, 0, 0, 0.1, 0]}, [(10, "skipped"), (50, "skipped")]),
    ],
)
def test_each_kind_is_told_once_until_it_is_over(numbers: dict[str, Any], expected: list[tuple[int, str]]):
    assert [(step, kind) for step, kind, _ in told(lines(**numbers))] == expected


def test_lines_without_a_figure_leave_an_alarm_as_it_is():
    records = lines(epoch_dead=[0.1, 0.95, 0, 0, 0, 0.95])
    for record in records[2:5]:
        del record["epoch_dead"], record["epoch_latents"]
    assert [step for step, _, _ in told(records)] == [20]


def test_fp16_may_skip_steps_now_and_then():
    records = lines(skipped_share=[0.05, 0.02, 0.2, 0, 0, 0])
    assert [step for step, _, _ in told(records, amp="fp16")] == [30]


def test_a_warm_up_is_quiet():
    class Warming(Gradient):
        def __init__(self, dim: int, *, num_codes: int = 8, warm_up: int = 0) -> None: ...

    records = lines(perplexity=1.0)
    assert [step for step, _, _ in told(records, rule=(Warming, {"num_codes": 512, "warm_up": 30}))] == [40]
    assert [step for step, _, _ in told(records, warmup=20)] == [30]


TROUBLE: dict[str, dict[str, Any]] = {
    "collapse": {"perplexity": 1.0},
    "scale": {"bottleneck.norm_ratio": 3.0},
    "dead": {"epoch_dead": 0.95},
    "growth": {"bottleneck": [0.1, 0.1, 9, 9, 9, 9]},
    "counts": {"near_zero_counts": 0.9},
    "skipped": {"skipped_share": 0.5},
}


@pytest.mark.parametrize("kind", TROUBLE)
@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize(
    "rule",
    [
        (EMA, {"num_codes": 512, "init": "normal", "init_count": 0.0, "commitment": 0.25}),
        (Gradient, {"num_codes": 512, "init": "uniform", "lr_scale": 1.0, "commitment": 0.25}),
    ],
)
def test_advice_names_keys_that_this_recipe_has(kind: str, norm: Any, rule: Any):
    latents = settings.Latents(norm=norm, dim=4)
    ((_, found, change),) = told(lines(**TROUBLE[kind]), rule=rule, latents=latents)
    assert found == kind
    sections = {"latents": vars(settings.Latents()), "train": vars(settings.Train()), "bottleneck": rule[1]}
    for part in change.split("; or "):
        path, _, value = part.partition(": ")
        section, _, name = path.partition(".")
        assert value
        assert name in sections[section] or value.startswith(
            ("{use: reestimate, rule: {use: ", "{use: revive, ")
        )
    assert ("latents.norm: batch" in change) == (norm == "none" and kind in {"collapse", "scale", "growth"})
    assert ("lr_scale: 10" in change) == (rule[0] is Gradient and kind == "collapse")
    assert ("init_count: 1" in change) == (rule[0] is EMA and kind == "counts")


def test_advice_finds_keys_of_the_rule_inside():
    inside = Use("bottleneck", "gradient", Gradient, {"num_codes": 512, "lr_scale": 1.0}, "test")
    ((_, _, change),) = told(lines(perplexity=1.0), rule=(Trainer, {"rule": inside}))
    assert change == "bottleneck.rule.lr_scale: 10"


def collapsing() -> dict[str, Any]:
    """Return a recipe whose codewords are 1,000 times as long as its latents."""

    class Long(Gradient):
        def first_codebook(self) -> torch.Tensor:
            return super().first_codebook() * 1000 + 500

    return {
        "rule": (Long, {"num_codes": 8, "lr_scale": 1.0}),
        "steps": 20,
        "log_every": 4,
        "checkpoint_every": 50,
    }


def test_alarms_are_logged_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    steps.train(toy_recipe(**collapsing()), tmp_path)
    events = [event for line in log(tmp_path) for event in line.get("events", [])]
    assert [(event["step"], event["kind"]) for event in events if event["kind"] == "scale"] == [(8, "scale")]
    assert all(event["event"] == "alarm" for event in events)
    assert "step 8: warning: scale: used codewords are " in capsys.readouterr().out


def test_a_resumed_run_does_not_repeat_alarms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    recipe = toy_recipe(**(collapsing() | {"checkpoint_every": 5}))
    with monkeypatch.context() as patch:
        patch.setattr(
            Display, "step", lambda self, step: os.kill(os.getpid(), signal.SIGTERM) if step == 11 else None
        )
        with pytest.raises(Interrupted):
            steps.train(recipe, tmp_path)
    steps.train(recipe, tmp_path)
    kinds = [event["kind"] for line in log(tmp_path) for event in line.get("events", [])]
    assert len(kinds) == len(set(kinds)) > 0


def test_alarms_stop_training_and_everything_is_saved(tmp_path: Path):
    recipe = toy_recipe(**collapsing(), alarms="stop")
    with pytest.raises(TrainingError) as caught:
        steps.train(recipe, tmp_path)
    text = str(caught.value)
    assert text.startswith("step 8: ")
    assert "scale: used codewords are " in text
    assert "\n" not in text
    found, _ = checkpoint.newest(tmp_path / "checkpoints")
    assert found is not None
    assert found.step == log(tmp_path)[-1]["step"] == 8
    steps.train(recipe, tmp_path)  # all the same
    assert log(tmp_path)[-1]["step"] == 20


def test_without_alarms_nothing_is_said(tmp_path: Path):
    steps.train(toy_recipe(**collapsing(), alarms="off"), tmp_path)
    assert all("events" not in line for line in log(tmp_path))
