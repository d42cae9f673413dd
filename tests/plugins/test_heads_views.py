"""Heads on input, encoder, bottleneck and units: what they see, that probes change nothing, and chance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.toy import NUM_STATES, SIZE, ToySource, toy_recipe
from unitdisc.data import collate
from unitdisc.errors import RecipeError
from unitdisc.evaluate import evaluate
from unitdisc.model import Model, build
from unitdisc.parts import Batch, Padded
from unitdisc.recipe import Recipe, Use, read
from unitdisc.summary import summarize
from unitdisc.views import Indicators, stacked
from unitdisc_heads.framewise import Framewise
from unitdisc_heads.mapping import Mapping
from unitdisc_heads.readout import Readout
from unitdisc_metrics.frame_accuracy import FrameAccuracy
from unitdisc_none.rule import Identity

PLACES = ("bottleneck", "encoder", "input", "units")


def probe(place: str | None, **arguments: object) -> Use:
    arguments = {"target": "states", **arguments}
    return Use(
        kind="head", name="framewise", component=Framewise, arguments=arguments, where="test", on=place
    )


def score(head: str) -> Use:
    arguments = {"head": head, "target": "states"}
    return Use(kind="metric", name="accuracy", component=FrameAccuracy, arguments=arguments, where="test")


def probed(places: tuple[str, ...] = PLACES, **more: object) -> Recipe:
    recipe = toy_recipe(metrics={place: score(f"on_{place}") for place in places}, **more)  # type: ignore[arg-type]
    return replace(recipe, heads={f"on_{place}": probe(place) for place in places})


def built(recipe: Recipe) -> tuple[Model, ToySource]:
    source = ToySource()
    return build(recipe, source.features, source.targets, source.conditions), source


def batch_of(source: ToySource) -> Batch:
    split = source.split("train")
    return collate([split[index] for index in range(4)])


def test_stacked_input_holds_the_frames_of_each_latent_and_zeros_behind_the_end():
    values = torch.arange(2 * 5 * 2 * 3.0).view(2, 5, 2, 3) + 1
    seen = stacked(Padded(values, torch.tensor([5, 2])), 3, torch.tensor([2, 1]))
    assert seen.values.shape == (2, 2, 18)
    for row, length in enumerate((5, 2)):
        for latent in range(2):
            for offset in range(3):
                frame = latent * 3 + offset
                found = seen.values[row, latent].view(3, 2, 3)[offset]
                expected = values[row, frame] if frame < length else torch.zeros(2, 3)
                assert torch.equal(found, expected)


def test_indicators_have_one_one_for_each_codebook_and_none_on_padding():
    codes = torch.tensor([[[2, 0], [1, 1]], [[0, 2], [-1, -1]]])
    found = Indicators(codes, 3, torch.tensor([2, 1])).values
    assert found.tolist() == [
        [[0, 0, 1, 1, 0, 0], [0, 1, 0, 0, 1, 0]],
        [[1, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]],
    ]


def test_what_stands_in_codes_on_padding_does_not_matter():
    lengths = torch.tensor([2, 1])
    codes = torch.tensor([[[2, 0], [1, 1]], [[0, 2], [7, 1]]])
    assert not Indicators(codes, 3, lengths).values[1, 1].any()


@pytest.mark.parametrize("context", [1, 3])
@pytest.mark.parametrize("hidden", [None, 6])
def test_a_readout_of_units_is_that_of_the_vectors_they_stand_for(context: int, hidden: int | None):
    torch.manual_seed(0)
    readout = Readout(10, 4, hidden=hidden, context=context, detach=False)
    codes = torch.randint(5, (3, 7, 2))
    units = Indicators(codes, 5, torch.tensor([7, 4, 0]))
    found, expected = readout(units), readout(Padded(units.values, units.lengths))
    torch.testing.assert_close(found, expected)
    weights = [*readout.parameters()]
    seen = zip(
        torch.autograd.grad(found.square().sum(), weights),
        torch.autograd.grad(expected.square().sum(), weights),
        strict=True,
    )
    for one, other in seen:
        torch.testing.assert_close(one, other)


def test_each_head_is_as_wide_as_what_it_looks_at():
    model, _ = built(probed())
    widths = {name: head.readout.convolution.in_channels for name, head in model.heads.items()}
    assert widths == {"on_bottleneck": 4, "on_encoder": 4, "on_input": 2 * SIZE, "on_units": 8}


@torch.no_grad()
def test_a_head_sees_what_its_place_names():
    model, source = built(probed())
    model.eval()
    batch = model.standardized(batch_of(source))
    latents = model.encode(batch)
    quantized = model.quantize(latents)
    looks = model.views(batch.inputs, latents, Padded(quantized.values, latents.lengths), quantized.codes)
    assert torch.equal(looks["bottleneck"].values, quantized.values)
    assert torch.equal(looks["encoder"].values, latents.values)
    assert torch.equal(looks["units"].values.argmax(2)[latents.mask], quantized.codes[..., 0][latents.mask])
    assert torch.equal(looks["input"].values[0, 1, :SIZE], batch.inputs.values[0, 2])
    losses = model(batch_of(source)).parts
    for name, head in model.heads.items():
        assert losses[name] == head(looks[name.removeprefix("on_")], batch)[0]


@pytest.mark.parametrize("place", PLACES)
def test_probes_send_no_gradient_to_the_model(place: str):
    without, source = built(replace(toy_recipe(), heads={}))
    beside, _ = built(replace(toy_recipe(), heads={"probe": probe(place)}))
    beside.load_state_dict(without.state_dict(), strict=False)
    for model in (without, beside):
        model(batch_of(source)).total.backward()
    others = dict(beside.named_parameters())
    for name, parameter in without.named_parameters():
        assert torch.equal(parameter.grad, others[name].grad)


def test_a_head_on_the_encoder_can_train_it_past_the_bottleneck():
    model, source = built(replace(toy_recipe(), heads={"task": probe("encoder", detach=False)}))
    model(batch_of(source)).parts["task"].backward()
    assert model.encoder.linear.weight.grad.abs().sum() > 0


def test_chance_of_a_head_before_the_bottleneck_is_that_of_shuffled_frames():
    recipe = probed()
    model, source = built(recipe)
    train_heads(model, source)
    found = evaluate(model, source.split("test"), recipe)["metrics"]
    for place in ("encoder", "input"):
        assert found[place]["values"]["value"] > 0.7
        assert found[place]["chance"]["value"] < 0.5


def train_heads(model: Model, source: ToySource) -> None:
    optimizer = torch.optim.Adam(model.named_heads.parameters(), lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        model(batch_of(source)).total.backward()
        optimizer.step()
        for part in model.parts():
            part.after_step(0.5)


def test_a_mapping_head_looks_at_codes_without_being_told():
    use = Use(kind="head", name="mapping", component=Mapping, arguments={"target": "states"}, where="test")
    model, _ = built(replace(toy_recipe(), heads={"mapping": use}))
    assert model.places == {"mapping": "codes"}
    assert model.heads["mapping"].counts.shape == (8, NUM_STATES)


def test_units_of_a_bottleneck_without_any_are_refused():
    with pytest.raises(RecipeError, match=r"test: .*no units to look at"):
        built(probed(("units",), rule=(Identity, {})))
    places = ("bottleneck", "encoder", "input")
    recipe = probed(places, rule=(Identity, {}))
    model, source = built(recipe)
    found = evaluate(model, source.split("test"), recipe)["metrics"]
    assert all(found[place]["chance"] is not None for place in places)


def recipe_file(folder: Path, head: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(f"extends: speech/ema\nheads: {{here: {head}}}\n")
    return path


def test_a_recipe_says_where_a_head_looks(tmp_path: Path):
    recipe = read(recipe_file(tmp_path, "{use: framewise, on: input}"))
    assert (recipe.heads["here"].on, recipe.heads["ctc"].on) == ("input", "bottleneck")
    assert "on" not in recipe.heads["here"].arguments
    again = tmp_path / "again.yaml"
    again.write_text(recipe.to_yaml())
    assert read(again).heads == recipe.heads
    summary = summarize(recipe)  # 3 frames of 3 x 81 per latent
    assert summary["parameters heads.here"].endswith(f"{3 * 3 * 81 + 1} per symbol or speaker of the data")


@pytest.mark.parametrize(
    ("head", "complaint"),
    [
        ("{use: framewise, on: output}", r"mine.yaml:2:\d+: heads.here.on must be one of 'bottleneck'"),
        ("{use: mapping, on: encoder}", r"heads.here.on must be 'codes', found 'encoder'"),
        ("{use: framewise, at: input}", r"heads.here.at: unknown parameter"),
    ],
)
def test_a_place_that_does_not_exist_is_refused_with_its_line(tmp_path: Path, head: str, complaint: str):
    with pytest.raises(RecipeError, match=complaint):
        read(recipe_file(tmp_path, head))
