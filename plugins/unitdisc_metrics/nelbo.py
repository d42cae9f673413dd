"""Negative evidence lower bound: the bits of the codes beside those of the reconstruction."""

from __future__ import annotations

from math import log, log2
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from unitdisc.errors import RecipeError
from unitdisc.named import codes, nats
from unitdisc_metrics.code_counts import CodeCounts
from unitdisc_metrics.entropy import entropy
from unitdisc_metrics.mergeable import Mergeable
from unitdisc_metrics.per_dimension import Average, per_dimension

if TYPE_CHECKING:
    from unitdisc.metric import Evaluated


class NELBO(Mergeable):
    """Bits per dimension of examples sent as codes and what they leave open (paper A, eq. 9 and Table II).

    (-log2 p(x | z) - log2 p(z)) / D, z the codes that the encoder chooses, D the numbers of the frames. It bounds
    -log2 p(x) / D from above, p(x) the sum of p(z) p(x | z) over all z, and is a code length under "uniform" and
    "learned". "unigram" takes the frequencies of the codes from the scored split itself, as paper A does, and
    does not count the bits that would tell them.

    "bpd" are the bits of the reconstruction and "rate" those of the codes, which sum to "value"; "perplexity" is
    the mean of the codebooks' perplexities, "dims" the sum of D. Its chance value is that of shuffled units.

    Args:
        prior: p(z). "uniform": log2 K bits for each code of each codebook. "unigram": log2 of its perplexity
            for each codebook. "learned": what a head says.
        head: Name of the head that gives the "learned" prior, such as code_lstm or code_pixel_cnn.
        average: "pixel": all bits over all dimensions. "item": the mean over examples of their own values.
    """

    higher_is_better: ClassVar[bool] = False
    taken: ClassVar[tuple[str, ...]] = ("_counts", "_explained", "_learned", "_latents", "_nominal", "_dims")

    def __init__(
        self,
        *,
        prior: Literal["uniform", "unigram", "learned"] = "uniform",
        head: str | None = None,
        average: Average = "pixel",
    ) -> None:
        if prior == "learned" and head is None:
            raise RecipeError("prior: learned is what a head has learned; name that head with head")
        if prior != "learned" and head is not None:
            raise RecipeError(
                f"head: {head!r} has no part in prior {prior}; leave it out, or take prior learned"
            )
        self._prior = prior
        self._head = head
        self._average = average
        self._counts = CodeCounts()
        self._explained: list[float] = []  # bits of each example given its codes
        self._learned: list[float] = []  # bits of its codes
        self._latents: list[int] = []
        self._nominal: list[float] = []
        self._dims: list[int] = []

    def update(self, item: Evaluated) -> None:
        """Take in the nats and codes of one example."""
        found = codes(item)
        self._counts.add(found, item.num_codes)
        self._latents.append(len(found))
        self._nominal.append(found.size * log2(item.num_codes))
        self._explained.append(nats(item, "decoder") / log(2))
        self._dims.append(item.num_frames * item.frame_size)
        if self._head is not None:
            self._learned.append(nats(item, self._head) / log(2))

    def compute(self) -> dict[str, float]:
        """Return the bits per dimension. Raises `DataError` when the split has no frame."""
        entropies = np.array([entropy(book) for book in self._counts.result()])
        sent = {
            "uniform": np.array(self._nominal),
            "unigram": np.array(self._latents) * entropies.sum(),
            "learned": np.array(self._learned),
        }[self._prior]
        bpd = per_dimension(np.array(self._explained), self._dims, self._average)
        rate = per_dimension(sent, self._dims, self._average)
        return {
            "value": bpd + rate,
            "bpd": bpd,
            "rate": rate,
            "perplexity": float(np.mean(2**entropies)),
            "dims": float(sum(self._dims)),
        }
