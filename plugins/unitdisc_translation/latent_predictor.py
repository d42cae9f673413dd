"""The latent predictor of paper B: an autoregressive Transformer over the few latents of a target sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from unitdisc_translation.product import Linear
from unitdisc_translation.transformer import Cache, DecoderLayer, Norm, Stack, positions

if TYPE_CHECKING:
    from collections.abc import Callable


class LatentPredictor(nn.Module):
    """Says of each latent which codes are likely, given the source and the latents before; codebooks independently.

    Args:
        dim: Size of what the codes stand for.
        hidden: Size D of its vectors, those of the encoded source.
        num_codes: K.
        num_codebooks: Q.
        layers: How many.
        heads: Heads of each attention.
        inner: Size inside the feed-forward sublayers.
        dropout: Share of numbers that training leaves out.
        norm: See `unitdisc_translation.transformer.Residual`.
    """

    def __init__(
        self,
        *,
        dim: int,
        hidden: int,
        num_codes: int,
        num_codebooks: int,
        layers: int,
        heads: int,
        inner: int,
        dropout: float,
        norm: Norm,
    ) -> None:
        super().__init__()
        self.num_codebooks = num_codebooks
        self.start = nn.Parameter(torch.randn(hidden) / hidden**0.5)
        self.into = nn.Linear(dim, hidden)
        self.dropout = nn.Dropout(dropout)
        self.stack = Stack(
            DecoderLayer, hidden, layers=layers, heads=heads, inner=inner, dropout=dropout, norm=norm
        )
        self.out = Linear(hidden, num_codebooks * num_codes)

    def forward(self, vectors: Tensor, source: Tensor, mask: Tensor) -> Tensor:
        """Return log-probabilities (B, S, Q, K) float32 of each latent, given the ``vectors`` (B, S, D) before it."""
        before = torch.cat([self.start.expand(len(vectors), 1, -1), self.into(vectors[:, :-1])], 1)
        x = self.dropout(before + positions(before.shape[1], before.shape[2], device=before.device))
        return self.logits(self.stack(x, source, mask)).log_softmax(-1)

    def logits(self, x: Tensor) -> Tensor:
        """Return (..., Q, K) float32 of the last layer's vectors (..., D)."""
        return self.out(x).float().unflatten(-1, (self.num_codebooks, -1))


class LatentSteps:
    """The predictor step by step, with the keys and values of the steps before.

    Args:
        model: The predictor.
        source: (B, U, D) encoded.
        mask: (B, 1, 1, U), true on valid source tokens.
        beam: Partial latent sentences N of each sentence.
        longest: Steps at most.
    """

    def __init__(
        self, model: LatentPredictor, source: Tensor, mask: Tensor, *, beam: int, longest: int
    ) -> None:
        self._model, self._beam = model, beam
        self._mask = None if bool(mask.all()) else mask
        layers: list[DecoderLayer] = list(model.stack.layers)  # type: ignore[arg-type]
        self._layers = layers
        self._caches: list[Cache] = [layer.start(source, len(source) * beam) for layer in layers]
        self._positions = positions(longest, source.shape[2], device=source.device)
        self._x = model.start.expand(len(source), beam, -1)
        self._step = 0

    def next(self) -> Tensor:
        """Return logits (B, N, Q, K) of the next latent."""
        x = self._x + self._positions[self._step]
        self._step += 1
        for layer, cache in zip(self._layers, self._caches, strict=True):
            x = layer.step(x, cache, self._mask)
        return self._model.logits(self._model.stack.norm(x))

    def take(self, vectors: Tensor, parents: Tensor | None = None) -> None:
        """Go on with ``vectors`` (B, N, D) behind the partial sentences ``parents`` (B, N), behind all for None."""
        if parents is not None:
            first = self._beam * torch.arange(len(parents), device=parents.device)
            rows = (first[:, None] + parents).flatten()
            for cache in self._caches:
                cache.keys, cache.values = cache.keys[rows], cache.values[rows]
        self._x = self._model.into(vectors)


def search(
    steps: LatentSteps,
    lengths: Tensor,
    *,
    lookup: Callable[[Tensor], Tensor],
    beam: int,
    is_end: Tensor | None,
) -> Tensor:
    """Return the likeliest latent sentences (B, N, S, Q), -1 behind their ends, the likeliest first.

    Each has as many latents as ``lengths`` (B,) says, or ends with the first one whose codes are all in ``is_end``
    (Q, K) bool. The first latent never ends a sentence.
    """
    rows, longest = len(lengths), int(lengths.max())
    scores = torch.full((rows, beam), float("-inf"), device=lengths.device)
    scores[:, 0] = 0  # the others are the same
    written: list[Tensor] = []
    is_done = torch.zeros_like(scores, dtype=torch.bool)
    for step in range(longest):
        logits = steps.next()
        if step == 0 and is_end is not None:
            logits = _banned(logits, is_end)
        if beam == 1:
            codes, parents = logits.max(-1).indices, None
        else:
            codes, scores, parents = _likeliest(scores, logits.log_softmax(-1), is_done)
            is_done = is_done.gather(1, parents)
            written = [_chosen(before, parents) for before in written]
        written.append(codes.masked_fill(is_done[:, :, None], -1))
        is_done = is_done | (lengths <= step + 1)[:, None]
        if is_end is not None:
            is_done = is_done | _ends(codes, is_end)
        if step + 1 == longest or bool(is_done.all()):
            break
        steps.take(lookup(codes), parents)
    return torch.stack(written, 2)


def _chosen(codes: Tensor, parents: Tensor) -> Tensor:
    """Return the codes (B, N, Q) of the partial sentences ``parents`` (B, N)."""
    return codes.gather(1, parents[:, :, None].expand(-1, -1, codes.shape[2]))


def _likeliest(scores: Tensor, log_probs: Tensor, is_done: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return codes (B, N, Q), ln p (B, N) and parents (B, N) of the likeliest continuations, the likeliest first.

    What is done stays as it is: its one continuation has code 0 and costs nothing.
    """
    rows, beam, num_codebooks, num_codes = log_probs.shape
    stay = torch.full_like(log_probs[0, 0, 0], float("-inf"))
    stay[0] = 0
    log_probs = torch.where(is_done[:, :, None, None], stay, log_probs)
    parents = torch.arange(beam, device=scores.device).expand(rows, -1)
    codes = parents.new_empty(rows, beam, 0)
    for book in range(num_codebooks):
        given = log_probs[:, :, book].gather(1, parents[:, :, None].expand(-1, -1, num_codes))
        scores, places = (scores[:, :, None] + given).flatten(1).topk(beam)
        chosen = places // num_codes
        parents = parents.gather(1, chosen)
        codes = torch.cat([_chosen(codes, chosen), (places % num_codes)[:, :, None]], 2)
    return codes, scores, parents


def _ends(codes: Tensor, is_end: Tensor) -> Tensor:
    """Return (...), whether all codes (..., Q) of a latent are among those that end a sentence."""
    books = torch.arange(codes.shape[-1], device=codes.device)
    return is_end[books, codes.clamp(min=0)].all(-1)


def _banned(logits: Tensor, is_end: Tensor) -> Tensor:
    """Return logits (B, N, Q, K) by which no latent ends a sentence, where another can be."""
    last = is_end[-1]
    if bool(last.all()):
        return logits
    return torch.cat([logits[:, :, :-1], logits[:, :, -1:].masked_fill(last, float("-inf"))], 2)
