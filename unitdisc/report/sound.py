"""Recordings on the page: 8 bits a sample, as on the telephone but of twice the bandwidth, and what they look like."""

from __future__ import annotations

import numpy as np

RATE = 16000
"""Samples per second on the page, whatever the recording has."""

COLUMNS = 100
"""Columns of a spectrogram per second."""

_MU = 255.0
_WINDOW, _FFT, _ROWS = 400, 512, 64
_EMPHASIS, _RANGE = 0.97, 60.0


def resampled(samples: np.ndarray, rate: int) -> np.ndarray:
    """Return ``samples`` (N,) at 16 kHz, cut or continued in the spectrum of the whole."""
    if rate == RATE:
        return samples
    length = max(round(len(samples) * RATE / rate), 1)
    spectrum = np.fft.rfft(samples)[: length // 2 + 1]
    return np.fft.irfft(spectrum, length) * (length / len(samples))


def mu_law(samples: np.ndarray) -> bytes:
    """Return a byte per sample: 128 + 127 times the logarithm of ITU-T G.711 (mu = 255), as a continuous formula."""
    clipped = np.clip(samples, -1, 1)
    levels = np.sign(clipped) * np.log1p(_MU * np.abs(clipped)) / np.log1p(_MU)
    quantised: np.ndarray = (128 + np.round(127 * levels)).astype(np.uint8)
    return quantised.tobytes()


def spectrogram(samples: np.ndarray) -> np.ndarray:
    """Return (64, T) uint8 of samples at 16 kHz, high where there is energy, 8 kHz in the first row.

    Column t stands for the hundredth of a second that begins at t / 100, its window of 25 ms around the middle.
    """
    shift = RATE // COLUMNS
    emphasised = np.append(samples[:1], samples[1:] - _EMPHASIS * samples[:-1])
    count = max(1, round(len(samples) / shift))
    before = (_WINDOW - shift) // 2
    padded = np.pad(emphasised, (before, count * shift + _WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[: count * shift : shift]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), _FFT)) ** 2  # (T, 257)
    rows = power[:, 1:].reshape(count, _ROWS, -1).mean(axis=2)
    level = 10 * np.log10(rows + 1e-12)
    scaled = (level - level.max() + _RANGE) / _RANGE * 255
    flipped: np.ndarray = np.clip(scaled, 0, 255).round().astype(np.uint8).T[::-1]
    return flipped
