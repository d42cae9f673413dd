"""Noise on the sentence that the autoencoder reads, so that units do not hang on single words (paper B, Table 6)."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn

from unitdisc.parts import Padded
from unitdisc_translation.vocabulary import PAD

Form = Literal["paper", "code"]


class WordNoise(nn.Module):
    """Drops and moves tokens in training.

    "paper": each token is left out with probability ``drop``, what follows moves up and <pad> fills the end; and
    tokens are sorted by their place plus U(0, 1 + shuffle), drawn for each token (Lample et al. 2018, 3.2; subwords
    count as words here, and so does </s>). "code" (tensor2tensor): one such order for the whole batch; ``drop`` is the
    share of single numbers of the tokens' vectors that become zero, without rescaling.

    Args:
        form: "paper" or "code".
        drop: 0.3 in the paper.
        shuffle: 0.5 in the paper.
    """

    def __init__(
        self, *, form: Form, drop: Annotated[float, Ge(0), Lt(1)], shuffle: Annotated[float, Ge(0)]
    ) -> None:
        super().__init__()
        self.form, self.drop, self.shuffle = form, drop, shuffle

    def forward(self, tokens: Padded) -> Tensor:
        """Return tokens (B, T) for tokens (B, T) int64; what is beyond a length stays there, and <pad> where it was."""
        values = tokens.values.masked_fill(~tokens.mask, PAD)
        if not self.training:
            return values
        if self.shuffle:
            values = values.gather(1, self._order(values))
        if self.drop and self.form == "paper":
            is_dropped = (torch.rand(values.shape, device=values.device) < self.drop) & (values != PAD)
            order = (is_dropped | (values == PAD)).to(torch.uint8).argsort(dim=1, stable=True)
            values = values.masked_fill(is_dropped, PAD).gather(1, order)
        return values

    def on_vectors(self, vectors: Tensor) -> Tensor:
        """Return (B, T, D), in training and by the form "code" with single numbers zero."""
        if not (self.training and self.drop and self.form == "code"):
            return vectors
        return vectors * (torch.rand(vectors.shape, device=vectors.device) >= self.drop)

    def _order(self, values: Tensor) -> Tensor:
        """Return (B, T), for each place the place that its token comes from; <pad> stays behind all others."""
        rows, count = values.shape
        places = torch.arange(count, device=values.device, dtype=torch.float32)
        drawn = torch.rand(1 if self.form == "code" else rows, count, device=values.device)
        keys = (places + (1 + self.shuffle) * drawn).expand(rows, -1)
        return keys.masked_fill(values == PAD, float("inf")).argsort(dim=1, stable=True)
