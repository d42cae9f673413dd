"""Mel-frequency cepstral coefficients: what k-means was given before features were learnt."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from lhotse import Fbank, FbankConfig
from lhotse.features.kaldi.layers import Wav2MFCC
from torch import Tensor

from unitdisc.errors import RecipeError
from unitdisc_speech.framing import Spectral


class MFCC(Spectral):
    """Kaldi's cepstral coefficients, liftered.

    Args:
        sample_rate: Hz.
        num_mels: Filters between 20 Hz and half the sample rate.
        num_ceps: Coefficients, the first with the number 0 among them.
        energy: Put the log energy of the frame in the place of coefficient 0.
        deltas: Give three channels, static, delta and delta-delta, instead of one.
        frame_shift: Seconds from one frame to the next.
        frame_length: Seconds that a frame looks at.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        num_mels: int,
        num_ceps: int,
        energy: bool,
        deltas: bool,
        frame_shift: float,
        frame_length: float,
    ) -> None:
        super().__init__(
            bands=num_ceps,
            deltas=deltas,
            sample_rate=sample_rate,
            frame_shift=frame_shift,
            frame_length=frame_length,
        )
        if num_ceps > num_mels:
            raise RecipeError(
                f"data.num_ceps: {num_mels} filters give {num_mels} coefficients, not {num_ceps}; lower it, or "
                "raise data.num_mels"
            )
        self.num_mels, self.energy = num_mels, energy

    def make_extractor(self, **framing: Any) -> Fbank:
        """Return lhotse's filter bank; its own `Mfcc` puts the energy of all frames into the first one."""
        return Fbank(FbankConfig(num_filters=self.num_mels, use_energy=True, **framing))

    def static(self, samples: Tensor) -> Tensor:
        """Return (T, num_ceps) of at least one window of samples (N,)."""
        bank = self.bank(samples)  # (T, 1 + filters)
        coefficients = bank[:, 1:] @ self._cosines
        if self.energy:
            coefficients[:, 0] = bank[:, 0]
        return coefficients

    @cached_property
    def _cosines(self) -> Tensor:
        """(filters, num_ceps), the discrete cosine transform with Kaldi's lifter of 22."""
        cosines: Tensor = Wav2MFCC.make_dct_matrix(self.bands, self.num_mels)
        return cosines * Wav2MFCC.make_lifter(self.bands, 22)

    def settings(self) -> list[Any]:
        """Return what else than the sample rate decides on the features, for a checksum."""
        return ["mfcc", *super().settings(), self.num_mels, self.energy]
