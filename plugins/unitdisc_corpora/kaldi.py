"""Kaldi data directories, with the alignment of every frame or of every phone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from unitdisc import ctm
from unitdisc.errors import DataError
from unitdisc.reader import Reader, Recorded, Timed
from unitdisc.text_lines import lines
from unitdisc_corpora.audio import header
from unitdisc_corpora.frames import FrameLabels
from unitdisc_corpora.parts import found_parts, named_parts, require_folder
from unitdisc_corpora.symbols import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

_WSJ = {"train": ("train_si284",), "dev": ("test_dev93",), "test": ("test_eval92",)}
_ALIGNMENTS = ("text_ali", "ali", "ali.txt", "phones.ctm", "ctm")
_Part = tuple[str, tuple[float, float] | None, str]
"""Recording, first and last second (None: all of it), and file and line."""
_TIMED = re.compile(r"(.*\.)?ctm")
_LAYOUT = "no wav.scp in there or in a folder of it; give a Kaldi data directory, or the folder of several"


class Kaldi(Reader):
    """A Kaldi data directory, or a folder of several such as WSJ's train_si284, test_dev93 and test_eval92.

    FOLDER or FOLDER/PART holds
      wav.scp      recording and its file (relative to PART, FOLDER or the folder
                   around it). Commands are never run: convert such recordings to
                   FLAC or WAV first
      segments     optional: utterance, recording, first and last second
      utt2spk      optional: utterance and speaker; spk2gender gives "sex"
      text         optional: utterance and what is said
      text_ali     optional: utterance and the phone of each frame (also ali,
                   ali.txt), or phones.ctm (also ctm) with times in seconds
      words.ctm    optional: times of the words
      phones.txt   where the alignment has numbers: phone and its number
    A folder with train_si284 gives these three of WSJ as train, dev and test; else the names of the parts say
    which is which (train..., ...dev..., test... or eval...). Train, dev and test name them where that is
    unclear. An alignment of frames may be of Kaldi's frames inside the recording or of all (snip_edges); the
    number of frames says which.

    Args:
        train: Parts to train on.
        dev: Parts that choose between models.
        test: Parts to score.
        alignment: File of the phones' alignment in every part; found by its name where it is left out.
        frame_shift: Seconds from one frame of the alignment to the next.
        frame_length: Seconds that a frame of the alignment looked at.
        plain_phones: Take word positions (_B), stress digits and capitals off the phones: AH0_B is ah.
        skip_unaligned: Leave out utterances that the alignment lacks, rather than stop.
    """

    def __init__(
        self,
        *,
        train: tuple[str, ...] = (),
        dev: tuple[str, ...] = (),
        test: tuple[str, ...] = (),
        alignment: str | None = None,
        frame_shift: Annotated[float, Gt(0)] = 0.01,
        frame_length: Annotated[float, Gt(0)] = 0.025,
        plain_phones: bool = True,
        skip_unaligned: bool = False,
    ) -> None:
        self.named = {"train": train, "dev": dev, "test": test}
        self.alignment, self.skip_unaligned = alignment, skip_unaligned
        self.frame_shift, self.frame_length = frame_shift, frame_length
        self.plain_phones = plain_phones

    def read(self, folder: Path) -> Iterator[Recorded]:
        """Yield the utterances of all parts."""
        folder = require_folder(folder)
        named = self.named
        if not any(named.values()) and (folder / "train_si284" / "wav.scp").is_file():
            named = {split: names for split, names in _WSJ.items() if (folder / names[0]).is_dir()}
        if any(named.values()):
            parts = named_parts(folder, named)
        else:
            parts = found_parts(folder, lambda path: (path / "wav.scp").is_file(), _LAYOUT)
        for split, part in parts:
            yield from self._part(folder, part, split)

    def _part(self, folder: Path, part: Path, split: str) -> Iterator[Recorded]:
        paths = {
            key: (_recording(text, (part, folder, folder.parent), where), where)
            for key, text, where in _table(part / "wav.scp")
        }
        utterances = _segments(part, paths) or {key: (key, None, where) for key, (_, where) in paths.items()}
        speakers, sexes, texts = (_column(part / name) for name in ("utt2spk", "spk2gender", "text"))
        timed, frames = self._alignment(part, list(utterances))
        words = ctm.read(part / "words.ctm", known=utterances) if (part / "words.ctm").is_file() else {}
        for key, (recording, span, where) in utterances.items():
            path = paths[recording][0]
            speaker = speakers.get(key)
            found = {"speaker": speaker, "sex": sexes.get(speaker or ""), "text": texts.get(key)}
            tables = {"words": words[key]} if key in words else {}
            if timed is not None and key in timed:
                tables["phones"] = timed[key]
            if frames is not None and key in frames:
                samples, rate = header(path, where)
                seconds = samples / rate if span is None else min(span[1], samples / rate) - span[0]
                tables["phones"] = frames.labels(key, round(seconds * rate), rate)
            if (timed is not None or frames is not None) and "phones" not in tables:
                if self.skip_unaligned:
                    continue
                raise DataError(
                    f"{where}: {key} is not in the alignment; take it out, or leave all such out with "
                    "skip_unaligned=true"
                )
            fields = {name: value for name, value in found.items() if value is not None}
            yield Recorded(key, path, split, where, span, fields, tables)

    def _alignment(
        self, part: Path, keys: list[str]
    ) -> tuple[dict[str, list[Timed]] | None, FrameLabels | None]:
        """Return the times of the phones or the phones of the frames, whichever there are."""
        names = _ALIGNMENTS if self.alignment is None else (self.alignment,)
        found = [part / name for name in names if (part / name).is_file()]
        if len(found) > 1:
            raise DataError(
                f"{part}: has the alignments {' and '.join(path.name for path in found)}; choose one with "
                f"alignment={found[0].name}"
            )
        if not found:
            if self.alignment is not None:
                raise DataError(f"{part}: no file {self.alignment} in there; put it there or name another")
            return None, None
        phones = _Phones(part / "phones.txt", is_plain=self.plain_phones)
        if _TIMED.fullmatch(found[0].name):
            return ctm.read(found[0], symbol=phones, known=keys), None
        rows = {key: (text, where) for key, text, where in _table(found[0])}
        return None, FrameLabels(rows, phones, shift=self.frame_shift, length=self.frame_length)


class _Phones:
    """Brings a phone of an alignment into its form; numbers through Kaldi's symbol table."""

    def __init__(self, path: Path, *, is_plain: bool) -> None:
        self.path, self.is_plain = path, is_plain
        self.names = {number: name for name, number, _ in _table(path)} if path.is_file() else {}

    def __call__(self, phone: str) -> str:
        if phone.isdigit():
            if phone not in self.names:
                raise DataError(
                    f"{self.path}: has no phone for the number {phone} of the alignment; put the phones.txt of "
                    "the model there"
                )
            phone = self.names[phone]
        return plain(phone) if self.is_plain else phone


