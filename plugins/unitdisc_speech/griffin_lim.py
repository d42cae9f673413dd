"""The vocoder that needs no training: a signal whose spectrogram has the magnitudes of the features."""

from __future__ import annotations

from math import pi
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Lt
from torch import Tensor

from unitdisc.data import DataSource, Vocoder
from unitdisc.errors import DataError, RecipeError
from unitdisc_speech.features import LogMel
from unitdisc_speech.invert import powers

if TYPE_CHECKING:
    import numpy as np

_TINY = 1e-16
_LOUDEST = 100.0
_LOWEST = 20.0
"""Hz, where the filters begin; what undoing the pre-emphasis would make of errors below is a slow drift."""
_TAIL = 4096
"""Zeros behind the signal; pre-emphasis rings for some hundred samples, which must not reach its beginning."""


class GriffinLim(Vocoder):
    """Finds phases for the magnitudes of log-mel frames by going to the signal and back again and again.

    The fast variant (Perraudin, Balazs and Soendergaard 2013, algorithm 2) of Griffin and Lim 1984, in float64
    with the window, shift and mirrored ends of the features, then without the pre-emphasis. Only the static
    channel is used, and of it the filters alone. Speech can be understood and sounds hollow.

    Args:
        iterations: Ways to the signal and back; 100 take a quarter of the duration of the signal on one core.
        momentum: How far each way goes beyond its end (alpha); 0 is the method of 1984.
        seed: Of the phases to begin with.
    """

    def __init__(
        self,
        *,
        iterations: Annotated[int, Ge(0)] = 100,
        momentum: Annotated[float, Ge(0), Lt(2)] = 0.99,
        seed: Annotated[int, Ge(0)] = 0,
    ) -> None:
        self.iterations, self.momentum, self.seed = iterations, momentum, seed

    def invert(self, features: Tensor, source: DataSource) -> tuple[np.ndarray, int]:
        """Return samples (T * shift,) float32 and their rate. Raises `RecipeError` for other than log-mel frames."""
        made = getattr(source, "framing", None)
        if not isinstance(made, LogMel):
            raise RecipeError(
                "griffin_lim: turns log-mel frames of the data source 'speech' into sound and nothing else; "
                "give the vocoder of these features"
            )
        log_mels = features[:, 0, int(made.energy) :].cpu()
        if not log_mels.isfinite().all() or log_mels.max() > _LOUDEST:
            raise DataError(
                f"griffin_lim: log-mel values from {log_mels.min():g} to {log_mels.max():g}, those of speech stay "
                "between -20 and 20; look at the features, or train the decoder that made them for longer"
            )
        emphasised = self.signal(powers(log_mels, made.filters).sqrt(), made)
        samples = _deemphasised(emphasised, made)[: len(features) * made.shift]
        return samples.float().numpy(), made.sample_rate

    def signal(self, magnitudes: Tensor, made: LogMel) -> Tensor:
        """Return (N,) float64, a signal whose frames have about the ``magnitudes`` (T, bins)."""
        frames = _Frames(len(magnitudes), made)
        generator = torch.Generator().manual_seed(self.seed)
        phases = 2 * pi * torch.rand(magnitudes.shape, generator=generator, dtype=torch.float64)
        ahead = before = torch.polar(magnitudes, phases)
        for number in range(self.iterations):
            found = frames.spectra(frames.signal(_with(magnitudes, ahead)))
            ahead = found + self.momentum * (found - before) if number else found
            before = found
        return frames.signal(_with(magnitudes, ahead))


class _Frames:
    """The windowed frames of a signal as the features see them, and the signal nearest to given frames."""

    def __init__(self, num_frames: int, made: LogMel) -> None:
        self.num_samples = num_frames * made.shift
        self.window = made.window.double()
        self.num_bins = len(made.filters)
        # As in the features, what is shorter than a frame is continued with silence.
        self.length = max(self.num_samples, made.length)
        first = torch.arange(num_frames) * made.shift - (made.length - made.shift) // 2
        places = first[:, None] + torch.arange(made.length)  # (T, length)
        places = torch.where(places < 0, -1 - places, places)
        self.places = torch.where(places < self.length, places, 2 * self.length - 1 - places)
        self.weights = self._added(self.window.square().expand(num_frames, -1)).clamp(min=_TINY)

    def spectra(self, signal: Tensor) -> Tensor:
        """Return (T, bins) complex."""
        spectra: Tensor = torch.fft.rfft(signal[self.places] * self.window, 2 * (self.num_bins - 1))
        return spectra

    def signal(self, spectra: Tensor) -> Tensor:
        """Return the signal whose frames differ least, in squares, from those of ``spectra`` (T, bins)."""
        frames = torch.fft.irfft(spectra, 2 * (self.num_bins - 1))[:, : len(self.window)] * self.window
        signal = self._added(frames) / self.weights
        signal[self.num_samples :] = 0
        return signal

    def _added(self, frames: Tensor) -> Tensor:
        """Put frames (T, length) back into their places, one over the other."""
        empty = torch.zeros(self.length, dtype=torch.float64)
        return empty.index_add_(0, self.places.flatten(), frames.flatten())


def _with(magnitudes: Tensor, spectra: Tensor) -> Tensor:
    """Return the spectra of the phases of ``spectra`` with other magnitudes."""
    return spectra * (magnitudes / spectra.abs().clamp(min=_TINY))


def _deemphasised(signal: Tensor, made: LogMel) -> Tensor:
    """Undo x[n] - emphasis * x[n - 1] above the lowest frequency of the filters."""
    padded = len(signal) + _TAIL
    turns = torch.fft.rfftfreq(padded, dtype=torch.float64)
    response = 1 - made.emphasis * torch.polar(torch.ones_like(turns), -2 * pi * turns)
    spectrum = torch.fft.rfft(signal, padded) / response
    spectrum[turns * made.sample_rate < _LOWEST] = 0
    restored: Tensor = torch.fft.irfft(spectrum, padded)
    return restored[: len(signal)]
