"""Figures of the codebook over epochs against slow loops, their page, and work that is interrupted."""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests import tiny
from tests.test_report import Checker, data
from tests.test_train import assert_same, final, log
from tests.toy import toy_recipe
from unitdisc import steps
from unitdisc.codebook import batch_stats, quantize
from unitdisc.errors import Interrupted
from unitdisc.health import Health
from unitdisc.report import html
from unitdisc.report.health import health_charts
from unitdisc.stopping import interruptible
from unitdisc.train import Trainer
from unitdisc_ema.rule import EMA
from unitdisc_gradient.rule import Gradient

NUM_CODES = 8


def entropy_perplexity(codes: list[int]) -> float:
    shares = [count / len(codes) for count in Counter(codes).values()]
    return math.prod(share**-share for share in shares)


def watched(patch: pytest.MonkeyPatch) -> list[tuple[int, int, list[int]]]:
    """Return what fills with each step's (number, epoch in which it begins, codes)."""
    seen: list[tuple[int, int, list[int]]] = []
    take, add = Trainer._take_step, Health.add

    def takes(self: Trainer, *arguments: Any, **more: Any) -> Any:
        seen.append((self.step + 1, -1, []))
        return take(self, *arguments, **more)

    def adds(self: Health, counts: Any) -> None:
        codes = [] if counts is None else [k for k, n in enumerate(counts[0].tolist()) for _ in range(n)]
        seen[-1] = (seen[-1][0], -1, codes)
        add(self, counts)

    patch.setattr(Trainer, "_take_step", takes)
    patch.setattr(Health, "add", adds)
    return seen


def epochs_of(recipe: Any, num_steps: int) -> list[int]:
    """Return for each step the epoch in which it begins, from the plan alone."""
    from unitdisc.plan import Position, Stream

    split = recipe.data.build().split("train")
    stream = Stream(split.lengths, recipe.train.batch_frames, recipe.seed)
    positions = [
        Position(),
        *(after for _, after in itertools.islice(stream.batches(Position()), 99)),
    ]
    return [positions[step * recipe.train.batches_per_step].epoch for step in range(num_steps)]


def test_figures_are_those_of_epochs_and_not_of_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    recipe = toy_recipe(steps=20, log_every=3)
    seen = watched(monkeypatch)
    steps.train(recipe, tmp_path)
    epochs = epochs_of(recipe, 21)
    logged = 0
    for line in log(tmp_path):
        number = line["step"]
        now = epochs[number]  # where the next step begins
        so_far = [
            code for step, _, codes in seen if step <= number and epochs[step - 1] == now for code in codes
        ]
        assert line.get("running_latents", 0) == len(so_far)
        if so_far:
            assert line["running_perplexity"] == pytest.approx(entropy_perplexity(so_far), rel=1e-4)
            assert line["running_dead"] == pytest.approx(1 - len(set(so_far)) / NUM_CODES)
        ended = now > epochs[max(number - 3, 0)]
        assert ended == ("epoch_perplexity" in line)
        if ended:
            last = max(epoch for step, epoch in enumerate(epochs[:number]) if epochs[step + 1] > epoch)
            whole = [code for step, _, codes in seen if epochs[step - 1] == last for code in codes]
            assert line["epoch_latents"] == len(whole)
            assert line["epoch_perplexity"] == pytest.approx(entropy_perplexity(whole), rel=1e-4)
            assert line["epoch_dead"] == pytest.approx(1 - len(set(whole)) / NUM_CODES)
            logged += 1
    assert logged >= 3


