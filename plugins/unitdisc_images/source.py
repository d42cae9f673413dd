"""Data source of small pictures."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Le

from unitdisc.data import DataSource, FeatureSpec, TargetSpec
from unitdisc.errors import DataError, RecipeError
from unitdisc_images.find import find
from unitdisc_images.split import PictureSplit, to_inputs
from unitdisc_images.stored import Shape, Stored

if TYPE_CHECKING:
    from torch import Tensor

_DEV = "dev"


class Images(DataSource):
    """Pictures of one size, as sequences of their pixels row by row: one input frame is the colours of a pixel.

    Reads the binary version of CIFAR-10 and CIFAR-100, the cropped form of SVHN (.mat, with SciPy: the extra
    "images"), and .npz files with ``images`` (N, rows, columns, 3 or 1) uint8 and perhaps ``labels`` (N,): the
    split is named after the file, or the arrays after the split (``train_images``). Nothing is unpickled. A byte v
    becomes (v + 0.5) / 256. The class of a picture is the "sequence" target ``label`` of one symbol.

    All pictures of a split stay in memory, a byte per colour, and on the device that they are used on.

    Args:
        root: Folder with the files, or one .npz file.
        size: Rows and columns of the pictures.
        colours: 3 for red, green and blue, 1 for grey.
        dev: Pictures of "train" that become the split "dev" instead.
        dev_seed: Draws which these are.
        limit: By split, how many of its pictures are used at most: the first.
    """

    def __init__(
        self,
        *,
        root: Path | None = None,
        size: tuple[Annotated[int, Gt(0), Le(1024)], Annotated[int, Gt(0), Le(1024)]] = (32, 32),
        colours: Literal[1, 3] = 3,
        dev: Annotated[int, Ge(0)] = 0,
        dev_seed: Annotated[int, Ge(0)] = 0,
        limit: dict[str, Annotated[int, Gt(0)]] | None = None,
    ) -> None:
        self.root = root
        self.shape = Shape(*size, colours)
        self.dev = dev
        self.dev_seed = dev_seed
        self.limit = limit or {}
        self.features = FeatureSpec((colours,), 1.0, "pixel", standardize=False, grid=size)
        self.conditions = {}

    def prepare(self) -> None:
        """Find out what the folder holds; a split is read when it is first asked for."""
        if self.root is None:
            raise RecipeError("data: root is not given; set data.root to a folder of pictures")
        self.collection = find(self.root, self.shape)
        if self.dev and _DEV in self.collection.splits:
            raise DataError(f"{self.root}: has a split dev; set data.dev to 0")
        vocab = self.collection.vocab
        self.targets = {"label": TargetSpec("sequence", vocab)} if vocab else {}
        if unknown := set(self.limit) - set(self.splits()):
            raise DataError(
                f"{self.root}: data.limit names {min(unknown)!r}, which is no split (accepted: "
                f"{', '.join(self.splits())})"
            )

    def splits(self) -> tuple[str, ...]:
        """Return the names of the splits."""
        return (*self.collection.splits, *([_DEV] if self.dev else []))

    def split(self, name: str) -> PictureSplit:
        """Return the pictures of a split, in the order of the files."""
        if name not in self.splits():
            raise DataError(
                f"{self.root}: no split {name!r} (accepted: {', '.join(self.splits())}); name one of those"
            )
        stored = "train" if self.dev and name == _DEV else name
        pictures = self._read(stored)
        chosen = self._chosen(name, len(pictures.pixels))[: self.limit.get(name)]
        labels = pictures.labels if self.targets else None
        if self.targets and labels is None:
            raise DataError(
                f"{self.root}: the pictures of {stored} have no labels, others do; give all or none"
            )
        return PictureSplit(
            [f"{stored}-{index:06d}" for index in chosen.tolist()],
            torch.from_numpy(_rows(pictures.pixels, chosen)),
            None if labels is None else torch.from_numpy(labels[chosen]),
        )

    def featurize(self, signal: np.ndarray, rate: float | None = None) -> Tensor:
        """Turn a picture (rows, columns, colours) uint8, or without colours where they are 1, into inputs (T, C)."""
        del rate
        image = np.asarray(signal)
        if image.dtype != np.uint8 or image.ndim not in {2, 3}:
            raise DataError(
                f"image: an array of {image.dtype} and shape {image.shape}; accepted: uint8 (rows, columns, colours)"
            )
        self.shape.check((1, *image.shape), "image")
        return to_inputs(torch.from_numpy(image.reshape(-1, self.shape.colours).copy()))

    def checksum(self) -> str:
        """Return the SHA-256 over the files and the parameters that choose pictures."""
        limit = sorted(self.limit.items())
        return hashlib.sha256(
            f"{self._digest} {json.dumps([self.dev, self.dev_seed, limit])}".encode()
        ).hexdigest()

    @functools.cached_property
    def _digest(self) -> str:
        whole = hashlib.sha256()
        for path in self.collection.files:
            with path.open("rb") as file:
                whole.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
        return whole.hexdigest()

    def _read(self, name: str) -> Stored:
        if name not in self._kept:
            self._kept[name] = self.collection.splits[name]()
        return self._kept[name]

    @functools.cached_property
    def _kept(self) -> dict[str, Stored]:
        return {}

    def _chosen(self, name: str, count: int) -> np.ndarray:
        """Return the places of a split's pictures among ``count``."""
        if not self.dev or name not in {"train", _DEV}:
            return np.arange(count)
        if self.dev >= count:
            raise DataError(f"{self.root}: data.dev is {self.dev}, but train has {count} pictures; lower it")
        order = np.random.Generator(np.random.PCG64(self.dev_seed)).permutation(count)
        return np.sort(order[: self.dev] if name == _DEV else order[self.dev :])


def _rows(array: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the chosen rows; all of them, which may be gigabytes, are not copied."""
    return array if len(chosen) == len(array) else array[chosen]
