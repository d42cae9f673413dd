"""One split of the recordings, loaded one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unitdisc.data import Example, Split
from unitdisc_speech.features import num_resampled

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from unitdisc_speech.cuts import Utterance
    from unitdisc_speech.source import Speech


class SpeechSplit(Split):
    """Recordings of one split, read and turned into features one at a time."""

    def __init__(self, source: Speech, utterances: Sequence[Utterance]) -> None:
        self.source, self.utterances = source, utterances
        self.keys = [utterance.key for utterance in utterances]
        made = source.framing
        self.lengths = [
            made.num_frames(num_resampled(utterance.num_samples, utterance.rate, made.sample_rate))
            for utterance in utterances
        ]

    def __getitem__(self, index: int) -> Example:
        """Load one recording."""
        utterance, length, made = self.utterances[index], self.lengths[index], self.source.framing
        samples = utterance.read()
        inputs = self.source.frames(samples, utterance.rate, f"{utterance.key} ({utterance.path})")
        assert len(inputs) == length  # noqa: S101
        # In samples of the recording, which may have another rate than the features.
        centres = (2 * torch.arange(length) + 1) * made.shift * utterance.rate // (2 * made.sample_rate)
        targets, middles = {}, {}
        for table in self.source.tables:
            name = f"{table.name}_sequence"
            targets[table.name] = table.frame_labels(utterance, centres)
            targets[name], samples_of = table.transcript(utterance)
            frames = samples_of * made.sample_rate // (utterance.rate * made.shift)
            middles[name] = frames.clamp(max=length - 1)
        if (transcripts := self.source.transcripts) is not None:
            targets[f"{self.source.labels[0]}_sequence"] = transcripts.transcript(utterance)
        return Example(utterance.key, inputs, targets, self._conditions(utterance), middles)

    def fields(self, index: int) -> dict[str, str]:
        """Return the manifest's single values of a recording."""
        return self.utterances[index].fields

    def sound(self, index: int) -> tuple[np.ndarray, int]:
        """Return the samples of a recording as they are in its file, and their rate."""
        return self.utterances[index].read(), self.utterances[index].rate

    def _conditions(self, utterance: Utterance) -> dict[str, int]:
        return {
            name: values.index(utterance.fields[name]) if utterance.fields.get(name) in values else -1
            for name, values in self.source.conditions.items()
        }
