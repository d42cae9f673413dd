"""Samples as features, for encoders that begin with the waveform."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional

from unitdisc_speech.framing import Framing


class Waveform(Framing):
    """The samples that a frame stands for, as they are; zeros behind the end of the recording.

    Args:
        sample_rate: Hz.
        frame_shift: Seconds from one frame to the next.
    """

    standardize = False

    def __init__(self, *, sample_rate: int, frame_shift: float) -> None:
        super().__init__(sample_rate=sample_rate, frame_shift=frame_shift, frame_length=frame_shift)

    @property
    def shape(self) -> tuple[int]:
        """Shape of a frame: (samples,)."""
        return (self.shift,)

    def __call__(self, samples: Tensor) -> Tensor:
        """Return (T, shift) float32 of ``samples`` (N,), finite, N > 0."""
        frames = self.num_frames(len(samples))
        # The last frame may be cut short or a rest of less than half a frame be left over.
        return functional.pad(samples, (0, frames * self.shift - len(samples))).view(frames, self.shift)

    def settings(self) -> list[Any]:
        """Return what else than the sample rate decides on the features, for a checksum."""
        return ["waveform", *super().settings()]
