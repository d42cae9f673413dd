"""A package that only knows the documented interface works like a bundled plugin."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import torch

from unitdisc import plugins
from unitdisc.metric import Evaluated
from unitdisc.parts import Padded
from unitdisc.testing import check_bottleneck, check_exporter, check_metric
from unitdisc.units import Units

RECIPE = """
data: {use: lines, corpus: {use: digit_lines, lines: 12, test_lines: 4}}
encoder: {use: line_conv, channels: [4, 4, 4, 4, 4, 4, 4]}
latents: {norm: batch, dim: 8}
bottleneck: {use: random_codes, num_codes: 16}
decoder: {use: grey_levels, levels: 4}
metrics: {run: {use: mean_run}}
train: {steps: 3, batch_frames: 1024, crop: 64}
export: {splits: [test], formats: [jsonl]}
"""
OFFERED = {("bottleneck", "random_codes"), ("metric", "mean_run"), ("exporter", "tsv")}


def test_it_is_listed_with_its_distribution_and_version(third_party_site, unitdisc):
    shown = json.loads(unitdisc("plugins", "--json", site=third_party_site).stdout)
    theirs = [item for item in shown["components"] if item["distribution"] == "unitdisc-example"]
    assert {(item["kind"], item["name"]) for item in theirs} == OFFERED
    assert {item["version"] for item in theirs} == {"0.3.0"}
    assert "example" not in {item["plugin"] for item in shown["not_loaded"]}


def test_its_parameters_are_described(third_party_site, unitdisc):
    text = unitdisc("plugins", "bottleneck", "random_codes", site=third_party_site).stdout
    assert "bottleneck 'random_codes' of unitdisc-example 0.3.0" in text
    assert "after BEST-RQ" in text
    assert "Size K of the codebook." in text
    shown = json.loads(
        unitdisc("plugins", "bottleneck", "random_codes", "--json", site=third_party_site).stdout
    )
    parameters = {item["name"]: item for item in shown["parameters"]}
    assert parameters["num_codes"]["default"] == 64
    assert parameters["dim"]["supplied"]


@pytest.mark.usefixtures("third_party")
def test_it_stands_in_the_origins_of_a_run():
    assert {"distribution": "unitdisc-example", "version": "0.3.0"} in plugins.origins()


@pytest.mark.usefixtures("third_party")
def test_it_keeps_the_contracts():
    check_bottleneck(partial(plugins.load("bottleneck", "random_codes"), num_codes=5))
    check_metric(plugins.load("metric", "mean_run"))
    check_exporter(plugins.load("exporter", "tsv")())


@pytest.mark.usefixtures("third_party")
def test_its_rule_gives_the_nearest_of_its_fixed_codes():
    rule = plugins.load("bottleneck", "random_codes")(dim=4, num_codes=6)
    torch.manual_seed(1)
    latents = Padded(torch.randn(2, 5, 4, requires_grad=True), torch.tensor([5, 3]))
    quantized = rule(latents)
    for b, length in enumerate([5, 3]):
        for s in range(5):
            distances = [(latents.values[b, s] - row).norm().item() for row in rule.codebook]
            expected = distances.index(min(distances)) if s < length else -1
            assert quantized.codes[b, s].tolist() == [expected]
    quantized.values.sum().backward()
    assert torch.equal(latents.values.grad, latents.mask[..., None].expand(2, 5, 4).float())


@pytest.mark.usefixtures("third_party")
def test_its_metric_counts_runs():
    metric = plugins.load("metric", "mean_run")()
    for codes in ([3, 3, 3, 1], [1, 1], []):
        metric.update(Evaluated("a", np.array(codes).reshape(-1, 1), 4, 2 * len(codes), 2))
    assert metric.compute() == {"value": 2.0, "runs": 3}


@pytest.mark.usefixtures("third_party")
def test_its_exporter_writes_a_table(tmp_path):
    units = [Units("a", np.array([[3], [1]]), 0.0, 0.5, 0.75, "second")]
    (path,) = plugins.load("exporter", "tsv")().write(units, split="test", num_codes=4, folder=tmp_path)
    assert path.read_text() == "a\t0.0\t0.5\t3\na\t0.5\t0.75\t1\n"


def test_it_trains_scores_and_exports_in_a_recipe(third_party_site, unitdisc, tmp_path):
    (tmp_path / "example.yaml").write_text(RECIPE)
    trained = unitdisc("run", "example.yaml", "--out", "run", site=third_party_site)
    assert trained.returncode == 0, trained.stderr
    exported = unitdisc("export", "run", "--format", "tsv", site=third_party_site)
    assert exported.returncode == 0, exported.stderr

    assert json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert {"distribution": "unitdisc-example", "version": "0.3.0"} in json.loads(
        (tmp_path / "run" / "run.json").read_text()
    )["plugins"]
    lines = (tmp_path / "run" / "units" / "test.tsv").read_text().splitlines()
    assert {int(line.split("\t")[3]) for line in lines} <= set(range(16))
    assert len({line.split("\t")[0] for line in lines}) == 4
