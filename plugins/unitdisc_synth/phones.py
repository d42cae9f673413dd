"""Phones and their exact times from eSpeak NG's phoneme events.

What the events leave to be done, measured on version 1.52:

- The symbol of an event is a mnemonic with stress, length and a number that tells allophones apart:
  ``fold`` takes these off (``'O:`` and ``O2`` are both ``O``), which leaves about 50 English phones.
- The silence that a stop is made of (its closure, 20 to 52 ms) comes before the event of the stop. Here the
  silent end of a phone belongs to what follows it.
- A syllable-final l is drawn into the vowel before it and its event has no sound left. Such a phone is not
  listed: the table holds what can be heard.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

SILENCE = "sil"
GLOTTAL_STOP = "?"
QUIET = 16
"""Amplitude below which a sample is silent, of 32768: 66 dB below full scale."""
SHORTEST_CLOSURE = 100
"""Samples (4.5 ms at 22.05 kHz); shorter silences happen inside a voiced sound."""


def fold(mnemonic: str) -> str | None:
    """Return the phone that a mnemonic stands for, `SILENCE` for a pause, None for a switch of language.

    Stress (``' , % =`` in front) and length, allophone and syllabicity marks (``: ! | # -`` and digits
    behind) go; ``;``, the glide between two vowels, is ``j``.
    """
    if mnemonic.startswith("("):
        return None
    if mnemonic.startswith("_"):
        return SILENCE
    phone = re.sub(r"(?<=.)[-:!|#0-9]+$", "", mnemonic.lstrip("',%=")) or SILENCE
    return "j" if phone == ";" else phone


def segments(audio: np.ndarray, phonemes: Sequence[tuple[int, str]]) -> list[tuple[int, int, str]]:
    """Return (start, end, phone) that tile ``audio`` (samples,), end excluded; silences in a row are one."""
    named = [(sample, phone) for sample, mnemonic in phonemes if (phone := fold(mnemonic)) is not None]
    ends = [sample for sample, _ in named] + [len(audio)]
    tiles: list[tuple[int, int, str]] = []
    at = 0  # everything before belongs to a phone already
    for (_, phone), end in zip([(0, SILENCE), *named], ends, strict=True):
        stop = end
        if phone not in {SILENCE, GLOTTAL_STOP}:
            stop = _end_of_sound(audio, at, end)
        if stop > at:
            _append(tiles, at, stop, phone)
            at = stop
    if at < len(audio):
        _append(tiles, at, len(audio), SILENCE)
    return tiles


def _end_of_sound(audio: np.ndarray, start: int, end: int) -> int:
    """Return where the silent end of [start, end) begins: ``end`` if short, ``start`` if all is silent."""
    loud = np.flatnonzero(np.abs(audio[start:end].astype(np.int32)) >= QUIET)
    if not len(loud):
        return start
    stop = start + int(loud[-1]) + 1
    return stop if end - stop >= SHORTEST_CLOSURE else end


def _append(tiles: list[tuple[int, int, str]], start: int, end: int, phone: str) -> None:
    if phone == SILENCE and tiles and tiles[-1][2] == SILENCE:
        start = tiles.pop()[0]
    tiles.append((start, end, phone))
