"""Each unit stands for the label that it met most often in training."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from annotated_types import Gt, Lt
from torch import Tensor

from unitdisc import distributed
from unitdisc.data import TargetSpec
from unitdisc.parts import Batch, Head, Padded, Place
from unitdisc.views import Indicators
from unitdisc_heads.readout import vocab

_UNSEEN = 1e-3  # labels that every unit is taken to have met, shared out as all labels are


class Mapping(Head):
    """Counts in training which labels each unit meets, frame by frame, and predicts the most frequent one.

    Nothing is learned by gradient and nothing is fitted on what is scored: the map comes from the training
    split, from about the last 1 / (1 - decay) steps, so that it follows a codebook that moves. With several
    codebooks the codes count as independent of each other given the label.

    The loss is the cross entropy under the counts, the number "accuracy" the share of frames that the map gets
    right, both by the map as it was before the step.

    Args:
        targets: What the data's targets mean.
        num_codes: Codes K of each codebook.
        num_codebooks: Codebooks Q.
        stride: Input frames per latent; they share one prediction.
        target: Name of a "frames" target.
        sequence: Name of a "sequence" target: predicts runs of equal labels merged, in its symbols, without
            those that it does not have, such as silence; null predicts the label of each frame.
        decay: Weight of the past in the counts.
    """

    places: ClassVar[tuple[Place, ...]] = ("codes",)

    def __init__(
        self,
        targets: dict[str, TargetSpec],
        *,
        num_codes: int,
        num_codebooks: int,
        stride: int,
        target: str = "phones",
        sequence: str | None = None,
        decay: Annotated[float, Gt(0), Lt(1)] = 0.99,
    ) -> None:
        super().__init__()
        labels = vocab(targets, target, "frames")
        self.num_codes = num_codes
        self.stride = stride
        self.target = target
        self.decay = decay
        self.symbols = None if sequence is None else _numbers(labels, vocab(targets, sequence, "sequence"))
        self.counts: Tensor
        self.pending: Tensor
        size = (num_codes * num_codebooks, len(labels))
        self.register_buffer("counts", torch.zeros(size))
        self.register_buffer("pending", torch.zeros(size), persistent=False)  # of this step

    def forward(self, latents: Padded, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the cross entropies, summed over labelled frames, per valid input frame; count in training."""
        units = self._units(latents)
        target = batch.targets[self.target]
        labels = target.values.masked_fill(~target.mask, -1)
        labels = F.pad(labels, (0, units.places.shape[1] * self.stride - labels.shape[1]), value=-1)
        met = F.one_hot(labels + 1, self.counts.shape[1] + 1)[..., 1:]  # (B, S * stride, V)
        met = met.unflatten(1, (-1, self.stride)).sum(2).float()  # (B, S, V)
        log_probs = self._log_probs(units)
        if self.training:
            for book in range(units.places.shape[2]):
                rows = met * units.is_valid[..., book, None]
                self.pending.index_add_(0, units.places[..., book].flatten(), rows.flatten(0, 1))
        best = log_probs.argmax(2, keepdim=True)
        accuracy = met.gather(2, best).sum() / met.sum().clamp(min=1)
        return -(log_probs * met).sum() / max(batch.num_frames, 1), {"accuracy": accuracy}

    def predict(self, latents: Padded, lengths: Tensor) -> list[Tensor]:
        """Return the label of each frame, (T_b,) each, or the merged symbols, (U_b,) each."""
        labels = self._log_probs(self._units(latents)).argmax(2)  # (B, S)
        if self.symbols is None:
            frames = labels.repeat_interleave(self.stride, 1)
            return [row[:length] for row, length in zip(frames, lengths.tolist(), strict=True)]
        numbers = self.symbols.to(labels.device)
        merged = [
            numbers[row[:length].unique_consecutive()]
            for row, length in zip(labels, latents.lengths.tolist(), strict=True)
        ]
        return [row[row >= 0] for row in merged]

    def before_step(self, progress: float) -> None:
        """Forget the counts of a step that was skipped."""
        del progress
        self.pending.zero_()

    def after_step(self, progress: float) -> None:
        """Take in what all ranks counted in the step."""
        del progress
        self.counts.mul_(self.decay).add_(distributed.all_sum_(self.pending))
        self.pending.zero_()

    def _units(self, codes: Padded) -> Indicators:
        return Indicators(codes.values, self.num_codes, codes.lengths)

    def _log_probs(self, units: Indicators) -> Tensor:
        """Return (B, S, V): ln p(label | codes)."""
        labels = self.counts.sum(0) + 1
        prior = labels / labels.sum()
        table = self.counts + _UNSEEN * prior
        evidence = units.times((table / table.sum(1, keepdim=True)).log())
        # p(l | codes) ~ p(l) * product of p(code | l) ~ product of p(l | code) / p(l) ^ (Q - 1)
        return (evidence - (units.is_valid.sum(2, keepdim=True) - 1) * prior.log()).log_softmax(2)


def _numbers(labels: tuple[str, ...], symbols: tuple[str, ...]) -> Tensor:
    """Return (V,) the number of each label among the symbols, -1 where it is none of them."""
    places = {symbol: number for number, symbol in enumerate(symbols)}
    return torch.tensor([places.get(label, -1) for label in labels])
