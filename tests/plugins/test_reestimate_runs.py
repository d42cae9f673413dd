"""Runs with reestimation: exact resume, and two processes, also of revive and k_means."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.plugins import share_codebooks
from tests.test_train import assert_same, final, log
from tests.toy import toy_recipe
from unitdisc import steps as run_steps
from unitdisc.parts import Bottleneck
from unitdisc.recipe import Use
from unitdisc.train import Trainer
from unitdisc_ema.rule import EMA
from unitdisc_gradient.rule import Gradient
from unitdisc_reestimate.rule import Reestimate
from unitdisc_revive.rule import Revive


def nested(inner: type[Bottleneck], **settings: Any) -> tuple[type, dict[str, Any]]:
    """A recipe's section of reestimate around ``inner``, alone or inside revive."""
    use = partial(Use, kind="bottleneck", where="test")
    rule = use(name="inner", component=inner, arguments={"num_codes": 8})
    if settings.pop("revive", False):
        arguments = {"rule": rule, "every": 2, "patience": 2, "threshold": 0.5}
        rule = use(name="revive", component=Revive, arguments=arguments)
    return Reestimate, {"rule": rule, "warm_up": 3, "every": 3, "duration": 8, "capacity": 60, **settings}


@pytest.mark.parametrize(
    ("inner", "settings", "last"),
    [
        (Gradient, {"average": "restart", "reset_reservoir": "reestimation"}, 4),
        (EMA, {"lloyd": 2, "counts": "keep", "reset_reservoir": "interval"}, 2),
        (EMA, {"revive": True}, 7),
    ],
)
def test_a_run_stopped_in_the_middle_of_reestimation_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inner, settings, last
):
    recipe = toy_recipe(
        rule=nested(inner, **settings), encoder={"dropout": 0.2}, average=0.9, crop=11, checkpoint_every=1
    )
    run_steps.train(recipe, tmp_path / "whole")
    take = Trainer._take_step

    def dies(self: Trainer, *arguments: Any, **more: Any) -> Any:
        if self.step == last:
            raise MemoryError("killed")
        return take(self, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_take_step", dies)
        with pytest.raises(MemoryError):
            run_steps.train(recipe, tmp_path / "cut")
    run_steps.train(recipe, tmp_path / "cut")

    assert_same(final(tmp_path / "whole"), final(tmp_path / "cut"))
    for path in ("whole", "cut"):
        events = [event for record in log(tmp_path / path) for event in record.get("events", [])]
        assert [event["step"] for event in events if event["event"] == "reestimate"] == [3, 6, 9]


def test_two_ranks_hold_what_one_process_holds(tmp_path: Path):
    """Of reestimate, revive and k_means; reservoirs overflow and codes die in each."""
    alone = share_codebooks.learn(list(range(len(share_codebooks.LENGTHS))))
    assert int(alone["both.progress"][1]) == 2
    for state in share_codebooks.learn_with_two_ranks(tmp_path):
        assert state.keys() == alone.keys()
        for name, value in alone.items():
            torch.testing.assert_close(
                state[name], value, rtol=1e-6, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
            )
