"""One step of soft EM in plain float64 loops, with the uniform numbers of its draws given (paper B, section 3.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


def probabilities(block: np.ndarray, book: np.ndarray, temperature: float) -> list[float]:
    """Posterior of the codes of (K, d) for a latent (d,) under a uniform prior."""
    logits = [
        -sum((float(a) - float(b)) ** 2 for a, b in zip(block, codeword, strict=True)) / temperature
        for codeword in book
    ]
    weights = [math.exp(logit - max(logits)) for logit in logits]
    return [weight / sum(weights) for weight in weights]


def pick(shares: list[float], uniform: float) -> int:
    """The code at which the cumulated shares pass ``uniform``."""
    passed = 0.0
    for code, share in enumerate(shares):
        passed += share
        if passed > uniform:
            return code
    return len(shares) - 1


@dataclass
class Drawn:
    """Draws (N, Q, m), values (N, D), loss and gradient (N, D) of the latents of one batch."""

    samples: np.ndarray
    values: np.ndarray
    loss: float
    gradient: np.ndarray


class SoftEM:
    """Codebook (Q, K, d) as m / N with draws of weight 1 / num_samples, and Laplace smoothing of N."""

    def __init__(
        self, codebook, *, decay: float, epsilon: float, temperature: float, commitment: float
    ) -> None:
        self.codebook = np.array(codebook, dtype=float)
        self.decay, self.epsilon = decay, epsilon
        self.temperature, self.commitment = temperature, commitment
        self.counts = np.ones(self.codebook.shape[:2])
        self.sums = self.codebook.copy()

    def step(self, latents: np.ndarray, uniforms: np.ndarray, task: np.ndarray) -> Drawn:
        """Draw, differentiate ``sum(task * values) + loss`` and move the codebook by one step."""
        books, size, width = self.codebook.shape
        count, num_samples = len(latents), uniforms.shape[-1]
        blocks = latents.reshape(count, books, width)
        samples = np.zeros(uniforms.shape, dtype=int)
        values = np.zeros(blocks.shape)
        step_counts, step_sums = np.zeros((books, size)), np.zeros(self.codebook.shape)
        for n in range(count):
            for q in range(books):
                shares = probabilities(blocks[n, q], self.codebook[q], self.temperature)
                for s in range(num_samples):
                    code = pick(shares, uniforms[n, q, s])
                    samples[n, q, s] = code
                    values[n, q] += self.codebook[q, code] / num_samples  # eq. 12
                    step_counts[q, code] += 1 / num_samples
                    step_sums[q, code] += blocks[n, q] / num_samples
        values = values.reshape(count, -1)
        error = latents - values
        loss = self.commitment * float((error**2).sum()) / latents.size
        gradient = task + self.commitment * 2 * error / latents.size
        self._move(step_counts, step_sums)
        return Drawn(samples, values, loss, gradient)

    def _move(self, step_counts: np.ndarray, step_sums: np.ndarray) -> None:
        books, size, _ = self.codebook.shape
        self.counts = self.decay * self.counts + (1 - self.decay) * step_counts
        self.sums = self.decay * self.sums + (1 - self.decay) * step_sums
        for q in range(books):
            total = sum(self.counts[q])
            for k in range(size):
                smoothed = (self.counts[q, k] + self.epsilon) / (total + size * self.epsilon) * total
                self.codebook[q, k] = self.sums[q, k] / smoothed
