"""The line encoder and the grey-level decoder against plain loops, and what padding may not change."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from unitdisc.data import FeatureSpec
from unitdisc.errors import RecipeError
from unitdisc.parts import Batch, Padded, Part
from unitdisc.testing import check_decoder, check_encoder
from unitdisc_handwriting.decoder import GreyLevels
from unitdisc_handwriting.encoder import LineConv, _Recurrent, _reversed

CHANNELS = (3, 4, 4, 5, 5, 6, 6)
LENGTHS = (29, 13, 1)


def spec(height=32, *, standardize=False):
    return FeatureSpec((height,), 1.0, "column", standardize=standardize)


def encoder(height=32, **parameters):
    torch.manual_seed(0)
    return LineConv(spec(height), **{"channels": CHANNELS, "hidden": 4, "projection": 7, **parameters})


def decoder(height=32, **parameters):
    torch.manual_seed(0)
    part = GreyLevels(6, spec(height), stride=4, conditions={"document": 3}, **{"channels": 8, **parameters})
    if part.embeddings is not None:
        torch.nn.init.normal_(part.embeddings)
    return part


def padded(lengths, size, *, extra=0, rubbish=math.nan):
    """Return seeded sequences (B, T + extra, size) in [0, 1] with ``rubbish`` on padding."""
    values = torch.full((len(lengths), max(lengths) + extra, size), rubbish)
    for row, length in enumerate(lengths):
        generator = torch.Generator().manual_seed(row)
        values[row, :length] = torch.rand(length, size, generator=generator)
    return Padded(values, torch.tensor(lengths))


def line_batch(lengths=LENGTHS, *, height=32, extra=0, rubbish=math.nan):
    """Return latents of size 6 at stride 4 and their batch."""
    latents = padded([-(-length // 4) for length in lengths], 6, extra=-(-extra // 4), rubbish=rubbish)
    inputs = padded(lengths, height, extra=extra, rubbish=rubbish)
    document = {"document": torch.tensor([2, -1, 0][: len(lengths)])}
    return latents, Batch(["x"] * len(lengths), inputs, {}, document)


@pytest.mark.parametrize("height", [17, 32])
def test_parts_keep_their_contracts(height):
    check_encoder(partial(LineConv, channels=CHANNELS, hidden=4, projection=7), spec(height))
    check_decoder(partial(GreyLevels, channels=8), spec(height))
    told = partial(GreyLevels, channels=8, condition="document")
    check_decoder(told, spec(height), conditions={"document": 3})


def test_one_latent_stands_for_four_columns():
    part = encoder().eval()
    for length in range(1, 41):
        latents = part(Padded(torch.rand(2, length, 32), torch.tensor([length, max(1, length // 2)])))
        assert latents.values.shape == (2, math.ceil(length / 4), part.dim)
        assert latents.lengths.tolist() == [math.ceil(length / 4), math.ceil(max(1, length // 2) / 4)]


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("height", [17, 32, 33, 64])
def test_any_height_and_number_of_layers_keeps_the_stride(height, layers):
    latents = encoder(height, layers=layers)(padded(LENGTHS, height))
    assert latents.values.shape == (3, 8, 7)
    assert torch.isfinite(latents.values).all()


@pytest.mark.parametrize("features", [spec(16), FeatureSpec((3, 80), 100.0, "second", standardize=True)])
def test_encoder_says_which_frames_it_reads(features):
    with pytest.raises(RecipeError, match="at least 17 pixels"):
        LineConv(features)


@pytest.mark.parametrize("training", [True, False])
def test_padding_does_not_move_the_encoder(training):
    results = []
    for extra, rubbish in ((0, 0.0), (11, math.nan)):
        part = encoder().train(training)
        latents = part(padded(LENGTHS, 32, extra=extra, rubbish=rubbish))
        torch.where(latents.mask[..., None], latents.values, 0).square().sum().backward()
        for module in part.modules():
            if isinstance(module, Part):
                module.after_step(0.0)
        state = torch.cat(
            [p.grad.flatten() for p in part.parameters()] + [b.flatten() for b in part.buffers()]
        )
        results.append((latents.values[:, :8], state))
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-4)


def test_a_line_alone_gives_the_latents_it_has_in_a_batch():
    part = encoder().eval()
    together = part(padded(LENGTHS, 32)).values
    for row, length in enumerate(LENGTHS):
        alone = part(
            Padded(padded(LENGTHS, 32).values[row : row + 1, :length], torch.tensor([length]))
        ).values[0]
        torch.testing.assert_close(together[row, : len(alone)], alone, rtol=1e-4, atol=1e-5)


def test_gradient_reaches_every_parameter_of_the_encoder():
    part = encoder()
    part(padded(LENGTHS, 32)).values.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())


def test_sequences_turn_around_within_their_lengths():
    x = Padded(torch.arange(10.0).view(2, 5, 1), torch.tensor([5, 3]))
    assert _reversed(x).values[..., 0].tolist() == [[4, 3, 2, 1, 0], [7, 6, 5, 8, 9]]


def test_both_directions_equal_a_packed_bidirectional_lstm():
    part = _Recurrent(5, 4, 7, is_first=True, halves=False)
    packed = torch.nn.LSTM(5, 4, batch_first=True, bidirectional=True)
    weights = {**dict(part.onward.named_parameters())}
    weights |= {f"{name}_reverse": weight for name, weight in part.rearward.named_parameters()}
    packed.load_state_dict(weights)
    x = padded(LENGTHS, 5, rubbish=0.0)
    pack = torch.nn.utils.rnn.pack_padded_sequence(
        x.values, x.lengths, batch_first=True, enforce_sorted=False
    )
    expected = torch.nn.utils.rnn.pad_packed_sequence(packed(pack)[0], batch_first=True)[0]
    torch.testing.assert_close(part._read(x)[x.mask], expected[x.mask], rtol=1e-5, atol=1e-6)


def test_sizes_of_the_released_recipe():
    part = LineConv(spec())
    assert [layer.convolution.weight.shape[:2] for layer in part.convolutions][-1] == (512, 512)
    assert part.recurrent[0].onward.input_size == 512  # 32 rows became one
    assert (part.dim, part.stride) == (32, 4)


def slow_bpd(logits, batch, levels):
    """Return bits per pixel by plain loops over float64 numbers."""
    bits, pixels = 0.0, 0
    for row, length in enumerate(batch.inputs.lengths.tolist()):
        for column in range(length):
            for y, x in enumerate(batch.inputs.values[row, column].tolist()):
                scores = logits[row, column, y].double().numpy()
                level = min(math.floor(x * levels), levels - 1)
                bits -= math.log2(np.exp(scores[level]) / np.exp(scores).sum())
                pixels += 1
    return bits / pixels


@pytest.mark.parametrize("levels", [2, 4, 7])
def test_bits_per_pixel_match_plain_loops(levels):
    part = decoder(levels=levels)
    latents, batch = line_batch((9, 5, 1))
    with torch.no_grad():
        loss, stats = part(latents, batch)
        logits = part._logits(latents, batch.inputs.lengths, batch.conditions)
    expected = slow_bpd(logits, batch, levels)
    assert float(stats["bpd"]) == pytest.approx(expected, rel=1e-5)
    assert float(loss) == pytest.approx(expected * 32 * math.log(2), rel=1e-5)  # nats per column
    assert float(stats["levels"]) == levels


def test_uniform_logits_cost_the_logarithm_of_the_levels():
    part = decoder(levels=8)
    torch.nn.init.zeros_(part.pixels.weight)
    torch.nn.init.zeros_(part.pixels.bias)
    assert float(part(*line_batch())[1]["bpd"]) == pytest.approx(3.0)


def test_a_pixel_on_the_edge_belongs_to_the_level_above():
    part = decoder(levels=4)
    torch.nn.init.zeros_(part.pixels.weight)
    part.pixels.bias.data = torch.tensor([0.0, 1.0, 2.0, 3.0]).repeat(32)
    latents, batch = line_batch((4,))
    shares = torch.tensor([0.0, 1.0, 2.0, 3.0]).log_softmax(0) / math.log(2)
    for x, level in ((0.0, 0), (0.2499, 0), (0.25, 1), (0.5, 2), (0.75, 3), (1.0, 3)):
        flat = replace(batch, inputs=Padded(torch.full((1, 4, 32), x), batch.inputs.lengths))
        assert float(part(latents, flat)[1]["bpd"]) == pytest.approx(-float(shares[level]), rel=1e-5)


@pytest.mark.parametrize("condition", [None, "document"])
def test_padding_does_not_move_the_decoder(condition):
    results = []
    for extra, rubbish in ((0, 0.0), (11, math.nan)):
        part = decoder(condition=condition).double()
        latents, batch = line_batch(extra=extra, rubbish=rubbish)
        latents = Padded(latents.values.double(), latents.lengths)
        loss = part(latents, batch)[0]
        loss.backward()
        results.append((loss, [p.grad for p in part.parameters()]))
    torch.testing.assert_close(results[0], results[1], rtol=1e-9, atol=1e-9)


def test_gradient_reaches_latents_and_every_parameter_of_the_decoder():
    part = decoder(condition="document")
    latents, batch = line_batch(rubbish=0.0)
    values = latents.values.requires_grad_()
    part(Padded(values, latents.lengths), batch)[0].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
    assert (values.grad[latents.mask].abs().sum(1) > 0).all()
    assert (values.grad[~latents.mask] == 0).all()


def test_an_unknown_document_counts_as_the_mean_of_the_known():
    part = decoder(condition="document")
    latents, batch = line_batch()
    unknown = replace(batch, conditions={"document": torch.full((3,), -1)})
    assert not torch.allclose(part(latents, batch)[0], part(latents, unknown)[0])
    images = part.reconstruct(latents, batch.inputs.lengths, unknown.conditions)
    part.embeddings.data[:] = part.embeddings.mean(0)
    for image, mean in zip(images, part.reconstruct(latents, batch.inputs.lengths), strict=True):
        torch.testing.assert_close(image, mean)


def test_decoder_learns_a_line_and_draws_it():
    torch.manual_seed(0)
    part = decoder(channels=32)
    latents, batch = line_batch((16,))
    pattern = (torch.arange(16)[:, None] // 2 + torch.arange(32) // 8) % 2
    batch = replace(batch, inputs=Padded(pattern[None].float(), batch.inputs.lengths))
    optimizer = torch.optim.Adam(part.parameters(), 1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        loss, stats = part(latents, batch)
        loss.backward()
        optimizer.step()
    (image,) = part.reconstruct(latents, batch.inputs.lengths)
    assert float(stats["bpd"]) < 0.05
    assert image.shape == (16, 32)
    assert ((image > 0.5) == pattern.bool()).all()


def test_decoder_says_what_it_cannot_explain():
    with pytest.raises(RecipeError, match=r"no condition 'writer' \(it has: document\)"):
        decoder(condition="writer")
    with pytest.raises(RecipeError, match="standardised"):
        GreyLevels(6, spec(standardize=True), stride=4, conditions={})
