"""The data source of recordings: log-mel frames with timed labels as targets and the speaker as condition."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt

from unitdisc import cache
from unitdisc.data import Corpus, DataSource, Example, FeatureSpec, Split
from unitdisc.errors import DataError, RecipeError
from unitdisc.fold import read_fold
from unitdisc_speech.audio import SUFFIXES, read
from unitdisc_speech.cuts import CUTS, Utterance, import_cuts, read_cuts
from unitdisc_speech.features import LogMel, num_resampled, resample
from unitdisc_speech.targets import LabelTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


_LARGEST_SAMPLE = 10.0
"""Decoders of lossy formats overshoot 1 a little; integers that were only called floats reach thousands."""


class Speech(DataSource):
    """Recordings as log-mel frames (Kaldi's filter bank), by default with energy, deltas and double deltas.

    A label table gives two targets: ``phones.tsv`` gives "phones", the label in the middle of each frame (-1
    where there is none), and "phones_sequence", the symbols in order without silence. Recordings have one
    channel and any sample rate; what is shorter than a frame is continued with zeros.

    Args:
        root: A corpus folder, which is imported into the cache once, or a folder written by
            ``unitdisc data import``.
        corpus: A corpus that is made into the cache once; give this or ``root``.
        sample_rate: Hz; recordings at another rate are resampled, which needs torchaudio.
        num_mels: Mel filters between 20 Hz and half the sample rate.
        energy: Put the log energy before the filters.
        deltas: Give the channels static, delta and delta-delta instead of the static one alone.
        frame_shift: Seconds from one frame to the next.
        frame_length: Seconds that a frame looks at.
        labels: Label tables to read as targets; one that the corpus lacks gives none.
        fold: A table of two columns that maps the symbols of the first label table to classes; an empty class
            is left out of the sequence and -1 in the frames.
        silence: Symbols left out of the sequences, after folding.
        condition: Manifest field that is the condition; null, or a field that no training recording has,
            gives none.
        max_seconds: Longer recordings are refused before any is loaded.
    """

    suffixes: ClassVar[frozenset[str]] = SUFFIXES
    """Files of which `import_folder` makes a corpus."""

    def __init__(
        self,
        *,
        root: Path | None = None,
        corpus: Corpus | None = None,
        sample_rate: Annotated[int, Ge(1000)] = 16000,
        num_mels: Annotated[int, Gt(0)] = 80,
        energy: bool = True,
        deltas: bool = True,
        frame_shift: Annotated[float, Gt(0)] = 0.01,
        frame_length: Annotated[float, Gt(0)] = 0.025,
        labels: tuple[str, ...] = ("phones",),
        fold: Path | None = None,
        silence: tuple[str, ...] = ("sil", "h#", "pau", "epi"),
        condition: str | None = "speaker",
        max_seconds: Annotated[float, Gt(0)] = 3600.0,
    ) -> None:
        if root is not None and corpus is not None:
            raise RecipeError("data: found both root and corpus; give the one or the other")
        if fold is not None and not labels:
            raise RecipeError("data.fold: there is no label table to fold; name one in data.labels")
        self.root, self.corpus = root, corpus
        self.labels, self.fold, self.silence = labels, fold, silence
        self.condition, self.max_seconds = condition, max_seconds
        self.log_mel = LogMel(
            sample_rate=sample_rate,
            num_mels=num_mels,
            energy=energy,
            deltas=deltas,
            frame_shift=frame_shift,
            frame_length=frame_length,
        )
        frame_rate = sample_rate / self.log_mel.shift
        self.features = FeatureSpec(self.log_mel.shape, frame_rate, "second", standardize=True)
        self.targets, self.conditions = {}, {}

    @classmethod
    def import_folder(cls, root: Path, out: Path, labels: Sequence[str]) -> str:
        """Import the corpus folder ``root`` into the empty folder ``out``; return a line on what it holds."""
        return import_cuts(root, out, labels)

    def prepare(self) -> None:
        """Make or import what is missing and read the cuts. Raises `RecipeError` without root and corpus."""
        if self.root is None and self.corpus is None:
            raise RecipeError("data.root is missing; give the folder of your recordings: data.root=FOLDER")
        self._utterances, self._digest = read_cuts(self._imported())
        for utterance in self._utterances:
            self._check_length(utterance.num_samples / utterance.rate, f"{utterance.key} ({utterance.path})")
        self._fold = None if self.fold is None else read_fold(self.fold)
        existing = {
            name for utterance in self._utterances for name, labels in utterance.tables.items() if labels
        }
        self.tables = [
            LabelTable(
                name,
                self._utterances,
                fold=self._fold if name == self.labels[0] else None,
                silence=self.silence,
            )
            for name in self.labels
            if name in existing
        ]
        self.targets = {table.name: table.frames for table in self.tables}
        self.targets |= {f"{table.name}_sequence": table.sequence for table in self.tables}
        self.conditions = self._conditions()

    def split(self, name: str) -> SpeechSplit:
        """Return the recordings of a split."""
        chosen = [utterance for utterance in self._utterances if utterance.split == name]
        if not chosen:
            existing = ", ".join(sorted({utterance.split for utterance in self._utterances}))
            raise DataError(f"data: there is no split {name!r} (existing: {existing})")
        return SpeechSplit(self, chosen)

    def featurize(self, signal: np.ndarray, rate: float | None = None) -> Tensor:
        """Return (T, channels, filters) of samples (N,) in [-1, 1] at ``rate`` Hz, which must be given."""
        if not isinstance(rate, int | float | np.number):
            found = "no rate" if rate is None else f"the rate {rate!r}"
            raise DataError(
                f"signal: found {found}; give the samples per second, such as {self.log_mel.sample_rate}"
            )
        return self.frames(signal, float(rate), "signal")

    def frames(self, signal: np.ndarray, rate: float, where: str) -> Tensor:
        """Return the features of a signal that messages call ``where``."""
        signal = np.asarray(signal)
        if signal.ndim != 1 or signal.size == 0 or not np.issubdtype(signal.dtype, np.floating):
            raise DataError(
                f"{where}: found {signal.dtype} of shape {signal.shape}; give one row of floats in [-1, 1] (16 bit "
                "samples: divide by 32768)"
            )
        if not float(rate).is_integer() or rate <= 0:
            raise DataError(f"{where}: the rate is {rate} Hz; give a whole number above 0")
        self._check_length(len(signal) / rate, where)
        with np.errstate(over="ignore"):
            samples = torch.from_numpy(signal.astype(np.float32))
        if not samples.isfinite().all():
            raise DataError(f"{where}: a sample is NaN or infinite; give floats in [-1, 1]")
        if (peak := samples.abs().max()) > _LARGEST_SAMPLE:
            raise DataError(
                f"{where}: samples reach {peak:g}; give floats in [-1, 1] (16 bit samples: divide by 32768)"
            )
        features = self.log_mel(resample(samples, int(rate), self.log_mel.sample_rate, where))
        if not features.isfinite().all():
            raise DataError(f"{where}: samples reach {samples.abs().max():g}; give floats in [-1, 1]")
        return features

    def checksum(self) -> str:
        """Return the SHA-256 of manifest, label tables, fold and all parameters that change an example."""
        log_mel = self.log_mel
        content = {
            "data": self._digest,
            "rate": log_mel.sample_rate,
            "features": [*log_mel.shape, log_mel.energy, log_mel.shift, log_mel.length],
            "labels": self.labels,
            "fold": self._fold,
            "silence": self.silence,
            "condition": self.condition,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _imported(self) -> Path:
        """Return a folder of cuts, made now if it is not there yet."""
        root = self.root if self.corpus is None else cache.made(self.corpus)
        assert root is not None  # noqa: S101  (prepare has seen that one of the two is given)
        if (root / CUTS).is_file():
            return root
        tables = [name for name in self.labels if (root / f"{name}.tsv").is_file()]
        place = cache.import_folder(root, tables, type(self))
        return cache.once(place, lambda out: import_cuts(root, out, tables))

    def _conditions(self) -> dict[str, tuple[str, ...]]:
        values = {
            utterance.fields[self.condition]
            for utterance in self._utterances
            if utterance.split == "train" and self.condition in utterance.fields
        }
        return {self.condition: tuple(sorted(values))} if self.condition and values else {}

    def _check_length(self, seconds: float, where: str) -> None:
        if seconds > self.max_seconds:
            raise DataError(
                f"{where}: {seconds:.0f} s long, accepted are {self.max_seconds:g} s; "
                "cut it into shorter recordings or raise data.max_seconds"
            )


class SpeechSplit(Split):
    """Recordings of one split, read and turned into features one at a time."""

    def __init__(self, source: Speech, utterances: Sequence[Utterance]) -> None:
        self.source, self.utterances = source, utterances
        self.keys = [utterance.key for utterance in utterances]
        log_mel = source.log_mel
        self.lengths = [
            log_mel.num_frames(num_resampled(utterance.num_samples, utterance.rate, log_mel.sample_rate))
            for utterance in utterances
        ]

    def __getitem__(self, index: int) -> Example:
        """Load one recording."""
        utterance, length, log_mel = self.utterances[index], self.lengths[index], self.source.log_mel
        samples = read(utterance.path, utterance.key, utterance.num_samples, utterance.rate)
        inputs = self.source.frames(samples, utterance.rate, f"{utterance.key} ({utterance.path})")
        assert len(inputs) == length  # noqa: S101
        # In samples of the recording, which may have another rate than the features.
        centres = (2 * torch.arange(length) + 1) * log_mel.shift * utterance.rate // (2 * log_mel.sample_rate)
        targets, middles = {}, {}
        for table in self.source.tables:
            name = f"{table.name}_sequence"
            targets[table.name] = table.frame_labels(utterance, centres)
            targets[name], samples_of = table.transcript(utterance)
            frames = samples_of * log_mel.sample_rate // (utterance.rate * log_mel.shift)
            middles[name] = frames.clamp(max=length - 1)
        return Example(utterance.key, inputs, targets, self._conditions(utterance), middles)

    def _conditions(self, utterance: Utterance) -> dict[str, int]:
        return {
            name: values.index(utterance.fields[name]) if utterance.fields.get(name) in values else -1
            for name, values in self.source.conditions.items()
        }
