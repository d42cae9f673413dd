"""Log-mel filter bank with energy, and recordings at the sample rate that it is made for."""

from __future__ import annotations

from typing import Any

import torch
from lhotse import Fbank, FbankConfig
from torch import Tensor
from torch.nn import functional

from unitdisc.errors import DataError
from unitdisc_speech.framing import Spectral


class LogMel(Spectral):
    """Kaldi's log-mel filter bank (that of lhotse's `Fbank`).

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
        super().__init__(
            bands=num_mels + energy,
            deltas=deltas,
            sample_rate=sample_rate,
            frame_shift=frame_shift,
            frame_length=frame_length,
        )
        self.num_mels, self.energy = num_mels, energy

    def make_extractor(self, **framing: Any) -> Fbank:
        """Return lhotse's extractor."""
        return Fbank(FbankConfig(num_filters=self.num_mels, use_energy=self.energy, **framing))

    def static(self, samples: Tensor) -> Tensor:
        """Return (T, num_mels), or with the energy (T, 1 + num_mels), of at least one window of samples (N,)."""
        bank = self.bank(samples)
        return bank if self.energy else bank[:, 1:]

    def settings(self) -> list[Any]:
        """Return what else than the sample rate decides on the features, for a checksum."""
        return [*self.shape, self.energy, self.shift, self.length]


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
