"""What both heads share: the small network on the latents and the look-up of a target's symbols."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unitdisc.errors import RecipeError
from unitdisc.views import Indicators

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unitdisc.data import TargetSpec
    from unitdisc.parts import Padded


class Readout(nn.Module):
    """Logits from latents: a convolution, with ``hidden`` a ReLU and a linear layer behind it.

    Args:
        dim: Size D of a latent.
        outputs: Number of logits.
        hidden: Channels between convolution and linear layer; None leaves only the convolution.
        context: Latents that the convolution sees at once, odd.
        detach: Whether the latents are cut off from the gradient.
    """

    def __init__(self, dim: int, outputs: int, *, hidden: int | None, context: int, detach: bool) -> None:
        super().__init__()
        self.detach = detach
        self.convolution = nn.Conv1d(dim, hidden or outputs, context, padding=context // 2)
        self.linear = nn.Linear(hidden, outputs) if hidden else None

    def forward(self, latents: Padded) -> Tensor:
        """Return logits (B, S, outputs), in float32."""
        latents = latents.detach() if self.detach else latents
        if isinstance(latents, Indicators):
            logits = self._of_codes(latents)
        else:
            logits = self._of_vectors(latents.values.masked_fill(~latents.mask[..., None], 0))
        if self.linear is not None:
            logits = self.linear(F.relu(logits))
        return logits.float()

    def _of_vectors(self, values: Tensor) -> Tensor:
        weight = self.convolution.weight
        if weight.shape[2] == 1:  # faster than a convolution, which wants the channels before the latents
            return F.linear(values, weight[:, :, 0], self.convolution.bias)
        return self.convolution(values.transpose(1, 2)).transpose(1, 2)  # type: ignore[no-any-return]

    def _of_codes(self, codes: Indicators) -> Tensor:
        """Return the convolution of the codes' indicators, from the columns of its weights that they stand for."""
        weight = self.convolution.weight  # (H, Q * K, context)
        sides = weight.shape[2] // 2
        taps = (codes.times(weight[:, :, tap].T) for tap in range(weight.shape[2]))
        shifted = (F.pad(rows, (0, 0, sides - n, n - sides)) for n, rows in enumerate(taps))  # zeros move in
        found = sum(shifted, start=torch.zeros((), device=weight.device))
        return found if self.convolution.bias is None else found + self.convolution.bias


def vocab(targets: Mapping[str, TargetSpec], name: str, kind: str) -> tuple[str, ...]:
    """Return the symbols of the target ``name``; raises `RecipeError` unless it exists and is of ``kind``."""
    if name in targets and targets[name].kind == kind:
        return targets[name].vocab
    names = ", ".join(sorted(other for other, spec in targets.items() if spec.kind == kind)) or "none"
    found = f"is of kind {targets[name].kind!r}" if name in targets else "does not exist"
    raise RecipeError(
        f"target: {name!r} {found}; this head needs kind {kind!r} (the data has: {names}); "
        "name one of them or leave the head out"
    )
