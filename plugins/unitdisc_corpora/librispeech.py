"""LibriSpeech as OpenSLR distributes it (SLR12, and SLR31 for the small one), with alignments of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.reader import Reader, Recorded
from unitdisc.text_lines import lines
from unitdisc_corpora.alignments import Alignments
from unitdisc_corpora.parts import named_parts, require_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

_LAYOUT = (
    "no PART/SPEAKER/CHAPTER/*.trans.txt in there (PART such as train-clean-100); give the folder LibriSpeech"
)


class LibriSpeech(Reader):
    """LibriSpeech in the layout of its archives.

    FOLDER or FOLDER/LibriSpeech holds
      SPEAKERS.TXT                              optional, gives "sex"
      train-clean-100/103/1240/103-1240-0000.flac
      train-clean-100/103/1240/103-1240.trans.txt
    Beside the recordings, or in folders of the same names (alignments=FOLDER)
      train-clean-100/103/1240/103-1240-0000.TextGrid
                                                tiers "phones" and "words", or
      phones.ctm, words.ctm                     at the top, times in seconds by id
    Without train, dev and test: train-* are train, dev-clean* is dev, test-clean* is test, and all others are
    splits by their own names.

    Args:
        train: Parts to train on.
        dev: Parts that choose between models.
        test: Parts to score.
        alignments: Folder of the alignments; FOLDER itself where it is left out.
        plain_phones: Take stress digits and capitals off the phones: AH0 is ah.
        empty: Phone that an interval without text stands for; nothing leaves it unlabelled.
        skip_unaligned: Leave out utterances that the alignments lack, rather than stop.
    """

    def __init__(
        self,
        *,
        train: tuple[str, ...] = (),
        dev: tuple[str, ...] = (),
        test: tuple[str, ...] = (),
        alignments: Path | None = None,
        plain_phones: bool = True,
        empty: str = "sil",
        skip_unaligned: bool = False,
    ) -> None:
        self.named = {"train": train, "dev": dev, "test": test}
        self.alignments, self.plain_phones, self.empty = alignments, plain_phones, empty
        self.skip_unaligned = skip_unaligned

    def read(self, folder: Path) -> Iterator[Recorded]:
        """Yield the utterances of all parts."""
        folder = require_folder(folder)
        root = folder / "LibriSpeech" if (folder / "LibriSpeech").is_dir() else folder
        parts = named_parts(root, self.named) if any(self.named.values()) else _parts(root)
        utterances = [item for split, part in parts for item in _utterances(part, split)]
        where = root if self.alignments is None else require_folder(self.alignments)
        keys = {item.key for item in utterances}
        labels = Alignments(where, keys, is_plain=self.plain_phones, empty=self.empty)
        if self.alignments is not None and not labels:
            raise DataError(f"{where}: no *.TextGrid, phones.ctm or words.ctm in there; give the alignments")
        sexes = _sexes(root / "SPEAKERS.TXT")
        for item in utterances:
            tables = labels.tables(item.key, str(item.path.relative_to(root).with_suffix("")))
            if labels and tables is None:
                if self.skip_unaligned:
                    continue
                raise DataError(
                    f"{item.where}: {item.key} has no alignment in {where}; put it there, or leave all such "
                    "out with skip_unaligned=true"
                )
            item.fields.update(sexes.get(item.fields["speaker"], {}))
            item.tables.update(tables or {})
            yield item


def _parts(root: Path) -> list[tuple[str, Path]]:
    found = [path for path in sorted(root.iterdir()) if path.is_dir() and any(path.glob("*/*/*.trans.txt"))]
    if not found:
        raise DataError(f"{root}: {_LAYOUT}")
    return [(_split(path.name), path) for path in found]


def _split(part: str) -> str:
    for start, split in (("train-", "train"), ("dev-clean", "dev"), ("test-clean", "test")):
        if part.startswith(start):
            return split
    return part


def _utterances(part: Path, split: str) -> Iterator[Recorded]:
    transcripts = sorted(part.glob("*/*/*.trans.txt"))
    if not transcripts:
        raise DataError(
            f"{part}: no SPEAKER/CHAPTER/*.trans.txt in there; give a part such as train-clean-100"
        )
    for transcript in transcripts:
        for number, line in lines(transcript):
            key, _, text = line.strip().partition(" ")
            path = transcript.parent / f"{key}.flac"
            where = f"{transcript}:{number}"
            if not path.is_file():
                raise DataError(f"{where}: no file {path.name} beside it; unpack the archive again")
            fields = {
                "speaker": transcript.parent.parent.name,
                "chapter": transcript.parent.name,
                "text": text,
            }
            yield Recorded(key, path, split, where, None, fields)


def _sexes(path: Path) -> dict[str, dict[str, str]]:
    """Return speaker: {"sex": "f" or "m"}, as the table ``ID |SEX| SUBSET |MINUTES| NAME`` says."""
    rows = [line.split("|") for _, line in lines(path) if not line.startswith(";")] if path.is_file() else []
    return {row[0].strip(): {"sex": row[1].strip().lower()} for row in rows if len(row) > 1}
