"""Recordings on disk, read by libsndfile; every way in which one can be wrong is a `DataError` naming it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import soundfile

from unitdisc.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

SUFFIXES = frozenset({".flac", ".wav", ".ogg", ".opus", ".aiff", ".aif", ".au", ".sph"})
"""MP3 is left out: damage goes unnoticed and the number of samples in its header is a guess."""
# soundfile raises the last one for a headerless format, which it knows by the suffix.
_UNREADABLE = (soundfile.SoundFileError, OSError, TypeError)


def header(path: Path, key: str) -> tuple[int, int]:
    """Return the number of samples and the rate of a recording with one channel, without reading it."""
    try:
        info = soundfile.info(path)
    except _UNREADABLE as error:
        raise DataError(
            f"{key}: {path} is no recording ({_reason(error, path)}); give FLAC, WAV or OGG"
        ) from None
    if info.channels != 1:
        raise DataError(f"{key}: {path} has {info.channels} channels; give one channel")
    if info.frames == 0:
        raise DataError(f"{key}: {path} has no samples; take it out of the corpus")
    return info.frames, info.samplerate


def read(
    path: Path, key: str, num_samples: int, rate: int, *, part: tuple[int, int] | None = None
) -> np.ndarray:
    """Return (num_samples,) float32, or raise where the file does not hold just that.

    ``part`` takes only so many samples from the first one on: (first, number).
    """
    first, number = part or (0, num_samples)
    found = header(path, key)
    if found != (num_samples, rate):
        raise DataError(
            f"{key}: {path} has {found[0]} samples at {found[1]} Hz, imported were {num_samples} at {rate}; "
            "put the old file back, or correct the manifest and import again"
        )
    try:
        samples, _ = soundfile.read(path, number, first, dtype="float32")
    except _UNREADABLE as error:
        raise DataError(f"{key}: {path} is damaged ({_reason(error, path)}); restore the file") from None
    if len(samples) != number:
        raise DataError(
            f"{key}: {path} ends after {first + len(samples)} of {num_samples} samples; restore the file"
        )
    loaded: np.ndarray = samples
    return loaded


def _reason(error: Exception, path: Path) -> str:
    return str(error).replace(f"Error opening {str(path)!r}: ", "").replace("Error : ", "").rstrip(". ")
