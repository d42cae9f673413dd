"""The benchmarks run and say where they were made; what they measure is in ``benchmarks.md``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.plugins.test_translation_source import ENGLISH, GERMAN, write

BENCHMARKS = Path(__file__).parent / "benchmarks"
FACTS = {"device", "cores", "load", "python", "torch", "threads", "commit", "changed", "seed", "runs"}
SPREAD = {"median", "p10", "p90"}


def run(script: str, *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, BENCHMARKS / script, "--runs", "2", "--threads", "1", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def measured(script: str, *arguments: str) -> list[dict]:
    return [json.loads(line) for line in run(script, *arguments, "--json").splitlines()]


def test_startup_times_whole_processes():
    python, shown = measured("startup.py", "--only", "python", "help")
    keys = {"benchmark", "command", "seconds", "cpu_seconds", "compiled", "target_seconds"}
    assert set(shown) == keys | FACTS
    assert shown["command"] == "unitdisc --help"
    assert (python["target_seconds"], shown["target_seconds"]) == (None, 0.2)
    assert set(shown["seconds"]) == set(shown["cpu_seconds"]) == SPREAD


def test_a_startup_table_states_its_facts():
    table, _, facts = run("startup.py", "--only", "python").rpartition("\n\n")
    assert [line.count("|") for line in table.splitlines()] == [5, 5, 5]
    assert facts.startswith("Seed 0, 2 runs, ")
    assert " on 1 threads, " in facts
    assert " commit " in facts


def test_codebook_measures_every_shape_and_case():
    found = measured("codebook.py", "--shapes", "32,4,8", "15,2,2x4", "--cases", "ema")
    assert [(item["case"], item["shape"]) for item in found] == [
        ("ema", [32, 4, 1, 8]),
        ("ema", [15, 2, 2, 4]),
    ]
    keys = {"benchmark", "case", "shape", "peak_bytes", "wrong_codes", "peer"}
    ratios = {"ratio", "cpu_ratio", "floor_seconds"}
    for item in found:
        assert set(item) == keys | ratios | FACTS
        assert all(set(item[ratio]) == SPREAD for ratio in ratios)
        assert item["wrong_codes"] == 0
        assert item["peak_bytes"] > 0


def test_clustering_measures_both_sides():
    seeds, late = measured(
        "clustering.py", "--shape", "600,8,50", "--batches", "50", "--cases", "seeds", "late_numpy"
    )
    assert (seeds["case"], late["case"]) == ("seeds", "late_numpy")
    both = {"benchmark", "case", "shape", "ratio", "seconds", "peer_seconds", "peer"}
    assert set(seeds) == both | {"inertia", "peer_inertia"} | FACTS
    assert set(late) == both | {"vectors_per_second", "peer_vectors_per_second"} | FACTS
    assert seeds["inertia"] > 0


def test_pruning_counts_and_takes_times():
    sizes = ["--latents", "64", "--codes", "16", "--groups", "4", "--search", "32"]
    count, *timed = measured("pruning.py", *sizes)
    assert (count["num_latents"], count["num_codes"], count["groups"]) == (64, 16, 4)
    for bound in ("ball", "plane"):
        assert 4 / 16 <= count[bound]["oracle"] <= count[bound]["before"]  # the centres at least
    assert [item["num_codes"] for item in timed] == [32, 32]
    assert all(item["pruned_to_nearest"]["median"] > 0 for item in timed)


def test_a_training_step_is_the_sum_of_its_parts():
    found = {item["part"]: item for item in measured("training.py")}
    keys = {"benchmark", "part", "seconds", "share", "frames_per_second", "recipe"}
    assert all(set(item) == keys | FACTS for item in found.values())
    whole = ["loading", "forward", "backward", "optimiser", "after_step", "rest"]
    assert sum(found[part]["share"] for part in whole) == pytest.approx(1)
    assert all(found[part]["share"] > 0 for part in whole)
    inner = ["standardize", "encoder", "project", "bottleneck", "decoder", "probe", "ctc"]
    assert {f"forward.{part}" for part in inner} < set(found)
    assert set(found["step"]["frames_per_second"]) == SPREAD


def test_speech_compares_training_and_export_with_the_encoder_alone():
    tiny = ["encoder.hidden=8", "encoder.layers=1", "encoder.channels=[4,4]", "bottleneck.num_codes=16"]
    training, export = measured("speech.py", "--preset", "small", *tiny)
    rates = {"frames_per_second", "ceiling_frames_per_second", "ratio", "passes_ratio"}
    for item, task in ((training, "training"), (export, "export")):
        assert set(item) == {"benchmark", "task", "shares", "recipe", "cpu_ratio"} | rates | FACTS
        assert item["task"] == task
        assert (item["cpu_ratio"] is None) == (task == "training")
        assert sum(item["shares"].values()) == pytest.approx(1)
        assert all(set(item[rate]) == SPREAD and item[rate]["p10"] > 0 for rate in rates)


def test_pixel_cnn_draws_and_trains_in_turns_with_its_peers():
    tiny = ["--sizes", "4,2", "--columns", "9", "--lines", "2", "--batch", "3", "--naive", "2"]
    drawing, training = measured("pixel_cnn.py", *tiny)
    times = {"seconds", "peer_seconds", "pixels_per_second", "ratio"}
    for item, task, lines in ((drawing, "sampling", 2), (training, "training", 3)):
        assert set(item) == {"benchmark", "task", "size", "lines", "columns"} | times | FACTS
        assert (item["task"], item["lines"], item["size"]) == (task, lines, [4, 2])
        assert all(set(item[time]) == SPREAD and item[time]["p10"] > 0 for time in times)


def test_a_step_takes_turns_with_a_bare_loop():
    tiny = ["encoder.channels=[4,4,4,4,4,4,4]", "latents.dim=4", "bottleneck.num_codes=8", "train.crop=32"]
    (found,) = measured("bare.py", "--preset", "small", *tiny, "train.batch_frames=256")
    times = {"seconds", "bare_seconds", "ratio", "examples_per_second"}
    assert set(found) == {"benchmark", "peak_bytes", "bare_peak_bytes", "recipe", "preset"} | times | FACTS
    assert (found["recipe"], found["preset"]) == ("handwriting/ema", "small")
    assert all(set(found[time]) == SPREAD and found[time]["p10"] > 0 for time in times)
    assert (
        found["examples_per_second"]["p90"] * found["seconds"]["p90"] >= 8
    )  # crops of 32 columns in a batch of 256


def test_abx_measures_cells_of_the_warping_beside_plain_numpy():
    units, vectors = measured("abx.py", "--dims", "0", "13", "--tokens", "40", "--naive", "2")
    times = {"ns_per_cell", "cpu_ns_per_cell", "peer_ns_per_cell", "ratio"}
    for item, dim in ((units, 0), (vectors, 13)):
        assert set(item) == {"benchmark", "dim", "tokens", "contexts", "cells", "peak_bytes"} | times | FACTS
        assert (item["dim"], item["tokens"], item["contexts"]) == (dim, 40, 1)
        assert item["cells"] > 40 * 39 * 9
        assert all(set(item[time]) == SPREAD and item[time]["p10"] > 0 for time in times)


def test_translation_trains_its_peer_and_writes_in_turns_with_it(tmp_path):
    pytest.importorskip("sacrebleu")
    for split in ("train", "val", "test_2016_flickr"):
        write(tmp_path, split, ENGLISH, GERMAN)
    sizes = ["decoder.hidden=8", "decoder.layers=1", "decoder.heads=2", "decoder.inner=8"]
    short = ["data.vocab_size=330", "train.steps=2", "train.batch_frames=400", f"data.root={tmp_path}"]
    peer = ["--peer", str(tmp_path / "peer")]
    found = measured("translation.py", "--beams", "2", *peer, *sizes, *short)
    keys = {"benchmark", "decoder", "before", "beam", "bleu", "seconds", "ratio"}
    assert all(set(item) == keys | FACTS for item in found)
    ways = [(item["decoder"], item["before"]) for item in found if item["beam"] == 2]
    assert ways == [
        (decoder, before) for decoder in ("ours", "peer in ours", "peer") for before in ("kept", "again")
    ]
    assert len(list((tmp_path / "peer" / "checkpoints").iterdir())) == 1


def test_scores_say_how_fast_they_count_and_what_they_keep():
    tiny = ("--frames", "20000", "--codes", "50", "--intervals", "3")
    (shown,) = measured("scores.py", "--only", "pnmi", *tiny)
    keys = {
        "benchmark",
        "metric",
        "frames",
        "codes",
        "frames_per_cpu_second",
        "compute_cpu_seconds",
        "peak_mib",
        "target_mib",
    }
    assert set(shown) == keys | {"value", "samples", "half"} | FACTS
    assert (shown["frames"], shown["target_mib"], shown["samples"]) == (20_000, 2048, 3)
    assert 0 < shown["half"] < shown["value"] < 1
    assert shown["peak_mib"] > 10


@pytest.fixture
def codebook(monkeypatch):
    """The module of the codebook benchmark."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import codebook

    yield codebook
    for name in ("codebook", "measurement"):
        sys.modules.pop(name)


def test_codes_that_are_not_the_nearest_void_a_timing(codebook):
    books = torch.tensor([[[0.0], [1.0]]])
    latents = torch.tensor([[0.1], [0.9], [0.8], [0.2]])
    case = codebook.Case(lambda: torch.tensor([0, 1, 0, 0]), latents, books)
    assert codebook._wrong(case) == 0.25
    some = {"median": 2.0, "p10": 1.0, "p90": 3.0}
    item = {"case": "ema", "ratio": some, "cpu_ratio": some, "floor_seconds": some, "peak_bytes": 32}
    assert "void: 25.00% wrong codes" in codebook._row({**item, "shape": [4, 1, 1, 2], "wrong_codes": 0.25})
    assert "2.00 (1.00 to 3.00)" in codebook._row({**item, "shape": [4, 1, 1, 2], "wrong_codes": 0.0})


def test_peak_memory_counts_what_is_held_at_once(codebook):
    def run() -> None:
        for _ in range(3):
            torch.zeros(1000)  # 4000 bytes, freed before the next
        kept = torch.zeros(500)
        kept.add(1)

    assert 4000 <= codebook._peak_bytes(run) < 4100  # filling takes a number or two
