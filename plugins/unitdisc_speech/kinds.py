"""The kinds of features that a recipe can ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from unitdisc_speech.features import LogMel
from unitdisc_speech.mfcc import MFCC
from unitdisc_speech.waveform import Waveform

if TYPE_CHECKING:
    from unitdisc_speech.framing import Framing

Kind = Literal["log_mel", "mfcc", "waveform"]


def framing(
    kind: Kind, *, sample_rate: int, frame_shift: float, frame_length: float, num_ceps: int, **bank: Any
) -> Framing:
    """Return the features of a kind; each takes what it can use."""
    if kind == "waveform":
        return Waveform(sample_rate=sample_rate, frame_shift=frame_shift)
    window: dict[str, Any] = {
        "sample_rate": sample_rate,
        "frame_shift": frame_shift,
        "frame_length": frame_length,
    }
    return MFCC(num_ceps=num_ceps, **bank, **window) if kind == "mfcc" else LogMel(**bank, **window)
