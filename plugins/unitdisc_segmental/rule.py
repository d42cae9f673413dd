"""The rule that gives each run of similar latents one code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import torch
from annotated_types import Ge, Gt, Le, Lt

from unitdisc import distributed
from unitdisc.codebook import CodebookRule, code_sums, nearest, put_back, valid_latents
from unitdisc.errors import RecipeError
from unitdisc.parts import Bottleneck, Padded, Quantized
from unitdisc_segmental import viterbi
from unitdisc_segmental.greedy import merge

if TYPE_CHECKING:
    from torch import Tensor


class Segmental(Bottleneck):
    """Piecewise constant codes (Chorowski et al. 2019, "Unsupervised neural segmentation and clustering").

    In training each sequence of S latents is cut into ``fraction`` * S segments, rounded, at least 1: starting
    from single latents, those neighbours are merged that add least to the squared distance of latents to the
    mean of their segment. A segment has the code whose codeword is nearest to its mean, which is the code with
    the smallest sum of squared distances to its latents. Gradients, loss and statistics are those of the rule
    inside, latent by latent, with these codes: a segment of n latents counts n times.

    In evaluation a hidden Markov model without parameters of its own decodes: the codes minimise the squared
    distances plus a price for each change of code (exactly, by Viterbi). The price is ``switch_cost`` times
    what the last merge of a sequence added in training, a moving average: there, a boundary saved as much.

    With several codebooks the whole latent is segmented once in training, so that all change together; in
    evaluation each codebook is decoded apart, at its share 1 / Q of the price.

    Differs from the released code (DistSup), whose merges minimise the distance to the nearest codewords, over
    the whole batch at once, and which decodes by distances that are not squared. Merging needs one copy of
    latents to the CPU per batch and runs there.

    Args:
        dim: Size D of a latent.
        rule: How the codebook learns: any rule that gives each latent its nearest codeword, such as ema or
            gradient. ``reestimate`` goes around ``segmental``, not into it.
        fraction: Segments per latent in training; 0.4 in the authors' later recipe for handwriting.
        evaluation: "hmm": as above. "greedy": as in training. "nearest": each latent by itself.
        switch_cost: Price of a change of code in evaluation, as a multiple of what a merge costs in training;
            0 is "nearest".
        decay: Weight of the past in the moving average of that cost.
    """

    def __init__(
        self,
        dim: int,
        *,
        rule: Bottleneck,
        fraction: Annotated[float, Gt(0), Le(1)] = 0.4,
        evaluation: Literal["hmm", "greedy", "nearest"] = "hmm",
        switch_cost: Annotated[float, Ge(0)] = 1.0,
        decay: Annotated[float, Ge(0), Lt(1)] = 0.99,
    ) -> None:
        super().__init__()
        if not isinstance(rule, CodebookRule) or type(rule).forward is not CodebookRule.forward:
            raise RecipeError(
                f"rule: {type(rule).__name__} does not give latents their nearest codewords; accepted: a rule "
                "that does, such as ema or gradient (reestimate goes around segmental)"
            )
        self.dim = dim
        self.rule = rule
        self.num_codes = rule.num_codes
        self.num_codebooks = rule.num_codebooks
        self.fraction = fraction
        self.evaluation = evaluation
        self.switch_cost = switch_cost
        self.decay = decay
        self.prices: Tensor  # moving averages per step: the sum of the last merges' prices, and their number
        self.pending: Tensor  # the same of the step under way
        self.register_buffer("prices", torch.zeros(2, dtype=torch.float64))
        self.register_buffer("pending", torch.zeros(2, dtype=torch.float64), persistent=False)

    def forward(self, latents: Padded) -> Quantized:
        """Quantise with one code for each segment."""
        found = self.rule.assign(latents, self._choose(latents))
        inside = latents.mask[:, 1:]
        changes = ((found.codes[:, 1:] != found.codes[:, :-1]).any(-1) & inside).sum() / inside.sum().clamp(
            min=1
        )
        return Quantized(found.values, found.codes, found.loss, {**found.stats, "changes": changes})

    def lookup(self, codes: Tensor) -> Tensor:
        """Return the codewords (..., D) of ``codes`` (..., Q)."""
        return self.rule.lookup(codes)

    def workspace(self, num_latents: int) -> int:
        """Return the bytes of the rule inside, of merging (on the CPU) or of decoding, whichever is most."""
        _, num_codes, size = self.rule.codebook.shape
        merging = num_latents * (28 * self.dim + 80)
        decoding = viterbi.workspace(num_codes, size, device=self.rule.codebook.device)
        decoding += num_latents * (8 * self.dim + 24)
        return max(self.rule.workspace(num_latents), merging, decoding)

    def before_step(self, progress: float) -> None:
        """Forget the merges of a step that was skipped."""
        del progress
        self.pending.zero_()

    def after_step(self, progress: float) -> None:
        """Move the average of what merges cost; a step without a merge changes nothing."""
        del progress
        distributed.all_sum_(self.pending)
        self.prices.lerp_(self.pending, (self.pending[1] > 0) * (1 - self.decay))
        self.pending.zero_()

    @torch.no_grad()
    def _choose(self, latents: Padded) -> Tensor | None:
        """Return codes (N, Q) of the valid latents, or None for the nearest."""
        how = "greedy" if self.training else self.evaluation
        if how == "nearest":
            return None
        vectors, places = valid_latents(latents)
        if len(vectors) == 0:
            return None
        vectors = self.rule.comparable(vectors.float())
        filled = Padded(put_back(vectors, places, latents, fill=0), latents.lengths)
        if how == "hmm":
            return self._decoded(filled).flatten(0, 1).index_select(0, places)
        return self._merged(filled, vectors, places)

    def _merged(self, filled: Padded, vectors: Tensor, places: Tensor) -> Tensor:
        """Return codes (N, Q), the nearest to the means of segments; in training, count what the last cost."""
        values, lengths = filled.values.cpu().double().numpy(), filled.lengths.cpu().numpy()
        segments = merge(values, lengths, fraction=self.fraction)
        if self.training:
            merged = segments.prices[segments.starts.sum(1) < lengths]
            self.pending += self.pending.new_tensor([merged.sum(), len(merged)])
        starts = torch.from_numpy(segments.starts).to(vectors.device).flatten().index_select(0, places)
        number = starts.cumsum(0) - 1  # (N,), the segment of each latent
        sums, sizes = code_sums(vectors, number.unsqueeze(1), int(segments.starts.sum()))
        return nearest(sums[0] / sizes[0].unsqueeze(1), self.rule.table()).index_select(0, number)

    def _decoded(self, filled: Padded) -> Tensor:
        """Return (B, S, Q), the cheapest path through the codes of each codebook."""
        price = self.prices[0] / self.prices[1].clamp(min=torch.finfo(torch.float64).tiny)
        price = (price * (self.switch_cost / self.num_codebooks)).float()
        blocks = filled.values.split(self.dim // self.num_codebooks, -1)
        paths = [
            viterbi.decode(block, filled.lengths, book, switch_cost=price)
            for block, book in zip(blocks, self.rule.table(), strict=True)
        ]
        return torch.stack(paths, -1)
