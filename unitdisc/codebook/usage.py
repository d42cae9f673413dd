"""How a codebook is used: counts, perplexity, dead codes, and scale against the latents."""

from __future__ import annotations

import torch
from torch import Tensor

from unitdisc.codebook.lookup import flat_rows


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
def batch_stats(latents: Tensor, codes: Tensor, codebook: Tensor) -> dict[str, Tensor]:
    """Return numbers for the log, each () and a mean over codebooks, for one batch.

    "batch_perplexity"; "used", the share of codes that occur; "norm_ratio", the mean norm of the codewords
    that occur over the mean norm of the latents, best below 1 (paper A, Fig. 1), and 0 without latents.

    Args:
        latents: (N, D), valid ones only.
        codes: (N, Q).
        codebook: (Q, K, d).
    """
    counts = code_counts(codes, codebook.shape[1])
    used = counts > 0
    codeword_norm = (codebook.norm(dim=-1) * used).sum(-1) / used.sum(-1).clamp(min=1)  # (Q,)
    latent_norm = latents.reshape(len(latents), *codebook.shape[::2]).norm(dim=-1).sum(0) / max(
        len(latents), 1
    )
    tiny = torch.finfo(latent_norm.dtype).tiny
    return {
        "batch_perplexity": perplexity(counts).mean(),
        "used": used.float().mean(),
        "norm_ratio": (codeword_norm / latent_norm.clamp(min=tiny)).mean(),
    }
