"""Voices, and what they say: samples with the phonemes that eSpeak NG reports, from one process per voice."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unitdisc.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

INSTALL = "install it with: pip install 'unitdisc[demo]'"


@dataclass(frozen=True)
class Voice:
    """One synthetic speaker.

    Args:
        name: Variant of eSpeak NG, a file of its ``voices/!v``. Only variants whose pauses are silent are of
            use here (f2 to f5 and m2 among others have an echo that sounds into them).
        rate: Words per minute.
        pitch: In [0, 100), 50 is the variant's own.
    """

    name: str
    rate: int
    pitch: int


TRAIN_VOICES = (
    Voice("m3", 165, 45),
    Voice("f1", 160, 55),
    Voice("m7", 150, 40),
    Voice("linda", 170, 50),
    Voice("klatt", 160, 50),
    Voice("aunty", 175, 45),
    Voice("m8", 155, 60),
    Voice("steph", 165, 50),
    Voice("m1", 180, 35),
    Voice("Andrea", 160, 40),
    Voice("benjamin", 150, 60),
    Voice("shelby", 170, 55),
)
TEST_VOICES = (
    Voice("belinda", 160, 45),
    Voice("adam", 165, 50),
    Voice("grandma", 155, 50),
    Voice("m6", 170, 55),
)


@dataclass(frozen=True)
class Spoken:
    """One spoken sentence.

    Args:
        audio: (samples,) int16.
        rate: Samples per second.
        phonemes: First sample and eSpeak NG's mnemonic of each phoneme and pause, in order.
    """

    audio: np.ndarray
    rate: int
    phonemes: list[tuple[int, str]]


def espeak_files() -> tuple[Path, Path]:
    """Return eSpeak NG's library and its data folder. Raises `PluginError` when they are not installed."""
    try:
        import espeakng_loader  # noqa: PLC0415  (a GPL-3 program, hence an extra)

        files = Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())
    except (ImportError, RuntimeError) as error:
        raise PluginError(f"synth_speech: needs the package espeakng-loader ({error}); {INSTALL}") from None
    return files


def languages(data_folder: Path) -> list[str]:
    """Return the names of the languages that eSpeak NG speaks."""
    return sorted(path.name.lower() for path in (data_folder / "lang").rglob("*") if path.is_file())


def speak(language: str, voice: Voice, sentences: Sequence[str]) -> Iterator[Spoken]:
    """Yield each sentence in ``voice``; the same sentences in the same order always sound the same."""
    library, data_folder = espeak_files()
    program = Path(__file__).with_name("espeak.py")
    job = {
        "voice": f"{language}+{voice.name}",
        "rate": voice.rate,
        "pitch": voice.pitch,
        "sentences": list(sentences),
    }
    done = subprocess.run(  # noqa: S603  (our own program; texts go through a pipe)
        [sys.executable, "-I", program, library, data_folder],
        input=json.dumps(job).encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        reason = (
            done.stderr.decode(errors="replace").strip() or f"it ended with {done.returncode}"
        ).splitlines()[-1]
        raise PluginError(f"synth_speech: eSpeak NG cannot speak as {job['voice']!r}: {reason}")
    yield from _read(io.BytesIO(done.stdout))


def _read(stream: io.BytesIO) -> Iterator[Spoken]:
    for line in stream:
        header = json.loads(line)
        audio = np.frombuffer(stream.read(2 * header["samples"]), dtype=np.int16)
        yield Spoken(audio, header["rate"], [(sample, mnemonic) for sample, mnemonic in header["phonemes"]])
