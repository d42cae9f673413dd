"""The speech encoder and frame decoder against plain loops, and what padding may not change."""

from __future__ import annotations

from functools import partial
from itertools import product
from math import ceil

import pytest
import torch

from unitdisc.data import FeatureSpec
from unitdisc.errors import RecipeError
from unitdisc.parts import Batch, Padded
from unitdisc.testing import check_decoder, check_encoder
from unitdisc_speech.decoder import Frames
from unitdisc_speech.encoder import DeepSpeech

SPEC = FeatureSpec((3, 9), 100.0, "second", standardize=True)
FLAT = FeatureSpec((9,), 100.0, "second", standardize=True)


def encoder(spec: FeatureSpec = SPEC, **parameters: object) -> DeepSpeech:
    torch.manual_seed(0)
    return DeepSpeech(spec, **{"channels": (4, 5), "hidden": 6, "layers": 2, **parameters})  # type: ignore[arg-type]


def decoder(spec: FeatureSpec = SPEC, **parameters: object) -> Frames:
    torch.manual_seed(0)
    part = Frames(4, spec, stride=3, conditions={"speaker": 2}, **{"hidden": 8, **parameters})  # type: ignore[arg-type]
    if part.embeddings is not None:
        torch.nn.init.normal_(part.embeddings)
    return part


def example(lengths: tuple[int, ...] = (13, 5), longest: int = 13) -> tuple[Padded, Batch]:
    """Return latents at stride 3 and the batch they come from, with rubbish on all padding."""
    generator = torch.Generator().manual_seed(1)
    count = len(lengths)
    inputs = torch.full((count, longest, 3, 9), torch.nan)
    latents = torch.full((count, ceil(longest / 3), 4), torch.nan)
    for row, length in enumerate(lengths):
        inputs[row, :length] = torch.randn(length, 3, 9, generator=generator)
        latents[row, : ceil(length / 3)] = torch.randn(ceil(length / 3), 4, generator=generator)
    num_frames = torch.tensor(lengths)
    speakers = {"speaker": torch.arange(count) % 2}
    return Padded(latents, (num_frames + 2) // 3), Batch(
        ["x"] * count, Padded(inputs, num_frames), {}, speakers
    )


@pytest.mark.parametrize("layers", [0, 2])
@pytest.mark.parametrize("features", [SPEC, FLAT])
def test_the_encoder_keeps_its_contract(features: FeatureSpec, layers: int) -> None:
    check_encoder(partial(DeepSpeech, channels=(4, 4), hidden=6, layers=layers), features)


@pytest.mark.parametrize("condition", ["speaker", None])
@pytest.mark.parametrize("features", [SPEC, FLAT])
def test_the_decoder_keeps_its_contract(features: FeatureSpec, condition: str | None) -> None:
    check_decoder(
        partial(Frames, hidden=8, condition=condition, jitter=0.0), features, conditions={"speaker": 3}
    )