def _recording(text: str, folders: tuple[Path, ...], where: str) -> Path:
    if "|" in text or text in ("", "-"):
        raise DataError(
            f"{where}: {text[:60]!r} is a command, which is never run; convert the recordings to FLAC or WAV first "
            "and write their paths"
        )
    for folder in folders:
        if (folder / text).is_file():
            return folder / text
    raise DataError(f"{where}: no file {text!r} (relative to {folders[0]} or around it); correct the path")


def _segments(part: Path, paths: dict[str, tuple[Path, str]]) -> dict[str, _Part]:
    """Return the parts of recordings by utterance, nothing where there is no such file."""
    path = part / "segments"
    found: dict[str, _Part] = {}
    for key, text, where in _table(path) if path.is_file() else ():
        try:
            recording, start, end = text.split()
            span = float(start), float(end)
        except ValueError:
            recording, span = "", (0.0, 0.0)
        if not 0 <= span[0] < span[1]:
            raise DataError(
                f"{where}: found {text[:60]!r} for {key}; write utterance, recording, start and end in seconds"
            )
        if recording not in paths:
            raise DataError(
                f"{where}: {key} is a part of {recording!r}, which is not in wav.scp; add it there"
            )
        found[key] = recording, span, where
    return found


def _column(path: Path) -> dict[str, str]:
    return {key: text for key, text, _ in _table(path)} if path.is_file() else {}


def _table(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (id, the rest of the line, file and line); an id may stand once."""
    seen = set()
    for number, line in lines(path):
        key, *rest = line.split(maxsplit=1)
        if key in seen:
            raise DataError(f"{path}:{number}: id {key!r} stands here twice; keep one of the lines")
        seen.add(key)
        yield key, rest[0].strip() if rest else "", f"{path}:{number}"
