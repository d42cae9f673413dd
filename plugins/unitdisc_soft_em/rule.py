"""The rule of Monte-Carlo expectation maximisation."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from unitdisc.codebook import (
    Assignment,
    Distance,
    Estimator,
    Init,
    MovingCodebook,
    batch_stats,
    put_back,
    quantize,
    valid_latents,
)
from unitdisc.codebook.sampling import draw_uniforms, quantize_mean, samples_at, sampling_workspace
from unitdisc.parts import Padded, Quantized

_EVALUATION_SEED = 0


class SoftEM(MovingCodebook):
    """Soft EM: each latent chooses m codes at random, near ones more often (paper B, section 3.2, eq. 12).

    In training, m codes are drawn per latent z from softmax(-|e_k - z|^2 / temperature); all codes have the
    same prior, since a learned one collapses. The decoder sees the mean of the m codewords (eq. 12), with the
    gradient of hard EM: straight through to the latent, and a commitment to that mean. Counts and sums of the
    moving averages (eq. 4-5 with the M step of section 3.2) take each draw with weight 1/m.

    ``codes`` are the nearest codes in training too, so that perplexity means the same in training and
    evaluation; the draws are in ``Quantized.samples``, and the mean of their one-hots is paper B's target of
    a latent predictor (see `unitdisc.codebook.sampling.sample_codes`). The number "samples_nearest" of the
    log is the share of draws that are the nearest code: 1 is hard EM, 1 / K is blind.

    Differs from the paper: what `MovingCodebook` says; and the formula before section 3.2's E step is taken at
    its word, while its text (unit variance) would be a temperature of 2.

    Args:
        dim: Size D of a latent.
        num_codes: Size K of each codebook.
        num_codebooks: Q equal blocks of the latent are quantised independently (paper A, Table III).
        num_samples: Draws m per latent and codebook; 1 to 100 in paper B's Table 3, best at 10.
        temperature: Over which squared distances are divided; 1 is paper B, 0 is hard EM.
        eval_assign: Codes in evaluation, where the paper is silent: "argmin", the nearest; or "sample", one
            draw. The released code averages m draws, which no code stands for. A draw depends on the latent
            and its place in its sequence alone, so that codes are the same in every batch and every run.
        decay: Weight of the past in the averages (gamma in eq. 4), as in paper B's released code; 0.999
            forgets in about 1,000 steps.
        epsilon: Laplace smoothing of the counts; 0 is eq. 4 to the letter.
        commitment: Weight of the pull of latents towards the mean of their codewords.
        init_count: Count of every code before the first step; 0 is the released code, which blows up codes
            that the first step does not draw.
        init: First codebook. "xavier_uniform": as in the code of paper A; "uniform": within 1 / K of 0, as
            van den Oord et al. 2017; "normal": standard normal.
        distance: "cosine" compares directions: latents and codewords are scaled to length 1 per block, the
            mean of several directions is shorter. Squared distances are then at most 4: lower the temperature.
        estimator: Gradient of the latents: "straight_through", or "rotation" (Fifty et al. 2025).
    """

    def __init__(
        self,
        dim: int,
        *,
        num_codes: Annotated[int, Gt(0)],
        num_codebooks: Annotated[int, Gt(0)] = 1,
        num_samples: Annotated[int, Gt(0)] = 10,
        temperature: Annotated[float, Ge(0)] = 1.0,
        eval_assign: Literal["argmin", "sample"] = "argmin",
        decay: Annotated[float, Gt(0), Lt(1)] = 0.999,
        epsilon: Annotated[float, Ge(0)] = 1e-5,
        commitment: Annotated[float, Ge(0)] = 0.25,
        init_count: Annotated[float, Ge(0)] = 1.0,
        init: Init = "xavier_uniform",
        distance: Distance = "euclidean",
        estimator: Estimator = "straight_through",
    ) -> None:
        super().__init__(
            dim,
            num_codes=num_codes,
            num_codebooks=num_codebooks,
            decay=decay,
            epsilon=epsilon,
            commitment=commitment,
            init_count=init_count,
            init=init,
            distance=distance,
            estimator=estimator,
        )
        self.num_samples = num_samples
        self.temperature = temperature
        self.eval_assign = eval_assign

    def forward(self, latents: Padded) -> Quantized:
        """Draw codes of the valid latents in training; assign one to each in evaluation."""
        if not self.training and self.eval_assign == "argmin":
            return super().forward(latents)
        vectors, places = valid_latents(latents)
        vectors, table = self.comparable(vectors), self.table()
        if self.training:
            found, codes = self._draw(vectors, table)
        else:
            found = self._draw_by_place(vectors, table, places % max(latents.values.shape[1], 1))
            codes = found.codes
        stats = batch_stats(vectors, codes, table)
        samples = None
        if self.training:
            hits = (found.codes == codes.unsqueeze(-1)).sum(dtype=torch.float32)
            stats["samples_nearest"] = hits / max(found.codes.numel(), 1)
            samples = put_back(found.codes, places, latents, fill=-1)
        return Quantized(
            put_back(found.values, places, latents, fill=0),
            put_back(codes, places, latents, fill=-1),
            self.loss(found),
            stats,
            samples,
        )

    def workspace(self, num_latents: int) -> int:
        """Return the bytes of the draws and of what draws and sums need, one codebook after the other."""
        _, num_codes, size = self.codebook.shape
        device = self.codebook.device.type
        search = sampling_workspace(num_latents, num_codes, size, self.num_samples, device_type=device)
        draws = 4 * 8 * num_latents * self.num_codebooks * self.num_samples
        return draws + max(super().workspace(num_latents), search, 8 * num_latents * self.dim)

    def _draw(self, vectors: Tensor, table: Tensor) -> tuple[Assignment, Tensor]:
        """Draw m codes (N, Q, m), observe them, and return their mean and the nearest codes (N, Q)."""
        uniforms = draw_uniforms(vectors, table.shape[:1], self.num_samples)
        drawn = samples_at(vectors, table, uniforms, temperature=self.temperature)
        for codes in drawn.codes.unbind(-1):
            self.observe(vectors.detach(), codes, 1 / self.num_samples)
        return quantize_mean(vectors, table, drawn.codes, estimator=self.estimator), drawn.nearest

    def _draw_by_place(self, vectors: Tensor, table: Tensor, steps: Tensor) -> Assignment:
        """Draw one code (N, Q) by numbers that depend on the step (N,) of a latent in its sequence alone."""
        count = int(steps.max()) + 1 if len(steps) else 0
        generator = torch.Generator().manual_seed(_EVALUATION_SEED)
        numbers = torch.rand(count, len(table), 1, dtype=torch.float64, generator=generator)
        uniforms = numbers.to(vectors.device).index_select(0, steps)
        codes = samples_at(vectors, table, uniforms, temperature=self.temperature).codes.squeeze(-1)
        return quantize(vectors, table, codes, estimator=self.estimator)
