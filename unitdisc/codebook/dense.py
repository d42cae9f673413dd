"""Search for the nearest codeword by the scores of all of them, a tile at a time."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from unitdisc.codebook.precision import full_products

# A tile holds the scores of some latents for some codewords, in float32 numbers: few enough for the cache of a
# CPU, enough to fill a GPU. It has at most so many codewords, since products of few latents are slow.
_TILE = {"cpu": 2**21, "cuda": 2**24}
_WIDEST = {"cpu": 2**11, "cuda": 2**16}
_GROUPS = 8  # of codewords in a tile, whose best are found in parallel
_LONG = 256  # numbers in a latent from which on a copy of all costs more than a bias added to the scores


@torch.no_grad()
def dense_codes(blocks: Tensor, books: Tensor) -> Tensor:
    """Return (N, Q) int64, the nearest of ``books`` (Q, K, d) float32 for ``blocks`` (N, Q, d), the lowest of some."""
    codes = torch.empty(blocks.shape[:2], dtype=torch.int64, device=blocks.device)
    with torch.autocast(blocks.device.type, enabled=False), full_products(blocks.device):
        num_books, num_codes, dim = books.shape
        tiles = _tiles(len(blocks), num_books, num_codes, dim, blocks.device.type)
        for book in range(0, num_books if len(blocks) else 0, tiles.books):
            those = slice(book, book + tiles.books)
            _search(blocks[:, those], books[those], codes[:, those], tiles)
    return codes


def dense_workspace(
    num_latents: int, num_codes: int, dim: int, *, num_codebooks: int, device_type: str
) -> int:
    """Return the bytes that `dense_codes` needs beyond its arguments and the codes."""
    tiles = _tiles(num_latents, num_codebooks, num_codes, dim, device_type)
    table = tiles.number * tiles.width * (dim + 1)
    numbers = tiles.rows * (dim + 1 + tiles.width)
    bests = 2 * 3 * tiles.rows * (tiles.number + 1) * _GROUPS  # a float32 and an int64, joined by a copy
    return 4 * tiles.books * (table + dim + max(numbers + bests, tiles.width * dim))


class _Tiles(NamedTuple):
    """How the scores of N latents for Q x K codewords are cut up."""

    rows: int
    width: int  # a multiple of the number of groups, or below it
    number: int  # of tiles side by side
    books: int  # searched together


def _tiles(num_latents: int, num_codebooks: int, num_codes: int, dim: int, device_type: str) -> _Tiles:
    size, widest = (limits.get(device_type, limits["cpu"]) for limits in (_TILE, _WIDEST))
    number = -(-num_codes // widest)
    width = -(-num_codes // number)
    if width > _GROUPS:
        width = -(-width // _GROUPS) * _GROUPS
    books = num_codebooks if num_codebooks * width <= widest else 1
    most = max(1, size // (books * max(width, dim)))  # of long latents as many as the cache holds
    # All tiles have one size. One row alone is rounded otherwise, which could part equal codewords.
    rows = max(2, -(-num_latents // max(1, -(-num_latents // most))))
    return _Tiles(rows, width, number, books)


def _search(blocks: Tensor, books: Tensor, codes: Tensor, tiles: _Tiles) -> None:
    """Write the nearest of ``books`` (Q, K, d) for ``blocks`` (N, Q, d) into ``codes`` (N, Q)."""
    total = len(blocks)
    mean = books.mean(1, keepdim=True)  # (Q, 1, d)
    table = _table(books, mean, tiles)
    kind = _Plain if _may_stay(table[:, : books.shape[1], -1], mean) else _Shifted
    products = kind(table, mean, tiles.rows)
    scores = table.new_empty(len(books), tiles.width, tiles.rows)
    for start in range(0, total, tiles.rows):
        first = max(min(start, total - tiles.rows), 0)  # the last tile reaches back: all have one size
        rows = slice(first, first + tiles.rows)
        products.take(blocks[rows].transpose(0, 1).expand(-1, tiles.rows, -1))
        bests, found = [], []
        for column in range(0, table.shape[1], tiles.width):
            products.write(slice(column, column + tiles.width), scores)
            best, code = _best_of_groups(scores)
            bests.append(best)
            found.append(code.add_(column) if column else code)
        codes[rows] = first_best(_joined(bests), _joined(found))[:, : len(codes)].T


class _Shifted:
    """Scores of latents without the mean codeword: exact wherever the data lie, for a copy of all latents."""

    def __init__(self, table: Tensor, mean: Tensor, num_rows: int) -> None:
        self._table, self._mean = table, mean
        self._rows = table.new_ones(len(table), num_rows, table.shape[2])

    def take(self, latents: Tensor) -> None:
        """Take latents (Q, R, d)."""
        torch.sub(latents, self._mean, out=self._rows[..., :-1])

    def write(self, some: slice, scores: Tensor) -> None:
        """Write the scores (Q, W, R) of some codewords for the latents."""
        left, right = self._table[:, some], self._rows.transpose(1, 2)
        if len(left) == 1:
            torch.mm(left[0], right[0], out=scores[0])
        else:
            torch.bmm(left, right, out=scores)


class _Plain:
    """Scores of latents as they are."""

    def __init__(self, table: Tensor, mean: Tensor, num_rows: int) -> None:
        del num_rows
        self._codewords = table[..., :-1]
        self._bias = table[..., -1:] - self._codewords @ mean.transpose(1, 2)  # (Q, K', 1)

    def take(self, latents: Tensor) -> None:
        """Take latents (Q, R, d)."""
        self._latents = latents.float().transpose(1, 2)

    def write(self, some: slice, scores: Tensor) -> None:
        """Write the scores (Q, W, R) of some codewords for the latents."""
        bias, left, right = self._bias[:, some], self._codewords[:, some], self._latents
        if len(left) == 1:
            torch.addmm(bias[0], left[0], right[0], out=scores[0])
        else:
            torch.baddbmm(bias, left, right, out=scores)


def _may_stay(bias: Tensor, mean: Tensor) -> bool:
    """Whether long latents round hardly more where they are than around the mean codeword.

    So it is where that is no further from the origin than codewords are from it; ``bias`` (Q, K) is -|c|^2 / 2.
    """
    if bias.device.type != "cpu" or mean.shape[2] < _LONG:
        return False
    return bool((mean.square().sum((1, 2)) <= -2 * bias.mean(1)).all())


def _table(books: Tensor, mean: Tensor, tiles: _Tiles) -> Tensor:
    """Return (Q, K', d + 1), the codewords c without their mean and -|c|^2 / 2; what fills the tiles up never wins.

    |x - c|^2 = |x|^2 - 2 (x.c - |c|^2 / 2), so the codeword with the highest product with (x, 1) is the nearest.
    """
    num_books, num_codes, dim = books.shape
    table = books.new_zeros(num_books, tiles.number * tiles.width, dim + 1)
    codewords, bias = table[:, :num_codes, :dim], table[:, :num_codes, dim]
    torch.sub(books, mean, out=codewords)
    for some, theirs in zip(codewords.split(tiles.width, 1), bias.split(tiles.width, 1), strict=True):
        torch.linalg.vecdot(some, some, out=theirs).mul_(-0.5)
    table[:, num_codes:, dim] = -torch.inf
    return table


def _best_of_groups(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the best score and the first code that has it, each (G, Q, R), of ``scores`` (Q, W, R).

    Maximum pooling over the codes with the latents as channels is the one operation of PyTorch that finds
    maxima and their places with vector instructions on a CPU: it takes a third of the time of `torch.max`.
    """
    books, width, rows = scores.shape
    if scores.device.type != "cpu":
        best, code = scores.max(1)
        return best.unsqueeze(0), code.unsqueeze(0)
    groups = max(1, _GROUPS // books) if width % _GROUPS == 0 else 1  # images run in parallel, too
    return pooled(scores.view(books, groups, width // groups, rows))


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def first_best(best: Tensor, code: Tensor) -> Tensor:
    """Return the code (Q, R) of the best of several (G, Q, R), of the first where they are equal."""
    if len(code) == 1:
        return code[0]
    if best.device.type != "cpu":
        return code.gather(0, best.max(0, keepdim=True).indices)[0]
    _, group = pooled(best.transpose(0, 1).unsqueeze(1))
    return code.gather(0, group)[0]


def pooled(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maxima of (Q, G, W, R) over W, and their first places among G * W, each (G, Q, R)."""
    found = functional.max_pool2d_with_indices(scores.permute(0, 3, 1, 2), (1, scores.shape[2]))
    best, place = (values.squeeze(3).permute(2, 0, 1) for values in found)
    return best, place
