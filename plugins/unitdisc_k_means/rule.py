"""The rule of units without learning: k-means of latents, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from unitdisc.codebook import (
    Assignment,
    CodebookRule,
    Counts,
    Distance,
    code_counts,
    perplexity,
    quantize,
)
from unitdisc.codebook.clustering import k_means
from unitdisc.codebook.reservoir import Reservoir
from unitdisc.errors import RecipeError
from unitdisc.parts import Padded, Quantized

if TYPE_CHECKING:
    from collections.abc import Iterator


class KMeans(CodebookRule):
    """k-means of the latents of the first steps, then a codebook that stays as it is (HuBERT's first units).

    The baseline for features that do not learn. In the first ``collect`` steps latents pass unquantised, and
    the codes that are reported are those of a random codebook and mean nothing; a reservoir holds a uniform
    sample of the latents of all ranks. After step ``collect`` its k-means (k-means++, then Lloyd's algorithm)
    becomes the codebook. The loss is 0 throughout; values pass their gradient straight through. In evaluation
    latents are always quantised. Skipped steps are not counted. If fewer latents than codes were seen by then,
    the log says so, latents go on passing, and it is tried again after the next step.

    Args:
        dim: Size D of a latent.
        num_codes: Size K of each codebook.
        num_codebooks: Q equal blocks of the latent are clustered independently.
        collect: Steps whose latents are clustered; nothing is gained from more steps once an epoch has passed.
        capacity: Latents in the sample, at least ``num_codes``.
        iterations: Lloyd's iterations at most.
        tolerance: Lloyd also ends where the squared movements of the codewords sum up to at most this share of the
            mean variance of the latents' elements.
        restarts: Clusterings, of which the one with the smallest inertia is taken, for each codebook.
        candidates: Candidates for each codeword of k-means++, of which the best is taken; null: 2 + log K,
            rounded down.
        distance: "cosine" clusters directions: latents and codewords are scaled to length 1 per block.
    """

    def __init__(
        self,
        dim: int,
        *,
        num_codes: Annotated[int, Gt(0)],
        num_codebooks: Annotated[int, Gt(0)] = 1,
        collect: Annotated[int, Gt(0)] = 100,
        capacity: Annotated[int, Gt(0)] = 32768,
        iterations: Annotated[int, Ge(0)] = 100,
        tolerance: Annotated[float, Ge(0)] = 0.0,
        restarts: Annotated[int, Gt(0)] = 1,
        candidates: Annotated[int, Gt(0)] | None = None,
        distance: Distance = "euclidean",
    ) -> None:
        super().__init__(dim, num_codes=num_codes, num_codebooks=num_codebooks, distance=distance)
        if capacity < num_codes:
            raise RecipeError(
                f"capacity: a sample of {capacity} latents cannot give {num_codes} codewords; accepted: at least "
                f"num_codes ({num_codes})"
            )
        self.collect = collect
        self.iterations = iterations
        self.tolerance = tolerance
        self.restarts = restarts
        self.candidates = candidates
        self.register_buffer("codebook", self.first_codebook())
        self.reservoir = Reservoir(capacity, dim)
        # Steps taken, and whether the codebook is that of k-means; read on the CPU at every step.
        self.progress: Tensor
        self.register_buffer("progress", torch.zeros(2, dtype=torch.int64))
        self._steps, self._is_done = 0, False
        self._seen: list[Tensor] = []  # latents of the step under way
        self._event: dict[str, float | str] | None = None

    def forward(self, latents: Padded) -> Quantized:
        """Quantise the valid latents, or pass them until there is a codebook."""
        if not self.training or self._is_done:
            return super().forward(latents)
        passed = self.passed(latents)
        self._seen.append(self.comparable(latents.values.detach()[latents.mask].float()))
        return passed

    def loss(self, found: Assignment) -> Tensor:
        """Return 0: neither codewords nor latents are drawn to each other."""
        return found.values.new_zeros(())

    def replace(self, codebook: Tensor, rows: Tensor, *, counts: Counts = "reset") -> None:
        """Take over codewords, which stay as they are from then on."""
        del counts
        self.codebook.copy_(torch.where(rows.unsqueeze(-1), codebook, self.codebook))

    def before_step(self, progress: float) -> None:
        """Forget the latents of a step that was skipped, and what happened in the one before."""
        del progress
        self._seen, self._event = [], None

    def after_step(self, progress: float) -> None:
        """Take the step's latents into the sample; cluster it when the last of them are in."""
        del progress
        self._steps += 1
        if not self._is_done:
            self.reservoir.add_step(self._seen)
            self._seen = []
            if self._steps >= self.collect:
                self._cluster()
        self.progress[0].fill_(self._steps)
        self.progress[1].fill_(int(self._is_done))

    def events(self) -> Iterator[dict[str, float | str]]:
        """Yield the clustering: perplexity and error per element of the sample."""
        if self._event is not None:
            yield self._event

    def announce(self, steps: int) -> Iterator[str]:
        """Yield when the codebook is made. Raises `RecipeError` when that is after the run."""
        if self.collect > steps:
            raise RecipeError(
                f"bottleneck k_means: collect asks for the latents of {self.collect} steps, and the run has "
                f"{steps}; accepted: at most train.steps"
            )
        yield f"k_means: no quantisation in the first {self.collect} steps; k-means of their latents after the last"

    def _cluster(self) -> None:
        samples = self.reservoir.samples
        if len(samples) < self.num_codes:
            self._event = {"event": "k_means skipped", "samples": len(samples), "needed": self.num_codes}
            return
        clusters = k_means(
            samples,
            self.num_codes,
            num_codebooks=self.num_codebooks,
            iterations=self.iterations,
            tolerance=self.tolerance,
            restarts=self.restarts,
            candidates=self.candidates,
        )
        self.codebook.copy_(clusters.codebook)
        self._is_done = True
        found = quantize(samples, self.table())
        shares = perplexity(code_counts(found.codes, self.num_codes))
        self._event = {
            "event": "k_means",
            "samples": len(samples),
            "perplexity": float(shares.mean()),
            "error": float(found.codebook_loss),
        }
        self.reservoir.clear()

    def _load_from_state_dict(self, *arguments: Any, **more: Any) -> None:
        super()._load_from_state_dict(*arguments, **more)
        self._steps, self._is_done = int(self.progress[0]), bool(self.progress[1])
