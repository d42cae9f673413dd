"""The small convolutional encoder, frames as they are, and pretrained networks from a file."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

from tests.plugins.small_hubert import replace_base
from unitdisc.data import FeatureSpec
from unitdisc.errors import RecipeError
from unitdisc.parts import Padded
from unitdisc.testing import check_encoder
from unitdisc_speech.convolutions import Convolutions
from unitdisc_speech.hubert import HuBERT
from unitdisc_speech.identity import Identity

SPEC = FeatureSpec((3, 9), 100.0, "second", standardize=True)
FLAT = FeatureSpec((9,), 100.0, "second", standardize=True)
SAMPLES = FeatureSpec((160,), 100.0, "second", standardize=False)


@pytest.mark.parametrize("features", [SPEC, FLAT])
@pytest.mark.parametrize("make", [partial(Identity, stride=1), partial(Identity, stride=3)])
def test_identity_keeps_the_contract(make, features):
    check_encoder(make, features)


def test_identity_puts_frames_side_by_side_and_zeros_behind_the_last():
    frames = torch.arange(1.0, 6).view(1, 5, 1)
    latents = Identity(FeatureSpec((1,), 100.0, "second", standardize=True), stride=2)(
        Padded(frames, torch.tensor([5]))
    )
    assert latents.values.tolist() == [[[1, 2], [3, 4], [5, 0]]]


@pytest.mark.parametrize("features", [SPEC, FLAT])
@pytest.mark.parametrize(("kernels", "strides"), [((4,), (2,)), ((3, 4, 3), (1, 2, 2)), ((1,), (3,))])
def test_convolutions_keep_the_contract(kernels, strides, features):
    check_encoder(partial(Convolutions, channels=6, kernels=kernels, strides=strides, layers=2), features)


def test_a_latent_sees_its_convolutions_windows_and_no_more():
    torch.manual_seed(0)
    part = Convolutions(FLAT, channels=6, layers=1).eval()
    inputs = torch.randn(1, 20, 9, requires_grad=True)
    part(Padded(inputs, torch.tensor([20]))).values[0, 4].sum().backward()
    assert inputs.grad is not None
    assert inputs.grad[0].abs().sum(1).nonzero().flatten().tolist() == [7, 8, 9, 10]  # 8 and 9 are its own


def test_convolutions_match_loops():
    torch.manual_seed(0)
    part = Convolutions(FLAT, channels=5, kernels=(3,), strides=(2,), layers=1).double().eval()
    frames = torch.randn(5, 9, dtype=torch.float64)
    found = part(Padded(frames[None], torch.tensor([5]))).values[0]
    for latent in range(3):
        total = torch.zeros(5, dtype=torch.float64)
        for offset in range(3):
            if 0 <= 2 * latent + offset < 5:
                total += part.convolutions[0].weight[:, :, offset] @ frames[2 * latent + offset]
        for linear in (None, part.layers[0][1].weight):
            total = total if linear is None else linear @ total
            total = (total - total.mean()) / (total.var(unbiased=False) + 1e-5).sqrt()
            total = total.clamp(min=0)
        torch.testing.assert_close(found[latent], total)


def test_kernels_without_strides_are_refused():
    with pytest.raises(RecipeError, match=r"kernels: 2 of them and 1 strides; give one of each"):
        Convolutions(FLAT, kernels=(3, 3))


@pytest.fixture
def small(monkeypatch) -> torch.nn.Module:
    """A HuBERT of three small layers in the place of the base one."""
    return replace_base(monkeypatch, layers=3)


@pytest.fixture
def weights(small, tmp_path) -> Path:
    torch.save(small.state_dict(), tmp_path / "hubert.pt")
    return tmp_path / "hubert.pt"


@pytest.mark.torchaudio
@pytest.mark.parametrize("samples", [32, 160, 320])
def test_hubert_keeps_the_contract(weights, samples):
    features = FeatureSpec((samples,), 16000 / samples, "second", standardize=False)
    check_encoder(partial(HuBERT, checkpoint=weights, layer=2), features)


@pytest.mark.torchaudio
@pytest.mark.parametrize("layer", [1, 3])
def test_hubert_gives_the_layer_of_torchaudios_model_and_does_not_learn(small, weights, layer):
    part = HuBERT(SAMPLES, checkpoint=weights, layer=layer).train()
    frames = torch.randn(1, 11, 160)
    latents = part(Padded(frames, torch.tensor([11])))
    # 11 frames of 10 ms are 6 latents of 20 ms, the last of them half; 40 samples more on either side.
    padded = torch.cat([torch.zeros(40), frames.flatten(), torch.zeros(160 + 40)])
    with torch.no_grad():
        expected = small.extract_features(padded[None])[0][layer - 1]
    assert latents.values.shape == (1, 6, 16)
    torch.testing.assert_close(latents.values, expected)
    assert not any(parameter.requires_grad for parameter in part.parameters())
    assert len(part.network.encoder.transformer.layers) == layer


@pytest.mark.torchaudio
def test_hubert_reads_the_names_of_older_files_and_leaves_the_output_layer_out(small, weights, tmp_path):
    older = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): value
        for name, value in small.state_dict().items()
    }
    torch.save({**older, "aux.weight": torch.ones(2)}, tmp_path / "older.pt")
    frames = Padded(torch.randn(1, 5, 160), torch.tensor([5]))
    parts = [HuBERT(SAMPLES, checkpoint=path, layer=2) for path in (weights, tmp_path / "older.pt")]
    assert torch.equal(parts[0](frames).values, parts[1](frames).values)


@pytest.mark.torchaudio
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            {"x": torch.ones(1)},
            r"does not fit hubert_base: it lacks feature_extractor\S+ and \d+ more; name its",
        ),
        ([1, 2], r"holds no state_dict"),
        (b"junk", r"not a file of tensors that torch reads without unpickling"),
        (None, r"No such file or directory; give a state_dict"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_a_line(small, tmp_path, content, says):
    path = tmp_path / "weights.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(RecipeError, match=says) as caught:
        HuBERT(SAMPLES, checkpoint=path, layer=2)
    assert "\n" not in str(caught.value)


@pytest.mark.torchaudio
def test_hubert_says_what_it_needs(small, weights):
    with pytest.raises(RecipeError, match=r"layer: hubert_base has 3 layers; accepted: 1 to 3"):
        HuBERT(SAMPLES, checkpoint=weights, layer=4)
    with pytest.raises(RecipeError, match=r"3 x 9 values.*set data\.kind to waveform"):
        HuBERT(SPEC, checkpoint=weights)
    with pytest.raises(RecipeError, match=r"encoder\.checkpoint is missing; give the file"):
        HuBERT(SAMPLES, layer=2)
    with torch.device("meta"):
        assert HuBERT(SAMPLES, layer=2).stride == 2  # as `unitdisc check` builds it
