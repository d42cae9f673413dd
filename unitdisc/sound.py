"""Features through a vocoder into wav files, with what becomes of them on the way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Literal

import numpy as np
import soundfile
import torch

from unitdisc.data import DataSource, Example, Vocoder
from unitdisc.storage import write_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor


@dataclass(frozen=True)
class Sound:
    """What one file is.

    Args:
        file: Its name.
        sentence: Id of the recording.
        kind: "source": the recording's own features through the vocoder, which shows what is possible. "units":
            decoded from the units in the speaker's own voice, or in the mean of all where training did not know
            the speaker. "voice": decoded from the same units in the voice of another speaker.
        source_speaker: Who speaks in the recording; None where the corpus does not say.
        target_speaker: Whose voice was decoded; None for a source and for the mean of all.
        seconds: Duration.
        peak: Largest sample before ``gain``; a file holds 1.
        gain: What the samples were multiplied with so that none is cut off.
        mse: Mean squared difference between the features of this sound and those that the vocoder was given,
            over the elements of the static channel.
    """

    file: str
    sentence: str
    kind: Literal["source", "units", "voice"]
    source_speaker: str | None
    target_speaker: str | None
    seconds: float
    peak: float
    gain: float
    mse: float


class Sounds:
    """Writes sounds into a folder, numbered by sentence.

    Args:
        folder: Where to.
        source: Whose features they are made of.
        vocoder: Makes them.

    Attributes:
        written: What was written.
    """

    def __init__(self, folder: Path, source: DataSource, vocoder: Vocoder) -> None:
        self._folder, self._source, self._vocoder = folder, source, vocoder
        self._numbers: dict[str, int] = {}
        self.written: list[Sound] = []

    def write(
        self,
        features: Tensor,
        *,
        sentence: str,
        kind: Literal["source", "units", "voice"],
        source_speaker: str | None,
        target_speaker: str | None,
    ) -> Tensor:
        """Write one file; return the features (T, *shape) of its sound, which a picture can show."""
        samples, rate = self._vocoder.invert(features, self._source)
        peak = float(np.abs(samples).max())
        gain = 1 / peak if peak > 1 else 1.0
        samples = samples * np.float32(gain)
        number = self._numbers.setdefault(sentence, len(self._numbers) + 1)
        name = "-".join(_safe(part) for part in (sentence, kind, target_speaker) if part)
        file = f"{number:03d}-{name}.wav"
        content = BytesIO()
        soundfile.write(content, samples, rate, format="WAV", subtype="PCM_16")
        write_bytes(self._folder / file, content.getvalue())
        heard = self._source.featurize(samples, rate)
        mse = float((_static(heard) - _static(features)).square().mean())
        seconds = len(samples) / rate
        self.written.append(
            Sound(file, sentence, kind, source_speaker, target_speaker, seconds, peak, gain, mse)
        )
        return heard


def images(source: DataSource, features: Sequence[Tensor]) -> list[np.ndarray]:
    """Return what a person would look at for each of ``features`` (T, *shape), all on one scale."""
    together = source.picture(Example("", torch.cat(list(features))))
    stops = np.cumsum([len(frames) for frames in features])
    return np.split(together, stops[:-1], axis=1)


def _static(features: Tensor) -> Tensor:
    return features[:, 0] if features.dim() == 3 else features


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)
