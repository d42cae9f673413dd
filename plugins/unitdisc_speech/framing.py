"""What all kinds of features share: which samples a frame stands for, and how many frames there are."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from unitdisc.data import FeatureSpec
from unitdisc.errors import RecipeError

_FRAMES = 512
"""Frames whose spectra are worked out at once: enough for speed, few enough for the cache."""
_LEAST_ENERGY, _LEAST_OUTPUT = 1e-10, torch.finfo(torch.float32).eps
"""Of a frame, and of a filter."""


class Framing(ABC):
    """Frame t stands for the samples [t * shift, (t + 1) * shift).

    Args:
        sample_rate: Hz.
        frame_shift: Seconds from one frame to the next.
        frame_length: Seconds that a frame looks at.

    Attributes:
        shift: Samples from one frame to the next.
        length: Samples that a frame looks at.
        standardize: Whether the engine brings the features to mean 0 and deviation 1.
    """

    standardize = True

    def __init__(self, *, sample_rate: int, frame_shift: float, frame_length: float) -> None:
        self.sample_rate = sample_rate
        self.shift = round(frame_shift * sample_rate)
        self.length = round(frame_length * sample_rate)
        if abs(self.shift - frame_shift * sample_rate) > 1e-6 or not 0 < self.shift <= self.length:
            raise RecipeError(
                f"data.frame_shift: {frame_shift} s is {frame_shift * sample_rate:g} samples; "
                f"give a whole number of samples, at most frame_length ({self.length} samples)"
            )

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of a frame."""

    @abstractmethod
    def __call__(self, samples: Tensor) -> Tensor:
        """Return (T, *shape) float32 of ``samples`` (N,), finite, N > 0."""

    def num_frames(self, num_samples: int) -> int:
        """Return the number of frames of a recording, at least 1."""
        return max(1, (num_samples + self.shift // 2) // self.shift)

    def spec(self) -> FeatureSpec:
        """Return what a frame is."""
        rate = self.sample_rate / self.shift
        return FeatureSpec(self.shape, rate, "second", standardize=self.standardize)

    def settings(self) -> list[Any]:
        """Return what else than the sample rate decides on the features, for a checksum."""
        return [*self.shape, self.shift, self.length]


class Spectral(Framing):
    """Kaldi's features of a frame's spectrum: povey window, pre-emphasis 0.97, no dither.

    Window, filters and floors are those of lhotse, so that features are its own but for rounding. A frame looks at
    ``length`` samples around its middle; at both ends the signal is mirrored (Kaldi's ``snip_edges=False``).

    Args:
        bands: Values of a frame.
        deltas: Give three channels, static, delta and delta-delta, instead of one.
        sample_rate: Hz.
        frame_shift: Seconds from one frame to the next.
        frame_length: Seconds that a frame looks at.
    """

    def __init__(
        self, *, bands: int, deltas: bool, sample_rate: int, frame_shift: float, frame_length: float
    ) -> None:
        super().__init__(sample_rate=sample_rate, frame_shift=frame_shift, frame_length=frame_length)
        self.bands, self.deltas = bands, deltas

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of a frame: (channels, bands)."""
        return 3 if self.deltas else 1, self.bands

    def __call__(self, samples: Tensor) -> Tensor:
        """Return (T, *shape) float32 of ``samples`` (N,), finite, N > 0."""
        frames = self.num_frames(len(samples))
        # Mirroring needs a whole window; what is shorter is continued with silence.
        padded = functional.pad(samples, (0, max(0, self.length - len(samples))))
        with torch.no_grad():
            static = self.static(padded)[:frames]  # (T, F)
        if not self.deltas:
            return static[:, None]
        delta = deltas(static)
        return torch.stack([static, delta, deltas(delta)], dim=1)

    @abstractmethod
    def static(self, samples: Tensor) -> Tensor:
        """Return (T, F) of at least one window of samples (N,)."""

    def bank(self, samples: Tensor) -> Tensor:
        """Return (T, 1 + num_mels) of at least one window of samples (N,): log energy, then log filter outputs."""
        frames = self.num_frames(len(samples))
        left = (self.length - self.shift) // 2
        right = (frames - 1) * self.shift + self.length - left - len(samples)
        ends = samples[:left].flip(0), samples[len(samples) - max(0, right) :].flip(0)
        windows = torch.cat([ends[0], samples, ends[1]]).unfold(0, self.length, self.shift)  # (T, length)
        return torch.cat([self._powers(some) for some in windows.split(_FRAMES)])

    def _powers(self, windows: Tensor) -> Tensor:
        """Return `bank` of windows (N, length), with few passes over memory: loading is mostly this."""
        centred = windows - windows.mean(dim=1, keepdim=True)
        energy = centred.square().sum(dim=1, keepdim=True)
        padded = centred.new_zeros(len(centred), 2 * len(self.filters) - 2)
        emphasised = padded[:, : self.length]
        torch.sub(centred[:, 1:], centred[:, :-1], alpha=self.emphasis, out=emphasised[:, 1:])
        emphasised[:, 0] = centred[:, 0] * (1 - self.emphasis)
        emphasised *= self.window
        squares = torch.view_as_real(torch.fft.rfft(padded)).square_()  # (N, bins, 2)
        mels = squares.flatten(1) @ self._doubled
        return torch.cat([energy.clamp_(min=_LEAST_ENERGY), mels.clamp_(min=_LEAST_OUTPUT)], dim=1).log_()

    @cached_property
    def filters(self) -> Tensor:
        """(bins, num_mels), what each filter takes of each bin of the power spectrum."""
        weights: Tensor = self._extractor.extractor.state_dict()["_fb"]
        return weights

    @cached_property
    def _doubled(self) -> Tensor:
        """(2 * bins, num_mels), the filters of the real and the imaginary part of each bin, squared."""
        return self.filters.repeat_interleave(2, dim=0)

    @cached_property
    def window(self) -> Tensor:
        """(length,), what the samples of a frame are weighted with."""
        weights: Tensor = self._extractor.extractor.state_dict()["wav2win._window"]
        return weights

    @cached_property
    def emphasis(self) -> float:
        """The share of the sample before that is taken off each sample."""
        share: float = self._extractor.config.preemph_coeff
        return share

    @abstractmethod
    def make_extractor(self, **framing: Any) -> Any:
        """Return lhotse's extractor; ``framing`` are the fields that the configurations of all of them have."""

    @cached_property
    def _extractor(self) -> Any:
        with warnings.catch_warnings():
            # lhotse hands tensors to numpy functions when it lays out the filters.
            warnings.filterwarnings("ignore", "__array_wrap__ must accept", DeprecationWarning)
            return self.make_extractor(
                sampling_rate=self.sample_rate,
                # lhotse rounds the product with the rate down; the half sample keeps it from losing one.
                frame_length=(self.length + 0.5) / self.sample_rate,
                frame_shift=(self.shift + 0.5) / self.sample_rate,
                dither=0.0,
                snip_edges=False,
                # Kaldi's defaults, stated because lhotse's differ; a high frequency of 0 is the Nyquist frequency.
                low_freq=20.0,
                high_freq=0.0,
            )


def deltas(features: Tensor) -> Tensor:
    """Return the slope of a line through 5 frames, (T, F) to (T, F); first and last frame are repeated."""
    first, last = features[:1].expand(2, -1), features[-1:].expand(2, -1)
    padded = torch.cat([first, features, last])
    return (2 * (padded[4:] - padded[:-4]) + padded[3:-1] - padded[1:-3]) / 10
