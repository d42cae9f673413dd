"""The rule that puts latents into the place of codewords that nothing chooses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from annotated_types import Gt, Lt
from torch import Tensor, nn

from unitdisc import distributed
from unitdisc.codebook import CodebookRule, Counts, code_counts
from unitdisc.errors import RecipeError
from unitdisc.parts import Bottleneck, Padded, Quantized, Replaced
from unitdisc_revive.gather import gathered_rows, piece_sizes

if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGEST = 64.0
"""An average of uses begins at most e to this times above the threshold, which float32 holds."""


class Revive(Bottleneck):
    """Dead-code revival around any rule with a codebook (Dhariwal et al. 2020; Zeghidour et al. 2021).

    Per code, a moving average counts the latents of a step that choose it. A codeword whose average is below
    ``threshold`` is replaced by a latent of the step, drawn uniformly from those of all ranks and micro-batches,
    without replacement as long as they suffice, and for each codebook independently.

    Differs from the papers: the average counts whole steps, whatever the number of ranks and micro-batches; a
    new codeword is left alone for ``patience`` steps, as is every codeword at the start; a step without a
    valid latent changes nothing. Skipped steps are not counted.

    Args:
        dim: Size D of a latent.
        rule: How the codebook learns: any rule with a codebook. ``reestimate`` goes around this one.
        threshold: Uses per step below which a code is dead: 1 in Dhariwal et al. 2020, 2 in Zeghidour et al.
            2021. Keep it well below the latents of a step over ``num_codes``, or codes that are in use are
            replaced, too; the number replaced is in the log.
        decay: Weight of the past in the average of uses.
        patience: Steps without a use until a new codeword is dead; its average starts at
            ``threshold / decay ** (patience - 1/2)``.
        every: Codewords are replaced at most every so many steps.
        moments: What the optimiser remembers of codewords that are replaced, where the codebook is learned by
            gradient descent: "reset" it to zero, or "keep" it.
        average: The averaged copy of such a codebook (``train.average``): "copy" the new codewords into it,
            "keep" it, which mixes old and new codewords, or "restart" the average of all weights.
        counts: How often each code was chosen, where the rule inside keeps an average of its own: "reset" it
            to its first value, or "keep" that of the codeword before.
    """

    def __init__(
        self,
        dim: int,
        *,
        rule: Bottleneck,
        threshold: Annotated[float, Gt(0)] = 1.0,
        decay: Annotated[float, Gt(0), Lt(1)] = 0.99,
        patience: Annotated[int, Gt(0)] = 100,
        every: Annotated[int, Gt(0)] = 10,
        moments: Literal["keep", "reset"] = "reset",
        average: Literal["keep", "copy", "restart"] = "copy",
        counts: Counts = "reset",
    ) -> None:
        super().__init__()
        if not isinstance(rule, CodebookRule):
            raise RecipeError(
                f"rule: {type(rule).__name__} has no codebook of its own to put codewords into; accepted: a rule "
                "with codewords, such as gradient or ema (reestimate goes around revive, not into it)"
            )
        longest = int(_LARGEST / -math.log(decay))
        if patience > longest:
            raise RecipeError(
                f"patience: an average with decay {decay} cannot tell {patience} steps without a use; accepted: at "
                f"most {longest}, or a decay closer to 1"
            )
        self.dim = dim
        self.rule = rule
        self.num_codes = rule.num_codes
        self.num_codebooks = rule.num_codebooks
        self.threshold = threshold
        self.decay = decay
        self.first = threshold * decay ** (0.5 - patience)
        self.every = every
        self.moments: Literal["keep", "reset"] = moments
        self.average: Literal["keep", "copy", "restart"] = average
        self.counts: Counts = counts
        shape = rule.codebook.shape[:2]
        self.uses: Tensor  # (Q, K), the moving average
        self.since: Tensor  # steps since codewords were replaced, or could have been
        self.step_uses: Tensor
        self.register_buffer("uses", torch.full(shape, self.first))
        self.register_buffer("since", torch.zeros((), dtype=torch.int64))
        self.register_buffer("step_uses", torch.zeros(shape, dtype=torch.int64), persistent=False)
        self._since = 0
        self._seen: list[Tensor] = []  # latents of the step under way
        self._revived: Tensor | None = None
        self._event: dict[str, float | str] | None = None

    def forward(self, latents: Padded) -> Quantized:
        """Quantise with the rule inside and, in training, count the codes."""
        output: Quantized = self.rule(latents)
        if self.training:
            self.step_uses.add_(code_counts(output.codes, self.num_codes))
            self._seen.append(self.rule.comparable(latents.values.detach()[latents.mask].float()))
        return output

    def lookup(self, codes: Tensor) -> Tensor:
        """Return the codewords (..., D) of ``codes`` (..., Q)."""
        return self.rule.lookup(codes)

    def workspace(self, num_latents: int) -> int:
        """Return the bytes that the rule inside needs, or counting, whichever is more."""
        return max(self.rule.workspace(num_latents), 8 * (num_latents + self.num_codes) * self.num_codebooks)

    def before_step(self, progress: float) -> None:
        """Forget the statistics of a step that was skipped, and what happened in the one before."""
        del progress
        self._forget_step()
        self._revived, self._event = None, None

    def after_step(self, progress: float) -> None:
        """Move the average by the whole step; replace dead codewords when it is time."""
        del progress
        distributed.all_sum_(self.step_uses)
        moved = (self.step_uses.sum() > 0).to(self.uses) * (1 - self.decay)  # nothing moves without a latent
        self.uses.lerp_(self.step_uses.to(self.uses), moved)
        self._since += 1
        if self._since >= self.every:
            self._revive()
            self._since = 0
        self.since.fill_(self._since)
        self._forget_step()

    def replaced(self) -> Iterator[Replaced]:
        """Yield the codewords replaced, where gradient descent learns them."""
        if self._revived is not None and isinstance(self.rule.codebook, nn.Parameter):
            yield Replaced(self.rule.codebook, self._revived, self.moments, self.average)

    def events(self) -> Iterator[dict[str, float | str]]:
        """Yield the number of codewords replaced, where there are any."""
        if self._event is not None:
            yield self._event

    def replace(self, codebook: Tensor, rows: Tensor, *, counts: Counts = "reset") -> None:
        """Take over codewords as the rule inside does: they are new, and the step's uses are those of others."""
        self.rule.replace(codebook, rows, counts=counts)
        self.uses.masked_fill_(rows, self.first)
        self._forget_step()

    def _revive(self) -> None:
        dead = self.uses < self.threshold  # (Q, K)
        wanted = dead.sum(-1).tolist()
        sizes = piece_sizes(self._seen, device=self.uses.device)
        if not any(wanted) or not int(sizes.sum()):
            return
        codebook = self.rule.codebook.detach().clone()
        for q, (book, count) in enumerate(zip(dead, wanted, strict=True)):
            places = _draw(count, int(sizes.sum()), self.uses.device)
            blocks = [piece.unflatten(1, (self.num_codebooks, -1))[:, q] for piece in self._seen]
            codebook[q, book] = gathered_rows(blocks, sizes, places, size=codebook.shape[-1])
        self.replace(codebook, dead, counts=self.counts)
        self._revived = dead
        self._event = {"event": "revive", "revived": sum(wanted), "codes": dead.numel()}

    def _forget_step(self) -> None:
        self.step_uses.zero_()
        self._seen = []

    def _load_from_state_dict(self, *arguments: Any, **more: Any) -> None:
        super()._load_from_state_dict(*arguments, **more)
        self._since = int(self.since)


def _draw(count: int, total: int, device: torch.device) -> Tensor:
    """Return (count,) places in [0, total), drawn without replacement until none is left, and then again."""
    rounds = -(-count // total)
    return torch.cat(
        [
            torch.empty(0, dtype=torch.int64, device=device),
            *(torch.randperm(total, device=device) for _ in range(rounds)),
        ]
    )[:count]
