"""The rule of residual levels."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor, nn

from unitdisc.codebook import CodebookRule
from unitdisc.errors import RecipeError
from unitdisc.parts import Bottleneck, Padded, Quantized

if TYPE_CHECKING:
    from collections.abc import Iterator


class Residual(Bottleneck):
    """A stack of levels, each quantising what those before leave over (Zeghidour et al. 2021, algorithm 1).

    The values are the sum of all levels, the codes of a latent those of the first level, then of the second,
    and so on. Every level is a copy of one rule, with a codebook of its own.

    Gradients: the values follow the chain rule through all levels, r(l + 1) = r(l) - q(r(l)), with the gradient
    that the rule states for q; where that is straight-through, the sum passes it on as the identity. The loss
    is the sum of the levels' losses, so that each codebook learns as it would alone; towards the encoder the
    levels before are constants, r(l) = x - sg[values so far], for otherwise straight-through would
    hide the commitment of all levels but the first.

    Any rule can be the level. ``reestimate`` and ``revive`` go inside, so that each level has its own reservoir
    or counts; around the stack they find no codebook. Give such a ``reestimate`` no warm-up: the first
    level would pass everything, and leave zeros for the others to cluster. Rules without a codebook (fsq, lfq)
    start as equal copies, and no level is scaled by hand: their learned projections fit the grid to what is
    left over, and without projections a second fsq level finds little but its middle.

    Differs from the paper: codebooks start as the rule draws them, not with k-means of the first batch.

    Args:
        dim: Size D of a latent.
        rule: One level.
        num_levels: Levels; the bottleneck has this many times the codebooks of ``rule``.
        dropout: Share of training sequences that see the sum of only the first n levels, n drawn evenly from 1
            to ``num_levels`` (quantiser dropout, section III.C of the paper, where it is 1): one model serves
            all bitrates. Codes of the other levels are assigned, but enter neither values, loss nor
            statistics.
        shared: Whether all levels use one codebook.
    """

    def __init__(
        self,
        dim: int,
        *,
        rule: Bottleneck,
        num_levels: Annotated[int, Gt(0)],
        dropout: Annotated[float, Ge(0), Le(1)] = 0.0,
        shared: bool = False,
    ) -> None:
        super().__init__()
        if rule.num_codes == 0:
            raise RecipeError(f"rule: {type(rule).__name__} quantises nothing; accepted: a rule with codes")
        self.dim = dim
        self.num_codes = rule.num_codes
        self.num_codebooks = num_levels * rule.num_codebooks
        self.num_levels = num_levels
        self.dropout = dropout
        copies = [] if shared else [_another(rule) for _ in range(num_levels - 1)]
        self.rules = nn.ModuleList([rule, *copies])

    def forward(self, latents: Padded) -> Quantized:
        """Quantise level after level."""
        mask = latents.mask.unsqueeze(-1)
        start = torch.where(mask, latents.values.float(), 0)
        stack = _Stack(Padded(start, latents.lengths))
        used = self._levels_used(len(start))
        for level, rule in enumerate(self.levels()):
            stack.add(rule, used > level)
        return stack.quantized()

    def lookup(self, codes: Tensor) -> Tensor:
        """Return the sum (..., D) of the levels' vectors for ``codes`` (..., Q)."""
        parts = codes.split(self.num_codebooks // self.num_levels, -1)
        return torch.stack([rule.lookup(part) for rule, part in zip(self.levels(), parts, strict=True)]).sum(
            0
        )

    def workspace(self, num_latents: int) -> int:
        """Return the bytes of one level, of the residual before it, and of the direction of its loss."""
        return max(rule.workspace(num_latents) for rule in self.levels()) + 8 * num_latents * self.dim

    def levels(self) -> Iterator[Bottleneck]:
        """Yield the rule of each level."""
        repeat = self.num_levels // len(self.rules)  # 1, or all levels where they share
        for rule in self.rules:
            for _ in range(repeat):
                yield rule  # type: ignore[misc]

    def _levels_used(self, batch: int) -> Tensor:
        """Return (B,) int64 on the CPU, how many levels each sequence sees; drawn in training."""
        everything = torch.full((batch,), self.num_levels)
        if not self.training or self.dropout == 0:
            return everything
        # One number for both draws, one for each sequence: micro-batches draw what the whole batch draws.
        draws = torch.rand(batch)
        return torch.where(
            draws < self.dropout, (draws / self.dropout * self.num_levels).long() + 1, everything
        )


class _Stack:
    """One pass through the levels."""

    def __init__(self, latents: Padded) -> None:
        self.latents = latents
        self.residual = latents.values
        self.values = torch.zeros_like(latents.values)
        self.codes: list[Tensor] = []
        self.loss = latents.values.new_zeros(())
        self.stats: list[dict[str, Tensor]] = []

    def add(self, rule: Bottleneck, is_used: Tensor) -> None:
        """Quantise the residual; of sequences (B,) that do not use this level, for the codes alone."""
        lengths = self.latents.lengths
        chosen = is_used.to(lengths.device)
        used = Padded(self.residual, lengths * chosen)
        found = []
        if is_used.any():
            found.append(rule(used))
            share = used.lengths.sum() / lengths.sum().clamp(min=1)
            self.loss = self.loss + share * self._rewired(found[0].loss)
            self.values = self.values + found[0].values
            self.stats.append(found[0].stats)
        if not is_used.all():
            found.append(_evaluated(rule, Padded(self.residual.detach(), lengths * ~chosen)))
        codes = torch.stack([part.codes for part in found])
        self.codes.append(codes.amax(0))  # -1 where a part has none
        self.residual = self.residual - torch.stack([part.values for part in found]).sum(0)

    def quantized(self) -> Quantized:
        """Return the sum of the levels; of their numbers the means, and the share of the energy left over."""
        stats = {
            name: torch.stack([numbers[name] for numbers in self.stats]).mean() for name in self.stats[0]
        }
        energies = [values.detach().square().sum() for values in (self.residual, self.latents.values)]
        stats["left_over"] = energies[0] / energies[1].clamp(min=torch.finfo(energies[1].dtype).tiny)
        return Quantized(self.values, torch.cat(self.codes, -1), self.loss, stats)

    def _rewired(self, loss: Tensor) -> Tensor:
        """Return the same loss, whose gradient for the residual goes to the latents, past the levels before."""
        if not self.codes or not loss.requires_grad or not self.residual.requires_grad:
            return loss
        (direction,) = torch.autograd.grad(loss, self.residual, retain_graph=True, allow_unused=True)
        if direction is None:
            return loss
        detour = (direction * (self.latents.values - self.residual)).sum()
        return loss + (detour - detour.detach())


def _another(rule: Bottleneck) -> Bottleneck:
    """Return a copy of a rule that begins elsewhere."""
    level = copy.deepcopy(rule)
    for part in level.modules():
        if isinstance(part, CodebookRule):
            part.redraw()
    return level


def _evaluated(rule: Bottleneck, latents: Padded) -> Quantized:
    """Return what the rule gives in evaluation, which leaves no trace in it."""
    with torch.no_grad(), _evaluation(rule):
        output: Quantized = rule(latents)
    return output


@contextmanager
def _evaluation(rule: Bottleneck) -> Iterator[None]:
    training = [part for part in rule.modules() if part.training]
    try:
        rule.eval()
        yield
    finally:
        for part in training:
            part.training = True
