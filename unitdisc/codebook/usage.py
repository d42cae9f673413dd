"""How a codebook is used: counts, perplexity, dead codes, and scale against the latents."""

from __future__ import annotations

import torch
from torch import Tensor

from unitdisc.codebook.lookup import flat_rows

_MOST_NORMS = 1024
"""Latents of a batch whose norms are taken: on short blocks a norm costs as much as a share of the search."""


def code_counts(codes: Tensor, num_codes: int) -> Tensor:
    """Return (Q, K) int64, how often each code occurs in ``codes`` (..., Q); -1 is not counted."""
    books = codes.shape[-1]
    shifted = flat_rows(codes + 1, num_codes + 1)  # -1 falls into a bin of its own
    return torch.bincount(shifted, minlength=books * (num_codes + 1)).view(books, num_codes + 1)[:, 1:]


def perplexity(counts: Tensor) -> Tensor:
    """Return (...), 2 to the entropy in bits of ``counts`` (..., K): how many codes, evenly used.

    Over a whole evaluation set this is paper A's code perplexity. Over a batch it cannot exceed the number of
    latents in it: never compare the two. It is 1 where nothing was counted.
    """
    shares = counts / counts.sum(-1, keepdim=True).clamp(min=1)
    entropy: Tensor = torch.special.entr(shares).sum(-1)  # in nats
    return entropy.exp()


def dead_share(counts: Tensor) -> Tensor:
    """Return (...), the share of codes in ``counts`` (..., K) that were never used."""
    return (counts == 0).float().mean(-1)


@torch.no_grad()
def code_stats(codes: Tensor, num_codes: int) -> dict[str, Tensor]:
    """Return numbers for the log, each () and a mean over codebooks, for the codes (N, Q) of one batch.

    "batch_perplexity"; "used", the share of codes that occur.
    """
    counts = code_counts(codes, num_codes)
    return {"batch_perplexity": perplexity(counts).mean(), "used": (counts > 0).float().mean()}


@torch.no_grad()
def batch_stats(
    latents: Tensor, codes: Tensor, codebook: Tensor, *, error: Tensor | None = None
) -> dict[str, Tensor]:
    """Return numbers for the log, each () and a mean over codebooks, for one batch.

    "batch_perplexity"; "used", the share of codes that occur; "norm_ratio", the mean norm of the codewords
    that occur over the mean norm of the latents, best below 1 (paper A, Fig. 1), and 0 without latents;
    "quantization_error", mean |e(x) - q(x)|^2 over mean |e(x)|^2, the inverse of the signal-to-noise ratio:
    0 loses nothing, 1 is no better than zeros for every latent. The norms of latents are those of 1,024 of
    them at most, in equal steps through the batch.

    Args:
        latents: (N, D), valid ones only.
        codes: (N, Q), none of them -1.
        codebook: (Q, K, d).
        error: (), mean square of e(x) - q(x) over latents and their D elements, as `quantize` returns it;
            without it there is no "quantization_error".
    """
    books, num_codes, size = codebook.shape
    counts = torch.bincount(flat_rows(codes, num_codes), minlength=books * num_codes).view(books, -1).float()
    used = counts.sign()
    num_used = used.sum(-1)  # (Q,)
    codewords = torch.linalg.vector_norm(codebook, dim=-1)  # (Q, K)
    codeword_norm = torch.linalg.vecdot(codewords, used) / num_used.clamp(min=1)
    some = latents[:: -(-len(latents) // _MOST_NORMS) or 1].reshape(-1, books, size)
    lengths = torch.linalg.vector_norm(some, dim=-1)  # (n, Q)
    tiny = torch.finfo(lengths.dtype).tiny
    latent_norm = (lengths.sum(0) / max(len(some), 1)).clamp(min=tiny)
    stats = {
        "batch_perplexity": torch.special.entr(counts / max(len(codes), 1)).sum(-1).exp().mean(),
        "used": num_used.mean() / num_codes,
        "norm_ratio": (codeword_norm / latent_norm).mean(),
    }
    if error is not None:
        power = torch.dot(lengths.flatten(), lengths.flatten()) / max(some.numel(), 1)
        stats["quantization_error"] = error.detach() / power.clamp(min=tiny)
    return stats
