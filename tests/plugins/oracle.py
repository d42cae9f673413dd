"""Training rules in plain float64 loops: slow, without torch, straight from the equations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def nearest(vector: np.ndarray, codebook: np.ndarray) -> int:
    """The lowest of the codewords of (K, d) closest to (d,)."""
    best, found = float("inf"), -1
    for code, codeword in enumerate(codebook):
        distance = sum((float(a) - float(b)) ** 2 for a, b in zip(vector, codeword, strict=True))
        if distance < best:
            best, found = distance, code
    return found


def codes_of(latents: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    """(N, Q) for latents (N, D) and codebooks (Q, K, D / Q)."""
    blocks = latents.reshape(len(latents), len(codebook), -1)
    return np.array(
        [[nearest(block, book) for block, book in zip(row, codebook, strict=True)] for row in blocks]
    )


def values_of(codes: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    """(N, D), the codewords of codes (N, Q)."""
    return np.array([np.concatenate([codebook[q, code] for q, code in enumerate(row)]) for row in codes])


@dataclass
class GradientStep:
    """One step of paper A, eq. 2, each term a mean over N * D elements; the task's gradient is given."""

    values: np.ndarray
    codes: np.ndarray
    loss: float
    latent_gradient: np.ndarray
    codebook_gradient: np.ndarray


def gradient_step(
    latents: np.ndarray, codebook: np.ndarray, task: np.ndarray, *, commitment: float, codebook_weight: float
) -> GradientStep:
    """Differentiate ``sum(task * q(x)) + codebook_weight * codebook term + commitment * commitment term``."""
    codes = codes_of(latents, codebook)
    values = values_of(codes, codebook)
    size = latents.size
    latent_gradient = task + commitment * 2 * (latents - values) / size
    codebook_gradient = np.zeros_like(codebook)
    blocks = latents.reshape(len(latents), len(codebook), -1)
    for row, row_codes in zip(blocks, codes, strict=True):
        for q, code in enumerate(row_codes):
            codebook_gradient[q, code] += codebook_weight * 2 * (codebook[q, code] - row[q]) / size
    loss = (codebook_weight + commitment) * float(((latents - values) ** 2).sum()) / size
    return GradientStep(values, codes, loss, latent_gradient, codebook_gradient)


class EMA:
    """Paper A, eq. 4, with Laplace smoothing of the counts."""

    def __init__(self, codebook: np.ndarray, *, decay: float, epsilon: float, init_count: float) -> None:
        self.codebook = codebook.astype(float)
        self.decay, self.epsilon = decay, epsilon
        self.counts = np.full(codebook.shape[:2], init_count)
        self.sums = self.codebook * (init_count if init_count > 0 else 1.0)

    def step(self, latents: np.ndarray) -> np.ndarray:
        """Move by one step and return the codes (N, Q) that it used."""
        codes = codes_of(latents, self.codebook)
        books, size, _ = self.codebook.shape
        blocks = latents.reshape(len(latents), books, -1)
        for q in range(books):
            for k in range(size):
                own = [row[q] for row, row_codes in zip(blocks, codes, strict=True) if row_codes[q] == k]
                self.counts[q, k] = self.decay * self.counts[q, k] + (1 - self.decay) * len(own)
                self.sums[q, k] = self.decay * self.sums[q, k] + (1 - self.decay) * sum(
                    own, np.zeros_like(blocks[0, 0])
                )
            total = sum(self.counts[q])
            for k in range(size):
                smoothed = (self.counts[q, k] + self.epsilon) / (total + size * self.epsilon) * total
                self.codebook[q, k] = self.sums[q, k] / smoothed
        return codes


def batch_norm_step(
    values: np.ndarray, mean: np.ndarray, var: np.ndarray, *, momentum: float
) -> tuple[np.ndarray, np.ndarray]:
    """Running mean and variance (C,) after a step over valid frames (N, C)."""
    count = len(values)
    step_mean = sum(values) / count
    step_var = sum((row - step_mean) ** 2 for row in values) / max(count - 1, 1)
    return mean + momentum * (step_mean - mean), var + momentum * (step_var - var)
