"""The autoregressive Transformer: teacher of the latent models and the speed that they are compared with."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from unitdisc.errors import RecipeError
from unitdisc.likelihood import Likelihood
from unitdisc.parts import Batch, Decoder, Padded
from unitdisc.transcript import Translator
from unitdisc.watch import UNWATCHED, Watch
from unitdisc_translation.product import product
from unitdisc_translation.search import beam_search, greedy
from unitdisc_translation.transformer import Cache, DecoderLayer, EncoderLayer, Stack, positions
from unitdisc_translation.vocabulary import PAD, START, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from unitdisc.data import FeatureSpec

_FURTHER = 50
"""Tokens that a translation may have more than its source (Vaswani et al. 2017, 6.1)."""
_POSITIONS = 1024
"""Of translations that may be longer, positions are made as they are needed."""


class Autoregressive(Likelihood, Translator, Decoder):
    """Transformer that writes each token of the target given the source and the tokens before (Vaswani et al. 2017).

    It explains the inputs by the source alone and never looks at latents. Source, target and softmax share one
    table of vectors (3.4). Evaluation gives exact nats; training may smooth the labels (5.4), whose loss is then no
    code length, and still logs the exact perplexity.

    Args:
        features: What an input frame is.
        conditions: Number of values of each condition of the data.
        source: Condition that is the source sentence.
        hidden: Size of all vectors; 512 in base.
        layers: Layers of the encoder of the source, and of the decoder.
        heads: Heads of each attention.
        inner: Size inside the feed-forward sublayers.
        norm: "pre": layer norm before each sublayer and behind the last (tensor2tensor). "post": behind each
            residual connection (Vaswani et al. 2017), which needs warm-up.
        dropout: Share of numbers that training leaves out: of embeddings, sublayers, attention weights and inside
            the feed-forward sublayers.
        smoothing: Share of the target's probability that training spreads over the vocabulary.
    """

    def __init__(
        self,
        *,
        features: FeatureSpec,
        conditions: Mapping[str, int],
        source: str = "source",
        hidden: Annotated[int, Gt(0)] = 512,
        layers: Annotated[int, Gt(0)] = 6,
        heads: Annotated[int, Gt(0)] = 8,
        inner: Annotated[int, Gt(0)] = 2048,
        norm: Literal["pre", "post"] = "pre",
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.1,
        smoothing: Annotated[float, Ge(0), Lt(1)] = 0.1,
    ) -> None:
        super().__init__()
        if features.vocab_size is None or not conditions.get(source):
            known = ", ".join(sorted(conditions)) or "none"
            raise RecipeError(
                f"decoder: autoregressive writes tokens given the sentence {source!r}; the data has "
                f"{features.unit_of_time}s and the conditions: {known}; take data of parallel text (use: parallel), or "
                "set decoder.source"
            )
        if hidden % heads:
            raise RecipeError(
                f"decoder.hidden: {hidden} numbers cannot be shared equally by {heads} heads; give a multiple"
            )
        self.source = source
        self.smoothing = smoothing
        self.embedding = nn.Parameter(torch.randn(features.vocab_size, hidden) / hidden**0.5)
        self.dropout = nn.Dropout(dropout)
        stack = partial(
            Stack, dim=hidden, layers=layers, heads=heads, inner=inner, dropout=dropout, norm=norm
        )
        self.encoder = stack(EncoderLayer)
        self.decoder = stack(DecoderLayer)

    def forward(self, latents: Padded, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean over tokens of the nats, in training of smoothed labels, and "perplexity" of exact ones."""
        if not (self.training and self.smoothing):
            return super().forward(latents, batch)
        logits, tokens = self._explain(batch)
        log_probs = logits.log_softmax(1)
        exact = -log_probs.gather(1, tokens[:, None]).sum() / max(batch.num_frames, 1)
        spread = -log_probs.mean(1).sum() / max(batch.num_frames, 1)
        return torch.lerp(exact, spread, self.smoothing), self.numbers(exact.detach())

    def nats(self, latents: Padded, batch: Batch) -> Tensor:
        """Return (B,) float32, -ln p of each target, </s> included, given its source."""
        del latents
        logits, tokens = self._explain(batch)
        each = F.cross_entropy(logits, tokens, reduction="none")
        mask = batch.inputs.mask
        found = torch.zeros(mask.shape, device=mask.device)
        return found.masked_scatter(mask, each).sum(1)

    def numbers(self, loss: Tensor) -> dict[str, Tensor]:
        """Return "perplexity" per token."""
        return {"perplexity": loss.exp()}

    @torch.no_grad()
    def candidates(
        self,
        source: Padded,
        *,
        lookup: Callable[[Tensor], Tensor],
        beam: int = 1,
        length_penalty: float = 0.6,
        max_length: int | None = None,
        early_stop: bool = True,
        watch: Watch = UNWATCHED,
    ) -> list[list[Tensor]]:
        """Return of each sentence the one translation that the search finds, </s> last.

        Without ``max_length`` it has 50 tokens more than the source at most.
        """
        del lookup, early_stop
        limits = (
            source.lengths + _FURTHER if max_length is None else torch.full_like(source.lengths, max_length)
        )
        steps = CachedSteps(self, source, beam=beam, longest=int(limits.max()))
        watch.done("source")
        found = (
            greedy(steps, limits)
            if beam == 1
            else beam_search(steps, limits, beam=beam, alpha=length_penalty)
        )
        watch.done("decoder")
        return [[row] for row in found]

    @torch.no_grad()
    def forced(self, latents: Padded, batch: Batch) -> list[Tensor]:
        """Return (T,) each: at every place the likeliest token given the source and the true tokens before."""
        del latents
        logits, _ = self._explain(batch)
        return list(logits.argmax(1).split(batch.inputs.lengths.tolist()))

    def encode(self, source: Padded) -> tuple[Tensor, Tensor]:
        """Return vectors (B, U, D) of source tokens and the mask (B, 1, 1, U) of valid ones."""
        mask = source.mask[:, None, None]
        return self.encoder(self._vectors(source), mask), mask

    def logits(self, x: Tensor) -> Tensor:
        """Return (..., V) of the decoder's vectors (..., D)."""
        return product(x, self.embedding).float()

    def embed(self, tokens: Tensor) -> Tensor:
        """Return (..., D) of tokens, without positions."""
        return F.embedding(tokens, self.embedding) * math.sqrt(self.embedding.shape[1])

    def decode(self, tokens: Padded, source: Tensor, mask: Tensor) -> Tensor:
        """Return (B, T, D), at each place what is known of the next token after ``tokens`` (B, T)."""
        found: Tensor = self.decoder(self._vectors(tokens), source, mask)
        return found

    def _explain(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return logits (N, V) and numbers (N,) of all N valid tokens of the inputs."""
        inputs = batch.inputs
        source = batch.conditions[self.source]
        assert isinstance(source, Padded)  # noqa: S101  (data of tokens has sentences as conditions)
        before = F.pad(inputs.values[:, :-1], (1, 0), value=START)
        found = self.decode(Padded(before, inputs.lengths), *self.encode(source))
        return self.logits(found[inputs.mask]), inputs.values[inputs.mask]

    def _vectors(self, tokens: Padded) -> Tensor:
        """Return (B, T, D) of tokens with their positions."""
        found = self.embed(tokens.values.masked_fill(~tokens.mask, PAD))
        found = found + positions(found.shape[1], found.shape[2], device=found.device)
        dropped: Tensor = self.dropout(found)
        return dropped


class CachedSteps:
    """The decoder step by step, with the keys and values of the steps before.

    Args:
        model: Whose encoder has yet to read.
        source: (B, U) int64.
        beam: Partial translations K of each sentence.
        longest: Steps at most.
    """

    def __init__(self, model: Autoregressive, source: Padded, *, beam: int, longest: int) -> None:
        self._model = model
        encoded, mask = model.encode(source)
        self._count = len(encoded)
        self._mask = None if bool(mask.all()) else mask
        self._ban = model.embedding.new_zeros(len(model.embedding))
        self._ban[[PAD, START, UNKNOWN]] = float("-inf")
        layers: list[DecoderLayer] = list(model.decoder.layers)  # type: ignore[arg-type]
        self._layers = layers
        self._caches: list[Cache] = [layer.start(encoded, len(encoded) * beam) for layer in layers]
        self._positions = positions(min(longest, _POSITIONS), encoded.shape[2], device=encoded.device)
        self._step = 0

    def next(self, tokens: Tensor) -> Tensor:
        """Take the last tokens (B, K) in; return the logits (B, K, V) of the next ones."""
        model = self._model
        if self._step == len(self._positions):
            self._positions = positions(2 * self._step, self._positions.shape[1], device=tokens.device)
        x = model.embed(tokens) + self._positions[self._step]
        self._step += 1
        for layer, cache in zip(self._layers, self._caches, strict=True):
            x = layer.step(x, cache, self._mask)
        return product(model.decoder.norm(x), model.embedding, self._ban).float()

    def select(self, sentences: Tensor, parents: Tensor) -> None:
        """Go on with these ``sentences`` (B',), with the partial translations ``parents`` (B', K) of each."""
        rows = (sentences[:, None] * parents.shape[1] + parents).flatten()
        is_fewer = len(sentences) < self._count
        for cache in self._caches:
            cache.keys, cache.values = cache.keys[rows], cache.values[rows]
            if is_fewer:
                keys, values = cache.source
                cache.source = keys[sentences], values[sentences]
        if is_fewer and self._mask is not None:
            self._mask = self._mask[sentences]
        self._count = len(sentences)
