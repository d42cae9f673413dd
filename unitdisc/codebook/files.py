"""A codebook from a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from unitdisc import checkpoint
from unitdisc.errors import RecipeError, StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEY = re.compile(r"codebook|bottleneck\.(rule\.)*codebook")
_ACCEPTED = (
    "a .npy file, a .safetensors file with a tensor 'codebook', a checkpoint's folder or its model.safetensors, "
    "or the folder of a run"
)


def read_codebook(path: Path) -> Tensor:
    """Return the codebook (Q, K, d), float32 and finite, that stands in a file as (Q, K, d) or (K, D).

    Of a run its newest checkpoint is read, and of a checkpoint's folder the averaged codebook, where there is
    one: the one that the run is scored with. Nothing is unpickled.

    Args:
        path: A .npy file, a .safetensors file with a tensor "codebook", a checkpoint's folder or its
            model.safetensors, or the folder of a run.

    Raises:
        RecipeError: There is no codebook in ``path``, or it has another form or numbers that are not finite.
    """
    if not path.exists():
        raise RecipeError(f"{path}: there is no such file; accepted: {_ACCEPTED}")
    if path.is_dir():
        found = _of_folder(path)
    elif path.suffix == ".npy":
        found = _of_array(path)
    elif path.suffix == ".safetensors":
        found = _of_tensors(path)
    else:
        raise RecipeError(f"{path}: is no file that a codebook is read from; accepted: {_ACCEPTED}")
    return _checked(found, path)


def _of_folder(path: Path) -> Tensor:
    files = ("model", "average")
    try:
        if (path / "checkpoints").is_dir():
            newest, _ = checkpoint.newest(path / "checkpoints", files=files)
        elif (path / "model.safetensors").is_file():
            newest = checkpoint.read(path, files=files)
        else:
            newest = None
    except StorageError as error:
        raise RecipeError(f"{error}; give another checkpoint") from error
    if newest is None:
        raise RecipeError(f"{path}: this folder holds no checkpoint to read; accepted: {_ACCEPTED}")
    return _named({**newest.tensors["model"], **newest.tensors.get("average", {})}, path)


def _of_tensors(path: Path) -> Tensor:
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise RecipeError(f"{path}: cannot be read as safetensors ({error})") from error
    return _named(tensors, path)


def _named(tensors: Mapping[str, Tensor], path: Path) -> Tensor:
    names = [name for name in tensors if _KEY.fullmatch(name)]
    if len(names) == 1:
        return tensors[names[0]]
    held = ", ".join(sorted(names or tensors)[:8]) or "nothing"
    raise RecipeError(
        f"{path}: {len(names) or 'no'} tensors are named as a codebook (it holds {held}); accepted: one, named "
        "codebook, bottleneck.codebook or bottleneck.rule.codebook"
    )


def _of_array(path: Path) -> Tensor:
    try:
        # Mapped, so that a header that claims more than the file holds is an error and no allocation.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RecipeError(f"{path}: cannot be read as an array of numbers ({error})") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        kind = array.dtype if isinstance(array, np.ndarray) else "several arrays"
        raise RecipeError(f"{path}: holds {kind}; accepted: one array of floating-point numbers")
    return torch.from_numpy(np.array(array, dtype=np.float32))


def _checked(codebook: Tensor, path: Path) -> Tensor:
    shape = tuple(codebook.shape)
    if not codebook.is_floating_point() or codebook.dim() not in {2, 3} or 0 in shape:
        raise RecipeError(
            f"{path}: the codebook is {codebook.dtype} of shape {shape}; accepted: floating-point numbers of "
            "shape (K, D), or (Q, K, d) for Q codebooks, none of them 0"
        )
    codebook = codebook.float().reshape(-1, *shape[-2:])
    bad = int((~torch.isfinite(codebook)).any(-1).sum())
    if bad:
        raise RecipeError(
            f"{path}: {bad} of {codebook.shape[:2].numel()} codewords are not finite; give a codebook without NaN "
            "and infinity"
        )
    return codebook.contiguous()


def matching_codebook(path: Path, *, num_codebooks: int, num_codes: int, dim: int) -> Tensor:
    """Return the codebook (Q, K, D / Q) in ``path``. Raises `RecipeError` where it has another shape."""
    codebook = read_codebook(path)
    books, codes, size = codebook.shape
    if (books, codes, books * size) != (num_codebooks, num_codes, dim):
        raise RecipeError(
            f"{path}: holds {books} codebooks of {codes} codewords for latents of {books * size} numbers; the recipe "
            f"has num_codebooks {num_codebooks}, num_codes {num_codes} and latents of {dim}"
        )
    return codebook
