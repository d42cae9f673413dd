"""The latency of translations: what is measured, in which order, and what it amounts to."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.plugins.test_translation_source import ENGLISH, GERMAN, write
from tests.tiny import command
from unitdisc import latency
from unitdisc.contenders import Contender, untrained
from unitdisc.errors import DataError
from unitdisc.parts import Padded
from unitdisc.recipe import read

SIZES = ["decoder.hidden=8", "decoder.layers=1", "decoder.heads=2", "decoder.inner=8", "data.vocab_size=330"]
CPU = torch.device("cpu")


class Clock:
    """Stands still but where work is done."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Latent:
    """Stands for a model that translates, with its parts: predicts latents in two milliseconds each, writes in one."""

    source = "source"

    def __init__(self, clock: Clock, log: list[tuple[str, int]], name: str, *, speed: float = 1.0) -> None:
        self.clock, self.log, self.name, self.speed = clock, log, name, speed
        self.device = CPU
        self.bottleneck = SimpleNamespace(lookup=None)

    def candidates(self, source: Padded, *, beam: int, watch, **_: object) -> list[list[torch.Tensor]]:
        watch.count("latents", 1, 2)
        return [[torch.zeros(1)] * beam]


def stand_in(
    latent: Latent, source: Padded, *, watch, beam, max_length, early_stop=True, teacher=None
) -> list[torch.Tensor]:
    """Do what `unitdisc.translation.translate` does."""
    latent.log.append((latent.name, int(source.lengths)))
    whole = 2 * int(source.lengths)
    predicted = whole // 2 if early_stop else whole
    latent.clock.now += 0.002 * predicted / latent.speed
    watch.count("latents", predicted, whole)
    watch.done("latents")
    latent.clock.now += 0.001 / latent.speed
    watch.done("decoder")
    return [torch.zeros(int(source.lengths), dtype=torch.long)]


@pytest.fixture
def made(monkeypatch):
    """Two stand-ins, the second twice as fast, and the log of who translated what."""
    clock, log = Clock(), []
    monkeypatch.setattr(latency, "time", clock)
    monkeypatch.setattr(latency, "translate", stand_in)
    monkeypatch.setattr(latency, "translator", lambda model: model)
    sources = [Padded(torch.zeros(1, n, dtype=torch.long), torch.tensor([n])) for n in (1, 2, 3, 4)]
    slow, fast = Latent(clock, log, "slow"), Latent(clock, log, "fast", speed=2)
    return [Contender(model.name, model, sources, None, {"recipe": "r"}) for model in (slow, fast)], log


def test_each_sentence_goes_to_all_before_the_next_and_another_begins_each_time(made):
    contenders, log = made
    latency.measure(contenders, beams=[1], warm_up=1)
    assert log[:2] == [("slow", 1), ("fast", 1)]  # warm-up
    assert log[2:8] == [("slow", 1), ("fast", 1), ("fast", 2), ("slow", 2), ("slow", 3), ("fast", 3)]


def test_latent_models_also_predict_all_latents_and_a_teacher_chooses_where_wanted(made):
    (slow, _), _ = made
    found = latency.measure([slow], beams=[1, 2], warm_up=0, with_whole=True, teacher=Path("t"))["rows"]
    ways = [(row["beam"], row.get("early_stop", True), row.get("teacher")) for row in found]
    assert ways == [(1, True, None), (1, False, None), (2, True, None), (2, False, None), (2, True, "t")]
    assert [row["counts"]["latents"] for row in found[:2]] == [[2.5, 5.0], [5.0, 5.0]]


def test_times_are_those_of_the_work_without_the_warm_up(made):
    contenders, _ = made
    slow, fast = latency.measure(contenders, beams=[1], warm_up=3)["rows"]
    taken = [2 * n + 1 for n in (1, 2, 3, 4)]
    assert slow["each_milliseconds"] == pytest.approx(taken)
    expected = {"median": 6, "mean": 6, "p95": np.percentile(taken, 95), "std": statistics.stdev(taken)}
    assert slow["milliseconds"] == pytest.approx(expected)
    assert slow["parts"]["latents"]["mean"] == pytest.approx(5)
    assert slow["parts"]["decoder"]["p95"] == pytest.approx(1)
    assert (slow["counts"], slow["tokens"]) == ({"latents": [2.5, 5.0]}, 2.5)
    assert slow["speed_up"] == {"median": 1, "low": 1, "high": 1}
    assert fast["speed_up"] == pytest.approx({"median": 2, "low": 2, "high": 2})


def test_the_speed_up_is_the_median_of_ratios_with_a_bootstrap_interval():
    rng = np.random.Generator(np.random.PCG64(3))
    taken = rng.uniform(1, 2, 200)
    found = latency.speed_up(taken * rng.normal(3, 0.2, 200), taken)
    assert found["low"] < found["median"] < found["high"]
    assert abs(found["median"] - 3) < 0.1
    # The median of n normal numbers has the deviation 1.2533 s / sqrt(n).
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * 1.2533 * 0.2 / 200**0.5, rel=0.35)


