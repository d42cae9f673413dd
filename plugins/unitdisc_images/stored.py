"""What a collection of pictures holds, whatever the form of its files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unitdisc.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

MAX_BYTES = 2**31
"""Bytes of pixels in one file at most: the largest known set, extra_32x32.mat of SVHN, has 1.5 GiB."""


@dataclass(frozen=True)
class Shape:
    """What every picture must be.

    Args:
        rows: Rows of pixels.
        columns: Columns of pixels.
        colours: 3, or 1 for grey.
    """

    rows: int
    columns: int
    colours: int

    def check(self, found: tuple[int, ...], where: str) -> None:
        """Raise `DataError` unless ``found`` is (N, rows, columns, colours), or without colours where they are 1."""
        if len(found) == 3:
            found = (*found, 1)
        if len(found) != 4 or 0 in found:
            raise DataError(
                f"{where}: pictures of shape {found}; accepted: (N, rows, columns, 3 or 1), none empty"
            )
        if found[1:] != (self.rows, self.columns, self.colours):
            rows, columns, colours = found[1:]
            raise DataError(
                f"{where}: pictures of {rows} x {columns} pixels with {colours} colours, expected {self.rows} x "
                f"{self.columns} with {self.colours}; set data.size to [{rows}, {columns}] and data.colours to "
                f"{colours}, or give other pictures"
            )
        if math.prod(found) > MAX_BYTES:
            raise DataError(
                f"{where}: says that it holds {found[0]:,} pictures, at most {MAX_BYTES // 2**30} GiB of pixels are "
                "read; split the file"
            )


@dataclass(frozen=True)
class Stored:
    """The pictures of one split.

    Args:
        pixels: (N, T, C) uint8, row by row.
        labels: (N,) int64, the class of each; None where nothing is said.
    """

    pixels: np.ndarray
    labels: np.ndarray | None


@dataclass(frozen=True)
class Collection:
    """What is in a folder or file, before its pictures are read.

    Args:
        files: What it consists of, in order.
        splits: By name, what reads a split. Raises `DataError`.
        vocab: Names of the classes; () where there are no labels.
    """

    files: tuple[Path, ...]
    splits: Mapping[str, Callable[[], Stored]]
    vocab: tuple[str, ...]


def checked_labels(labels: np.ndarray, num_pictures: int, num_classes: int, where: str) -> np.ndarray:
    """Return (N,) int64 labels in [0, num_classes). Raises `DataError` naming the first that is not."""
    if labels.shape != (num_pictures,) or labels.dtype.kind not in "iu":
        raise DataError(
            f"{where}: labels of {labels.dtype} and shape {labels.shape} for {num_pictures} pictures; give one whole "
            "number for each"
        )
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(outside):
        raise DataError(
            f"{where}: picture {outside[0]} has the label {labels[outside[0]]}, accepted are 0 to {num_classes - 1}; "
            "correct it or fetch the file again"
        )
    return labels.astype(np.int64)
