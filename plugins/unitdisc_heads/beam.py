"""Transcripts from CTC outputs by prefix beam search."""

from __future__ import annotations

import numpy as np


def likeliest(log_probs: np.ndarray, beam: int) -> list[int]:
    """Return the likeliest transcript, whose probability is the sum over all of its paths (Graves et al. 2006).

    Prefixes of transcripts grow latent by latent, and the ``beam`` likeliest are kept (Hannun et al. 2014,
    without a language model); exact where no prefix had to go.

    Args:
        log_probs: (S, V + 1) logarithms of probabilities; the blank is output 0, symbol ``n`` output ``n + 1``.
        beam: Prefixes kept, at least 1.
    """
    prefixes: list[tuple[int, ...]] = [()]
    # Of the paths that spell a prefix: those that end in a blank, those that end in its last symbol.
    blank, symbol = np.zeros(1), np.full(1, -np.inf)
    for now in log_probs.astype(np.float64):
        last = np.array([prefix[-1] if prefix else -1 for prefix in prefixes])
        either = np.logaddexp(blank, symbol)
        grown = either[:, None] + now[1:]  # (N, V): every prefix by every symbol
        rows = np.flatnonzero(last >= 0)
        # The same symbol once more is a second one only behind a blank.
        grown[rows, last[rows]] = (blank + now[last + 1])[rows]
        blank, symbol = either + now[0], np.where(last >= 0, symbol + now[last + 1], -np.inf)
        _merge(prefixes, symbol, grown)
        scores = np.concatenate([np.logaddexp(blank, symbol), grown.ravel()])
        best = np.argsort(-scores, kind="stable")[:beam]
        best = best[scores[best] > -np.inf]  # what was merged must not come back as a prefix of its own
        stay = best[best < len(last)]
        row, new = np.divmod(best[best >= len(last)] - len(last), len(now) - 1)
        blank = np.concatenate([blank[stay], np.full(len(row), -np.inf)])
        symbol = np.concatenate([symbol[stay], grown[row, new]])
        prefixes = [
            *(prefixes[n] for n in stay),
            *((*prefixes[n], int(c)) for n, c in zip(row, new, strict=True)),
        ]
    return list(prefixes[int(np.logaddexp(blank, symbol).argmax())])


def _merge(prefixes: list[tuple[int, ...]], symbol: np.ndarray, grown: np.ndarray) -> None:
    """Count what grows into a prefix that is already kept as paths of that one."""
    rows = {prefix: row for row, prefix in enumerate(prefixes)}
    for row, prefix in enumerate(prefixes):
        shorter = rows.get(prefix[:-1]) if prefix else None
        if shorter is not None:
            symbol[row] = np.logaddexp(symbol[row], grown[shorter, prefix[-1]])
            grown[shorter, prefix[-1]] = -np.inf