def test_a_cuda_device_is_waited_for_before_the_clock_is_read(monkeypatch):
    clock, waited = Clock(), []
    monkeypatch.setattr(latency, "time", clock)

    def synchronize(device: torch.device) -> None:
        waited.append(device)
        clock.now += 1  # what was still under way

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    timer = latency.Timer(torch.device("cuda", 1))
    timer.done("source")
    timer.done("decoder")
    timer.done("decoder")
    assert (timer.seconds, timer.total()) == ({"source": 1, "decoder": 2}, 4)
    assert waited == 5 * [torch.device("cuda", 1)]


def test_random_weights_read_and_write_as_many_tokens_as_asked_for():
    recipe = read("translation/autoregressive", preset="small", overrides=SIZES)
    found = latency.measure(untrained([recipe], CPU, sentences=3, length=7), beams=[1, 2], warm_up=0)
    assert [(row["beam"], row["tokens"], row["weights"]) for row in found["rows"]] == [
        (1, 7, "random"),
        (2, 7, "random"),
    ]
    assert (found["source_tokens"], found["sentences"]) == (7, 3)
    assert all(set(row["parts"]) == {"source", "decoder"} for row in found["rows"])


def test_latent_models_of_random_weights_write_as_many_tokens_and_predict_one_latent_more_than_these_need():
    sizes = [*SIZES, "encoder.dim=8", "latents.dim=8", "bottleneck.rule.num_codes=8"]
    recipe = read("translation/wmt14_ende_distilled/vq", preset="small", overrides=sizes)
    found = latency.measure(
        untrained([recipe], CPU, sentences=2, length=17), beams=[1], warm_up=0, with_whole=True
    )
    early, whole = found["rows"]
    assert (early["tokens"], whole["tokens"]) == (17, 17)
    assert (early["counts"]["latents"], whole["counts"]["latents"]) == ([4, 5], [5, 5])


@pytest.fixture
def run(tmp_path):
    """A run that has hardly been trained."""
    for split in ("train", "val", "test_2016_flickr"):
        write(tmp_path, split, ENGLISH, GERMAN)
    done = command(
        "train", "translation/autoregressive", "--preset", "small", f"data.root={tmp_path}", *SIZES,
        "train.steps=1", "train.warmup=0", "train.score_every=null", "--out", tmp_path / "run",
    )  # fmt: skip
    assert done.code == 0, done.err
    return tmp_path / "run"


def test_the_command_prints_a_table_and_writes_what_it_measured(run, tmp_path):
    out = tmp_path / "times.json"
    options = ["--sentences", "2", "--warm-up", "1", "--beam", "2", "--beam", "1"]
    done = command("latency", run, run, *options, "--out", out)
    assert done.code == 0, done.err
    found = json.loads(out.read_text())
    assert [row["beam"] for row in found["rows"]] == [2, 1, 2, 1]
    assert {"device", "threads", "torch", "warm_up", "left_out"} < set(found)
    first = found["rows"][0]
    assert (len(first["checkpoint_sha256"]), first["checkpoint_step"]) == (64, 1)
    assert "1: beam 2" in done.out
    assert "1.00 (1.00 to 1.00)" in done.out
    assert f"1: {run}" in done.out


def test_what_cannot_be_measured_is_refused_in_a_line(run, tmp_path):
    def refused(*arguments: object) -> str:
        done = command("latency", *map(str, arguments))
        assert done.code in {2, 3, 5}
        assert done.err.count("\n") == 1
        return done.err

    assert "give folders of runs, or with --recipe" in refused()
    assert "give folders of runs, or with --recipe" in refused(run, "data.vocab_size=400")
    assert "no source of 999 tokens or more; lower --min-tokens" in refused(run, "--min-tokens", 999)
    assert "so nothing is translated" in refused("--recipe", "speech/ema")
    assert "--length: says nothing beside runs" in refused(run, "--length", 9)
    assert "--split: says nothing beside --recipe" in refused("--recipe", "speech/ema", "--split", "dev")
    assert "there is no folder" in refused(run, "--out", tmp_path / "none" / "x.json")


def test_runs_that_are_scored_on_other_sentences_are_refused(run, tmp_path):
    from unitdisc.contenders import trained
    from unitdisc.run import load

    first, second = load(run), load(run)
    texts = {"source": "another sentence"}
    second.source.split("test").fields = lambda index: texts
    with pytest.raises(DataError, match="sentence 1 of split test is not that of"):
        trained([first, second], CPU, split=None, sentences=2, min_tokens=1)
