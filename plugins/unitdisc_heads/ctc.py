"""Transcripts without times, by connectionist temporal classification."""

from __future__ import annotations

from typing import Annotated

import torch.nn.functional as F
from annotated_types import Ge, Gt
from torch import Tensor

from unitdisc.data import TargetSpec
from unitdisc.parts import Batch, Head, Padded
from unitdisc_heads.readout import Readout, vocab


class CTC(Head):
    """Predicts a transcript with CTC (Graves et al. 2006; paper A, section IV-A and released code).

    The blank is output 0, symbol ``n`` is output ``n + 1``. Utterances whose transcript needs more latents
    than there are cannot be explained: they give no gradient, and the number
    "impossible" is the share of frames that stand in them.

    Args:
        dim: Size D of a latent.
        targets: What the data's targets mean.
        target: Name of a "sequence" target.
        hidden: Channels of the 1 x 1 convolution with ReLU in front; null leaves only the linear layer.
        detach: Send no gradient back to the latents, which makes the head a probe.
        weight: Weight of this loss beside the others.
    """

    def __init__(
        self,
        dim: int,
        targets: dict[str, TargetSpec],
        *,
        target: str = "phones_sequence",
        hidden: Annotated[int, Gt(0)] | None = None,
        detach: bool = False,
        weight: Annotated[float, Ge(0)] = 1.0,
    ) -> None:
        super().__init__()
        self.target = target
        self.weight = weight
        num_symbols = len(vocab(targets, target, "sequence"))
        self.readout = Readout(dim, num_symbols + 1, hidden=hidden, context=1, detach=detach)

    def forward(self, latents: Padded, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted CTC losses, summed over utterances, per valid input frame."""
        target = batch.targets[self.target]
        log_probs = self.readout(latents).log_softmax(2).transpose(0, 1)  # (S, B, V + 1)
        losses = F.ctc_loss(
            log_probs,
            target.values + 1,
            latents.lengths,
            target.lengths,
            reduction="none",
            zero_infinity=True,
        )
        num_frames = max(batch.num_frames, 1)
        is_impossible = _needed(target) > latents.lengths
        impossible = (batch.inputs.lengths * is_impossible).sum() / num_frames
        return self.weight * losses.sum() / num_frames, {"impossible": impossible}

    def predict(self, latents: Padded, lengths: Tensor) -> list[Tensor]:
        """Return the best path of each utterance with repetitions and blanks taken out, (U_b,) each."""
        del lengths
        paths = self.readout(latents).argmax(2)  # (B, S)
        collapsed = [
            path[:length].unique_consecutive() for path, length in zip(paths, latents.lengths, strict=True)
        ]
        return [path[path > 0] - 1 for path in collapsed]


def _needed(target: Padded) -> Tensor:
    """Return (B,) the fewest latents that spell a transcript: equal neighbours need a blank between."""
    values = target.values
    is_repeat = (values[:, 1:] == values[:, :-1]) & target.mask[:, 1:]
    return target.lengths + is_repeat.sum(1)