@pytest.mark.parametrize("dies_at", [5, 7, 10])
def test_a_resumed_run_logs_the_same_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: int):
    recipe = toy_recipe(steps=16, log_every=4, checkpoint_every=3)
    steps.train(recipe, tmp_path / "whole")
    take = Trainer._take_step

    def dies(self: Trainer, *arguments: Any, **more: Any) -> Any:
        if self.step == dies_at:
            raise MemoryError("killed")
        return take(self, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_take_step", dies)
        with pytest.raises(MemoryError):
            steps.train(recipe, tmp_path / "cut")
    steps.train(recipe, tmp_path / "cut")
    assert_same(final(tmp_path / "whole"), final(tmp_path / "cut"))
    figures = [
        [
            {
                name: value
                for name, value in line.items()
                if name.startswith(("running", "epoch_", "churn", "near"))
            }
            for line in log(tmp_path / name)
        ]
        for name in ("whole", "cut")
    ]
    assert figures[0] == figures[1]
    assert sum("churn" in line for line in figures[0]) >= 2


def test_churn_is_the_share_of_fixed_latents_whose_code_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Read in evaluation mode and without a trace in weights or codebook."""
    seen = []
    probed = Health._probed

    def watching(self: Health) -> Any:
        before = {name: value.clone() for name, value in self.model.state_dict().items()}
        codes = probed(self)
        assert self.model.training
        assert all(torch.equal(value, before[name]) for name, value in self.model.state_dict().items())
        seen.append((codes.clone(), self.probe.inputs.lengths.clone()))
        return codes

    monkeypatch.setattr(Health, "_probed", watching)
    steps.train(toy_recipe(steps=24, encoder={"dropout": 0.3}), tmp_path)
    found = [line["churn"] for line in log(tmp_path) if "churn" in line]
    assert len(found) == len(seen) - 1 >= 3
    for churn, (before, _), (after, _) in zip(found, seen, seen[1:], strict=False):
        changed = sum(
            a != b for a, b in zip(before.flatten().tolist(), after.flatten().tolist(), strict=True)
        )
        assert churn == pytest.approx(changed / len(before))
    assert all(torch.equal(lengths, seen[0][1]) for _, lengths in seen)
    assert len(seen[0][0]) == sum((length + 1) // 2 for length in seen[0][1].tolist())
    assert len(seen[0][1]) * int(seen[0][1].max()) <= 100  # one micro-batch


def test_a_probe_that_is_not_finite_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("unitdisc.standardize.measure_", lambda layer, split: None)
    monkeypatch.setattr(Health, "_chosen", lambda self: bad)
    from unitdisc.parts import Batch, Padded

    bad = Batch(["u"], Padded(torch.full((1, 6, 6), math.nan), torch.tensor([6])))
    steps.train(toy_recipe(steps=12), tmp_path)
    assert all("churn" not in line for line in log(tmp_path))
    assert any("epoch_perplexity" in line for line in log(tmp_path))


def test_counts_near_zero_are_a_share_of_all_codes(tmp_path: Path):
    steps.train(toy_recipe(rule=(EMA, {"num_codes": 64, "decay": 0.1}), steps=12), tmp_path)
    counts = final(tmp_path)["model"]["bottleneck.counts"].flatten().tolist()
    assert log(tmp_path)[-1]["near_zero_counts"] == sum(count < 1e-3 for count in counts) / 64 > 0
    steps.train(toy_recipe(rule=(Gradient, {"num_codes": 8})), tmp_path / "gradient")
    assert "near_zero_counts" not in log(tmp_path / "gradient")[-1]


@pytest.mark.parametrize("books", [1, 2])
def test_stats_of_a_batch_against_loops(books: int):
    generator = torch.Generator().manual_seed(5)
    latents = torch.randn(40, 6, generator=generator) + 1
    codebook = torch.randn(books, 5, 6 // books, generator=generator)
    found = quantize(latents, codebook)
    stats = batch_stats(latents, found.codes, codebook, error=found.commitment_loss)
    blocks = latents.double().view(40, books, -1).numpy()
    table, codes = codebook.double().numpy(), found.codes.numpy()
    lost = sum(np.square(blocks[n, q] - table[q, codes[n, q]]).sum() for n in range(40) for q in range(books))
    ratios, used, evenness = [], 0, []
    for q in range(books):
        distinct = set(codes[:, q].tolist())
        used += len(distinct)
        words = np.mean([np.linalg.norm(table[q, k]) for k in distinct])
        ratios.append(words / np.mean([np.linalg.norm(blocks[n, q]) for n in range(40)]))
        evenness.append(entropy_perplexity(codes[:, q].tolist()))
    assert float(stats["quantization_error"]) == pytest.approx(lost / np.square(blocks).sum(), rel=1e-5)
    assert float(stats["norm_ratio"]) == pytest.approx(np.mean(ratios), rel=1e-5)
    assert float(stats["used"]) == pytest.approx(used / 5 / books)
    assert float(stats["batch_perplexity"]) == pytest.approx(np.mean(evenness), rel=1e-5)


def test_norms_of_many_latents_are_sampled_over_the_whole_batch():
    latents = torch.linspace(0, 2, 5000)[:, None].repeat(1, 4)
    found = quantize(latents, torch.ones(1, 2, 4))
    stats = batch_stats(latents, found.codes, torch.ones(1, 2, 4), error=found.commitment_loss)
    assert float(stats["norm_ratio"]) == pytest.approx(1, rel=2e-3)
    assert float(stats["quantization_error"]) == pytest.approx((1 / 3) / (4 / 3), rel=5e-3)


def health_log() -> list[dict[str, Any]]:
    log = []
    for step in range(50, 1050, 50):
        line = {
            "step": step,
            "loss": 1.0,
            "bottleneck.norm_ratio": 1 / step,
            "bottleneck.quantization_error": 0.3,
        }
        if step % 100 == 0:
            line |= {"epoch_perplexity": step / 10, "epoch_dead": 0.5, "churn": 10 / step}
        log.append(line)
    log[3]["events"] = [{"step": 190, "event": "reestimate", "perplexity_after": 7.0}]
    alarm = {"event": "alarm", "kind": "scale", "says": "3 times <as> long", "change": "latents.norm: batch"}
    log[5]["events"] = [{"step": 300, **alarm}]
    return log


def test_the_report_draws_health_with_reestimations_and_alarms():
    page = Checker(html(data(log=health_log())))
    assert "Codebook health" in page.text
    assert "step 300, scale: 3 times <as> long; change latents.norm: batch" in page.text
    captions = [name for name, svg in health_charts(health_log()) if svg]
    assert len(captions) == 5
    assert all(name.endswith("(upright lines: reestimate)") for name in captions)
    assert sum(attributes.get("class") == "mark" for _, attributes in page.tags) == 5


def test_a_log_without_health_draws_none():
    assert "Codebook health" not in html(data())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_work_outside_of_training_is_interrupted_with_a_message(number: signal.Signals):
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(Interrupted, match="go on"), interruptible("go on"):
        signal.raise_signal(number)
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_run_terminated_while_it_scores_says_how_to_go_on(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
):
    recipe = tiny.corpora(tmp_path_factory.getbasetemp()) / "lines.yaml"
    script = (
        "import os, signal, sys; from unitdisc import cli, steps\n"
        "steps.evaluate = lambda run: os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    program = tmp_path / "terminated.py"
    program.write_text(script)
    folder = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, str(program), "run", str(recipe), "train.steps=3", "--out", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert (done.returncode, done.stderr) == (
        130,
        f"unitdisc: stopped; what was finished is kept; go on with: unitdisc run {folder}\n",
    )
    assert json.loads((folder / "log.jsonl").read_text().splitlines()[-1])["step"] == 3