@pytest.mark.parametrize(("strides", "layers"), list(product([(1, 3), (2, 2), (1, 1), (4, 1)], [0, 1])))
def test_latents_are_as_many_as_the_stride_says(strides: tuple[int, int], layers: int) -> None:
    part = encoder(time_strides=strides, layers=layers).eval()
    stride = strides[0] * strides[1]
    for length in range(1, 14):
        latents = part(Padded(torch.randn(2, length, 3, 9), torch.tensor([length, length // 2])))
        assert part.stride == stride
        assert latents.values.shape == (2, ceil(length / stride), part.dim)
        assert latents.lengths.tolist() == [ceil(length / stride), ceil((length // 2) / stride)]


@pytest.mark.parametrize("kernel", [3, 4, 5, 7])
def test_a_convolution_window_is_centred_on_its_frames(kernel: int) -> None:
    part = encoder(channels=(4,), time_strides=(3,), freq_strides=(1,), kernel=kernel, layers=0).eval()
    inputs = torch.randn(1, 30, 3, 9, requires_grad=True)
    part(Padded(inputs, torch.tensor([30]))).values[0, 4].sum().backward()
    assert inputs.grad is not None
    seen = inputs.grad[0].abs().sum((1, 2)).nonzero().flatten()
    middle = (seen.min() + seen.max()) / 2  # frames 12, 13, 14 belong to latent 4
    assert seen.numel() == kernel
    assert abs(middle - 13) <= 0.5


@pytest.mark.parametrize("layers", [0, 2])
def test_padding_changes_no_latent_no_gradient_and_no_statistic(layers: int) -> None:
    results = []
    for longest in (13, 40):
        part = encoder(layers=layers)
        _, batch = example((13, 5), longest)
        latents = part(batch.inputs)
        latents.values.square().sum().backward()
        for module in part.modules():
            if hasattr(module, "after_step"):
                module.after_step(0.0)
        gradients = [parameter.grad for parameter in part.parameters()]
        results.append([latents.values[:, :5], *gradients, *part.state_dict().values()])
        assert latents.values[~latents.mask].eq(0).all()
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_an_utterance_alone_and_in_a_batch_gives_the_same_latents() -> None:
    part = encoder().eval()
    _, batch = example((13, 5))
    together = part(batch.inputs).values[1, :2]
    alone = part(Padded(batch.inputs.values[1:, :5], torch.tensor([5]))).values[0]
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_the_lstm_matches_a_loop_in_both_directions() -> None:
    layer = encoder(layers=1).recurrent[0].double()
    lstm = layer.lstm
    values = torch.randn(1, 4, lstm.input_size, dtype=torch.float64)

    def run(order: list[int], suffix: str) -> dict[int, torch.Tensor]:
        h = c = torch.zeros(6, dtype=torch.float64)
        outputs = {}
        for s in order:
            weights = getattr(lstm, f"weight_ih_l0{suffix}"), getattr(lstm, f"weight_hh_l0{suffix}")
            i, f, g, o = (weights[0] @ values[0, s] + weights[1] @ h).chunk(4)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            outputs[s] = h
        return outputs

    forward, backward = run([0, 1, 2, 3], ""), run([3, 2, 1, 0], "_reverse")
    found = layer(Padded(values, torch.tensor([4]))).values[0]
    torch.testing.assert_close(found, torch.stack([forward[s] + backward[s] for s in range(4)]))


def test_frames_of_a_single_channel_are_accepted() -> None:
    assert encoder(FLAT).eval()(Padded(torch.randn(1, 7, 9), torch.tensor([7]))).values.shape == (1, 3, 6)


def test_a_batch_may_hold_an_empty_utterance() -> None:
    latents = encoder().eval()(Padded(torch.randn(2, 4, 3, 9), torch.tensor([4, 0])))
    assert latents.values[1].eq(0).all()
    assert latents.lengths.tolist() == [2, 0]


def test_unequal_numbers_of_convolution_settings_are_refused() -> None:
    with pytest.raises(RecipeError, match="3 sizes, 2 time_strides and 2 freq_strides"):
        encoder(channels=(4, 4, 4))
    with pytest.raises(RecipeError, match="shape"):
        encoder(FeatureSpec((2, 3, 9), 100.0, "second", standardize=True))


def test_the_loss_is_the_mean_squared_error_over_valid_frames() -> None:
    latents, batch = example()
    part = decoder()
    loss, stats = part(latents, batch)
    predictions = part.reconstruct(latents, batch.inputs.lengths, batch.conditions)
    total = 0.0
    for row, prediction in enumerate(predictions):
        for t, frame in enumerate(prediction):
            total += float((frame.detach() - batch.inputs.values[row, t]).double().square().mean())
    assert float(loss.detach()) == pytest.approx(total / 18, rel=1e-5)
    assert stats["mse"].item() == loss.item()
    assert [tuple(prediction.shape) for prediction in predictions] == [(13, 3, 9), (5, 3, 9)]


def test_padding_changes_neither_loss_nor_gradient_of_the_decoder() -> None:
    results = []
    for longest in (13, 31):
        part = decoder()
        latents, batch = example((13, 5), longest)
        loss, _ = part(latents, batch)
        loss.backward()
        results.append([loss, *[parameter.grad for parameter in part.parameters()]])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_without_convolutions_the_frames_of_a_latent_are_equal() -> None:
    latents, batch = example()
    first = decoder(layers=0).reconstruct(latents, batch.inputs.lengths, batch.conditions)[0]
    assert first[0].equal(first[2])
    assert not first[2].equal(first[3])


def test_an_unknown_speaker_is_the_mean_of_the_known() -> None:
    latents, batch = example((6, 6), 6)
    part = decoder(layers=0)
    assert part.embeddings is not None
    unknown = part.reconstruct(latents, batch.inputs.lengths, {"speaker": torch.tensor([-1, 0])})
    known = [
        part.reconstruct(latents, batch.inputs.lengths, {"speaker": torch.tensor([n, 0])})[0] for n in (0, 1)
    ]
    torch.testing.assert_close(unknown[0], (known[0] + known[1]) / 2)  # linear without convolutions


def test_a_condition_that_the_data_lacks_is_refused_by_name() -> None:
    with pytest.raises(RecipeError, match=r"'writer'.*speaker"):
        decoder(condition="writer")
    assert decoder(condition=None).embeddings is None


def test_jitter_takes_neighbours_in_training_only() -> None:
    latents, batch = example((30,), 30)
    part = decoder(layers=0, jitter=1.0)
    moved, _ = part(latents, batch)
    kept, _ = part.eval()(latents, batch)
    assert moved != kept
    assert kept == decoder(layers=0)(latents, batch)[0]


def test_jitter_replaces_the_given_share_and_stays_inside() -> None:
    from unitdisc_speech.decoder import _jittered

    torch.manual_seed(0)
    lengths = torch.tensor([500, 400])
    values = (
        torch.arange(500.0)
        .expand(2, 500)[..., None]
        .masked_fill(torch.arange(500)[None, :, None] >= lengths[:, None, None], torch.nan)
    )
    moves = _jittered(Padded(values, lengths), 0.2).values - values
    moves = moves[Padded(values, lengths).mask].flatten()
    assert set(moves.tolist()) == {-1.0, 0.0, 1.0}
    assert float((moves != 0).float().mean()) == pytest.approx(0.2, abs=0.04)
