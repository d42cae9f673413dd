"""ScribbleLens as OpenSLR distributes it (resource 84)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

import numpy as np

from unitdisc.errors import DataError
from unitdisc.images import read_grey, read_size
from unitdisc.reader import Drawn, Reader
from unitdisc_scribblelens.archive import Archive, Zip, inside, open_archive
from unitdisc_scribblelens.paths import characters
from unitdisc_scribblelens.scribes import Scribes
from unitdisc_scribblelens.transcripts import in_mode

if TYPE_CHECKING:
    from collections.abc import Iterator

_LISTS = "corpora/"
_ROOT = "scribblelens.corpus.v1/"
"""The folder that all members are in, also those of the zips of paths."""
_PATHS_LIMIT = 2**29
UNLABELLED = "unsupervised"


class ScribbleLens(Reader):
    """ScribbleLens: scribblelens.corpus.v1.2.zip of OpenSLR 84, or the folder that it unpacks to.

    Read in place. In scribblelens.corpus.v1 (inside the zip; FOLDER itself or at most two deeper) it holds
      corpora/nl.bw.lines.train.dat
                  one line per image: its path below scribblelens.corpus.v1, and
                  that of its transcript. Also ...test.dat, and gray or color for
                  bw; nl.bw.lines.tasman.train.dat and so on are one scribe's
      corpora/all.nl.bw.lines.unsupervised.dat
                  the same of images without transcripts
      corpora/nl.writers.scribes.v2.txt
                  optional: scribe, number, folder and year
      corpora/scribblelens.paths.1.4b.zip
                  optional: alignment paths
      nl/tasman/12.0/line3.jpg
                  scribe, page and line; without transcripts below nl/unsupervised
    The lists, image names, five transcript modes, alignment zip and form of a path are those that DistSup, the
    release of paper A, reads (egs/scribblelens, and its aligner); columns and patterns of the table of scribes
    are from it and from a public reader of the same table. An image of train or test that the unsupervised
    list repeats is given once. "document" is the scribe; "transcript" the text as it was written down.

    Args:
        colour: Which images: "bw" is cleaned to ink on paper, as in paper A.
        splits: Lists to read. Leave out unsupervised for data.text, which all lines must have.
        scribe: Takes the lists of one scribe, such as tasman, kieft or zeewijck; all where it is left out.
        transcript_mode: How "text" is written, after DistSup. Always without full stops and apostrophes; 1
            without spaces, a blank "*" at both ends; 2 the same and a blank between all characters; 3 without
            spaces and blanks; 4 as 1 with spaces; 5 as 3 with spaces, which is what paper A's recipes take.
        alignment: Alignment paths, as a zip or folder of .ali files, such as scribblelens.paths.1.4.zip; a
            name that is not there is looked for in corpora/ of the distribution. They become the table
            "characters", where "|" is the space between words and two equal letters side by side are one.
    """

    def __init__(
        self,
        *,
        colour: Literal["bw", "gray", "color"] = "bw",
        splits: tuple[str, ...] = ("train", "test", UNLABELLED),
        scribe: str | None = None,
        transcript_mode: Literal[1, 2, 3, 4, 5] = 5,
        alignment: Path | None = None,
    ) -> None:
        self.colour, self.splits, self.scribe = colour, splits, scribe
        self.transcript_mode, self.alignment = transcript_mode, alignment

    def read(self, folder: Path) -> Iterator[Drawn]:
        """Yield the lines of the splits, in the order of their lists."""
        corpus = _Corpus(folder)
        paths = None if self.alignment is None else _paths(self.alignment, corpus)
        seen: set[str] = set()
        is_aligned = False
        for split in sorted(self.splits, key=UNLABELLED.__eq__):  # what has transcripts comes first
            for listed in self._listed(corpus, split):
                if split != UNLABELLED or listed.image not in seen:
                    line = self._line(corpus, paths, split, listed)
                    is_aligned |= bool(line.tables)
                    yield line
                seen.add(listed.image)
        if paths is not None and not is_aligned:
            raise DataError(f"{paths.name}: has the path of none of these lines; give those of this corpus")

    def _listed(self, corpus: _Corpus, split: str) -> Iterator[_Listed]:
        is_labelled = split != UNLABELLED
        part = f"{self.scribe}.{split}" if self.scribe and is_labelled else split
        name = f"{corpus.root}{_LISTS}{'' if is_labelled else 'all.'}nl.{self.colour}.lines.{part}.dat"
        if name not in corpus.archive:
            found = ", ".join(PurePosixPath(other).name for other in corpus.archive.names(f"{_LISTS}*.dat"))
            raise DataError(
                f"{corpus.archive.name}: no {name} (found: {found}); set splits, colour and scribe to what there is"
            )
        for number, row in enumerate(corpus.archive.text(name, corpus.archive.name).split("\n"), 1):
            where = f"{corpus.archive.name}: {name}:{number}"
            names = [corpus.below(given, where) for given in row.split()[:2]]
            if names and (is_labelled or self.scribe in (None, *PurePosixPath(names[0]).parts)):
                yield _Listed(where, names[0], names[1] if names[1:] else None)

    def _line(self, corpus: _Corpus, paths: Archive | None, split: str, listed: _Listed) -> Drawn:
        corpus.archive.require(corpus.root + listed.image, listed.where)
        place = PurePosixPath(listed.image)
        folders = tuple(name for name in place.parts[:-1] if name != "nl")
        number = re.search(r"\d+$", place.stem)
        fields = {
            **corpus.scribes.of(folders).fields(),
            "page": "/".join(name for name in folders if name != UNLABELLED).partition("/")[2],
            "line": number[0] if number else "",
        }
        if listed.transcript is not None:
            fields |= self._text(corpus, listed.transcript, listed.where)
        read = partial(_image, corpus, listed)
        files = (corpus.file(listed.image),)
        tables = {} if paths is None else _tables(corpus, paths, listed)
        fields = {name: value for name, value in fields.items() if value}
        return Drawn("_".join((*folders, place.stem)), split, listed.where, files, read, fields, tables)

    def _text(self, corpus: _Corpus, transcript: str, where: str) -> dict[str, str]:
        written = " ".join(corpus.archive.text(corpus.root + transcript, where).split())
        if not in_mode(written, mode=3):
            raise DataError(f"{where}: {transcript} has no text; write it there or take the line out")
        return {"transcript": written, "text": in_mode(written, self.transcript_mode)}


@dataclass(frozen=True)
class _Listed:
    """A line of a list: where it stands, its image, and its transcript where there is one."""

    where: str
    image: str
    transcript: str | None


class _Corpus:
    """The archive, the folder in it that all names are below, and the table of scribes."""

    def __init__(self, path: Path) -> None:
        archive = open_archive(path)
        lists = archive.names(f"{_LISTS}*.lines.*.dat")
        roots = sorted({name.rpartition(_LISTS)[0] for name in lists})
        if len(roots) != 1:
            raise DataError(
                f"{archive.name}: found {len(roots)} folders {_LISTS} with lists such as nl.bw.lines.train.dat "
                f"({', '.join(roots) or 'none'}); give scribblelens.corpus.v1.2.zip or what it unpacks to"
            )
        self.path, self.archive, self.root = path, archive, roots[0]
        tables = archive.names(f"{_LISTS}nl.writers.scribes*.txt")
        self.scribes = Scribes(archive.text(tables[-1], archive.name) if tables else "")

    def file(self, name: str) -> Path:
        """Return the file that holds what has this name below the root."""
        return self.path / self.root / name if self.path.is_dir() else self.path

    def below(self, name: str, where: str) -> str:
        """Return a name as it stands below the root; lists may begin with the root's own name, too."""
        return inside(name, where, self.archive).removeprefix(_ROOT)


