"""The PixelCNN decoder: exact probabilities, strict order, and drawing that equals the naive loop."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import partial

import pytest
import torch

from unitdisc.data import FeatureSpec
from unitdisc.errors import RecipeError
from unitdisc.parts import Batch, Padded
from unitdisc.testing import check_decoder
from unitdisc_handwriting.pixel_cnn import PixelCNN

DIRECTIONS = ("left_to_right", "right_to_left")
SMALL = {"hidden": 6, "layers": 3, "first_kernel": 3}
LENGTHS = (9, 5, 1)
HEIGHT = 4


def decoder(height=HEIGHT, *, stride=4, **parameters):
    """Return a small decoder none of whose weights is zero."""
    torch.manual_seed(0)
    spec = FeatureSpec((height,), 1.0, "column", standardize=False)
    part = PixelCNN(5, spec, stride=stride, conditions={"document": 3}, **{**SMALL, **parameters})
    for parameter in part.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return part.eval()


def padded(lengths, size, *, extra=0, rubbish=math.nan):
    """Return seeded sequences (B, T + extra, size) in [0, 1] with ``rubbish`` on padding."""
    values = torch.full((len(lengths), max(lengths) + extra, size), rubbish)
    for row, length in enumerate(lengths):
        values[row, :length] = torch.rand(length, size, generator=torch.Generator().manual_seed(row))
    return Padded(values, torch.tensor(lengths))


def line_batch(lengths=LENGTHS, *, height=HEIGHT, stride=4, extra=0, rubbish=math.nan):
    """Return latents of size 5 and their batch."""
    counts = [-(-length // stride) for length in lengths]
    latents = padded(counts, 5, extra=-(-extra // stride), rubbish=rubbish)
    latents = Padded(4 * latents.values - 2, latents.lengths)
    inputs = padded(lengths, height, extra=extra, rubbish=rubbish)
    document = {"document": torch.tensor([2, -1, 0] * len(lengths))[: len(lengths)]}
    return latents, Batch(["x"] * len(lengths), inputs, {}, document)


def all_images(part, latents, *, columns, height):
    """Return all images of two levels (N, columns, height) and the probability of each given one line's latents."""
    images = torch.tensor(list(itertools.product([0.25, 0.75], repeat=columns * height)))
    images = images.view(-1, columns, height)
    count = len(images)
    lengths = torch.full((count,), columns)
    seen = Padded(latents.values.expand(count, -1, -1), torch.full((count,), latents.values.shape[1]))
    with torch.no_grad():
        nats = part.nats(seen, Batch(["x"] * count, Padded(images, lengths)))
    return images, (-nats.double()).exp()


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("look_ahead", [0, 1])
def test_decoder_keeps_its_contract(direction, look_ahead):
    spec = FeatureSpec((6,), 1.0, "column", standardize=False)
    make = partial(PixelCNN, **SMALL, direction=direction, look_ahead=look_ahead, condition="writer")
    check_decoder(make, spec, conditions={"writer": 3})
    check_decoder(partial(PixelCNN, **SMALL, look_ahead=2, look_ahead_fraction=0.5), spec)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("look_ahead", [0, 1, 2])
def test_the_probabilities_of_all_images_sum_to_one(direction, look_ahead):
    part = decoder(2, stride=2, levels=2, direction=direction, look_ahead=look_ahead)
    totals = []
    for seed in range(4):
        values = 2 * torch.randn(1, 2, 5, generator=torch.Generator().manual_seed(seed))
        _, shares = all_images(part, Padded(values, torch.tensor([2])), columns=3, height=2)
        assert len(shares) == 64
        assert float(shares.sum()) == pytest.approx(1, abs=1e-5)
        totals.append(shares)
    assert not torch.allclose(totals[0], totals[1], atol=1e-3)  # the latents matter


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_nats_match_plain_loops(direction):
    part = decoder(levels=3, direction=direction, condition="document")
    latents, batch = line_batch()
    with torch.no_grad():
        nats = part.nats(latents, batch)
        loss, numbers = part(latents, batch)
    expected = [slow_nats(part, latents, batch, line) for line in range(len(LENGTHS))]
    assert nats.tolist() == pytest.approx(expected, rel=1e-5)
    assert float(loss) == pytest.approx(sum(expected) / sum(LENGTHS), rel=1e-5)
    assert float(numbers["bpd"]) == pytest.approx(float(loss) / HEIGHT / math.log(2), rel=1e-5)
    assert float(numbers["levels"]) == 3


