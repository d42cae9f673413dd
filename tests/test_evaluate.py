"""Evaluation and export over a split: order, coverage, chance, and files that are whole."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.toy import ToySource, ToySplit, toy_recipe
from unitdisc.evaluate import evaluate
from unitdisc.infer import as_units, codes_of, units_of
from unitdisc.metric import Evaluated, Metric
from unitdisc.model import Model, NonFiniteLatentsError, build
from unitdisc.parts import Batch, Padded
from unitdisc.recipe import Recipe, Use
from unitdisc_none.rule import Identity


class Recorded(Metric):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.items: list[Evaluated] = []

    def update(self, item: Evaluated) -> None:
        self.items.append(item)
        RECORDED[id(self)] = self.items

    def compute(self) -> dict[str, float]:
        correct = sum(int((item.predictions["probe"] == item.targets["states"]).sum()) for item in self.items)
        return {"value": correct / sum(item.num_frames for item in self.items)}


RECORDED: dict[int, list[Evaluated]] = {}


@torch.no_grad()
def built(recipe: Recipe) -> tuple[Model, ToySource]:
    source = ToySource()
    model = build(recipe, source.features, source.targets, source.conditions).eval()
    if model.bottleneck.num_codes:
        inputs = source.split("train")[0].inputs[None]
        latents = model.encode(Batch(["u"], Padded(inputs, torch.tensor([inputs.shape[1]])))).values[0]
        model.bottleneck.codebook[0] = latents[torch.arange(8) % len(latents)]  # several codes in use
    return model, source


def recorded_recipe(**more: object) -> Recipe:
    metrics = {
        "recorded": Use(kind="metric", name="recorded", component=Recorded, arguments={}, where="test")
    }
    return toy_recipe(metrics=metrics, **more)  # type: ignore[arg-type]


def test_every_item_is_scored_once_with_all_that_belongs_to_it():
    RECORDED.clear()
    recipe = recorded_recipe()
    model, source = built(recipe)
    split = source.split("test")
    evaluate(model, split, replace(recipe, evaluate=replace(recipe.evaluate, batch_frames=60)))
    real, shuffled = RECORDED.values()
    assert sorted(item.key for item in real) == sorted(split.keys)
    assert sorted(item.key for item in shuffled) == sorted(split.keys)
    for item in real:
        example = split[split.keys.index(item.key)]
        assert item.num_frames == len(example.inputs)
        assert len(item.codes) == -(-item.num_frames // item.stride)
        assert np.array_equal(item.targets["states"], example.targets["states"].numpy())
        assert item.predictions["probe"].shape == (item.num_frames,)


def test_chance_has_the_same_units_in_another_order():
    RECORDED.clear()
    recipe = recorded_recipe()
    model, source = built(recipe)
    evaluate(model, source.split("test"), recipe)
    real, shuffled = (
        [int(code) for item in items for code in item.codes[:, 0]] for items in RECORDED.values()
    )
    assert sorted(real) == sorted(shuffled)
    assert real != shuffled


def test_batching_does_not_change_codes():
    model, source = built(toy_recipe())
    split = source.split("test")
    alone = codes_of(model, split, batch_frames=1)
    together = codes_of(model, split, batch_frames=10_000)
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_codes_of_a_recording_are_those_of_the_split():
    model, source = built(toy_recipe())
    split = source.split("test")
    units = units_of(model, "x", split[3].inputs, source.features)
    assert np.array_equal(units.codes, codes_of(model, split, batch_frames=100)[3])
    assert units.step == pytest.approx(0.02)
    assert units.end == pytest.approx(split.lengths[3] / 100)


def test_without_units_chance_comes_from_shuffled_latents():
    recipe = recorded_recipe(rule=(Identity, {}))
    model, source = built(recipe)
    found = evaluate(model, source.split("test"), recipe)
    assert found["metrics"]["recorded"]["chance"] is not None


def test_losses_are_means_over_all_frames_whatever_the_batches():
    recipe = toy_recipe()
    model, source = built(recipe)
    split = source.split("test")
    losses = [
        evaluate(model, split, replace(recipe, evaluate=replace(recipe.evaluate, batch_frames=frames)))[
            "losses"
        ]
        for frames in (1, 200)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_latents_that_are_not_finite_never_reach_the_codebook():
    model, _ = built(toy_recipe())
    with pytest.raises(NonFiniteLatentsError):
        model.encode(Batch(["u"], Padded(torch.full((1, 4, 6), float("nan")), torch.tensor([4]))))


def test_units_cover_the_recording_exactly():
    from unitdisc.data import FeatureSpec

    features = FeatureSpec((6,), 100.0, "second", standardize=False)
    units = as_units("x", np.zeros((3, 1), dtype=np.int64), 5, 2, features)
    spans = list(units.spans())
    assert spans[0][:2] == pytest.approx((0.0, 0.02))
    assert spans[-1][:2] == pytest.approx((0.04, 0.05))


def test_export_is_all_or_nothing_and_names_its_checksums(tmp_path: Path):
    from unitdisc import export

    units = [as_units("x", np.array([[1], [2]]), 4, 2, ToySource().features)]

    class Plain:
        def write(self, units, *, split, num_codes, folder):
            path = folder / f"{split}.txt"
            path.write_text(" ".join(str(code) for item in units for code in item.codes[:, 0]))
            return [path]

    class Broken:
        def write(self, units, *, split, num_codes, folder):
            raise OSError("disk")

    export.write(tmp_path / "units", {"test": units}, exporters={"plain": Plain()}, meta={"num_codes": 4})
    before = (tmp_path / "units/test.txt").read_bytes()
    meta = json.loads((tmp_path / "units/units.meta.json").read_text())
    assert meta["files"]["test.txt"]["sha256"] == hashlib.sha256(before).hexdigest()
    assert meta["splits"]["test"]["units"] == 2
    with pytest.raises(Exception, match="disk"):
        export.write(
            tmp_path / "units",
            {"test": units},
            exporters={"plain": Plain(), "b": Broken()},
            meta={"num_codes": 4},
        )
    assert (tmp_path / "units/test.txt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["units"]


class Carried(Recorded):
    """Keeps what it is given, and asks for more."""

    needs = ("inputs", "latents", "values")


class NamedSplit(ToySplit):
    """Says of each example what its key is."""

    def fields(self, index: int) -> dict[str, str]:
        return {"name": self.keys[index]}


def carried_recipe(component: type[Metric]) -> Recipe:
    use = Use(kind="metric", name="carried", component=component, arguments={}, where="test")
    return toy_recipe(metrics={"carried": use})


def test_items_carry_what_a_metric_needs_without_padding():
    RECORDED.clear()
    recipe = carried_recipe(Carried)
    model, _ = built(recipe)
    split = NamedSplit(12, seed=2)
    evaluate(model, split, recipe)
    real, shuffled = RECORDED.values()
    for item in real:
        inputs = split[split.keys.index(item.key)].inputs[None]
        alone = model.standardize(Padded(inputs, torch.tensor([inputs.shape[1]])))
        latents = model.encode(Batch(["u"], alone)).values
        assert np.allclose(item.inputs, alone.values[0])
        assert np.allclose(item.latents, latents[0].detach(), atol=1e-5)
        assert np.allclose(item.values, model.bottleneck.lookup(torch.from_numpy(item.codes)), atol=1e-5)
        assert (item.fields, item.frame_rate) == ({"name": item.key}, 100.0)
    for item in shuffled:
        assert np.array_equal(item.latents, item.values)
        assert np.allclose(item.values, model.bottleneck.lookup(torch.from_numpy(item.codes)))


def test_items_carry_nothing_that_no_metric_needs():
    RECORDED.clear()
    recipe = carried_recipe(Recorded)
    model, source = built(recipe)
    evaluate(model, source.split("test"), recipe)
    for item in next(iter(RECORDED.values())):
        assert (item.inputs, item.latents, item.values) == (None, None, None)


def test_a_metric_may_know_its_chance_itself():
    class Fair(Recorded):
        has_chance = False

        def chance(self) -> dict[str, float]:
            return {"value": 0.5}

    recipe = carried_recipe(Fair)
    model, source = built(recipe)
    found = evaluate(model, source.split("test"), recipe)["metrics"]["carried"]
    assert found["chance"] == {"value": 0.5}
