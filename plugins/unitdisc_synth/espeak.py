"""Speak sentences with eSpeak NG and report its phoneme events; a program that `speaker.py` starts.

    python -I espeak.py LIBRARY DATA_FOLDER < job.json > spoken

The library keeps noise and voice state from one sentence to the next for the life of its process, so the same
sound comes twice only from a fresh process; one that crashes takes nobody along. Standard library only.

The job is {"voice", "rate", "pitch", "sentences"}. For each sentence comes one line of JSON
{"rate": Hz, "samples": n, "phonemes": [[first sample, mnemonic], ...]} and then n samples of 16 bits.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any

# Names and values of speak_lib.h.
AUDIO_OUTPUT_SYNCHRONOUS = 2
INITIALIZE_PHONEME_EVENTS, INITIALIZE_DONT_EXIT = 1, 0x8000
RATE, PITCH = 1, 3
POS_CHARACTER, CHARS_UTF8 = 1, 1
EVENT_LIST_TERMINATED, EVENT_PHONEME = 0, 7


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Espeak:
    """The library, initialised once per process; ``rate`` is in Hz."""

    def __init__(self, library: str, data_folder: str) -> None:
        # The library holds at most 160 characters of path, hence the short one.
        os.chdir(Path(data_folder).parent)
        self._library = ctypes.CDLL(library)
        self._audio = bytearray()
        self._phonemes: list[tuple[int, str]] = []
        self._callback = _Callback(self._receive)  # kept: the library holds only its address
        self.rate = self._library.espeak_Initialize(
            AUDIO_OUTPUT_SYNCHRONOUS, 0, b".", INITIALIZE_PHONEME_EVENTS | INITIALIZE_DONT_EXIT
        )
        if self.rate <= 0:
            sys.exit(f"eSpeak NG cannot read its data in {data_folder}")
        self._library.espeak_SetSynthCallback(self._callback)

    def set_voice(self, name: str, *, rate: int, pitch: int) -> None:
        """Choose a voice, its words per minute and its pitch in [0, 100)."""
        if self._library.espeak_SetVoiceByName(name.encode()):
            sys.exit(f"eSpeak NG has no voice {name!r}")
        self._library.espeak_SetParameter(RATE, rate, 0)
        self._library.espeak_SetParameter(PITCH, pitch, 0)

    def speak(self, text: str) -> tuple[bytes, list[tuple[int, str]]]:
        """Return the samples and the phonemes with the sample at which each begins."""
        self._audio.clear()
        self._phonemes.clear()
        raw = text.encode()
        self._library.espeak_Synth(raw, len(raw) + 1, 0, POS_CHARACTER, 0, CHARS_UTF8, None, None)
        return bytes(self._audio), list(self._phonemes)

    def _receive(self, samples: Any, count: int, events: Any) -> int:
        if count > 0 and samples:
            self._audio += ctypes.string_at(samples, 2 * count)
        for event in events:
            if event.type == EVENT_LIST_TERMINATED:
                break
            if event.type == EVENT_PHONEME:
                mnemonic = ctypes.string_at(ctypes.addressof(event.id), 8).split(b"\0")[0]
                self._phonemes.append((event.sample, mnemonic.decode(errors="replace")))
        return 0


def main() -> None:
    """Read the job from standard input and speak it to standard output."""
    library, data_folder = sys.argv[1:]
    job = json.load(sys.stdin.buffer)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the library itself prints goes to standard error
    espeak = Espeak(library, data_folder)
    espeak.set_voice(job["voice"], rate=job["rate"], pitch=job["pitch"])
    for text in job["sentences"]:
        audio, phonemes = espeak.speak(text)
        header = {"rate": espeak.rate, "samples": len(audio) // 2, "phonemes": phonemes}
        out.write(json.dumps(header).encode() + b"\n" + audio)
    out.close()


if __name__ == "__main__":
    main()