def _image(corpus: _Corpus, listed: _Listed) -> np.ndarray:
    """Return the image of a line (H, W) as uint8."""
    return (read_grey(*_opened(corpus, listed)) * 255).round().astype(np.uint8)


def _opened(corpus: _Corpus, listed: _Listed) -> tuple[BytesIO, str]:
    """Return an image's file, and what messages call it."""
    content = corpus.archive.read(corpus.root + listed.image, listed.where)
    return BytesIO(content), f"{listed.where}: {listed.image}"


def _tables(corpus: _Corpus, paths: Archive, listed: _Listed) -> dict[str, list[tuple[int, int, str]]]:
    """Return the characters of a line; none where the paths leave it out."""
    file = str(PurePosixPath(listed.image).with_suffix(".ali"))
    name = next((name for name in (_ROOT + file, file) if name in paths), None)
    if name is None:
        return {}
    size = read_size(*_opened(corpus, listed))
    return {"characters": characters(paths.text(name, paths.name), f"{paths.name}: {name}", size)}


def _paths(alignment: Path, corpus: _Corpus) -> Archive:
    """Return the alignment paths: a zip or folder, or a zip inside of the distribution."""
    if alignment.exists():
        return open_archive(alignment)
    name = f"{corpus.root}{_LISTS}{alignment.name}"
    if name not in corpus.archive:
        found = ", ".join(PurePosixPath(other).name for other in corpus.archive.names(f"{_LISTS}*.zip"))
        raise DataError(
            f"{alignment}: no such file, nor in {_LISTS} of {corpus.archive.name} (found: {found or 'none'}); "
            "give a zip of alignment paths"
        )
    content = corpus.archive.read(name, corpus.archive.name, limit=_PATHS_LIMIT)
    return Zip(BytesIO(content), f"{corpus.archive.name}: {name}")
