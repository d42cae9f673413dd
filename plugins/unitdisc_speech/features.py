"""Log-mel filter bank with energy and deltas, and the exact number of its frames."""

from __future__ import annotations

import warnings
from functools import cached_property

import torch
from lhotse import Fbank, FbankConfig
from torch import Tensor
from torch.nn import functional

from unitdisc.errors import DataError, RecipeError

_LOW_FREQ, _HIGH_FREQ = 20.0, 0.0
"""Hz; 0 is the Nyquist frequency. Kaldi's defaults, stated because lhotse's differ."""


class LogMel:
    """Kaldi's log-mel filter bank (lhotse's `Fbank`): povey window, pre-emphasis 0.97, no dither.

    Frame t stands for the samples [t * shift, (t + 1) * shift) and looks at ``length`` samples around their
    middle; at both ends the signal is mirrored (Kaldi's ``snip_edges=False``).

    Args:
        sample_rate: Hz.
        num_mels: Filters between 20 Hz and half the sample rate.
        energy: Put the log energy of the frame before the filters.
        deltas: Give three channels, static, delta and delta-delta, instead of one.
        frame_shift: Seconds from one frame to the next.
        frame_length: Seconds that a frame looks at.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        num_mels: int,
        energy: bool,
        deltas: bool,
        frame_shift: float,
        frame_length: float,
    ) -> None:
        self.sample_rate, self.num_mels, self.energy, self.deltas = sample_rate, num_mels, energy, deltas
        self.shift = round(frame_shift * sample_rate)
        self.length = round(frame_length * sample_rate)
        if abs(self.shift - frame_shift * sample_rate) > 1e-6 or not 0 < self.shift <= self.length:
            raise RecipeError(
                f"data.frame_shift: {frame_shift} s is {frame_shift * sample_rate:g} samples; "
                f"give a whole number of samples, at most frame_length ({self.length} samples)"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of a frame: (channels, filters with energy)."""
        return 3 if self.deltas else 1, self.num_mels + self.energy

    def num_frames(self, num_samples: int) -> int:
        """Return the number of frames of a recording, at least 1."""
        return max(1, (num_samples + self.shift // 2) // self.shift)

    def __call__(self, samples: Tensor) -> Tensor:
        """Return (T, *shape) float32 of ``samples`` (N,), finite, N > 0."""
        frames = self.num_frames(len(samples))
        # Mirroring needs a whole window; what is shorter is continued with silence.
        padded = functional.pad(samples, (0, max(0, self.length - len(samples))))
        with torch.no_grad():
            static: Tensor = self._bank.extract(padded, self.sample_rate)[:frames]  # (T, F)
        if not self.deltas:
            return static[:, None]
        delta = deltas(static)
        return torch.stack([static, delta, deltas(delta)], dim=1)

    @cached_property
    def _bank(self) -> Fbank:
        config = FbankConfig(
            sampling_rate=self.sample_rate,
            # lhotse rounds the product with the rate down; the half sample keeps it from losing one.
            frame_length=(self.length + 0.5) / self.sample_rate,
            frame_shift=(self.shift + 0.5) / self.sample_rate,
            dither=0.0,
            snip_edges=False,
            use_energy=self.energy,
            low_freq=_LOW_FREQ,
            high_freq=_HIGH_FREQ,
            num_filters=self.num_mels,
        )
        with warnings.catch_warnings():
            # lhotse hands tensors to numpy functions when it lays out the filters.
            warnings.filterwarnings("ignore", "__array_wrap__ must accept", DeprecationWarning)
            return Fbank(config)


def deltas(features: Tensor) -> Tensor:
    """Return the slope of a line through 5 frames, (T, F) to (T, F); first and last frame are repeated."""
    first, last = features[:1].expand(2, -1), features[-1:].expand(2, -1)
    padded = torch.cat([first, features, last])
    return (2 * (padded[4:] - padded[:-4]) + padded[3:-1] - padded[1:-3]) / 10


def num_resampled(num_samples: int, rate: int, sample_rate: int) -> int:
    """Return the number of samples that `resample` makes of ``num_samples``."""
    return -(-num_samples * sample_rate // rate)


def resample(samples: Tensor, rate: int, sample_rate: int, where: str) -> Tensor:
    """Return ``samples`` (N,) from ``rate`` Hz at ``sample_rate`` Hz; ``where`` names them in a message."""
    if rate == sample_rate:
        return samples
    try:
        from torchaudio.functional import resample as sinc  # noqa: PLC0415  (it may not import)
    except (ImportError, OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{where}: {rate} Hz instead of {sample_rate} Hz, and torchaudio, which would resample it, does "
            f"not import beside torch {torch.__version__} ({reason}); install a matching pair or resample it"
        ) from None
    resampled = sinc(samples, rate, sample_rate)
    # torchaudio rounds the length in float32, which is off by some samples on long recordings.
    length = num_resampled(len(samples), rate, sample_rate)
    padded: Tensor = functional.pad(resampled, (0, length - len(resampled)))
    return padded
