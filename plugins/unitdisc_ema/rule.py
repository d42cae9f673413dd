"""The rule of exponential moving averages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Gt, Lt

from unitdisc.codebook import Distance, Estimator, Init, MovingCodebook


class EMA(MovingCodebook):
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
        init_from: File with the first codebook: .npy, .safetensors with a tensor "codebook", a checkpoint's
            folder, or the folder of a run. ``init`` is not used then.
        init_scale: What the first codebook is multiplied with. Codewords longer than the latents leave most codes
            unused (paper A, Fig. 1a); "bottleneck.norm_ratio" in the log tells.
        distance: "cosine" compares directions: latents and codewords are scaled to length 1 per block.
        estimator: Gradient of the latents: "straight_through", or "rotation" (Fifty et al. 2025).
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
        init_from: Path | None = None,
        init_scale: Annotated[float, Gt(0)] = 1.0,
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
            init_from=init_from,
            init_scale=init_scale,
            distance=distance,
            estimator=estimator,
        )
