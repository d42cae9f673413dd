"""The cheapest path through the codes of one codebook when changing the code costs something."""

from __future__ import annotations

import torch
from torch import Tensor

# Costs of one product, (steps, B, K) float32 numbers: in the cache of a CPU, enough work for a GPU.
_CHUNK = {"cpu": 2**18, "cuda": 2**24}


@torch.no_grad()
def decode(latents: Tensor, lengths: Tensor, codebook: Tensor, *, switch_cost: Tensor) -> Tensor:
    """Return codes (B, S) int64 that minimise the squared distances plus ``switch_cost`` per change of code.

    Exact dynamic programming over all K^S paths of each sequence in O(S K); staying is preferred to an equally
    cheap change, then the lowest code. As every change costs the same, all changes at a step come from the one
    code that is best before it: with each step's best code and the step at which its path entered it, the
    whole path is known, so that no back-pointers (S, K) are kept (`workspace`). Codes on padding mean nothing.

    Args:
        latents: (B, S, d) float32, finite on padding, too.
        lengths: (B,) int64.
        codebook: (K, d) float32.
        switch_cost: () float32, at least 0; 0 gives every latent its nearest codeword.
    """
    batch, steps = latents.shape[:2]
    codes = torch.empty(batch, steps, dtype=torch.int64, device=latents.device)
    rows = _rows(len(codebook), latents.device)
    with torch.autocast(latents.device.type, enabled=False):
        mean = codebook.mean(0)
        centred = codebook - mean
        squares = torch.linalg.vecdot(centred, centred)
        for start in range(0, batch, rows):
            part = slice(start, start + rows)
            best, since = _forward(latents[part] - mean, centred, squares, switch_cost)
            codes[part] = _backward(best, since, lengths[part])
    return codes


def workspace(num_codes: int, dim: int, *, device: torch.device) -> int:
    """Return the bytes that `decode` holds at most beyond its arguments, one copy of them, and three int64 per latent.

    Per code and sequence 9 bytes of state, of as many sequences at once as fit a chunk of costs (at least
    one); the costs of a chunk and its latents; the centred codebook.
    """
    rows = _rows(num_codes, device)
    chunk = max(_chunk(device) // num_codes, rows)
    return 9 * rows * num_codes + 4 * chunk * (num_codes + dim) + 4 * num_codes * (dim + 1)


def _chunk(device: torch.device) -> int:
    return _CHUNK.get(device.type, _CHUNK["cpu"])


def _rows(num_codes: int, device: torch.device) -> int:
    """Return how many sequences are decoded at once."""
    return max(_chunk(device) // num_codes, 1)


def _forward(
    latents: Tensor, codebook: Tensor, squares: Tensor, switch_cost: Tensor
) -> tuple[Tensor, Tensor]:
    """Return (B, S) int64 twice: the code that is best up to each step, and where its path entered it."""
    batch, steps, dim = latents.shape
    num_codes = len(codebook)
    best = torch.zeros(batch, steps, dtype=torch.int64, device=latents.device)
    since = torch.zeros_like(best)
    behind = latents.new_zeros(batch, num_codes)  # how much dearer than the best path each code is
    entered = torch.zeros(batch, num_codes, dtype=torch.int32, device=latents.device)
    at_once = max(_chunk(latents.device) // max(batch * num_codes, 1), 1)
    for start in range(0, steps, at_once):
        chunk = latents[:, start : start + at_once].transpose(0, 1).reshape(-1, dim)
        # |x - c|^2 less |x|^2, which is the same for all codes
        costs = torch.addmm(squares, chunk, codebook.T, alpha=-2).view(-1, batch, num_codes)
        for step, cost in enumerate(costs, start):
            entered.masked_fill_(behind > switch_cost, step)
            torch.minimum(behind, switch_cost, out=behind).add_(cost)
            lowest, code = behind.min(1, keepdim=True)
            behind.sub_(lowest)
            best[:, step : step + 1] = code
            since[:, step : step + 1] = entered.gather(1, code)
    return best, since


def _backward(best: Tensor, since: Tensor, lengths: Tensor) -> Tensor:
    """Return (B, S), the paths that end with the best code at the last of ``lengths``."""
    codes = torch.zeros_like(best)
    code, entered = torch.zeros_like(lengths), lengths
    for step in reversed(range(best.shape[1])):
        comes_in = step < entered  # the segment that begins at ``entered`` is done, or the sequence ends here
        code = torch.where(comes_in, best[:, step], code)
        entered = torch.where(comes_in, since[:, step], entered)
        codes[:, step] = code
    return codes
