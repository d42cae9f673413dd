"""The rule of exponential moving averages."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from unitdisc import distributed
from unitdisc.codebook import (
    Init,
    batch_stats,
    flat_rows,
    initial_codebook,
    lookup,
    put_back,
    quantize,
    search_workspace,
    valid_latents,
)
from unitdisc.parts import Bottleneck, Padded, Quantized


class EMA(Bottleneck):
    """Codebook as moving averages (van den Oord et al. 2017, appendix A.1; paper A, eq. 4; paper B, eq. 4-5).

    Per code, N is the average number of latents that chose it in a step and m the average of their sum; the
    codeword is m / N. The loss is the commitment term alone, a mean over valid latents and their D elements.

    Differs from the papers: a step's statistics are sums over all ranks and micro-batches, and a step without
    a valid latent changes nothing. N is smoothed to ``(N + epsilon) / (n + K * epsilon) * n``, n the sum of
    all N, as in the authors' code (paper B's eq. 5 averages codewords and not sums).

    Args:
        dim: Size D of a latent.
        num_codes: Size K of each codebook.
        num_codebooks: Q equal blocks of the latent are quantised independently (paper A, Table III).
        decay: Weight of the past in the averages (gamma in eq. 4); 0.99 forgets in about 100 steps.
        epsilon: Laplace smoothing of the counts; 0 is eq. 4 to the letter. Above 0, the codeword of a code
            that is not used any more shrinks towards the origin once its count has decayed to about epsilon
            (after 1,100 steps at the defaults).
        commitment: Weight of the pull of latents towards their codewords.
        init_count: Count of every code before the first step; the sums start at this many codewords. 0 is the
            released code, whose counts start at 0 although its sums start at the codewords: a code that the
            first step does not use is blown up by about 1 / epsilon and needs thousands of steps to return.
        init: First codebook. "xavier_uniform": as in the code of paper A; "uniform": within 1 / K of 0, as
            van den Oord et al. 2017; "normal": standard normal.
    """

    def __init__(
        self,
        dim: int,
        *,
        num_codes: Annotated[int, Gt(0)],
        num_codebooks: Annotated[int, Gt(0)] = 1,
        decay: Annotated[float, Gt(0), Lt(1)] = 0.99,
        epsilon: Annotated[float, Ge(0)] = 1e-5,
        commitment: Annotated[float, Ge(0)] = 0.25,
        init_count: Annotated[float, Ge(0)] = 1.0,
        init: Init = "xavier_uniform",
    ) -> None:
        super().__init__()
        self.dim = dim
        self.num_codes = num_codes
        self.num_codebooks = num_codebooks
        self.decay = decay
        self.epsilon = epsilon
        self.commitment = commitment
        self.codebook: Tensor  # (Q, K, D / Q)
        self.counts: Tensor  # (Q, K), N in eq. 4
        self.sums: Tensor  # (Q, K, D / Q), m in eq. 4
        self.pending: Tensor
        first = initial_codebook(init, num_codebooks=num_codebooks, num_codes=num_codes, dim=dim)
        self.register_buffer("codebook", first)
        self.register_buffer("counts", torch.full(first.shape[:2], float(init_count)))
        # In place: a product on the meta device, where `unitdisc check` builds, would import the compiler of torch.
        self.register_buffer("sums", first.clone().mul_(init_count or 1.0))
        # The sums, then the counts, of the step under way: flat, for one collective; in float64, so that
        # neither the order of latents nor their share among micro-batches and ranks shows in the codebook.
        size = first.numel() + first.shape[:2].numel()
        self.register_buffer("pending", torch.zeros(size, dtype=torch.float64), persistent=False)

    def forward(self, latents: Padded) -> Quantized:
        """Quantise the valid latents; in training, add them to the step's statistics."""
        vectors, places = valid_latents(latents)
        found = quantize(vectors, self.codebook)
        if self.training:
            self._remember(vectors.detach(), found.codes)
        return Quantized(
            put_back(found.values, places, latents, fill=0),
            put_back(found.codes, places, latents, fill=-1),
            self.commitment * found.commitment_loss,
            batch_stats(vectors, found.codes, self.codebook),
        )

    def lookup(self, codes: Tensor) -> Tensor:
        """Return the codewords (..., D) of ``codes`` (..., Q)."""
        return lookup(codes, self.codebook)

    def before_step(self, progress: float) -> None:
        """Forget the statistics of a step that was skipped."""
        del progress
        self.pending.zero_()

    def after_step(self, progress: float) -> None:
        """Move averages and codebook by the statistics of the whole step (eq. 4)."""
        del progress
        distributed.all_sum_(self.pending)
        sums, counts = self._pending()
        if counts.any():
            self.sums.lerp_(sums.to(self.sums), 1 - self.decay)
            self.counts.lerp_(counts.to(self.counts), 1 - self.decay)
            total = self.counts.sum(-1, keepdim=True)
            smoothed = (self.counts + self.epsilon) / (total + self.num_codes * self.epsilon) * total
            known = smoothed.unsqueeze(
                -1
            )  # 0 only where epsilon is and a count has vanished: keep that codeword
            self.codebook.copy_(torch.where(known > 0, self.sums / known, self.codebook))
        self.pending.zero_()

    def workspace(self, num_latents: int) -> int:
        """Return the bytes of the search or of the float64 copy that is summed, whichever is larger."""
        _, num_codes, size = self.codebook.shape
        search = search_workspace(num_latents, num_codes, size, device_type=self.codebook.device.type)
        return max(search, 8 * num_latents * self.dim)

    def _remember(self, vectors: Tensor, codes: Tensor) -> None:
        sums, counts = self._pending()
        rows = flat_rows(codes, self.num_codes)  # (N * Q,)
        blocks = vectors.reshape(len(rows), sums.shape[-1])
        sums.flatten(0, 1).index_add_(0, rows, blocks.double())
        counts.flatten().add_(torch.bincount(rows, minlength=counts.numel()))

    def _pending(self) -> tuple[Tensor, Tensor]:
        sums, counts = self.pending.split([self.codebook.numel(), self.counts.numel()])
        return sums.view_as(self.codebook), counts.view_as(self.counts)