def slow_nats(part, latents, batch, line):
    """Return the nats of one line alone, pixel after pixel, each from an image that ends before it."""
    length = int(batch.inputs.lengths[line])
    image = batch.inputs.values[line, :length]
    told = told_columns(part, latents, batch, line)
    if part.direction == "right_to_left":
        image = image.flip(0)
    total = 0.0
    seen = torch.zeros(1, length, HEIGHT, 1)
    for column in range(length):
        for pixel in range(HEIGHT):
            with torch.no_grad():
                logits = part.pixels(seen, told)[0, column, pixel].double().tolist()
            level = min(math.floor(float(image[column, pixel]) * part.levels), part.levels - 1)
            total -= logits[level] - math.log(sum(math.exp(logit) for logit in logits))
            seen[0, column, pixel] = 2 * level / (part.levels - 1) - 1
    return total


def told_columns(part, latents, batch, line):
    """Return (1, T, 1, hidden), what the columns of one line are told, by its own tensors in scan order."""
    length = int(batch.inputs.lengths[line])
    count = int(latents.lengths[line])
    own = latents.values[line : line + 1, :count]
    if part.embeddings is not None:
        value = int(batch.conditions["document"][line])
        own = own + (part.embeddings[value] if value >= 0 else part.embeddings.mean(0))
    hidden = torch.nn.functional.leaky_relu(part.context(own.mT), 0.1)
    told = part.spread(hidden).mT[:, :length].detach()
    return (told.flip(1) if part.direction == "right_to_left" else told)[:, :, None]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_no_pixel_sees_itself_or_what_comes_later(direction):
    """The gradient, in places of the image: zero from itself on, not zero before, also above and to the right."""
    part = decoder(direction=direction, layers=6, hidden=16).double()
    latents, batch = line_batch((5,), rubbish=0.0)
    kept = {}

    def see(module, arguments, named):
        kept["in"] = arguments[0].double().requires_grad_()
        return (kept["in"], *arguments[1:]), named

    part.pixels.register_forward_pre_hook(see, with_kwargs=True)
    part.pixels.register_forward_hook(lambda _, __, output: kept.update(out=output))
    part.nats(Padded(latents.values.double(), latents.lengths), batch)
    order = list(range(5)) if direction == "left_to_right" else list(range(4, -1, -1))
    shown = (batch.inputs.values[0] * 4).floor() * 2 / 3 - 1
    torch.testing.assert_close(kept["in"][0, :, :, 0].float(), shown[order])  # place n is column order[n]
    for place, pixel in itertools.product(range(5), range(HEIGHT)):
        logits = kept["out"][0, place, pixel] @ torch.tensor([1.0, -2.0, 0.5, 3.0]).double()
        (gradient,) = torch.autograd.grad(logits, kept["in"], retain_graph=True)
        seen = (gradient[0, :, :, 0] != 0).flatten().tolist()
        before = place * HEIGHT + pixel
        assert seen == [True] * before + [False] * (5 * HEIGHT - before)


@pytest.mark.parametrize("look_ahead", [1, 3])
def test_look_ahead_hides_the_columns_just_before_a_pixel(look_ahead):
    part = decoder(look_ahead=look_ahead, layers=6)
    latents, batch = line_batch((6,))
    with torch.no_grad():
        whole = [last_column(part, latents, batch)]
        for column in range(6):
            values = batch.inputs.values.clone()
            values[:, column] = 1 - values[:, column]
            whole.append(
                last_column(part, latents, replace(batch, inputs=Padded(values, batch.inputs.lengths)))
            )
    changed = [not torch.equal(whole[0], other) for other in whole[1:]]
    assert changed == [column <= 5 - look_ahead for column in range(6)]


