"""Sampling rate conversion by a ratio of whole numbers, exact in time and the same in every run."""

from __future__ import annotations

from math import gcd

import numpy as np

TRANSITION = 0.1
"""Share of the narrower band, at its upper end, over which a raised cosine leads to zero."""


def resample(signal: np.ndarray, old_rate: int, new_rate: int) -> np.ndarray:
    """Return ``signal`` (samples,) at ``new_rate``: (samples * new_rate // old_rate,) float64, band-limited.

    Output sample n lies at the time n / new_rate exactly: the filter works on the spectrum and has no delay.
    The signal must begin and end in silence, because the spectrum takes it for periodic.
    """
    divisor = gcd(old_rate, new_rate)
    up, down = new_rate // divisor, old_rate // divisor
    length = len(signal) * up // down
    # Whole periods of both rates; a multiple of 16 keeps the transform's lengths free of large primes.
    periods = -(-len(signal) // (16 * down)) * 16
    spectrum = np.fft.rfft(signal, periods * down)
    bins = periods * min(up, down) // 2 + 1
    spectrum = spectrum[:bins] * _low_pass(bins)
    return np.fft.irfft(spectrum, periods * up)[:length] * (up / down)


def _low_pass(bins: int) -> np.ndarray:
    """Return (bins,): 1, then half a cosine down to 0 at the last bin."""
    distance = np.linspace(1, 0, bins) / TRANSITION
    return 0.5 - 0.5 * np.cos(np.pi * np.clip(distance, 0, 1))
