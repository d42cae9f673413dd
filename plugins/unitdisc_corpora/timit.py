"""TIMIT as the LDC distributes it (LDC93S1)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unitdisc.errors import DataError
from unitdisc.reader import Reader, Recorded, Timed
from unitdisc.text_lines import lines
from unitdisc_corpora.audio import header
from unitdisc_corpora.parts import require_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FOLDS = ("phones_61_48.tsv", "phones_61_39.tsv")


class TIMIT(Reader):
    """TIMIT in the layout of the LDC, in capitals or small letters.

    FOLDER, FOLDER/TIMIT or FOLDER/data holds
      TRAIN/DR1/FCJF0/SA1.WAV  sphere or RIFF; and so on to TEST/DR8/...
      TRAIN/DR1/FCJF0/SA1.PHN  first and last sample and one of 61 phones per line
      TRAIN/DR1/FCJF0/SA1.WRD  the same of the words, where there is one
      TRAIN/DR1/FCJF0/SA1.TXT  the sentence, where there is one
    Split test is the core test set (24 speakers), dev the usual 50 other speakers of TEST. The tables
    phones_61_48.tsv and phones_61_39.tsv are put beside what is imported, for data.fold.

    Args:
        sa: Keep the two sentences that everybody reads (SA), which are usually left out.
        test: "core" scores the core test set; "complete" scores all of TEST, without a split dev.
    """

    def __init__(self, *, sa: bool = False, test: Literal["core", "complete"] = "core") -> None:
        self.sa, self.test = sa, test

    def beside(self) -> Sequence[Path]:
        """Return the tables that fold 61 phones."""
        return [Path(__file__).with_name(name) for name in _FOLDS]

    def read(self, folder: Path) -> Iterator[Recorded]:
        """Yield the sentences of the splits."""
        folder = require_folder(folder)
        roots = [folder, *(_child(folder, name) for name in ("timit", "data"))]
        parts = [(_child(root, "train"), _child(root, "test")) for root in roots if root is not None]
        train, test = next(((one, two) for one, two in parts if one and two), (None, None))
        if train is None or test is None:
            raise DataError(f"{folder}: no TRAIN and TEST in there; give the folder TIMIT of LDC93S1")
        splits = self._test_splits()
        for part in (train, test):
            for path in _recordings(part):
                split = "train" if part is train else splits.get(path.parent.name.lower(), splits.get(""))
                if split is not None and (self.sa or not path.stem.lower().startswith("sa")):
                    yield _sentence(path, split)

    def _test_splits(self) -> dict[str, str]:
        """Return speaker: split; the empty name stands for all others."""
        if self.test == "complete":
            return {"": "test"}
        from lhotse.recipes.timit import get_speakers  # noqa: PLC0415  (it brings torch)

        dev, core = get_speakers()
        return {**dict.fromkeys(dev, "dev"), **dict.fromkeys(core, "test")}


def _recordings(part: Path) -> list[Path]:
    found = sorted(
        path
        for path in part.glob("*/*/*")
        if path.suffix.lower() in (".wav", ".flac") and "." not in path.stem
    )
    if not found:
        raise DataError(f"{part}: no DR1/SPEAKER/SENTENCE.WAV in there; give the folder TIMIT of LDC93S1")
    return found


def _sentence(path: Path, split: str) -> Recorded:
    speaker, sentence, region = path.parent.name.lower(), path.stem.lower(), path.parent.parent.name.lower()
    _, rate = header(path, str(path))
    beside = {other.suffix.lower(): other for other in path.parent.glob(f"{path.stem}.*")}
    if ".phn" not in beside:
        raise DataError(f"{path}: no {path.stem}.PHN beside it; put it there or take the recording out")
    tables = {"phones": _labels(beside[".phn"], rate)}
    if ".wrd" in beside:
        tables["words"] = _labels(beside[".wrd"], rate)
    fields = {
        "speaker": speaker,
        "sex": speaker[0],
        "dialect_region": region.removeprefix("dr"),
        "sentence": sentence,
        "sentence_type": sentence[:2],
    }
    if ".txt" in beside:
        _, text = next(lines(beside[".txt"]), (0, ""))
        fields["text"] = " ".join(text.split()[2:])
    return Recorded(f"{speaker}_{sentence}", path, split, str(path), None, fields, tables)


def _labels(path: Path, rate: int) -> list[Timed]:
    found = []
    for number, line in lines(path):
        try:
            first, last, symbol = line.split()
            found.append(Timed(int(first) / rate, int(last) / rate, symbol))
        except ValueError:
            raise DataError(
                f"{path}:{number}: found {line[:60]!r}; write first sample, last sample and symbol"
            ) from None
    return found


def _child(folder: Path, name: str) -> Path | None:
    """Return the folder in ``folder`` with that name, in capitals or not."""
    return next(
        (path for path in sorted(folder.iterdir()) if path.name.lower() == name and path.is_dir()), None
    )
