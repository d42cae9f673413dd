"""Codewords as moving averages of the latents that chose them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unitdisc import distributed
from unitdisc.codebook.rule import CodebookRule, Counts
from unitdisc.codebook.sums import code_sums

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from unitdisc.codebook.initial import Init
    from unitdisc.codebook.rule import Distance
    from unitdisc.codebook.straight_through import Assignment, Estimator


_ROWS = 8192  # codewords moved at once, to bound memory


class MovingCodebook(CodebookRule):
    """Base of the rules whose codeword is m / N (paper A, eq. 4; paper B, eq. 4-5).

    Per code, N is the average number of latents that chose it in a step and m the average of their sum. The
    loss is the commitment term alone, a mean over valid latents and their D elements. A step's statistics are
    sums over all ranks and micro-batches; a step without a valid latent changes nothing.

    Args:
        dim: Size D of a latent.
        num_codes: Size K of each codebook.
        num_codebooks: Q.
        decay: Weight of the past in the averages (gamma in eq. 4).
        epsilon: Laplace smoothing: N becomes ``(N + epsilon) / (n + K * epsilon) * n``, n the sum of all N.
        commitment: Weight of the pull of latents towards their codewords.
        init_count: Count of every code before the first step; the sums start at this many codewords, and at
            one codeword where it is 0.
        init: First codebook.
        init_from: Where the first codebook is read instead.
        init_scale: What the first codebook is multiplied with.
        distance: See `CodebookRule`.
        estimator: See `quantize`.
    """

    def __init__(
        self,
        dim: int,
        *,
        num_codes: int,
        num_codebooks: int,
        decay: float,
        epsilon: float,
        commitment: float,
        init_count: float,
        init: Init,
        init_from: Path | None = None,
        init_scale: float = 1.0,
        distance: Distance = "euclidean",
        estimator: Estimator = "straight_through",
    ) -> None:
        super().__init__(
            dim,
            num_codes=num_codes,
            num_codebooks=num_codebooks,
            init=init,
            init_from=init_from,
            init_scale=init_scale,
            distance=distance,
            estimator=estimator,
        )
        self.decay = decay
        self.epsilon = epsilon
        self.commitment = commitment
        self.init_count = init_count
        self.codebook: Tensor  # (Q, K, D / Q)
        self.counts: Tensor  # (Q, K), N in eq. 4
        self.sums: Tensor  # (Q, K, D / Q), m in eq. 4
        self.pending: Tensor
        first = self.first_codebook()
        self.register_buffer("codebook", first)
        self.register_buffer("counts", torch.full(first.shape[:2], float(init_count)))
        # In place: a product on the meta device, where `unitdisc check` builds, would import the compiler of torch.
        self.register_buffer("sums", first.clone().mul_(init_count or 1.0))
        # The sums, then the counts, of the step under way: flat, for one collective; in float64, so that
        # neither the share of latents among micro-batches nor that among ranks shows in the codebook.
        size = first.numel() + first.shape[:2].numel()
        self.register_buffer("pending", torch.zeros(size, dtype=torch.float64), persistent=False)

    def loss(self, found: Assignment) -> Tensor:
        """Return the commitment term."""
        return self.commitment * found.commitment_loss

    def observe(self, vectors: Tensor, codes: Tensor, weight: float = 1.0) -> None:
        """Add latents (N, D) with codes (N, Q) to the step's statistics, each counted as ``weight``."""
        sums, counts = self._pending()
        step_sums, step_counts = code_sums(vectors, codes, self.num_codes)
        for start in range(0, self.num_codes, _ROWS):  # adding converts all of it
            rows = slice(start, start + _ROWS)
            sums[:, rows].add_(step_sums[:, rows], alpha=weight)
        counts.add_(step_counts, alpha=weight)

    def before_step(self, progress: float) -> None:
        """Forget the statistics of a step that was skipped."""
        del progress
        self.pending.zero_()

    def after_step(self, progress: float) -> None:
        """Move averages and codebook by the statistics of the whole step (eq. 4)."""
        del progress
        distributed.all_sum_(self.pending)
        sums, counts = self._pending()
        moved = (counts.sum() > 0).to(self.sums) * (1 - self.decay)  # nothing moves without a latent
        self.counts.lerp_(counts.to(self.counts), moved)
        total = self.counts.sum(-1, keepdim=True)
        smoothed = (self.counts + self.epsilon) / (total + self.num_codes * self.epsilon) * total
        for start in range(0, self.num_codes, _ROWS):
            rows = slice(start, start + _ROWS)
            self._move(rows, sums[:, rows], smoothed[:, rows, None], moved)
        self.pending.zero_()

    def replace(self, codebook: Tensor, rows: Tensor, *, counts: Counts = "reset") -> None:
        """Take over codewords; the sums follow, so that the averages go on from there."""
        self.codebook.copy_(torch.where(rows.unsqueeze(-1), codebook, self.codebook))
        if counts == "reset":
            self.counts.masked_fill_(rows, self.init_count)
        held = self.counts if self.init_count or counts == "keep" else self.counts.masked_fill(rows, 1.0)
        self.sums.copy_(torch.where(rows.unsqueeze(-1), codebook * held.unsqueeze(-1), self.sums))
        sums, seen = self._pending()
        sums.masked_fill_(rows.unsqueeze(-1), 0)
        seen.masked_fill_(rows, 0)

    def workspace(self, num_latents: int) -> int:
        """Return the bytes of the search, or of the sums of a batch with the order of its latents."""
        books = self.num_codebooks
        converted = 8 * min(_ROWS, self.num_codes) * self.dim
        sums = 4 * self.codebook.numel() + converted + 24 * (self.counts.numel() + num_latents * books)
        return max(super().workspace(num_latents), sums)

    def _move(self, rows: slice, sums: Tensor, smoothed: Tensor, moved: Tensor) -> None:
        averages, codewords = self.sums[:, rows], self.codebook[:, rows]
        averages.lerp_(sums.to(averages), moved)
        # The count is 0 only where epsilon is and the average has vanished: that codeword stays.
        codewords.copy_(torch.where((smoothed > 0) & (moved > 0), averages / smoothed, codewords))

    def _pending(self) -> tuple[Tensor, Tensor]:
        sums, counts = self.pending.split([self.codebook.numel(), self.counts.numel()])
        return sums.view_as(self.codebook), counts.view_as(self.counts)
