"""MFCC against Kaldi's by torchaudio, and samples as features."""

from __future__ import annotations

import math

import pytest
import torch

from unitdisc.errors import RecipeError
from unitdisc_speech.framing import deltas
from unitdisc_speech.mfcc import MFCC
from unitdisc_speech.source import Speech
from unitdisc_speech.waveform import Waveform


def mfcc(**changes) -> MFCC:
    settings = {"num_mels": 23, "num_ceps": 13, "energy": False, "deltas": True}
    return MFCC(**(settings | {"sample_rate": 16000, "frame_shift": 0.01, "frame_length": 0.025} | changes))


def noise(length: int) -> torch.Tensor:
    return 0.1 * torch.randn(length, generator=torch.Generator().manual_seed(length))


@pytest.mark.torchaudio
@pytest.mark.parametrize("energy", [True, False])
@pytest.mark.parametrize("length", [400, 401, 16079, 54681])
def test_the_coefficients_are_those_of_torchaudio_kaldi(length, energy):
    from torchaudio.compliance import kaldi

    samples = noise(length)
    expected = kaldi.mfcc(samples[None], dither=0.0, snip_edges=False, use_energy=energy, energy_floor=1e-10)
    found = mfcc(energy=energy)(samples)
    torch.testing.assert_close(found[:, 0], expected, atol=2e-3, rtol=0)
    assert torch.equal(found[:, 1], deltas(found[:, 0]))
    assert torch.equal(found[:, 2], deltas(found[:, 1]))


@pytest.mark.parametrize("length", [1, 79, 80, 239, 240, 400, 2401])
@pytest.mark.parametrize("make", [mfcc, lambda: Waveform(sample_rate=16000, frame_shift=0.01)])
def test_any_length_gives_the_promised_number_of_finite_frames(make, length):
    extract = make()
    features = extract(noise(length))
    assert features.shape == (max(1, math.floor(length / 160 + 0.5)), *extract.shape)
    assert extract.num_frames(length) == len(features)
    assert features.isfinite().all()
    assert features.dtype == torch.float32


def test_a_waveform_frame_holds_the_samples_that_it_stands_for():
    samples = noise(1000)  # 6.25 frames
    frames = Waveform(sample_rate=16000, frame_shift=0.01)(samples)
    assert torch.equal(frames.flatten(), samples[:960])
    assert torch.equal(Waveform(sample_rate=16000, frame_shift=0.01)(samples[:900])[5, 100:], torch.zeros(60))


def test_more_coefficients_than_filters_are_refused():
    with pytest.raises(RecipeError, match=r"data\.num_ceps: 12 filters give 12 coefficients, not 13"):
        mfcc(num_mels=12)


def test_the_source_tells_what_a_frame_is_and_tells_kinds_apart():
    sources = {kind: Speech(kind=kind, num_mels=23) for kind in ("log_mel", "mfcc", "waveform")}
    assert {kind: source.features.shape for kind, source in sources.items()} == {
        "log_mel": (3, 24),
        "mfcc": (3, 13),
        "waveform": (160,),
    }
    assert [source.features.standardize for source in sources.values()] == [True, True, False]
    assert {source.features.frame_rate for source in sources.values()} == {100.0}
    settings = [source.framing.settings() for source in (*sources.values(), Speech(kind="mfcc"))]
    assert all(one != other for place, one in enumerate(settings) for other in settings[:place])
