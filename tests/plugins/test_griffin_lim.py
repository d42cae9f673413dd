"""Log-mel frames back to sound: against the features themselves, a pseudo-inverse in float64, and closed forms."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from unitdisc.errors import DataError, RecipeError
from unitdisc_speech.features import LogMel
from unitdisc_speech.griffin_lim import GriffinLim, _deemphasised, _Frames
from unitdisc_speech.invert import powers
from unitdisc_speech.source import Speech


def log_mel(**changes) -> LogMel:
    settings = {"sample_rate": 16000, "num_mels": 80, "energy": True, "deltas": False}
    return LogMel(**(settings | {"frame_shift": 0.01, "frame_length": 0.025} | changes))


def source(made: LogMel) -> SimpleNamespace:
    return SimpleNamespace(framing=made)


def vowels(num_samples: int = 16000, rate: int = 16000) -> torch.Tensor:
    """Harmonics of a falling pitch below two moving resonances, with a little noise."""
    time = torch.arange(num_samples, dtype=torch.float64) / rate
    pitch = 2 * math.pi * (140 * time - 20 * time.square())
    noise = torch.randn(num_samples, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    signal = 1e-3 * noise
    for number in range(1, 30):
        first, second = 500 + 200 * torch.sin(5 * time), 1500 + 500 * torch.cos(3 * time)
        near = [1 / (1 + ((140 * number - place) / 150).square()) for place in (first, second)]
        signal += 0.1 * sum(near) * torch.sin(number * pitch)
    return signal


def distance(samples: np.ndarray, features: torch.Tensor, made: LogMel) -> float:
    return float((made(torch.from_numpy(samples)) - features)[:, 0, 1:].square().mean())


def test_the_filters_of_the_powers_are_those_asked_for_where_a_pseudo_inverse_is_far_off():
    made = log_mel()
    wanted = made(vowels().float())[:, 0, 1:].double()
    filters = made.filters.double()
    floor = torch.finfo(torch.float32).eps

    found = (powers(wanted, filters) @ filters).clamp(min=floor).log() - wanted
    cut = (wanted.exp() @ torch.linalg.pinv(filters)).clamp(min=0)
    oracle = (cut @ filters).clamp(min=floor).log() - wanted

    assert powers(wanted, filters).min() >= 0
    assert found.square().mean() < 1e-4  # 1e-6
    assert oracle.square().mean() > 20 * found.square().mean()  # 0.005


def test_what_no_filter_sees_is_silent():
    made = log_mel()
    found = powers(torch.zeros(2, 80), made.filters)
    unseen = made.filters.sum(1) == 0
    assert unseen.sum() == 2  # 0 Hz and 8 kHz
    assert found[:, unseen].eq(0).all()
    assert found[:, ~unseen].gt(0).all()


def test_the_updates_are_those_of_the_slow_oracle():
    made = log_mel(num_mels=23, sample_rate=8000)
    wanted = made(vowels(2000, 8000).float())[3:4, 0, 1:].double()
    weights, target = made.filters.double().tolist(), wanted.exp()[0].tolist()
    bins, bands = range(len(weights)), range(23)
    area = [sum(weights[b][f] for b in bins) for f in bands]
    found = [
        sum(target[f] / area[f] * weights[b][f] for f in bands) / sum(weights[b]) if sum(weights[b]) else 0.0
        for b in bins
    ]
    for _ in range(3):
        made_of = [sum(found[b] * weights[b][f] for b in bins) for f in bands]
        found = [
            found[b] * sum(target[f] / made_of[f] * weights[b][f] for f in bands) / sum(weights[b])
            if sum(weights[b])
            else 0.0
            for b in bins
        ]
    torch.testing.assert_close(
        powers(wanted, made.filters, iterations=3)[0], torch.tensor(found, dtype=torch.float64)
    )


def test_the_frames_are_those_of_the_features():
    made, signal = log_mel(), vowels()
    emphasised = signal - made.emphasis * torch.cat([signal[:1], signal[:-1]])
    spectra = _Frames(100, made).spectra(emphasised)
    found = (spectra.abs().square() @ made.filters.double()).log()
    # Above the filters that hear the mean of a frame, and between the ends, where emphasis is mirrored, too.
    torch.testing.assert_close(found[1:-1, 8:], made(signal.float())[1:-1, 0, 9:].double(), atol=0.01, rtol=0)


@pytest.mark.parametrize("num_frames", [1, 2, 3, 30])
def test_a_signal_comes_back_from_its_frames(num_frames):
    made = log_mel()
    frames = _Frames(num_frames, made)
    signal = torch.zeros(frames.length, dtype=torch.float64)
    signal[: 160 * num_frames] = vowels(160 * num_frames)
    found = frames.signal(frames.spectra(signal))
    torch.testing.assert_close(found, signal, atol=1e-12, rtol=0)


def test_emphasis_is_undone():
    made, signal = log_mel(), vowels()
    filtered = torch.fft.rfft(signal)
    filtered[:40] = 0  # below 40 Hz
    signal = torch.fft.irfft(filtered) * torch.hann_window(16000, dtype=torch.float64)
    emphasised = signal - made.emphasis * torch.cat([torch.zeros(1), signal[:-1]])
    torch.testing.assert_close(_deemphasised(emphasised, made), signal, atol=1e-4, rtol=0)


def test_the_sound_has_the_features_it_was_made_of_and_more_so_after_more_ways():
    made = log_mel()
    features = made(vowels().float())
    errors = [
        distance(GriffinLim(iterations=ways).invert(features, source(made))[0], features, made)
        for ways in (0, 10, 100)
    ]
    assert errors[0] > 1.5
    assert errors[0] > 4 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.15


def test_momentum_comes_closer_than_the_method_of_1984():
    made = log_mel()
    features = made(vowels().float())
    fast, slow = (
        distance(
            GriffinLim(iterations=30, momentum=momentum).invert(features, source(made))[0], features, made
        )
        for momentum in (0.99, 0.0)
    )
    assert fast < 0.9 * slow


@pytest.mark.parametrize(
    ("changes", "rate", "shift"),
    [
        ({}, 16000, 160),
        ({"deltas": True, "energy": False}, 16000, 160),
        ({"sample_rate": 8000, "frame_shift": 0.0125, "num_mels": 23}, 8000, 100),
        ({"frame_length": 0.1}, 16000, 160),
    ],
)
@pytest.mark.parametrize("num_frames", [1, 2, 17])
def test_the_sound_is_as_long_as_its_frames(changes, rate, shift, num_frames):
    made = log_mel(**changes)
    features = made(vowels(shift * num_frames, rate).float())
    samples, found = GriffinLim(iterations=3).invert(features, source(made))
    assert (found, samples.shape, samples.dtype) == (rate, (shift * num_frames,), np.float32)
    assert np.isfinite(samples).all()
    assert len(made(torch.from_numpy(samples))) == num_frames == len(features)


def test_the_seed_alone_decides_whatever_was_inverted_before():
    made = log_mel()
    features = made(vowels(4000).float())
    first, _ = GriffinLim(iterations=5).invert(features, source(made))
    torch.manual_seed(7)
    again = GriffinLim(iterations=5)
    again.invert(features[:9], source(made))
    assert np.array_equal(first, again.invert(features, source(made))[0])
    assert not np.array_equal(first, GriffinLim(iterations=5, seed=1).invert(features, source(made))[0])


def test_silence_stays_silent():
    made = log_mel()
    samples, _ = GriffinLim(iterations=5).invert(made(torch.zeros(4000)), source(made))
    assert np.abs(samples).max() < 2e-3


def test_only_log_mel_frames_of_speech_are_taken(tmp_path):
    cepstra = Speech(root=tmp_path, kind="mfcc", num_mels=23)
    assert (cepstra.vocoder, Speech(root=tmp_path).vocoder) == (None, "griffin_lim")
    for other in (cepstra, SimpleNamespace()):
        with pytest.raises(RecipeError, match=r"^griffin_lim: turns log-mel frames .* and nothing else"):
            GriffinLim().invert(torch.zeros(3, 3, 13), other)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e4])
def test_features_of_no_sound_are_one_line(value):
    features = torch.zeros(3, 1, 81)
    features[1, 0, 5] = value
    with pytest.raises(DataError, match=r"^griffin_lim: log-mel values from .*(nan|inf|10000)"):
        GriffinLim().invert(features, source(log_mel()))
