"""Exact search for the nearest codeword in bounded memory."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

# Scores of one chunk of rows should stay in the cache on a CPU, and fill a GPU; in float32 numbers.
_CHUNK = {"cpu": 2**20, "cuda": 2**24}
_FEWEST_ROWS = 64


@torch.no_grad()
def nearest(latents: Tensor, codebook: Tensor) -> Tensor:
    """Return int64, the codeword closest to each vector by Euclidean distance, the lowest where several are.

    The search runs in float32, whatever autocast and TF32 say, after the mean codeword is subtracted:
    expanding the square of data that lie away from the origin finds up to 38 % wrong codewords. It never
    holds N x K distances (`search_workspace`).

    Args:
        latents: (..., D), finite; with Q codebooks D = Q * d, in equal blocks.
        codebook: (K, D) gives codes (...); (Q, K, d) gives codes (..., Q).
    """
    _check(latents, codebook)
    books = codebook.float().view(-1, *codebook.shape[-2:])  # (Q, K, d)
    blocks = latents.reshape(latents.shape[:-1].numel(), *books.shape[::2])  # (N, Q, d)
    codes = torch.empty(len(books), len(blocks), dtype=torch.int64, device=latents.device)
    with torch.autocast(latents.device.type, enabled=False), _full_products(latents.device):
        for book, block, found in zip(books, blocks.unbind(1), codes, strict=True):
            _search(block, book, found)
    return codes.T.reshape(latents.shape[:-1] + codebook.shape[:-2])


def search_workspace(num_latents: int, num_codes: int, dim: int, *, device_type: str = "cpu") -> int:
    """Return the bytes that `nearest` needs beyond its arguments and the codes, for one codebook (K, D)."""
    rows = _rows(num_latents, num_codes, device_type)
    chunk = rows * (num_codes + dim + 1)
    squares = num_codes * dim  # of the centred codebook, gone before the first chunk
    return 4 * (num_codes * (dim + 1) + dim + max(chunk, squares))


def _search(latents: Tensor, codebook: Tensor, codes: Tensor) -> None:
    """Write the nearest rows of ``codebook`` (K, d) for ``latents`` (N, d) into ``codes`` (N,)."""
    total = len(latents)
    if total == 1:  # a product with a single row rounds otherwise, and could part equal codewords
        pair = codes.new_empty(2)
        _search(latents.expand(2, -1), codebook, pair)
        codes.copy_(pair[:1])
        return
    mean = codebook.mean(0)
    centred = codebook - mean
    # |x - c|^2 = |x|^2 - 2 (x.c - |c|^2 / 2): the code with the highest score is the nearest.
    bias = torch.linalg.vecdot(centred, centred).mul_(-0.5)
    rows = _rows(total, len(codebook), codes.device.type)
    shifted = centred.new_empty(rows, centred.shape[1])
    scores = centred.new_empty(rows, len(centred))
    best = centred.new_empty(rows)
    for start in range(0, total, max(rows, 1)):
        first = min(start, total - rows)  # the last chunk reaches back, so that all chunks have one size
        torch.sub(latents[first : first + rows], mean, out=shifted)
        torch.addmm(bias, shifted, centred.T, out=scores)
        torch.max(scores, 1, out=(best, codes[first : first + rows]))


def _rows(num_latents: int, num_codes: int, device_type: str) -> int:
    return min(num_latents, max(_CHUNK.get(device_type, _CHUNK["cpu"]) // num_codes, _FEWEST_ROWS))


def _check(latents: Tensor, codebook: Tensor) -> None:
    if codebook.dim() not in {2, 3} or 0 in codebook.shape:
        raise ValueError(
            f"codebook has shape {tuple(codebook.shape)}; accepted: (K, D) or (Q, K, d), none of them 0"
        )
    expected = codebook.shape[-1] * (len(codebook) if codebook.dim() == 3 else 1)
    if latents.dim() == 0 or latents.shape[-1] != expected:
        raise ValueError(
            f"latents have shape {tuple(latents.shape)}; "
            f"accepted for a codebook of shape {tuple(codebook.shape)}: (..., {expected})"
        )


@contextmanager
def _full_products(device: torch.device) -> Iterator[None]:
    """Compute float32 products in float32: no TF32 or bfloat16, whatever the process has allowed."""
    backends: Any = torch.backends
    backend = backends.cuda.matmul if device.type == "cuda" else backends.mkldnn.matmul
    allowed = backend.fp32_precision
    if allowed in {"none", "ieee"}:
        yield
        return
    backend.fp32_precision = "ieee"
    try:
        yield
    finally:
        backend.fp32_precision = allowed
