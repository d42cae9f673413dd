"""The rule that replaces a codebook by a clustering of its latents again and again."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from unitdisc.codebook import (
    CodebookRule,
    Counts,
    code_counts,
    perplexity,
    quantize,
)
from unitdisc.codebook.clustering import k_means
from unitdisc.codebook.reservoir import Reservoir
from unitdisc.errors import RecipeError
from unitdisc.parts import Bottleneck, Padded, Quantized, Replaced
from unitdisc_reestimate.schedule import due_steps, shown

if TYPE_CHECKING:
    from collections.abc import Iterator


class Reestimate(Bottleneck):
    """Data-dependent reestimation around any rule with a codebook (paper A, Algorithm 1).

    In the first ``warm_up`` steps latents pass unquantised, with a loss of 0; the codes that are reported are
    those of the first codebook and mean nothing. A reservoir holds a uniform sample of the latents of all
    ranks. After step ``warm_up``, and then every ``every`` steps while the step is less than
    ``warm_up + duration``, k-means++ of the reservoir becomes the codebook. From the last of these steps on
    this is the rule inside and nothing else. In evaluation it always is: a model that was stopped in its
    warm-up is scored with its first codebook.

    Algorithm 1 clusters before iteration M_init is quantised and at iterations that r_reestim divides; here,
    as in the paper's text, M_init iterations pass unquantised and the intervals are counted from there.
    Skipped steps are not counted. If fewer latents than codes were seen when a reestimation is due, the
    codebook stays, the log says so, and it is tried again after the next step.

    Args:
        dim: Size D of a latent.
        rule: How the codebook learns between and after the reestimations: any rule with a codebook, or one of
            these inside ``revive``.
        warm_up: Steps without quantisation (M_init). The paper does not say how many; in its released code
            these are the epochs before epoch 3. 0: quantise from the first step, and reestimate first after
            step ``every``.
        every: Steps between reestimations (r_reestim); one epoch in the released code.
        duration: Steps from the first reestimation to the end of the period, which is not part of it
            (M_reestim); in the released code 4 reestimations on WSJ, 49 on ScribbleLens.
        expansion: Each interval over the one before; above 1 reestimations grow rarer, as in the authors'
            later recipe for handwriting (1.5).
        capacity: Latents in the reservoir, at least ``num_codes``; 20480 as in the released code.
        lloyd: Iterations of Lloyd's algorithm after k-means++. 0 is the paper's text; the released code goes
            on until nothing changes (give 300).
        restarts: Clusterings, of which the one with the smallest inertia is taken, for each codebook; 10 in
            the released code.
        candidates: Candidates for each codeword of k-means++, of which the best is taken; null: 2 + log K,
            rounded down, as scikit-learn and so the released code.
        reset_reservoir: When the reservoir is emptied. "never": a sample of all latents since the first step,
            as in the paper. "reestimation": after each. "interval": in the warm-up, too, every ``every`` steps,
            as in the released code with its intervals of one epoch.
        moments: What the optimiser remembers of codewords that are replaced, where the codebook is learned by
            gradient descent: "reset" it to zero, or "keep" it as the released code does.
        average: The averaged copy of such a codebook (``train.average``): "copy" the new codewords into it,
            "restart" the average of all weights from where they are, or "keep" it, which mixes old and new
            codewords as in Fig. 4.
        counts: How often each code was chosen, where the rule keeps an average: "reset" it to its first value
            or "keep" that of the codeword before. The sums follow, so that codewords are sums over counts.
    """

    def __init__(
        self,
        dim: int,
        *,
        rule: Bottleneck,
        warm_up: Annotated[int, Ge(0)] = 1000,
        every: Annotated[int, Gt(0)] = 1000,
        duration: Annotated[int, Gt(0)] = 4000,
        expansion: Annotated[float, Ge(1)] = 1.0,
        capacity: Annotated[int, Gt(0)] = 20480,
        lloyd: Annotated[int, Ge(0)] = 0,
        restarts: Annotated[int, Gt(0)] = 1,
        candidates: Annotated[int, Gt(0)] | None = None,
        reset_reservoir: Literal["never", "reestimation", "interval"] = "never",
        moments: Literal["keep", "reset"] = "reset",
        average: Literal["keep", "copy", "restart"] = "copy",
        counts: Counts = "reset",
    ) -> None:
        super().__init__()
        self.dim = dim
        self.rule = rule
        self.num_codes = self.inner.num_codes
        self.num_codebooks = self.inner.num_codebooks
        if capacity < self.num_codes:
            raise RecipeError(
                f"capacity: a reservoir of {capacity} latents cannot give {self.num_codes} codewords; "
                f"accepted: at least num_codes of the rule inside ({self.num_codes})"
            )
        self.warm_up = warm_up
        self.every = every
        self.due = due_steps(warm_up=warm_up, every=every, duration=duration, expansion=expansion)
        self.lloyd = lloyd
        self.restarts = restarts
        self.candidates = candidates
        self.reset_reservoir = reset_reservoir
        self.moments: Literal["keep", "reset"] = moments
        self.average: Literal["keep", "copy", "restart"] = average
        self.counts: Counts = counts
        self.reservoir = Reservoir(capacity, dim)
        # Steps taken, and how many of the steps in ``due`` are dealt with; read on the CPU at every step.
        self.progress: Tensor
        self.register_buffer("progress", torch.zeros(2, dtype=torch.int64))
        self._steps, self._done = 0, 0
        self._seen: list[Tensor] = []  # latents of the step under way
        self._is_replaced = False
        self._events: list[dict[str, float | str]] = []

    @property
    def inner(self) -> CodebookRule:
        """The rule that has the codebook. Raises `RecipeError` where there is none."""
        found: object = self.rule
        while not isinstance(found, CodebookRule):
            found = getattr(found, "rule", None)
            if found is None:
                raise RecipeError(
                    f"rule: {type(self.rule).__name__} has no codebook that could be reestimated; accepted: a "
                    "rule with codewords, such as gradient or ema"
                )
        return found

    def forward(self, latents: Padded) -> Quantized:
        """Quantise with the rule inside, or pass the latents in the warm-up of training."""
        is_warming_up = self.training and self._steps < self.warm_up
        output: Quantized = self.inner.passed(latents) if is_warming_up else self.rule(latents)
        if self.training and self._done < len(self.due):
            vectors = latents.values.detach()[latents.mask].float()
            self._seen.append(self.inner.comparable(vectors))
        return output

    def lookup(self, codes: Tensor) -> Tensor:
        """Return the codewords (..., D) of ``codes`` (..., Q)."""
        return self.rule.lookup(codes)

    def workspace(self, num_latents: int) -> int:
        """Return the bytes that the rule inside needs."""
        return self.rule.workspace(num_latents)

    def before_step(self, progress: float) -> None:
        """Forget the latents of a step that was skipped, and what happened in the one before."""
        del progress
        self._seen, self._events, self._is_replaced = [], [], False

    def after_step(self, progress: float) -> None:
        """Take the step's latents into the reservoir; reestimate the codebook when it is due."""
        del progress
        self._steps += 1
        if self._done < len(self.due):
            self.reservoir.add_step(self._seen)
            self._seen = []
            if bisect_right(self.due, self._steps) > self._done:
                self._reestimate()
            elif self._is_end_of_warm_up_interval():
                self.reservoir.clear()
        self.progress[0].fill_(self._steps)
        self.progress[1].fill_(self._done)

    def replaced(self) -> Iterator[Replaced]:
        """Yield the codebook after a reestimation, where gradient descent learns it."""
        codebook = self.inner.codebook
        if self._is_replaced and isinstance(codebook, nn.Parameter):
            rows = torch.ones(codebook.shape[:2], dtype=torch.bool, device=codebook.device)
            yield Replaced(codebook, rows, self.moments, self.average)

    def events(self) -> Iterator[dict[str, float | str]]:
        """Yield each reestimation: perplexity and error per element of the reservoir before and after it."""
        yield from self._events

    def announce(self, steps: int) -> Iterator[str]:
        """Yield the schedule. Raises `RecipeError` when no step with a new codebook falls into the run."""
        if not self.due or self.due[0] >= steps:
            found = f"after step {self.due[0]}" if self.due else "never"
            raise RecipeError(
                f"bottleneck reestimate: the first reestimation is due {found} (warm_up {self.warm_up}, every "
                f"{self.every}) in a run of {steps} steps; accepted: a first one before the last step, and less "
                "than warm_up + duration"
            )
        inside = self.due[: bisect_right(self.due, steps)]
        start = (
            f"no quantisation in the first {self.warm_up} steps" if self.warm_up else "quantised from step 1"
        )
        lloyd = f" and {self.lloyd} iterations of Lloyd" if self.lloyd else ""
        left_out = len(self.due) - len(inside)
        yield (
            f"reestimate: {start}; new codewords from k-means++{lloyd} after steps {shown(inside)}"
            + (f"; {left_out} more would follow the last step" if left_out else "")
        )

    def _reestimate(self) -> None:
        samples = self.reservoir.samples
        if len(samples) < self.num_codes:
            self._events.append(
                {"event": "reestimate skipped", "samples": len(samples), "needed": self.num_codes}
            )
            return
        before = self._use_of(samples)
        found = k_means(
            samples,
            self.num_codes,
            num_codebooks=self.num_codebooks,
            iterations=self.lloyd,
            restarts=self.restarts,
            candidates=self.candidates,
        )
        rows = torch.ones(found.codebook.shape[:2], dtype=torch.bool, device=found.codebook.device)
        self._replacing().replace(found.codebook, rows, counts=self.counts)
        after = self._use_of(samples)
        self._is_replaced = True
        self._done = bisect_right(self.due, self._steps)
        self._events.append(
            {
                "event": "reestimate",
                "samples": len(samples),
                "perplexity_before": before[0],
                "perplexity_after": after[0],
                "error_before": before[1],
                "error_after": after[1],
            }
        )
        if self.reset_reservoir != "never":
            self.reservoir.clear()

    def _replacing(self) -> Any:
        """Return the outermost rule that takes codewords: what counts codes around the codebook must know."""
        found: Any = self.rule
        while not hasattr(found, "replace"):
            found = found.rule
        return found

    def _use_of(self, samples: Tensor) -> tuple[float, float]:
        """Return perplexity, a mean over codebooks, and mean squared error per element of ``samples``."""
        found = quantize(samples, self.inner.table().detach())
        shares = perplexity(code_counts(found.codes, self.num_codes))
        return float(shares.mean()), float(found.codebook_loss)

    def _is_end_of_warm_up_interval(self) -> bool:
        left = self.warm_up - self._steps
        return self.reset_reservoir == "interval" and left > 0 and left % self.every == 0

    def _load_from_state_dict(self, *arguments: Any, **more: Any) -> None:
        super()._load_from_state_dict(*arguments, **more)
        self._steps, self._done = self.progress.tolist()
