"""A corpus of lines of real handwritten digits with known columns."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge, Le
from PIL import Image

from unitdisc.data import Corpus
from unitdisc.errors import PluginError, RecipeError

if TYPE_CHECKING:
    from pathlib import Path

HEIGHT = 32
FIRST_TEST_DIGIT = 1415
"""The digits from here on are for the test split. The copy begins anew with 0 1 2 ... 9 about every 130
digits, which looks like one form per writer; this is the beginning of the twelfth of fourteen."""
PAPER, INK = 235, 35
"""Grey levels."""
VISIBLE = 0.2
"""Share of full ink from which a column belongs to a digit."""


@dataclass(frozen=True)
class Line:
    """One line image.

    Args:
        image: (32, width) uint8, dark ink on light paper.
        spans: (start column, end column, digit) from left to right, end excluded; between them is paper.
    """

    image: np.ndarray
    spans: list[tuple[int, int, int]]


class DigitLines(Corpus):
    """Lines of handwritten digits, 32 pixels high, with the columns of each; test digits are not trained on.

    The digits are the 1797 that scikit-learn carries (8 by 8 pixels, from the test part of "Optical
    Recognition of Handwritten Digits", Alpaydin and Kaynak 1998), enlarged. scikit-learn comes with the extra
    "demo": ``pip install 'unitdisc[demo]'``. Who wrote a digit is not known there: every line is of the
    document "digits".

    Args:
        lines: Lines of the training split.
        test_lines: Lines of the test split.
        min_digits: Least digits in a line.
        max_digits: Most digits in a line.
        seed: Seed of the choice of digits, their size, place and distance, and of the grain of the paper.
    """

    def __init__(
        self,
        *,
        lines: Annotated[int, Ge(1), Le(100_000)] = 800,
        test_lines: Annotated[int, Ge(1), Le(100_000)] = 200,
        min_digits: Annotated[int, Ge(1), Le(100)] = 6,
        max_digits: Annotated[int, Ge(1), Le(100)] = 14,
        seed: Annotated[int, Ge(0)] = 0,
    ) -> None:
        if min_digits > max_digits:
            raise RecipeError(
                f"digit_lines.min_digits: {min_digits} is more than max_digits {max_digits}; "
                f"accepted is 1 to {max_digits}"
            )
        self.lines = {"train": lines, "test": test_lines}
        self.num_digits = (min_digits, max_digits)
        self.seed = seed

    def make(self, folder: Path) -> None:
        """Write ``manifest.jsonl``, ``digits.tsv`` and ``png/SPLIT/ID.png``."""
        images, digits = _load_digits()
        parts = {"train": slice(0, FIRST_TEST_DIGIT), "test": slice(FIRST_TEST_DIGIT, None)}
        with (
            (folder / "manifest.jsonl").open("w", encoding="utf-8", newline="\n") as manifest,
            (folder / "digits.tsv").open("w", encoding="utf-8", newline="\n") as table,
        ):
            table.write("id\tstart_column\tend_column\tdigit\n")
            for split, part in parts.items():
                (folder / "png" / split).mkdir(parents=True)
                for number in range(self.lines[split]):
                    rng = np.random.default_rng([self.seed, split == "test", number])
                    count = int(rng.integers(*self.num_digits, endpoint=True))
                    line = compose(images[part], digits[part], count, rng)
                    key = f"{split}_{number:05d}"
                    path = f"png/{split}/{key}.png"
                    Image.fromarray(line.image).save(folder / path)
                    manifest.write(json.dumps(_entry(key, path, split, line)) + "\n")
                    table.writelines(f"{key}\t{start}\t{end}\t{digit}\n" for start, end, digit in line.spans)


def compose(images: np.ndarray, digits: np.ndarray, count: int, rng: np.random.Generator) -> Line:
    """Write ``count`` random ``digits`` (N,) side by side; ``images`` (N, 8, 8) show them, 1 is ink."""
    chosen = rng.integers(len(digits), size=count)
    size = rng.uniform(21, 26)  # of this line's hand; each digit differs by up to 8 %
    drawn = [_enlarge(images[index], round(size * rng.uniform(0.92, 1.08))) for index in chosen]
    gaps = rng.integers(2, 9, size=count + 1)
    width = int(gaps.sum()) + sum(ink.shape[1] for ink in drawn)
    page = np.zeros((HEIGHT, width))
    spans = []
    column = 0
    for gap, ink, index in zip(gaps[:-1].tolist(), drawn, chosen, strict=True):
        start, end = column + gap, column + gap + ink.shape[1]
        top = int(np.clip(round((HEIGHT - len(ink)) / 2 + rng.normal(0, 1)), 0, HEIGHT - len(ink)))
        page[top : top + len(ink), start:end] = ink
        spans.append((start, end, int(digits[index])))
        column = end
    grey = PAPER - (PAPER - INK) * page + rng.normal(0, 2, page.shape)
    return Line(np.clip(np.round(grey), 0, 255).astype(np.uint8), spans)


def _enlarge(image: np.ndarray, size: int) -> np.ndarray:
    """Return (size, W) in [0, 1]: the digit, ``size`` pixels high, with crisp strokes, cut to its columns."""
    coarse = Image.fromarray(image.astype(np.float32))
    fine = np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float64)
    ink = np.clip((fine - 0.3) / 0.5, 0, 1)  # enlarging blurs: a steep slope from paper to stroke
    inked = np.flatnonzero(ink.max(axis=0) > VISIBLE)
    return ink[:, inked[0] : inked[-1] + 1]


def _load_digits() -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn.datasets import load_digits  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise PluginError(
            f"digit_lines: needs the package scikit-learn ({error}); "
            "install it with: pip install 'unitdisc[demo]'"
        ) from None
    data = load_digits()
    return data.images / 16, data.target


def _entry(key: str, path: str, split: str, line: Line) -> dict[str, object]:
    return {
        "id": key,
        "path": path,
        "split": split,
        "document": "digits",
        "width": line.image.shape[1],
        "height": HEIGHT,
        "text": "".join(str(digit) for _, _, digit in line.spans),
    }
