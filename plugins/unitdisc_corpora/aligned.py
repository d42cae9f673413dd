"""Any folder of recordings with alignments beside them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from unitdisc.errors import DataError
from unitdisc.reader import Reader, Recorded
from unitdisc.text_lines import lines
from unitdisc_corpora.alignments import Alignments
from unitdisc_corpora.audio import SUFFIXES
from unitdisc_corpora.parts import named_parts, require_folder, split_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_TRANSCRIPTS = (".lab", ".txt")


class Aligned(Reader):
    """Any folder of recordings with TextGrids or CTM, such as the Montreal Forced Aligner reads and writes.

    FOLDER holds, at any depth
      SPEAKER/NAME.wav       or FLAC, OGG, AIFF; one channel. The folder is the
                             speaker; none where they lie in FOLDER itself or
                             in a folder called train, dev or test
      SPEAKER/NAME.TextGrid  long or short, tiers "phones" and "words"; or in a
                             folder of the same form (alignments=FOLDER)
      SPEAKER/NAME.lab       optional, what is said (also .txt)
      phones.ctm, words.ctm  in place of TextGrids, at the top: id (NAME),
                             channel, start, duration, symbol
    Where all recordings lie in folders such as train, dev and test, these are the splits; else all is train.

    Args:
        train: Folders to train on.
        dev: Folders that choose between models.
        test: Folders to score.
        alignments: Folder of the alignments; FOLDER itself where it is left out.
        plain_phones: Take word positions, stress digits and capitals off the phones: AH0 is ah.
        empty: Phone that an interval without text stands for, such as sil; nothing leaves it unlabelled.
        skip_unaligned: Leave out recordings that the alignments lack, rather than stop.
    """

    def __init__(
        self,
        *,
        train: tuple[str, ...] = (),
        dev: tuple[str, ...] = (),
        test: tuple[str, ...] = (),
        alignments: Path | None = None,
        plain_phones: bool = False,
        empty: str = "",
        skip_unaligned: bool = False,
    ) -> None:
        self.named = {"train": train, "dev": dev, "test": test}
        self.alignments, self.plain_phones, self.empty = alignments, plain_phones, empty
        self.skip_unaligned = skip_unaligned

    def read(self, folder: Path) -> Iterator[Recorded]:
        """Yield the recordings."""
        folder = require_folder(folder)
        places = self._places(folder)
        keys = _keys(list(places), folder)
        where = folder if self.alignments is None else require_folder(self.alignments)
        labels = Alignments(where, set(keys.values()), is_plain=self.plain_phones, empty=self.empty)
        if not labels and not any(map(_transcript, places)):
            raise DataError(
                f"{where}: no *.TextGrid, phones.ctm or words.ctm in there; put alignments beside the recordings, "
                "or name their folder with alignments=FOLDER"
            )
        for path, (split, speaker) in places.items():
            tables = labels.tables(keys[path], str(path.relative_to(folder).with_suffix("")))
            if labels and tables is None:
                if self.skip_unaligned:
                    continue
                raise DataError(
                    f"{path}: has no alignment in {where}; put it there, or leave all such out with "
                    "skip_unaligned=true"
                )
            fields = {"speaker": speaker} if speaker else {}
            if transcript := _transcript(path):
                fields["text"] = " ".join(line.strip() for _, line in lines(transcript))
            yield Recorded(keys[path], path, split, str(path), None, fields, tables or {})

    def _places(self, folder: Path) -> dict[Path, tuple[str, str]]:
        """Return the split and the speaker of every recording."""
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        if not paths:
            raise DataError(f"{folder}: no recordings in there (accepted: {', '.join(sorted(SUFFIXES))})")
        parts = named_parts(folder, self.named) if any(self.named.values()) else _parts(paths, folder)
        return {
            path: (split, _speaker(path, folder, part))
            for split, part in parts
            for path in paths
            if path.is_relative_to(part)
        }


def _parts(paths: list[Path], folder: Path) -> list[tuple[str, Path]]:
    """Return (split, folder) of the folders at the top where all of them are called splits; else all is train."""
    tops = sorted({folder / path.relative_to(folder).parts[0] for path in paths})
    found = [(split, top) for top in tops if top.is_dir() and (split := split_of(top.name))]
    return found if len(found) == len(tops) else [("train", folder)]


def _speaker(path: Path, folder: Path, part: Path) -> str:
    """Return the name of the folder of a recording, nothing where that is the corpus or called a split."""
    nobody = [folder, part] if split_of(part.name) else [folder]
    return "" if path.parent in nobody else path.parent.name


def _keys(paths: list[Path], folder: Path) -> dict[Path, str]:
    """Return the id of each recording: its name, or its whole path where names repeat."""
    counts = Counter(path.stem for path in paths)
    return {
        path: path.stem
        if counts[path.stem] == 1
        else "-".join(path.relative_to(folder).with_suffix("").parts)
        for path in paths
    }


def _transcript(path: Path) -> Path | None:
    return next((other for end in _TRANSCRIPTS if (other := path.with_suffix(end)).is_file()), None)
