"""The data source of recordings: frames of features with timed labels as targets and the speaker as condition."""

from __future__ import annotations

import hashlib
import json
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt

from unitdisc import cache
from unitdisc.data import Corpus, DataSource
from unitdisc.errors import DataError, RecipeError
from unitdisc.fold import read_fold
from unitdisc_speech.align import silence_of, write_aligned
from unitdisc_speech.audio import SUFFIXES, header, read
from unitdisc_speech.cuts import CUTS, import_cuts, read_cuts
from unitdisc_speech.features import resample
from unitdisc_speech.kinds import Kind, framing
from unitdisc_speech.recorded import import_recorded
from unitdisc_speech.split import SpeechSplit
from unitdisc_speech.targets import LabelTable
from unitdisc_speech.transcripts import Transcripts, read_lexicon

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from unitdisc.reader import Recorded

_LARGEST_SAMPLE = 10.0
"""Decoders of lossy formats overshoot 1 a little; integers that were only called floats reach thousands."""


class Speech(DataSource):
    """Recordings as frames of features, by default Kaldi's log-mel filter bank every 10 ms.

    A label table gives two targets: ``phones.tsv`` gives "phones", the label in the middle of each frame (-1
    where there is none), and "phones_sequence", the symbols in order without silence. Where there are
    transcripts but no times, ``transcript`` gives "phones_sequence" alone, and ``unitdisc data align`` finds
    the times. Recordings have one channel and any sample rate; what is shorter than a frame is continued with
    zeros.

    Args:
        root: A corpus folder, which is imported into the cache once, or a folder written by
            ``unitdisc data import``.
        corpus: A corpus that is made into the cache once; give this or ``root``.
        kind: What a frame is. "log_mel": Kaldi's filter bank, by default with energy, deltas and double deltas.
            "mfcc": Kaldi's cepstral coefficients, with the same around them; num_mels is 23 in most uses.
            "waveform": the samples from one frame to the next, not standardised, for ``hubert``.
        sample_rate: Hz; recordings at another rate are resampled, which needs torchaudio.
        num_mels: Mel filters between 20 Hz and half the sample rate.
        num_ceps: Coefficients that mfcc keeps.
        energy: Put the log energy before the filters, or in the place of cepstral coefficient 0.
        deltas: Give the channels static, delta and delta-delta instead of the static one alone.
        frame_shift: Seconds from one frame to the next.
        frame_length: Seconds that a frame looks at; a waveform's frames do not overlap.
        labels: Label tables to read as targets; one that the corpus lacks gives none.
        fold: A table of two columns that maps the symbols of the first label table to classes; an empty class
            is left out of the sequence and -1 in the frames.
        silence: Symbols left out of the sequences, after folding.
        transcript: Manifest field that says what is said, where the first label table does not: it gives the
            sequence of that name, without times, so that recordings cannot be cropped. Its symbols stand
            between spaces, unless one of the next two says otherwise.
        characters: Spell the transcript by its characters, with "|" for the space between words.
        lexicon: Spell the words of the transcript: a file with a word and its symbols per line, separated by
            spaces. The first of several pronunciations counts; case and punctuation around a word do not.
        condition: Manifest field that is the condition; null, or a field that no training recording has,
            gives none.
        max_seconds: Longer recordings are refused before any is loaded.
    """

    suffixes: ClassVar[frozenset[str]] = SUFFIXES
    """Files of which `import_folder` makes a corpus."""
    unlabelled: ClassVar[Mapping[str, object]] = {
        "corpus": None,
        "labels": (),
        "fold": None,
        "transcript": None,
        "characters": False,
        "lexicon": None,
    }

    def __init__(
        self,
        *,
        root: Path | None = None,
        corpus: Corpus | None = None,
        kind: Kind = "log_mel",
        sample_rate: Annotated[int, Ge(1000)] = 16000,
        num_mels: Annotated[int, Gt(0)] = 80,
        num_ceps: Annotated[int, Gt(0)] = 13,
        energy: bool = True,
        deltas: bool = True,
        frame_shift: Annotated[float, Gt(0)] = 0.01,
        frame_length: Annotated[float, Gt(0)] = 0.025,
        labels: tuple[str, ...] = ("phones",),
        fold: Path | None = None,
        silence: tuple[str, ...] = ("sil", "h#", "pau", "epi"),
        transcript: str | None = None,
        characters: bool = False,
        lexicon: Path | None = None,
        condition: str | None = "speaker",
        max_seconds: Annotated[float, Gt(0)] = 3600.0,
    ) -> None:
        if root is not None and corpus is not None:
            raise RecipeError("data: found both root and corpus; give the one or the other")
        if fold is not None and not labels:
            raise RecipeError("data.fold: there is no label table to fold; name one in data.labels")
        if transcript is not None and not labels:
            raise RecipeError("data.transcript: takes the place of the first of data.labels; name one there")
        if transcript is None and (characters or lexicon):
            raise RecipeError("data.transcript is missing; name the manifest field that is to be spelt")
        if characters and lexicon:
            raise RecipeError("data: found both characters and lexicon; give the one or the other")
        self.root, self.corpus = root, corpus
        self.labels, self.fold, self.silence = labels, fold, silence
        self.transcript, self.characters, self.lexicon = transcript, characters, lexicon
        self.condition, self.max_seconds = condition, max_seconds
        self.framing = framing(
            kind,
            sample_rate=sample_rate,
            num_mels=num_mels,
            num_ceps=num_ceps,
            energy=energy,
            deltas=deltas,
            frame_shift=frame_shift,
            frame_length=frame_length,
        )
        self.features = self.framing.spec()
        self.targets, self.conditions = {}, {}
        self.vocoder = "griffin_lim" if kind == "log_mel" else None

    @classmethod
    def import_folder(cls, root: Path, out: Path, labels: Sequence[str]) -> str:
        """Import the corpus folder ``root`` into the empty folder ``out``; return a line on what it holds."""
        return import_cuts(root, out, labels)

    @classmethod
    def import_recorded(cls, recorded: Sequence[Recorded], out: Path) -> str:
        """Import what a reader found into the empty folder ``out``; return a line on what it holds."""
        return import_recorded(recorded, out)

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
        self.transcripts = self._transcripts() if self.labels and self.labels[0] not in existing else None
        if self.transcripts is not None:
            self.targets[f"{self.labels[0]}_sequence"] = self.transcripts.sequence
        self.conditions = self._conditions()

    def split(self, name: str) -> SpeechSplit:
        """Return the recordings of a split."""
        chosen = [utterance for utterance in self._utterances if utterance.split == name]
        if not chosen:
            existing = ", ".join(sorted({utterance.split for utterance in self._utterances}))
            raise DataError(f"data: there is no split {name!r} (existing: {existing})")
        return SpeechSplit(self, chosen)

    def splits(self) -> tuple[str, ...]:
        """Return the names of the splits, in the order of the corpus."""
        return tuple(dict.fromkeys(utterance.split for utterance in self._utterances))

    def load_file(self, path: Path) -> Tensor:
        """Return (T, *features.shape) of a recording with one channel at any rate."""
        num_samples, rate = header(path, path.name)
        self._check_length(num_samples / rate, str(path))
        return self.frames(read(path, path.name, num_samples, rate), rate, str(path))

    def featurize(self, signal: np.ndarray, rate: float | None = None) -> Tensor:
        """Return (T, *features.shape) of samples (N,) in [-1, 1] at ``rate`` Hz, which must be given."""
        if not isinstance(rate, int | float | np.number):
            found = "no rate" if rate is None else f"the rate {rate!r}"
            raise DataError(
                f"signal: found {found}; give the samples per second, such as {self.framing.sample_rate}"
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
        peak = float(torch.stack(samples.aminmax()).abs().max())
        if not isfinite(peak):
            raise DataError(f"{where}: a sample is NaN or infinite; give floats in [-1, 1]")
        if peak > _LARGEST_SAMPLE:
            raise DataError(
                f"{where}: samples reach {peak:g}; give floats in [-1, 1] (16 bit samples: divide by 32768)"
            )
        features = self.framing(resample(samples, int(rate), self.framing.sample_rate, where))
        if not torch.stack(features.aminmax()).isfinite().all():
            raise DataError(f"{where}: samples reach {peak:g}; give floats in [-1, 1]")
        return features

    def checksum(self) -> str:
        """Return the SHA-256 of manifest, label tables, fold and all parameters that change an example."""
        content = {
            "data": self._digest,
            "rate": self.framing.sample_rate,
            "features": self.framing.settings(),
            "labels": self.labels,
            "fold": self._fold,
            "silence": self.silence,
            "condition": self.condition,
        }
        if self.transcripts is not None:
            content["transcript"] = [self.transcript, self.characters, self.transcripts.lexicon]
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

    def write_aligned(
        self, folder: Path, target: str, spans: Mapping[str, Sequence[tuple[float, float]]]
    ) -> str:
        """Write recordings with times into the empty ``folder``; between the symbols there is silence."""
        known: dict[str, LabelTable | Transcripts] = {
            f"{table.name}_sequence": table for table in self.tables
        }
        if self.transcripts is not None:
            known[f"{self.labels[0]}_sequence"] = self.transcripts
        name = target.removesuffix("_sequence")
        return write_aligned(
            folder,
            self._utterances,
            table=name,
            symbols=known[target].symbols,
            spans=spans,
            frame_rate=self.features.frame_rate,
            silence=silence_of(self.silence, self._fold if name == self.labels[0] else None),
        )

    def _transcripts(self) -> Transcripts | None:
        if self.transcript is None:
            return None
        return Transcripts(
            self.transcript,
            self._utterances,
            characters=self.characters,
            lexicon=None if self.lexicon is None else read_lexicon(self.lexicon),
            fold=self._fold,
            silence=self.silence,
        )

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
