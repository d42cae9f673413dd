"""The non-autoregressive Transformer with fertilities and noisy parallel decoding."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from unitdisc.data import TargetSpec
from unitdisc.errors import RecipeError
from unitdisc.parts import Batch, Decoder, Padded
from unitdisc.transcript import Translator
from unitdisc.translation import penalty
from unitdisc.watch import UNWATCHED, Watch
from unitdisc_translation.fertility import copied
from unitdisc_translation.nat_layer import ParallelLayer
from unitdisc_translation.product import product
from unitdisc_translation.transformer import EncoderLayer, Stack, positions
from unitdisc_translation.vocabulary import END, PAD, START, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from unitdisc.data import FeatureSpec

_FURTHER = 50
"""Tokens that a translation may have more than its source, as for the autoregressive Transformer."""
_MOST_LOGITS = 2**26
"""Numbers at once where many guesses are written: a quarter of a gigabyte."""


@dataclass(frozen=True)
class Read:
    """B source sentences that the encoder has read.

    Args:
        source: (B, U) int64.
        vectors: (B, U, D).
        mask: (B, 1, 1, U) bool, true on valid ones.
    """

    source: Padded
    vectors: Tensor
    mask: Tensor

    def rows(self, numbers: Tensor) -> Read:
        """Return the sentences of these numbers (B',)."""
        source = Padded(self.source.values[numbers], self.source.lengths[numbers])
        return Read(source, self.vectors[numbers], self.mask[numbers])


class NonAutoregressive(Translator, Decoder):
    """Transformer that writes all tokens of the target at once, given how many each source token has (Gu et al. 2018).

    The decoder reads the vectors of the source's tokens, each copied as often as its fertility says. Fertilities
    are a target of the data, found by word alignment, which training and scoring are given; a translation predicts
    them. The loss, -ln p(fertilities) - ln p(target given them), is a bound: the target's own -ln p, a sum over
    all fertilities, is at most that, so this decoder has no exact nats and bits per token do not apply.

    Differs from the paper: no fine-tuning with a teacher in the loop (4.2), and one table of vectors for source,
    target and softmax.

    Args:
        features: What an input frame is.
        conditions: Number of values of each condition of the data.
        targets: What the data's targets mean.
        source: Condition that is the source sentence.
        fertility: Target that says for how many target tokens each source token stands.
        hidden: Size of all vectors; 512 in base.
        layers: Layers of the encoder of the source, and of the decoder.
        heads: Heads of each attention.
        inner: Size inside the feed-forward sublayers.
        norm: "pre": layer norm before each sublayer and behind the last (tensor2tensor). "post": behind each
            residual connection (Vaswani et al. 2017), which needs warm-up.
        dropout: Share of numbers that training leaves out: of embeddings, sublayers, attention weights and inside
            the feed-forward sublayers.
        smoothing: Share of the target's probability that training spreads over the vocabulary; not of fertilities.
    """

    def __init__(
        self,
        *,
        features: FeatureSpec,
        conditions: Mapping[str, int],
        targets: dict[str, TargetSpec],
        source: str = "source",
        fertility: str = "fertility",
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
                f"decoder: nat writes tokens given the sentence {source!r}; the data has {features.unit_of_time}s and "
                f"the conditions: {known}; take data of parallel text (use: parallel), or set decoder.source"
            )
        if fertility not in targets or targets[fertility].kind != "sequence":
            known = ", ".join(sorted(targets)) or "none"
            raise RecipeError(
                f"decoder: nat learns from the sequence {fertility!r}; the data has the targets: {known}; set "
                "data.fertilities (50 in the paper), or decoder.fertility"
            )
        if hidden % heads:
            raise RecipeError(
                f"decoder.hidden: {hidden} numbers cannot be shared equally by {heads} heads; give a multiple"
            )
        self.source, self.fertility = source, fertility
        self.smoothing = smoothing
        self.embedding = nn.Parameter(torch.randn(features.vocab_size, hidden) / hidden**0.5)
        self.dropout = nn.Dropout(dropout)
        stack = partial(
            Stack, dim=hidden, layers=layers, heads=heads, inner=inner, dropout=dropout, norm=norm
        )
        self.encoder = stack(EncoderLayer)
        self.predictor = nn.Linear(hidden, len(targets[fertility].vocab))
        self.decoder = stack(ParallelLayer)

    def forward(self, latents: Padded, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the nats of fertilities and target per target token, in training of smoothed labels of the latter.

        The numbers: "bound", the nats without smoothing; "perplexity" per target token given the fertilities;
        "fertility_perplexity" per source token.
        """
        del latents
        taught = batch.targets[self.fertility]
        read = self.read(self._sentences(batch))
        known = self.predictor(read.vectors).float()[:, : taught.values.shape[1]][taught.mask]
        of_fertilities = F.cross_entropy(known, taught.values[taught.mask], reduction="sum")
        valid = batch.inputs.mask
        found = self.write(read, self._taught(batch), valid)
        log_probs = self._logits(found[valid]).log_softmax(1)
        tokens = batch.inputs.values[valid]
        exact = -log_probs.gather(1, tokens[:, None]).sum()
        smoothing = self.smoothing if self.training else 0.0
        trained = torch.lerp(exact, -log_probs.mean(1).sum(), smoothing)
        frames = max(batch.num_frames, 1)
        symbols = taught.lengths.sum().clamp(min=1)
        numbers = {
            "bound": (exact + of_fertilities) / frames,
            "perplexity": (exact / frames).exp(),
            "fertility_perplexity": (of_fertilities / symbols).exp(),
        }
        loss = (trained + of_fertilities) / frames
        return loss, {name: number.detach() for name, number in numbers.items()}

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
        """Return ``beam`` translations of each sentence, </s> last: noisy parallel decoding (section 3.4).

        The first guess of the fertilities is the likeliest, the others are drawn, for a sentence always the same.
        They are in the order of ln p of fertilities and tokens, divided by the length penalty; the paper lets a
        teacher choose. Without ``max_length`` they have 50 tokens more than the source at most.
        """
        del lookup, early_stop
        limits = (
            source.lengths + _FURTHER if max_length is None else torch.full_like(source.lengths, max_length)
        )
        read = self.read(source)
        watch.done("source")
        guesses, of_fertilities = self._guess(read, beam)
        watch.done("fertility")
        lengths = guesses.sum(2).minimum(limits[:, None]).flatten()  # (B * beam,)
        rows: list[Tensor] = []
        of_tokens: list[Tensor] = []
        for some in torch.arange(len(lengths), device=lengths.device).split(self._at_once(lengths)):
            found, values = self._fill(read.rows(some // beam), guesses.flatten(0, 1)[some], lengths[some])
            rows += found
            of_tokens.append(values)
        scores = torch.cat(of_tokens).view_as(of_fertilities) + of_fertilities
        scores = scores / penalty(lengths.view_as(guesses[..., 0]), length_penalty)
        order = scores.argsort(dim=1, descending=True, stable=True)
        watch.done("decoder")
        return [
            [rows[number * beam + place] for place in places] for number, places in enumerate(order.tolist())
        ]

    @torch.no_grad()
    def forced(self, latents: Padded, batch: Batch) -> list[Tensor]:
        """Return (T,) each: the likeliest tokens given the source and the fertilities of the true target."""
        del latents
        rows, _ = self._fill(self.read(self._sentences(batch)), self._taught(batch), batch.inputs.lengths)
        return rows

    def read(self, source: Padded) -> Read:
        """Let the encoder read sentences (B, U)."""
        mask = source.mask[:, None, None]
        tokens = source.values.masked_fill(~source.mask, PAD)
        return Read(Padded(tokens, source.lengths), self.encoder(self._vectors(tokens), mask), mask)

    def write(self, read: Read, fertility: Tensor, valid: Tensor) -> Tensor:
        """Return (B, T, D), at each place what is known of its token.

        Args:
            read: The sentences.
            fertility: (B, U) int64, 0 on padding.
            valid: (B, T) bool, the places of each translation.
        """
        tokens = read.source.values.gather(1, copied(fertility, read.source.lengths, valid.shape[1]))
        x = self._vectors(tokens)
        places = positions(x.shape[1], x.shape[2], device=x.device)
        found: Tensor = self.decoder(x, places, valid, read.vectors, read.mask)
        return found

    def _sentences(self, batch: Batch) -> Padded:
        source = batch.conditions[self.source]
        assert isinstance(source, Padded)  # noqa: S101  (data of tokens has sentences as conditions)
        return source

    def _taught(self, batch: Batch) -> Tensor:
        """Return the fertilities (B, U) that the data gives, 0 on padding."""
        taught = batch.targets[self.fertility]
        return taught.values.masked_fill(~taught.mask, 0)

    def _guess(self, read: Read, number: int) -> tuple[Tensor, Tensor]:
        """Return (B, number, U) fertilities, 0 on padding, at least 1 for </s>, and ln p (B, number) of them."""
        log_probs = self.predictor(read.vectors).float().log_softmax(2)
        found = [log_probs.argmax(2)[:, None]]
        if number > 1:
            found.append(self._draws(read.source, log_probs, number - 1))
        guesses = torch.cat(found, 1)
        values = log_probs[:, None].expand(-1, number, -1, -1).gather(3, guesses[..., None])[..., 0]
        valid = read.source.mask[:, None]
        is_last = (
            torch.arange(guesses.shape[2], device=guesses.device) == read.source.lengths[:, None, None] - 1
        )
        guesses = guesses.maximum(is_last.long()).masked_fill(~valid, 0)
        return guesses, values.masked_fill(~valid, 0).sum(2)

    @staticmethod
    def _draws(source: Padded, log_probs: Tensor, number: int) -> Tensor:
        """Return (B, number, U) fertilities drawn with a generator that each sentence seeds, 0 on padding."""
        drawn = log_probs.new_zeros(
            len(log_probs), number, log_probs.shape[1], dtype=torch.long, device="cpu"
        )
        rows = source.values.cpu()
        probs = log_probs.exp().cpu()
        for row, length in enumerate(source.lengths.tolist()):
            seed = zlib.crc32(rows[row, :length].numpy().tobytes())
            generator = torch.Generator().manual_seed(seed)
            each = torch.multinomial(probs[row, :length], number, replacement=True, generator=generator)
            drawn[row, :, :length] = each.T
        return drawn.to(log_probs.device)

    def _fill(self, read: Read, fertility: Tensor, lengths: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the likeliest tokens (T_b,) of B translations, </s> at the end and nowhere else, and ln p (B,)."""
        places = torch.arange(int(lengths.max()), device=lengths.device)
        valid, is_last = places < lengths[:, None], places == lengths[:, None] - 1
        log_probs = self._logits(self.write(read, fertility, valid)).log_softmax(2)
        ends = log_probs[..., END].clone()
        log_probs[..., [PAD, START, END, UNKNOWN]] = float("-inf")
        values, tokens = log_probs.max(2)
        tokens, values = tokens.masked_fill(is_last, END), torch.where(is_last, ends, values)
        rows = [row[:length] for row, length in zip(tokens, lengths.tolist(), strict=True)]
        return rows, values.masked_fill(~valid, 0).sum(1)

    def _at_once(self, lengths: Tensor) -> int:
        """Return how many of so long translations are written at once."""
        return max(1, _MOST_LOGITS // (int(lengths.max()) * len(self.embedding)))

    def _logits(self, x: Tensor) -> Tensor:
        """Return (..., V) of the decoder's vectors (..., D)."""
        return product(x, self.embedding).float()

    def _vectors(self, tokens: Tensor) -> Tensor:
        """Return (B, T, D) of tokens with their positions."""
        found = F.embedding(tokens, self.embedding) * math.sqrt(self.embedding.shape[1])
        found = found + positions(found.shape[1], found.shape[2], device=found.device)
        dropped: Tensor = self.dropout(found)
        return dropped