def last_column(part, latents, batch):
    """Return the logits (height, levels) of the last column."""
    kept = []
    hook = part.pixels.register_forward_hook(lambda _, __, output: kept.append(output))
    part.nats(latents, batch)
    hook.remove()
    return kept[0][0, -1]


def test_look_ahead_of_a_fraction_is_of_training_alone():
    often, never, always = (
        decoder(look_ahead=3, look_ahead_fraction=0.5),
        decoder(look_ahead=0),
        decoder(look_ahead=3),
    )
    latents, batch = line_batch()
    with torch.no_grad():
        torch.testing.assert_close(often.nats(latents, batch), never.nats(latents, batch))
        assert not torch.allclose(always.nats(latents, batch), never.nats(latents, batch))
    torch.manual_seed(0)
    skips = [often.train()._skip() for _ in range(3000)]
    assert [skips.count(number) / 3000 for number in range(4)] == pytest.approx([0.5, *[1 / 6] * 3], abs=0.03)


@pytest.mark.parametrize("neighbours", [0, 1])
def test_a_column_is_told_of_its_latent_and_the_neighbours(neighbours):
    part = decoder(neighbours=neighbours)
    latents, batch = line_batch((16,))
    values = latents.values.requires_grad_()
    columns = part._columns(Padded(values, latents.lengths), batch.inputs.lengths, {})
    for column in range(16):
        (gradient,) = torch.autograd.grad(columns[0, column].sum(), values, retain_graph=True)
        expected = [abs(column // 4 - latent) <= neighbours for latent in range(4)]
        assert (gradient[0] != 0).any(1).tolist() == expected


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("condition", [None, "document"])
def test_padding_does_not_move_the_decoder(direction, condition):
    results = []
    for extra, rubbish in ((0, 0.0), (7, math.nan)):
        part = decoder(direction=direction, condition=condition)
        latents, batch = line_batch(extra=extra, rubbish=rubbish)
        nats = part.nats(latents, batch)
        nats.sum().backward()
        results.append((nats, [parameter.grad for parameter in part.parameters()]))
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-4)


def test_what_a_line_begins_with_is_as_likely_however_it_goes_on():
    part = decoder(2, stride=2, levels=2)
    latents, _ = line_batch((3,), height=2, stride=2)
    _, whole = all_images(part, latents, columns=3, height=2)
    _, begun = all_images(part, latents, columns=2, height=2)
    torch.testing.assert_close(whole.view(16, 4).sum(1), begun, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("temperature", [0.0, 1.0, 0.6])
@pytest.mark.parametrize(
    "parameters",
    [{}, {"direction": "right_to_left"}, {"look_ahead": 2}, {"condition": "document", "neighbours": 0}],
)
def test_drawing_equals_the_loop_that_computes_the_whole_image_for_every_pixel(parameters, temperature):
    part = decoder(**parameters)
    latents, batch = line_batch()
    torch.manual_seed(5)
    drawn = part.sample(latents, batch.inputs.lengths, batch.conditions, temperature=temperature)
    torch.manual_seed(5)
    expected = naive_sample(part, latents, batch, temperature)
    assert [image.shape for image in drawn] == [(length, HEIGHT) for length in LENGTHS]
    for image, other in zip(drawn, expected, strict=True):
        assert torch.equal(image, other)


def naive_sample(part, latents, batch, temperature):
    """Draw with as many passes over the whole image as it has pixels."""
    longest = max(LENGTHS)
    told = torch.zeros(len(LENGTHS), longest, 1, SMALL["hidden"])
    for line, length in enumerate(LENGTHS):
        told[line, :length] = told_columns(part, latents, batch, line)[0]
    levels = torch.zeros(len(LENGTHS), longest, HEIGHT)
    shades = levels[..., None].clone()
    for column, pixel in itertools.product(range(longest), range(HEIGHT)):
        with torch.no_grad():
            logits = part.pixels(shades, told, skip=part.look_ahead)[:, column, pixel]
        level = logits.argmax(1)
        if temperature:
            level = torch.multinomial(torch.softmax(logits / temperature, 1), 1)[:, 0]
        shades[:, column, pixel, 0] = 2 * level / (part.levels - 1) - 1
        levels[:, column, pixel] = level
    images = [(levels[line, :length] + 0.5) / part.levels for line, length in enumerate(LENGTHS)]
    return [image.flip(0) if part.direction == "right_to_left" else image for image in images]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_images_are_drawn_as_often_as_they_are_likely(direction):
    part = decoder(2, stride=2, levels=2, direction=direction)
    latents, _ = line_batch((3,), height=2, stride=2)
    images, shares = all_images(part, latents, columns=3, height=2)
    torch.manual_seed(0)
    count = 20000
    many = Padded(latents.values.expand(count, -1, -1), torch.full((count,), 2))
    drawn = torch.stack(part.sample(many, torch.full((count,), 3)))
    powers = 2 ** torch.arange(5, -1, -1)
    numbers = (((drawn > 0.5).flatten(1) * powers).sum(1)).bincount(minlength=64)
    order = ((images > 0.5).flatten(1) * powers).sum(1)
    error = (numbers[order] / count - shares).abs()
    assert (error <= 4.5 * (shares / count).sqrt() + 1e-4).all()


def test_a_reconstruction_takes_the_likeliest_level_of_each_pixel():
    part = decoder(levels=3)
    latents, batch = line_batch()
    before = torch.get_rng_state()
    images = part.reconstruct(latents, batch.inputs.lengths, batch.conditions)
    assert torch.equal(torch.get_rng_state(), before)
    cold = part.sample(latents, batch.inputs.lengths, batch.conditions, temperature=0.0)
    assert all(torch.equal(image, other) for image, other in zip(images, cold, strict=True))
    middles = torch.tensor([1 / 6, 3 / 6, 5 / 6])
    assert all(torch.isclose(image[..., None], middles).any(-1).all() for image in images)


def test_an_unknown_document_counts_as_the_mean_of_the_known():
    part = decoder(condition="document")
    latents, batch = line_batch()
    unknown = replace(batch, conditions={"document": torch.full((3,), -1)})
    with torch.no_grad():
        nats = part.nats(latents, unknown)
        assert not torch.allclose(part.nats(latents, batch), nats)
        part.embeddings.data[:] = part.embeddings.mean(0)
        torch.testing.assert_close(part.nats(latents, replace(batch, conditions={})), nats)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_decoder_learns_a_line_and_draws_it(direction):
    torch.manual_seed(0)
    spec = FeatureSpec((8,), 1.0, "column", standardize=False)
    part = PixelCNN(5, spec, stride=4, conditions={}, hidden=16, layers=3, direction=direction)
    latents, batch = line_batch((16,), height=8)
    pattern = (torch.arange(16)[:, None] // 3 + torch.arange(8) // 2) % 2
    batch = replace(batch, inputs=Padded(pattern[None].float(), batch.inputs.lengths))
    optimizer = torch.optim.Adam(part.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss, numbers = part(latents, batch)
        loss.backward()
        optimizer.step()
    (image,) = part.reconstruct(latents, batch.inputs.lengths)
    assert float(numbers["bpd"]) < 0.05
    assert ((image > 0.5) == pattern.bool()).all()


def test_decoder_says_what_it_cannot_explain():
    with pytest.raises(RecipeError, match=r"no condition 'writer' \(it has: document\)"):
        decoder(condition="writer")
    with pytest.raises(RecipeError, match=r"set decoder\.look_ahead to 1 or more"):
        decoder(look_ahead_fraction=0.5)
    spec = FeatureSpec((32,), 1.0, "column", standardize=True)
    with pytest.raises(RecipeError, match=r"pixel_cnn explains columns .* standardised"):
        PixelCNN(6, spec, stride=4, conditions={})
    pictures = FeatureSpec((3,), 1.0, "pixel", standardize=False, grid=(8, 8))
    with pytest.raises(RecipeError, match=r"pixel_cnn explains columns .* one per pixel"):
        PixelCNN(6, pictures, stride=4, conditions={})
