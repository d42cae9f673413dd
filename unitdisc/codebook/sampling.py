"""Codes drawn from the posterior of each latent, in bounded memory (paper B, section 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

from unitdisc.codebook.nearest import check_shapes
from unitdisc.codebook.precision import full_products
from unitdisc.codebook.straight_through import Assignment, Estimator, quantize

if TYPE_CHECKING:
    from torch import Tensor

# Scores of one chunk of latents, in float32 numbers: few enough for the cache of a CPU, enough to fill a GPU.
_CHUNK = {"cpu": 2**20, "cuda": 2**24}
_FEWEST_ROWS = 64
_GROUP = 32  # codes whose weights are added up first; a draw then looks into one group only


class Samples(NamedTuple):
    """What `samples_at` returns.

    Args:
        codes: (N, m) or (N, Q, m) int64, drawn with replacement.
        nearest: (N,) or (N, Q) int64, the likeliest codes, found on the way.
    """

    codes: Tensor
    nearest: Tensor


def sample_codes(latents: Tensor, codebook: Tensor, num_samples: int, *, temperature: float = 1.0) -> Tensor:
    """Draw codes (N, m) or (N, Q, m) from softmax(-|e_k - z|^2 / temperature), with replacement.

    The m one-hots of a latent are paper B's soft target of a latent predictor: its cross entropy with their
    mean is the mean of the m cross entropies, ``-log_softmax(logits).gather(-1, codes).mean(-1)``; no one-hot
    vector is ever needed.

    Args:
        latents: (N, D), finite; with Q codebooks D = Q * d, in equal blocks.
        codebook: (K, D) or (Q, K, d).
        num_samples: m.
        temperature: Twice the variance of a code's Gaussian; 1 is paper B, 0 gives the nearest code m times.
    """
    uniforms = draw_uniforms(latents, codebook.shape[:-2], num_samples)
    return samples_at(latents, codebook, uniforms, temperature=temperature).codes


def draw_uniforms(latents: Tensor, books: tuple[int, ...], num_samples: int) -> Tensor:
    """Draw the (N, *books, m) float64 numbers that `samples_at` needs from torch's global generator.

    On the CPU those of two batches drawn one after the other are those of one batch.
    """
    return torch.rand(len(latents), *books, num_samples, dtype=torch.float64, device=latents.device)


@torch.no_grad()
def samples_at(latents: Tensor, codebook: Tensor, uniforms: Tensor, *, temperature: float = 1.0) -> Samples:
    """Return the codes at which the cumulated softmax(-|e_k - z|^2 / temperature) passes ``uniforms``.

    Distances are those of a float32 search (see `nearest`), cumulated weights are float64. No N x K tensor is
    ever held (`sampling_workspace`), and how the work is cut does not show in the codes.

    Args:
        latents: (N, D), finite; with Q codebooks D = Q * d, in equal blocks.
        codebook: (K, D) or (Q, K, d).
        uniforms: (N, m) or (N, Q, m) in [0, 1).
        temperature: At least 0, where all codes are the nearest, the lowest of several.
    """
    check_shapes(latents, codebook)
    books = codebook.float().view(-1, *codebook.shape[-2:])  # (Q, K, d)
    blocks = latents.reshape(len(latents), *books.shape[::2])  # (N, Q, d)
    places = uniforms.reshape(len(latents), len(books), uniforms.shape[-1])
    codes = torch.empty(places.shape, dtype=torch.int64, device=latents.device)
    best = codes.new_empty(places.shape[:2])
    with torch.autocast(latents.device.type, enabled=False), full_products(latents.device):
        for q, book in enumerate(books):
            _draw(blocks[:, q], book, places[:, q], temperature, Samples(codes[:, q], best[:, q]))
    return Samples(codes.view(uniforms.shape), best.view(uniforms.shape[:-1]))


def quantize_mean(
    latents: Tensor, codebook: Tensor, samples: Tensor, *, estimator: Estimator = "straight_through"
) -> Assignment:
    """Quantise latents (N, D) to the mean of their sampled codewords (paper B, eq. 12).

    Both losses are those of `quantize` with this mean as the codeword; the codes returned are the samples.

    Args:
        latents: (N, D), finite.
        codebook: (Q, K, d).
        samples: (N, Q, m).
        estimator: Gradient of the values with respect to the latents, see `quantize`.
    """
    count, books, num_samples = samples.shape
    if not count:
        return quantize(latents, codebook, samples[..., 0], estimator=estimator)._replace(codes=samples)
    offsets = torch.arange(books, device=samples.device).view(-1, 1, 1) * codebook.shape[1]
    rows = (samples.transpose(0, 1) + offsets).reshape(books * count, num_samples)
    means = functional.embedding_bag(rows, codebook.flatten(0, 1), mode="sum") / num_samples
    own = torch.arange(count, device=samples.device).unsqueeze(1).expand(count, books)
    found = quantize(latents, means.view(books, count, -1), own, estimator=estimator)
    return found._replace(codes=samples)


def sampling_workspace(
    num_latents: int, num_codes: int, dim: int, num_samples: int, *, device_type: str = "cpu"
) -> int:
    """Return the bytes that `samples_at` needs beyond its arguments and results, for one codebook (K, d)."""
    padded = -(-num_codes // _GROUP) * _GROUP
    rows = _rows(num_latents, padded, num_samples, device_type)
    sums = 20 * padded // _GROUP  # in float32, cast to float64, and cumulated
    per_draw = 20 * _GROUP + 96  # the same of one group; and shares, places, codes
    chunk = rows * (4 * (padded + dim + 1) + sums + num_samples * per_draw)
    return 4 * padded * (dim + 1) + max(chunk, 4 * padded * dim)


def _draw(latents: Tensor, codebook: Tensor, uniforms: Tensor, temperature: float, into: Samples) -> None:
    """Write the codes of latents (N, d) for uniforms (N, m)."""
    total, num_samples = uniforms.shape
    if total == 1:  # as in `nearest`: a product with a single row rounds otherwise
        pair = Samples(*(part.new_empty(2, *part.shape[1:]) for part in into))
        _draw(latents.expand(2, -1), codebook, uniforms.expand(2, -1), temperature, pair)
        for part, both in zip(into, pair, strict=True):
            part.copy_(both[:1])
        return
    mean = codebook.mean(0)
    # Codewords that fill the last group have a score of -inf, so that they have no weight.
    extra = -len(codebook) % _GROUP
    centred = functional.pad(codebook - mean, (0, 0, 0, extra))
    bias = torch.linalg.vecdot(centred, centred).mul_(-0.5)
    bias[len(codebook) :] = -torch.inf
    rows = _rows(total, len(centred), num_samples, latents.device.type)
    shifted = centred.new_empty(rows, centred.shape[1])
    scores = centred.new_empty(rows, len(centred))
    for start in range(0, total, max(rows, 1)):
        first = min(start, total - rows)  # the last chunk reaches back, so that all chunks have one size
        chunk = slice(first, first + rows)
        torch.sub(latents[chunk], mean, out=shifted)
        torch.addmm(bias, shifted, centred.T, out=scores)  # -|z - e|^2 / 2 but for what all codes share
        highest, into.nearest[chunk] = scores.max(1)
        if temperature > 0:
            scale = min(2 / temperature, torch.finfo(scores.dtype).max)
            weights = scores.sub_(highest.unsqueeze(1)).mul_(scale).exp_()
            into.codes[chunk] = _invert(weights, uniforms[chunk])
        else:
            into.codes[chunk] = into.nearest[chunk].unsqueeze(1)


def _invert(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Return (R, m), where the cumulated ``weights`` (R, G * _GROUP) pass the shares ``uniforms`` (R, m)."""
    groups = weights.unflatten(1, (-1, _GROUP))
    sums = groups.sum(-1)
    cumulated = sums.cumsum(1, dtype=torch.float64)
    targets = _inside(cumulated, uniforms)
    group = torch.searchsorted(cumulated, targets, right=True)
    # The share of the group's own weight that lies before the target.
    rest = (1 + (targets - cumulated.gather(1, group)) / sums.gather(1, group)).clamp_(min=0)
    shift = torch.arange(len(weights), device=weights.device).unsqueeze(1) * groups.shape[1]
    members = groups.flatten(0, 1).index_select(0, (group + shift).flatten()).cumsum(1, dtype=torch.float64)
    within = torch.searchsorted(members, _inside(members, rest.view(-1, 1)), right=True)
    return group * _GROUP + within.view_as(group)


def _inside(cumulated: Tensor, shares: Tensor) -> Tensor:
    """Return shares (R, m) of the last number of each row (R, n), below it whatever the rounding."""
    end = cumulated[:, -1:]
    return (shares * end).minimum(end * (1 - torch.finfo(end.dtype).eps)).contiguous()


def _rows(num_latents: int, num_codes: int, num_samples: int, device_type: str) -> int:
    widest = max(num_codes, 4 * num_samples * _GROUP)
    return min(num_latents, max(_CHUNK.get(device_type, _CHUNK["cpu"]) // widest, _FEWEST_ROWS))
