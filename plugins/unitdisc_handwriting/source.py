"""Data source of line images."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Le
from torch import Tensor

from unitdisc import cache
from unitdisc.data import Corpus, DataSource, Example, FeatureSpec, Split, TargetSpec
from unitdisc.errors import DataError, RecipeError
from unitdisc.manifest import MANIFEST
from unitdisc_handwriting.align import write_aligned
from unitdisc_handwriting.drawn import import_drawn
from unitdisc_handwriting.image import FORMATS, array_to_grey, read_grey, scaled_width, to_columns
from unitdisc_handwriting.lines import LINES, read_lines, write_lines
from unitdisc_handwriting.targets import frame_labels, middles, symbols

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from unitdisc.reader import Drawn
    from unitdisc_handwriting.lines import Imported, Line


class Lines(DataSource):
    """Line images as sequences of pixel columns: one input frame is a column, ink 1.0 and paper 0.0.

    An image of another height is scaled in proportion; frames and labels then count the new columns. Reads
    PNG (best: it alone notices damage), TIFF, JPEG and BMP, be they of 1 bit, grey of 8 or 16 bits, palette,
    RGB, or RGBA, which is laid on paper.

    Args:
        root: Corpus folder with ``manifest.jsonl``, which is checked and imported into the cache once, or a
            folder that ``unitdisc data import`` wrote.
        corpus: Corpus that is made on the spot, once, in place of ``root``.
        height: Height in pixels to which images are brought.
        labels: Label tables. ``digits`` gives the "frames" target ``digits`` (where labels overlap the later
            one counts) and the "sequence" target ``digits_sequence``. Symbols of all splits are known.
        text: Whether the manifest's ``text`` is the "sequence" target ``text`` of characters. Their columns
            are not known, so such lines cannot be cropped; ``unitdisc data align`` finds them.
        condition: Field of the manifest that becomes a condition with the values of the training split; null,
            or a field that no training line has, gives none.
        max_width: Columns of a line at most.
        dark_ink: Whether ink is darker than paper.
    """

    suffixes: ClassVar[frozenset[str]] = frozenset(suffix for known in FORMATS.values() for suffix in known)
    unlabelled: ClassVar[Mapping[str, object]] = {"corpus": None, "labels": (), "text": False}

    def __init__(
        self,
        *,
        root: Path | None = None,
        corpus: Corpus | None = None,
        height: Annotated[int, Ge(1), Le(1024)] = 32,
        labels: tuple[str, ...] = (),
        text: bool = False,
        condition: str | None = "document",
        max_width: Annotated[int, Ge(1)] = 20000,
        dark_ink: bool = True,
    ) -> None:
        if root is not None and corpus is not None:
            raise RecipeError("data: root and corpus are both given; give one of them")
        names = [*labels, *(f"{table}_sequence" for table in labels), *(["text"] if text else [])]
        if len(set(names)) < len(names):
            raise RecipeError(f"data.labels: targets would share a name ({', '.join(names)}); rename a table")
        self.root = root
        self.corpus = corpus
        self.height = height
        self.labels = labels
        self.text = text
        self.condition = condition
        self.max_width = max_width
        self.dark_ink = dark_ink
        self.features = FeatureSpec((height,), 1.0, "column", standardize=False)

    def prepare(self) -> None:
        """Make the corpus and import the folder where that has not been done, and read what is in it."""
        self.imported = self._imported()
        self.widths = [self._width(line) for line in self.imported.lines]
        self.targets = self._targets()
        self.conditions = self._conditions()

    def split(self, name: str) -> LineSplit:
        """Return the lines of a split, in the order of the manifest."""
        chosen = [index for index, line in enumerate(self.imported.lines) if line.split == name]
        if not chosen:
            known = ", ".join(dict.fromkeys(line.split for line in self.imported.lines))
            raise DataError(f"{self.imported.root}: no split {name!r} (accepted: {known}); name one of those")
        return LineSplit(self, chosen)

    def splits(self) -> tuple[str, ...]:
        """Return the names of the splits, in the order of the manifest."""
        return tuple(dict.fromkeys(line.split for line in self.imported.lines))

    def load_file(self, path: Path) -> Tensor:
        """Return the inputs (T, height) of an image of one line."""
        inputs = self._inputs(read_grey(path, str(path), paper=int(self.dark_ink)))
        if len(inputs) > self.max_width:
            raise DataError(self._too_wide(str(path), len(inputs)))
        return inputs

    def featurize(self, signal: np.ndarray, rate: float | None = None) -> Tensor:
        """Turn an image into inputs (T, height); ``rate`` is for recordings.

        Takes uint8 (H, W), (H, W, 3) or (H, W, 4), uint16 (H, W), and floats (H, W) in [0, 1]; 0 is black.
        """
        del rate
        inputs = self._inputs(array_to_grey(signal, paper=int(self.dark_ink)))
        if len(inputs) > self.max_width:
            raise DataError(self._too_wide("image", len(inputs)))
        return inputs

    def checksum(self) -> str:
        """Return the SHA-256 over the imported lines and the parameters that shape examples."""
        shape = [self.height, self.labels, self.text, self.condition, self.dark_ink]
        return hashlib.sha256(f"{self.imported.sha256} {json.dumps(shape)}".encode()).hexdigest()

    def picture(self, example: Example) -> np.ndarray:
        """Return (height, T) uint8, dark ink on light paper."""
        return ((1 - example.inputs.T) * 255).round().to(torch.uint8).numpy()

    @classmethod
    def import_folder(cls, root: Path, out: Path, labels: Sequence[str]) -> str:
        """Check the corpus folder ``root``, write what `Lines` reads into ``out``, and return a summary."""
        return write_lines(root, out, labels)

    @classmethod
    def import_drawn(cls, drawn: Sequence[Drawn], out: Path) -> str:
        """Write the lines that a reader found, as `Lines` reads them, into ``out``; return a summary."""
        return import_drawn(drawn, out)

    def write_aligned(
        self, folder: Path, target: str, spans: Mapping[str, Sequence[tuple[float, float]]]
    ) -> str:
        """Write lines with columns into the empty ``folder``; ``text`` becomes the label table ``characters``."""
        return write_aligned(folder, self.imported, self.widths, target=target, spans=spans)

    def load(self, index: int) -> Example:
        """Load the line with this number in the manifest's order."""
        line, width = self.imported.lines[index], self.widths[index]
        path = self.imported.root / line.path
        grey = read_grey(path, str(path), paper=int(self.dark_ink))
        if grey.shape != (line.height, line.width):
            raise DataError(
                f"{path}: {grey.shape[1]} x {grey.shape[0]} pixels, but {line.width} x {line.height} when it "
                f"was imported; put the image back or correct {MANIFEST}"
            )
        targets, held = {}, {}
        for table in self.labels:
            vocab = self.targets[table].vocab
            targets[table] = frame_labels(line, table, vocab, width)
            targets[f"{table}_sequence"] = symbols([label[2] for label in line.labels[table]], vocab)
            held[f"{table}_sequence"] = middles(line, table, width)
        if self.text:
            targets["text"] = symbols(list(self._text(line)), self.targets["text"].vocab)
        conditions = {name: _index(values, _value(line, name)) for name, values in self.conditions.items()}
        return Example(line.id, self._inputs(grey), targets, conditions, held)

    def _inputs(self, grey: np.ndarray) -> Tensor:
        columns = to_columns(grey, self.height)
        return 1 - columns if self.dark_ink else columns

    def _imported(self) -> Imported:
        root = self._folder()
        if not (root / LINES).is_file():
            place = cache.import_folder(root, self.labels, Lines)
            corpus = root
            root = cache.once(place, lambda out: write_lines(corpus, out, self.labels))
        imported = read_lines(root)
        for table in self.labels:
            if table not in imported.tables:
                known = ", ".join(imported.tables) or "none"
                raise DataError(
                    f"{root}: imported without the labels {table!r} (with: {known}); import them too"
                )
        return imported

    def _folder(self) -> Path:
        if self.root is not None:
            return self.root
        if self.corpus is None:
            raise RecipeError(
                "data: neither root nor corpus is given; set data.root to a folder of line images"
            )
        return cache.made(self.corpus)

    def _width(self, line: Line) -> int:
        width = scaled_width(line.width, line.height, self.height)
        if width > self.max_width:
            where = f"{self.imported.root / MANIFEST}:{line.manifest_line}: {line.id}"
            raise DataError(self._too_wide(where, width))
        return width

    def _too_wide(self, where: str, width: int) -> str:
        return (
            f"{where}: {width} columns at height {self.height}, at most {self.max_width} are accepted; cut "
            "it into shorter lines or raise data.max_width"
        )

    def _targets(self) -> dict[str, TargetSpec]:
        targets = {}
        for table in self.labels:
            vocab = tuple(sorted({label[2] for line in self.imported.lines for label in line.labels[table]}))
            targets[table] = TargetSpec("frames", vocab)
            targets[f"{table}_sequence"] = TargetSpec("sequence", vocab)
        if self.text:
            vocab = tuple(
                sorted({character for line in self.imported.lines for character in self._text(line)})
            )
            targets["text"] = TargetSpec("sequence", vocab)
        return targets

    def _text(self, line: Line) -> str:
        text = line.fields.get("text")
        if not isinstance(text, str):
            where = f"{self.imported.root / MANIFEST}:{line.manifest_line}"
            raise DataError(f"{where}: {line.id} has no text; write it there or set data.text to false")
        return text

    def _conditions(self) -> dict[str, tuple[str, ...]]:
        if self.condition is None:
            return {}
        train = [line for line in self.imported.lines if line.split == "train"]
        values = {value for line in train if (value := _value(line, self.condition)) is not None}
        return {self.condition: tuple(sorted(values))} if values else {}


class LineSplit(Split):
    """Lines of one split.

    Args:
        source: Where they come from.
        chosen: Their numbers in the manifest's order.
    """

    def __init__(self, source: Lines, chosen: Sequence[int]) -> None:
        self.source = source
        self.chosen = chosen
        self.keys = [source.imported.lines[index].id for index in chosen]
        self.lengths = [source.widths[index] for index in chosen]

    def __getitem__(self, index: int) -> Example:
        """Load one line."""
        return self.source.load(self.chosen[index])

    def fields(self, index: int) -> dict[str, str]:
        """Return the manifest's single values of a line."""
        fields = self.source.imported.lines[self.chosen[index]].fields
        return {name: str(value) for name, value in fields.items() if isinstance(value, str | int | float)}


def _value(line: Line, name: str) -> str | None:
    value = line.fields.get(name)
    return None if value is None else str(value)


def _index(values: Sequence[str], value: str | None) -> int:
    return values.index(value) if value in values else -1
