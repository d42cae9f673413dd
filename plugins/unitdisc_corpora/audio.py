"""The length and rate of a recording, which times in samples or frames need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import soundfile

from unitdisc.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = frozenset({".flac", ".wav", ".ogg", ".opus", ".aiff", ".aif", ".au", ".sph"})
"""What is taken for a recording where a folder is searched."""


def header(path: Path, where: str) -> tuple[int, int]:
    """Return the number of samples and the rate of a recording, without reading it."""
    try:
        info = soundfile.info(path)
    except (soundfile.SoundFileError, OSError, TypeError):
        raise DataError(
            f"{where}: {path} is no recording that libsndfile reads; convert it to FLAC or WAV first (sphere "
            "files with 'shorten' inside: with sph2pipe)"
        ) from None
    return info.frames, info.samplerate
