"""The encoder of target sentences: residual convolutions, then halvings (paper B; Kaiser et al. 2018)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import torch.nn.functional as F
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from unitdisc.errors import RecipeError
from unitdisc.parts import Encoder, Padded
from unitdisc_translation.convolutions import Halving, ResidualBlock
from unitdisc_translation.transformer import Attention, Residual, positions
from unitdisc_translation.vocabulary import PAD
from unitdisc_translation.word_noise import Form, WordNoise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unitdisc.data import FeatureSpec


class Compress(Encoder):
    """Gives one latent for 2^num_compress_steps tokens: as many residual blocks, then as many strided convolutions.

    Layers follow tensor2tensor, which paper B used. There the encoder shares its vectors of tokens with the decoder;
    here it has its own, so that either can be replaced.

    Args:
        features: What an input frame is.
        dim: Size of a latent, and of all vectors.
        num_compress_steps: Halvings, n_c in paper B.
        attend: Condition of the data, such as "source", that the encoder looks at after its blocks; null looks at none.
            Paper B saw the same BLEU either way, and that hard EM collapses with it (Fig. 3).
        heads: Heads of that attention.
        dropout: Share of numbers that training leaves out.
        noise: Form of the noise on words in training: "paper", per word, or "code", as found in tensor2tensor.
        word_dropout: Share of words left out ("paper") or of single numbers ("code"); 0.3 in paper B's En-Fr.
        word_shuffle: How far words move: they are sorted by place + U(0, 1 + this), or not at all for 0; 0.5 there.
    """

    def __init__(
        self,
        *,
        features: FeatureSpec,
        dim: Annotated[int, Gt(0)] = 512,
        num_compress_steps: Annotated[int, Ge(0)] = 3,
        attend: str | None = None,
        heads: Annotated[int, Gt(0)] = 8,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.1,
        noise: Form = "paper",
        word_dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        word_shuffle: Annotated[float, Ge(0)] = 0.0,
    ) -> None:
        super().__init__()
        if features.vocab_size is None:
            raise RecipeError(
                f"encoder: compress reads tokens, the data has {features.unit_of_time}s; take data of parallel text"
            )
        if attend is not None and dim % heads:
            raise RecipeError(
                f"encoder.dim: {dim} numbers cannot be shared equally by {heads} heads; give a multiple"
            )
        self.dim = dim
        self.stride = 2**num_compress_steps
        self.is_conditional = attend is not None
        self.attend = attend
        self.noise = WordNoise(form=noise, drop=word_dropout, shuffle=word_shuffle)
        self.embedding = nn.Parameter(nn.init.normal_(Tensor(features.vocab_size, dim), std=dim**-0.5))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(ResidualBlock(dim, dropout=dropout) for _ in range(num_compress_steps))
        self.halvings = nn.ModuleList(Halving(dim) for _ in range(num_compress_steps))
        if attend is not None:
            self.attention = Attention(dim, heads=heads, dropout=dropout)
            self.around = Residual(dim, norm="pre", dropout=dropout)

    def forward(self, inputs: Padded, conditions: Mapping[str, Tensor | Padded] | None = None) -> Padded:
        """Return latents (B, S, dim) of tokens (B, T)."""
        x: Tensor = self.dropout(self.noise.on_vectors(self._embed(self.noise(inputs))))
        for block in self.blocks:
            x = block(x, inputs.mask)
        if self.attend is not None:
            x = self._attended(x, (conditions or {}).get(self.attend))
        lengths = inputs.lengths
        for halving in self.halvings:
            x = halving(x, Padded(x, lengths).mask)
            lengths = (lengths + 1) // 2
        return Padded(x * Padded(x, lengths).mask[..., None], lengths)

    def _attended(self, x: Tensor, source: Tensor | Padded | None) -> Tensor:
        """Return (B, T, D), to which is added what each vector finds in the other sentence."""
        if not isinstance(source, Padded):
            raise RecipeError(
                f"encoder.attend: there is no sentence {self.attend!r} to look at; encode data that has it, or set "
                "encoder.attend to null"
            )
        seen = self._embed(source.values.masked_fill(~source.mask, PAD))
        seen = seen + positions(seen.shape[1], self.dim, device=seen.device)
        mask = source.mask[:, None, None]
        key, value = self.attention.keys_values(seen)
        return self.around(  # type: ignore[no-any-return]
            x, lambda normed: self.attention.attend(self.attention.queries(normed), key, value, mask=mask)
        )

    def _embed(self, tokens: Tensor) -> Tensor:
        return F.embedding(tokens, self.embedding) * math.sqrt(self.dim)
