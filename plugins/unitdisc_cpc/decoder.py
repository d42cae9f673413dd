"""The decoder of VQ-CPC: codes that tell which codes come next."""

from __future__ import annotations

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Gt
from torch import Tensor, nn

from unitdisc.errors import RecipeError
from unitdisc.parts import Batch, Decoder, Padded
from unitdisc_cpc.pools import pools


class CPC(Decoder):
    """Tells the quantised latents that follow from others of the same speaker (VQ-CPC, van Niekerk et al. 2020).

    An LSTM sums up the latents z_1 to z_t as the context c_t. For each step k a matrix W_k predicts z_(t+k), and
    the loss is InfoNCE (van den Oord et al. 2018, eq. 4): the cross entropy of the true latent among itself and
    ``negatives`` other ones, scored by z' W_k c_t / sqrt(D). Where the others are of the same speaker, what is
    constant in a voice helps nothing (van Niekerk et al. 2020, section 2.2). The loss is the mean over t and k in
    nats per latent, for which a latent too close to the end to have a k-th successor counts 0; "info_nce" in
    the log is the mean over the predictions that were made, "accuracy" how often the true latent scores highest.

    In training the negatives of each prediction are drawn, with repeats, from all other latents of the
    batch whose utterance shares the condition. In evaluation nothing is drawn and utterances stay apart: the
    negatives' terms are replaced by as many times their mean over all other latents of the same utterance.

    Differs from the released code, which fills each batch with 8 utterances from each of 8 speakers: here
    batches are what the engine plans, and a speaker with one utterance in the batch gives negatives from that one.
    The encoder must not look far beyond its latent, or what follows is known: no recurrent layers in both
    directions.

    Args:
        dim: Size D of a latent.
        stride: Input frames per latent.
        conditions: Number of values of each condition in the data.
        hidden: Size of the context.
        steps: Latents ahead that are predicted, each by a matrix of its own.
        negatives: Latents from which the true one is told.
        condition: Name of the condition that a latent shares with its negatives; null draws them from the same
            utterance, as for a value that training did not know.
    """

    def __init__(
        self,
        dim: int,
        *,
        stride: int,
        conditions: dict[str, int],
        hidden: Annotated[int, Gt(0)] = 256,
        steps: Annotated[int, Gt(0)] = 6,
        negatives: Annotated[int, Gt(0)] = 17,
        condition: str | None = "speaker",
    ) -> None:
        super().__init__()
        if condition and condition not in conditions:
            names = ", ".join(sorted(conditions)) or "none"
            raise RecipeError(
                f"decoder.condition: the data has no {condition!r} (it has: {names}); "
                "set decoder.condition to one of them, or to null"
            )
        self.stride = stride
        self.negatives = negatives
        self.condition = condition
        self.scale = 1 / math.sqrt(dim)
        self.context = nn.LSTM(dim, hidden, batch_first=True)
        self.predictors = nn.ModuleList(nn.Linear(hidden, dim) for _ in range(steps))

    def forward(self, latents: Padded, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss per valid input frame; "info_nce" and "accuracy" are per prediction."""
        values = latents.values.masked_fill(~latents.mask[..., None], 0)
        context = self.context(values)[0].float()  # causal: padding stands behind and reaches nothing valid
        seen = Padded(values.float(), latents.lengths)
        losses, correct, count = (self._sampled if self.training else self._all)(context, seen, batch)
        loss = losses * self.stride / (len(self.predictors) * max(batch.num_frames, 1))
        made = max(count, 1)
        return loss, {"info_nce": losses.detach() / made, "accuracy": correct / made}

    def _sampled(self, context: Tensor, latents: Padded, batch: Batch) -> tuple[Tensor, Tensor, int]:
        """Return the summed loss, the number of correct predictions and of all, with negatives that are drawn."""
        found = pools(latents, batch.conditions[self.condition] if self.condition else None)
        vectors, contexts = (
            values.flatten(0, 1)[found.places] for values in (latents.values, context)
        )  # (N, ...)
        losses, correct, count = context.new_zeros(()), context.new_zeros(()), 0
        for step, predictor in enumerate(self.predictors, 1):
            anchors = (found.following >= step).nonzero().flatten()
            true = anchors + step
            candidates = torch.cat(
                [true[:, None], found.others(true, self.negatives)], 1
            )  # (M, 1 + negatives)
            scores = torch.einsum("md,mnd->mn", predictor(contexts[anchors]).float(), vectors[candidates])
            scores = scores * self.scale
            losses = losses + F.cross_entropy(scores, torch.zeros_like(anchors), reduction="sum")
            correct = correct + (scores.detach()[:, 0] >= scores.detach().amax(1)).sum()
            count += len(anchors)
        return losses, correct, count

    def _all(self, context: Tensor, latents: Padded, batch: Batch) -> tuple[Tensor, Tensor, int]:
        """Return the same where all other latents of an utterance take the place of those that are drawn."""
        del batch
        num_latents = latents.values.shape[1]
        losses, correct, count = context.new_zeros(()), context.new_zeros(()), 0
        for step, predictor in enumerate(self.predictors[: num_latents - 1], 1):
            predicted = predictor(context[:, : num_latents - step]).float()
            scores = torch.einsum("btd,bsd->bts", predicted, latents.values) * self.scale
            is_made = latents.mask[:, step:]
            true = scores.diagonal(step, 1, 2)[is_made]  # (M,)
            is_other = latents.mask[:, None] & ~torch.eye(num_latents, device=scores.device).bool()[step:]
            others, is_other = scores[is_made], is_other[is_made]  # (M, S)
            number = is_other.sum(1)
            mean = others.masked_fill(~is_other, -math.inf).logsumexp(1) - number.log()
            losses = losses + (torch.logaddexp(true, mean + math.log(self.negatives)) - true).sum()
            below = ((others <= true[:, None]) & is_other).sum(1) / number
            correct = correct + (below**self.negatives).sum()  # what drawing would give, on average
            count += len(true)
        return losses, correct, count
