"""Transcripts without times, by connectionist temporal classification."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt
from torch import Tensor

from unitdisc.data import TargetSpec
from unitdisc.parts import Batch, Padded
from unitdisc.transcript import Transcriber
from unitdisc_heads.beam import likeliest
from unitdisc_heads.mixer import Mixer
from unitdisc_heads.readout import Readout, vocab


class CTC(Transcriber):
    """Predicts a transcript with CTC (Graves et al. 2006; paper A, section IV-A and released code).

    The blank is output 0, symbol ``n`` is output ``n + 1``. Utterances whose transcript needs more latents
    than there are cannot be explained: they give no gradient, and the number
    "impossible" is the share of frames that stand in them.

    Args:
        dim: Size D of a latent.
        targets: What the data's targets mean.
        target: Name of a "sequence" target.
        mixer: Channels of a block of convolutions over neighbouring latents in front, 64 in the released code;
            null: none.
        hidden: Channels of the 1 x 1 convolution with ReLU in front; null leaves only the linear layer.
        detach: Send no gradient back to the latents, which makes the head a probe.
        weight: Weight of this loss beside the others.
        beam: Prefixes that beam search keeps, without a language model; null takes the best path (greedy).
    """

    def __init__(
        self,
        dim: int,
        targets: dict[str, TargetSpec],
        *,
        target: str = "phones_sequence",
        mixer: Annotated[int, Gt(0)] | None = None,
        hidden: Annotated[int, Gt(0)] | None = None,
        detach: bool = False,
        weight: Annotated[float, Ge(0)] = 1.0,
        beam: Annotated[int, Gt(0)] | None = None,
    ) -> None:
        super().__init__()
        self.target = target
        self.weight = weight
        self.beam = beam
        self.detach = detach
        num_symbols = len(vocab(targets, target, "sequence"))
        self.mixer = None if mixer is None else Mixer(dim, mixer)
        self.readout = Readout(mixer or dim, num_symbols + 1, hidden=hidden, context=1, detach=False)

    def forward(self, latents: Padded, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted CTC losses, summed over utterances, per valid input frame."""
        target = batch.targets[self.target]
        log_probs = self.log_probs(latents).transpose(0, 1)  # (S, B, V + 1)
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

    def log_probs(self, latents: Padded) -> Tensor:
        """Return (B, S, V + 1)."""
        if self.detach:
            latents = latents.detach()
        if self.mixer is not None:
            latents = self.mixer(latents)
        log_probs: Tensor = self.readout(latents).log_softmax(2)
        return log_probs

    def predict(self, latents: Padded, lengths: Tensor) -> list[Tensor]:
        """Return transcripts, (U_b,) each: the best path without repetitions and blanks, or by beam search."""
        del lengths
        log_probs = self.log_probs(latents)
        if self.beam is not None:
            return _searched(Padded(log_probs, latents.lengths), self.beam)
        paths = log_probs.argmax(2)  # (B, S)
        collapsed = [
            path[:length].unique_consecutive() for path, length in zip(paths, latents.lengths, strict=True)
        ]
        return [path[path > 0] - 1 for path in collapsed]


def _searched(log_probs: Padded, beam: int) -> list[Tensor]:
    rows = zip(log_probs.values.cpu().numpy(), log_probs.lengths.tolist(), strict=True)
    found = [likeliest(row[:length], beam) for row, length in rows]
    return [torch.tensor(symbols, dtype=torch.int64, device=log_probs.values.device) for symbols in found]


def _needed(target: Padded) -> Tensor:
    """Return (B,) the fewest latents that spell a transcript: equal neighbours need a blank between."""
    values = target.values
    is_repeat = (values[:, 1:] == values[:, :-1]) & target.mask[:, 1:]
    return target.lengths + is_repeat.sum(1)
