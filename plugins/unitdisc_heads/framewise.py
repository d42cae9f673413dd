"""One label per input frame, read from the latent that stands for it."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt
from torch import Tensor

from unitdisc.data import TargetSpec
from unitdisc.errors import RecipeError
from unitdisc.parts import Batch, Head, Padded
from unitdisc_heads.readout import Readout, vocab

_UNLABELLED = -1


class Framewise(Head):
    """Predicts the label of each frame; as a probe it tells what the units hold (paper A, released code).

    Args:
        dim: Size D of a latent.
        targets: What the data's targets mean.
        stride: Input frames per latent; they share one prediction.
        target: Name of a "frames" target.
        detach: Send no gradient back to the latents, which makes the head a probe.
        hidden: Channels between the convolution and a linear layer; null leaves only the convolution.
        context: Latents that the convolution sees at once, odd.
        weight: Weight of this loss beside the others.
    """

    def __init__(
        self,
        dim: int,
        targets: dict[str, TargetSpec],
        *,
        stride: int,
        target: str = "phones",
        detach: bool = True,
        hidden: Annotated[int, Gt(0)] | None = None,
        context: Annotated[int, Gt(0)] = 1,
        weight: Annotated[float, Ge(0)] = 1.0,
    ) -> None:
        super().__init__()
        if context % 2 == 0:
            raise RecipeError(f"context: {context} has no middle; give an odd number")
        self.stride = stride
        self.target = target
        self.weight = weight
        num_labels = len(vocab(targets, target, "frames"))
        self.readout = Readout(dim, num_labels, hidden=hidden, context=context, detach=detach)

    def forward(self, latents: Padded, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted cross entropies, summed over labelled frames, per valid input frame."""
        target = batch.targets[self.target]
        labels = target.values.masked_fill(~target.mask, _UNLABELLED)  # (B, T)
        log_probs = self._frames(self.readout(latents).log_softmax(2))[:, : labels.shape[1]]  # (B, T, V)
        entropy = F.nll_loss(log_probs.transpose(1, 2), labels, ignore_index=_UNLABELLED, reduction="sum")
        is_labelled = labels != _UNLABELLED
        correct = ((log_probs.argmax(2) == labels) & is_labelled).sum()
        loss = self.weight * entropy / max(batch.num_frames, 1)
        return loss, {"accuracy": correct / is_labelled.sum().clamp(min=1)}

    def predict(self, latents: Padded, lengths: Tensor) -> list[Tensor]:
        """Return the likeliest label of each frame, (T_b,) each."""
        labels = self._frames(self.readout(latents).argmax(2))  # (B, S * stride)
        return [row[:length] for row, length in zip(labels, lengths.tolist(), strict=True)]

    def _frames(self, values: Tensor) -> Tensor:
        """Repeat (B, S, ...) to (B, S * stride, ...)."""
        return torch.repeat_interleave(values, self.stride, dim=1)
