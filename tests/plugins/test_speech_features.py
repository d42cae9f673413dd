"""Log-mel features against Kaldi's definition, torchaudio and closed forms."""

from __future__ import annotations

import math
import sys

import pytest
import torch

from unitdisc.errors import DataError, RecipeError
from unitdisc_speech import framing
from unitdisc_speech.features import LogMel, num_resampled, resample
from unitdisc_speech.framing import deltas


def log_mel(**changes) -> LogMel:
    settings = {
        "sample_rate": 16000,
        "num_mels": 80,
        "energy": True,
        "deltas": True,
        "frame_shift": 0.01,
        "frame_length": 0.025,
    }
    return LogMel(**(settings | changes))


def noise(length: int) -> torch.Tensor:
    return 0.1 * torch.randn(length, generator=torch.Generator().manual_seed(length))


@pytest.mark.torchaudio
@pytest.mark.parametrize("length", [400, 401, 16079, 16080, 54681, 163839, 163841, 500000])
def test_static_channel_is_that_of_torchaudio_kaldi(length):
    from torchaudio.compliance import kaldi

    samples = noise(length)
    expected = kaldi.fbank(
        samples[None], num_mel_bins=80, dither=0.0, snip_edges=False, use_energy=True, energy_floor=1e-10
    )
    # In float32 torchaudio is that far off where a filter's output is small.
    torch.testing.assert_close(log_mel()(samples)[:, 0], expected, atol=2e-3, rtol=0)


@pytest.mark.torchaudio
def test_deltas_are_those_of_torchaudio():
    from torchaudio.functional import compute_deltas

    for length in (1, 2, 3, 50):
        features = torch.randn(length, 7, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(deltas(features), compute_deltas(features.T).T, atol=1e-6, rtol=0)


def in_double_precision(samples: torch.Tensor, made: LogMel) -> torch.Tensor:
    """Kaldi's definition, frame by frame."""
    signal, frames = samples.double().tolist(), []
    for t in range(made.num_frames(len(signal))):
        first = t * made.shift - (made.length - made.shift) // 2
        places = [p if p >= 0 else -p - 1 for p in range(first, first + made.length)]
        places = [p if p < len(signal) else 2 * len(signal) - p - 1 for p in places]
        frame = torch.tensor([signal[p] for p in places], dtype=torch.float64)
        frame = frame - frame.mean()
        energy = frame.square().sum().clamp(min=1e-10)
        frame = (frame - 0.97 * torch.cat([frame[:1], frame[:-1]])) * made.window.double()
        powers = torch.fft.rfft(frame, 2 * len(made.filters) - 2).abs().square()
        mels = (powers @ made.filters.double()).clamp(min=torch.finfo(torch.float32).eps)
        frames.append(torch.cat([energy[None], mels]).log())
    return torch.stack(frames).float()


@pytest.mark.parametrize("frame", [(0.01, 0.025), (0.01, 0.01), (0.016, 0.032), (0.01, 0.015), (0.01, 0.05)])
def test_frames_are_those_of_plain_loops_and_of_lhotse(frame, monkeypatch):
    monkeypatch.setattr(framing, "_FRAMES", 7)
    made = log_mel(frame_shift=frame[0], frame_length=frame[1], num_mels=40, deltas=False)
    for length in (801, 960, 4079, 4080, 4081):
        found = made(noise(length))[:, 0]
        torch.testing.assert_close(found, in_double_precision(noise(length), made), atol=4e-4, rtol=0)
        torch.testing.assert_close(
            found, made._extractor.extract(noise(length), 16000)[: len(found)], atol=1e-3, rtol=0
        )


@pytest.mark.parametrize("length", [400, 1119, 1120, 1121, 16079, 16080, 54681])
@pytest.mark.parametrize("frame_length", [0.01, 0.025, 0.08])
def test_frames_are_the_same_wherever_the_work_is_cut(length, frame_length, monkeypatch):
    features = log_mel(frame_length=frame_length)
    whole = features(noise(length))
    monkeypatch.setattr(framing, "_FRAMES", 7)
    torch.testing.assert_close(features(noise(length)), whole, atol=1e-5, rtol=0)


def test_deltas_of_a_ramp_are_its_slope():
    ramp = torch.arange(9.0)[:, None] * 3
    assert deltas(ramp)[2:-2].flatten().tolist() == pytest.approx([3.0] * 5)


def test_the_second_and_third_channel_are_deltas_of_the_first():
    features = log_mel()(noise(4000))
    assert torch.equal(features[:, 1], deltas(features[:, 0]))
    assert torch.equal(features[:, 2], deltas(features[:, 1]))


def test_energy_comes_first_and_is_that_of_the_frame():
    samples = noise(1600)
    frame = samples[360:760].double()  # frame 3: 400 samples around 3.5 * 160
    expected = math.log(sum((x - float(frame.mean())) ** 2 for x in frame.tolist()))
    assert float(log_mel()(samples)[3, 0, 0]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("length", [1, 79, 80, 121, 139, 140, 239, 240, 399, 400, 401, 2400, 2401])
def test_any_length_gives_the_promised_number_of_finite_frames(length):
    extract = log_mel()
    features = extract(noise(length))
    assert features.shape == (max(1, math.floor(length / 160 + 0.5)), 3, 81)
    assert extract.num_frames(length) == len(features)
    assert features.isfinite().all()
    assert features.dtype == torch.float32


def test_silence_gives_finite_frames():
    features = log_mel()(torch.zeros(16000))
    assert features.isfinite().all()
    assert (features[:, 1:] == 0).all()


def test_what_is_shorter_than_a_frame_is_continued_with_zeros():
    short = noise(300)
    continued = torch.cat([short, torch.zeros(100)])
    assert torch.equal(log_mel()(short)[:, 0], log_mel()(continued)[:2, 0])


def test_the_shape_follows_the_parameters():
    extract = log_mel(num_mels=23, energy=False, deltas=False, sample_rate=8000, frame_shift=0.0125)
    assert extract.shape == (1, 23)
    assert extract(noise(8000)).shape == (80, 1, 23)


@pytest.mark.parametrize("changes", [{"frame_shift": 0.01001}, {"frame_shift": 0.03}, {"frame_shift": 1e-9}])
def test_a_frame_shift_that_does_not_fit_is_refused(changes):
    with pytest.raises(RecipeError, match=r"data\.frame_shift: .* whole number of samples"):
        log_mel(**changes)


@pytest.mark.torchaudio
@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_resampling_gives_the_promised_number_of_samples(rate):
    for length in (1, 7, 2384, 88_203):
        assert len(resample(noise(length), rate, 16000, "x")) == num_resampled(length, rate, 16000)
        assert num_resampled(length, rate, 16000) == math.ceil(length * 16000 / rate)


@pytest.mark.torchaudio
def test_resampling_keeps_a_tone():
    time = torch.arange(8000) / 8000
    resampled = resample(torch.sin(2 * math.pi * 440 * time), 8000, 16000, "x")
    expected = torch.sin(2 * math.pi * 440 * torch.arange(16000) / 16000)
    torch.testing.assert_close(resampled[200:-200], expected[200:-200], atol=5e-3, rtol=0)


def test_a_torchaudio_that_does_not_import_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio.functional", None)
    with pytest.raises(DataError) as caught:
        resample(noise(100), 8000, 16000, "utt1")
    assert str(caught.value).startswith("utt1: 8000 Hz instead of 16000 Hz, and torchaudio, which would")
    assert "\n" not in str(caught.value)
    assert len(resample(noise(100), 16000, 16000, "utt1")) == 100
