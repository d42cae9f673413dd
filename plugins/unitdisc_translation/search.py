"""Greedy and beam search over what a model says of the next token, for a whole batch at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from unitdisc.translation import penalty
from unitdisc_translation.vocabulary import END, START

if TYPE_CHECKING:
    from collections.abc import Sequence


class Steps(Protocol):
    """A model in the middle of B sentences with K partial translations each."""

    def next(self, tokens: Tensor) -> Tensor:
        """Take the last tokens (B, K) in; return the logits (B, K, V) of the next ones, -inf for what must not be."""

    def select(self, sentences: Tensor, parents: Tensor) -> None:
        """Go on with these ``sentences`` (B',), with the partial translations ``parents`` (B', K) of each."""


def greedy(steps: Steps, limits: Tensor) -> list[Tensor]:
    """Return for each sentence (U,) int64, at each place the likeliest token; the last one is </s>.

    Args:
        steps: Before the first token, with K = 1.
        limits: (B,) int64, tokens of each translation at most, </s> included.
    """
    kept = _Kept(len(limits))
    alive = torch.arange(len(limits), device=limits.device)
    tokens = torch.full_like(limits, START)[:, None]
    written = tokens[:, :0]
    shortest, length = int(limits.min()), 0
    while len(alive):
        length += 1
        tokens = steps.next(tokens).argmax(2)
        if length >= shortest:
            tokens = tokens.masked_fill((limits[alive] == length)[:, None], END)
        written = torch.cat([written, tokens], 1)
        is_done = tokens[:, 0] == END
        if bool(is_done.any()):
            kept.put(alive[is_done], written[is_done])
            alive, tokens, written = alive[~is_done], tokens[~is_done], written[~is_done]
            (places,) = torch.where(~is_done)
            steps.select(places, torch.zeros_like(places)[:, None])
    return kept.rows()


@dataclass
class _Beams:
    """The B sentences under way, each with K partial translations of equal length.

    Args:
        alive: (B,) int64, which sentences.
        written: (B, K, t) int64.
        scores: (B, K) ln p; -inf where there are not so many.
        ended: (B,) how many translations of each sentence have ended.
        best: (B,) score of the best of these, divided by its penalty; -inf where there is none.
    """

    alive: Tensor
    written: Tensor
    scores: Tensor
    ended: Tensor
    best: Tensor

    def select(self, places: Tensor) -> None:
        """Go on with the sentences at these places."""
        for name, value in vars(self).items():
            setattr(self, name, value[places])


def beam_search(steps: Steps, limits: Tensor, *, beam: int, alpha: float) -> list[Tensor]:
    """Return for each sentence (U,) int64, of the translations found the best by ln p / `penalty`; </s> is last.

    At each step the ``beam`` likeliest continuations count: those that end are translations, the likeliest others
    go on. A sentence is done when ``beam`` translations have ended, or when no other can become the best.

    Args:
        steps: Before the first token, with K = ``beam``.
        limits: (B,) int64, tokens of each translation at most, </s> included.
        beam: K.
        alpha: Of the length penalty.
    """
    kept = _Kept(len(limits))
    size = len(limits), beam
    scores = torch.full(size, float("-inf"), device=limits.device)
    scores[:, 0] = 0  # the others are the same
    state = _Beams(
        alive=torch.arange(size[0], device=limits.device),
        written=limits.new_empty(*size, 0),
        scores=scores,
        ended=torch.zeros_like(limits),
        best=scores.new_full(size[:1], float("-inf")),
    )
    tokens = limits.new_full(size, START)
    length = 0
    while len(state.alive):
        length += 1
        log_probs = steps.next(tokens).float().log_softmax(2)
        is_last = limits[state.alive] == length
        values, parents, tokens = _likeliest(state.scores, log_probs, is_last, 2 * beam)
        _end(state, (values, parents, tokens), kept, divisor=penalty(length, alpha))
        # Sorted before, and topk keeps the order.
        state.scores, chosen = values.masked_fill(tokens == END, float("-inf")).topk(beam)
        parents, tokens = parents.gather(1, chosen), tokens.gather(1, chosen)
        state.written = _lengthened(state.written, parents, tokens)
        # ln p only falls, so this is the best that what goes on can still reach.
        hope = state.scores[:, 0] / penalty(limits[state.alive], alpha)
        is_done = is_last | (state.ended >= beam) | (hope <= state.best)
        (places,) = torch.where(~is_done)
        state.select(places)
        tokens = tokens[places]
        steps.select(places, parents[places])
    return kept.rows()


def _likeliest(
    scores: Tensor, log_probs: Tensor, is_last: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ln p, parents and tokens (B, count) of the likeliest continuations; the last token must be </s>."""
    ends = torch.full_like(log_probs[0, 0], float("-inf"))
    ends[END] = 0
    totals = scores[:, :, None] + torch.where(is_last[:, None, None], log_probs + ends, log_probs)
    num_tokens = log_probs.shape[2]
    values, places = totals.flatten(1).topk(min(count, totals[0].numel()))
    return values, places // num_tokens, places % num_tokens


def _end(
    state: _Beams, found: tuple[Tensor, Tensor, Tensor], kept: _Kept, *, divisor: float | Tensor
) -> None:
    """Take in the translations that end now, among as many of the likeliest as the beam is wide."""
    beam = state.scores.shape[1]
    values, parents, tokens = (each[:, :beam] for each in found)
    ending = (tokens == END) & values.isfinite()
    state.ended = state.ended + ending.sum(1)
    score, place = (values / divisor).masked_fill(~ending, float("-inf")).max(1)
    (better,) = torch.where(score > state.best)
    if len(better):
        parent = parents[better, place[better]]
        written = state.written[better, parent]
        kept.put(state.alive[better], torch.cat([written, torch.full_like(parent, END)[:, None]], 1))
        state.best = torch.maximum(state.best, score)


def _lengthened(written: Tensor, parents: Tensor, tokens: Tensor) -> Tensor:
    """Return (B, K, t + 1), the partial translations ``parents`` (B, K) of ``written`` (B, K, t) and ``tokens``."""
    before = written.gather(1, parents[:, :, None].expand(-1, -1, written.shape[2]))
    return torch.cat([before, tokens[:, :, None]], 2)


class _Kept:
    """The best translation of each sentence so far.

    Args:
        count: Number of sentences.
    """

    def __init__(self, count: int) -> None:
        self._rows: list[Tensor | None] = [None] * count

    def put(self, sentences: Tensor, rows: Tensor | Sequence[Tensor]) -> None:
        """Keep the rows (U,) of these sentences in place of what there was."""
        for sentence, row in zip(sentences.tolist(), rows, strict=True):
            self._rows[sentence] = row

    def rows(self) -> list[Tensor]:
        """Return them in the order of the sentences."""
        return [row for row in self._rows if row is not None]
