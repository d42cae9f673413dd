"""The latent Transformer of paper B: predicts few latents one by one, then writes all tokens at once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor, nn

from unitdisc.coded import Coded
from unitdisc.parts import Batch, Decoder, Padded
from unitdisc.transcript import Translator
from unitdisc.watch import UNWATCHED, Watch
from unitdisc_translation.convolutions import Spread
from unitdisc_translation.latent_checks import check, coded, sentence
from unitdisc_translation.latent_predictor import LatentPredictor, LatentSteps, search
from unitdisc_translation.terminal import TerminalCodes
from unitdisc_translation.transformer import DecoderLayer, EncoderLayer, Norm, Stack, positions
from unitdisc_translation.vocabulary import PAD
from unitdisc_translation.writing import write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    from unitdisc.data import FeatureSpec


class LatentTransformer(Translator, Decoder):
    """Writes the target from its latents and the source, and learns to predict these latents (paper B, section 4).

    Latents are spread over tokens by transposed convolutions and then read, with the source, by Transformer layers
    that give all tokens at once. A second, autoregressive Transformer predicts the codes from the source: its target
    is the mean of the m samples' one-hots where the rule draws some (4.1). Any bottleneck does.

    The loss per frame is -ln p of the target's tokens, <pad> left out, plus ``predictor_weight`` times -ln p of the
    codes; with weight 1 a bound on -ln p(target | source). At translation there are 2 |x| / stride latents, so the data
    must pad targets alike (``data.pad``).

    Codes that stand for padding alone are known by counts, and end a latent sentence early (paper B notes such a
    code in Table 5). The last layers read the one that ends it, too: without it the words before it change.

    Args:
        dim: Size of what the codes stand for.
        features: What an input frame is.
        conditions: Number of values of each condition of the data.
        stride: Tokens per latent, a power of two.
        num_codes: K.
        num_codebooks: Q.
        source: Condition that is the source sentence.
        hidden: Size D of all vectors; 512 in paper B.
        layers: Layers of the encoder of the source, of the predictor, and of the decoder.
        heads: Heads of each attention.
        inner: Size inside the feed-forward sublayers.
        norm: See `unitdisc_translation.transformer.Residual`.
        dropout: Share of numbers that training leaves out.
        smoothing: Share of the target's probability that training spreads over the vocabulary; 0 in tensor2tensor.
        reading: "paper": each place reads its own spread latent and all others. "code": moved right by one and
            causal, as found in tensor2tensor.
        attends_source: Whether the last layers look at the source; paper B's text says that they do not, its code
            that they do.
        mask_until: Training, as a share of all steps, in which some places read the true token in place of the
            latent: from all places to none (tensor2tensor: 50,000 steps); 0 shows none. With reading
            "paper" only the other places count.
        predictor_start: Share of all steps after which the predictor's loss counts (tensor2tensor: 50,000 steps).
        predictor_weight: Weight of that loss.
        predictor_gradient: Whether it also trains the encoder, through the latents that the predictor reads.
        purity: A code ends a sentence when this share of its uses in training stood for <pad> alone.
    """

    def __init__(
        self,
        *,
        dim: int,
        features: FeatureSpec,
        conditions: Mapping[str, int],
        stride: int,
        num_codes: int,
        num_codebooks: int,
        source: str = "source",
        hidden: Annotated[int, Gt(0)] = 512,
        layers: Annotated[int, Gt(0)] = 6,
        heads: Annotated[int, Gt(0)] = 8,
        inner: Annotated[int, Gt(0)] = 4096,
        norm: Norm = "pre",
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.1,
        smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0,
        reading: Literal["paper", "code"] = "paper",
        attends_source: bool = True,
        mask_until: Annotated[float, Ge(0), Le(1)] = 0.0,
        predictor_start: Annotated[float, Ge(0), Lt(1)] = 0.0,
        predictor_weight: Annotated[float, Gt(0)] = 1.0,
        predictor_gradient: bool = True,
        purity: Annotated[float, Gt(0.5), Le(1)] = 0.99,
    ) -> None:
        super().__init__()
        check(features, conditions, source, stride=stride, num_codes=num_codes, hidden=hidden, heads=heads)
        self.source, self.stride = source, stride
        self.num_codebooks = num_codebooks
        self.smoothing, self.reading = smoothing, reading
        self.mask_until, self.predictor_start = mask_until, predictor_start
        self.predictor_weight, self.predictor_gradient = predictor_weight, predictor_gradient
        self.progress = 0.0
        self.attends_source = attends_source
        assert features.vocab_size is not None  # noqa: S101  (checked above)
        self.embedding = nn.Parameter(torch.randn(features.vocab_size, hidden) / hidden**0.5)
        self.dropout = nn.Dropout(dropout)
        sizes = {"layers": layers, "heads": heads, "inner": inner, "dropout": dropout}
        self.encoder = Stack(EncoderLayer, hidden, norm=norm, **sizes)  # type: ignore[arg-type]
        self.predictor = LatentPredictor(
            dim=dim,
            hidden=hidden,
            num_codes=num_codes,
            num_codebooks=num_codebooks,
            norm=norm,
            **sizes,  # type: ignore[arg-type]
        )
        self.spread = Spread(dim, hidden=hidden, doublings=int(math.log2(stride)), dropout=dropout)
        kind = DecoderLayer if attends_source else EncoderLayer
        self.decoder = Stack(kind, hidden, norm=norm, **sizes)  # type: ignore[arg-type]
        self.terminal = TerminalCodes(num_codebooks=num_codebooks, num_codes=num_codes, purity=purity)

    def before_step(self, progress: float) -> None:
        """Set what the schedules say."""
        self.progress = progress

    def forward(self, latents: Padded, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss per frame; "perplexity" of tokens, of latents, and "bound", on that of tokens alone."""
        seen, source = coded(latents, batch, self.source, self.stride), sentence(batch, self.source)
        if self.training:
            self.terminal.add(seen, batch.inputs, stride=self.stride, pad=PAD)
        encoded, mask = self.encode(source)
        is_shown = self._shown(batch.inputs)
        read = self._read(self._mixed(seen, batch.inputs, is_shown), encoded, mask)
        logits = F.linear(read, self.embedding)
        counted = batch.inputs.mask & (batch.inputs.values != PAD)
        counted = counted & ~is_shown if self.reading == "paper" else counted
        log_probs = logits[counted].float().log_softmax(1)
        exact = -log_probs.gather(1, batch.inputs.values[counted][:, None]).sum()
        nats = exact
        if self.training and self.smoothing:
            nats = torch.lerp(exact, -log_probs.mean(1).sum(), self.smoothing)
        predicted = self._predicted(seen, encoded, mask)
        weight = self.predictor_weight * (self.progress >= self.predictor_start or not self.training)
        loss = (nats + weight * predicted) / max(batch.num_frames, 1)
        tokens, codes = counted.sum().clamp(min=1), (seen.codes >= 0).sum().clamp(min=1)
        exact, predicted = exact.detach(), predicted.detach()
        return loss, {
            "perplexity": (exact / tokens).exp(),
            "latent_perplexity": (predicted / codes).exp(),
            "bound": ((exact + predicted) / tokens).exp(),
        }

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
        """Return of each sentence ``beam`` translations, those of the likeliest latent sentences, </s> last.

        ``length_penalty`` changes nothing, as all latent sentences of a source stand for equally many tokens. With
        ``max_length`` there is one latent more than so many tokens need: the last layers read the one that ends a
        sentence. A translation that fits the limit is then most often what it is without one; it differs where its
        latents do not end there, and where a latent sentence that the limit cuts short wins the beam.
        """
        del length_penalty
        encoded, mask = self.encode(source)
        watch.done("source")
        codes = self.sentences(
            source,
            encoded,
            mask,
            lookup=lookup,
            beam=beam,
            max_length=max_length if early_stop else None,
            is_end=self.terminal.found if early_stop else None,
            watch=watch,
        )
        watch.done("latents")
        flat = codes.flatten(0, 1)  # (N, S, Q)
        lengths = (flat[..., 0] >= 0).sum(1)
        latents = Padded(lookup(flat), lengths)
        if beam > 1:
            encoded, mask = encoded.repeat_interleave(beam, 0), mask.repeat_interleave(beam, 0)
        found = self._write(latents, encoded, mask, max_length)
        watch.done("decoder")
        return [found[first : first + beam] for first in range(0, len(found), beam)]

    def sentences(
        self,
        source: Padded,
        encoded: Tensor,
        mask: Tensor,
        *,
        lookup: Callable[[Tensor], Tensor],
        beam: int,
        max_length: int | None,
        is_end: Tensor | None,
        watch: Watch = UNWATCHED,
    ) -> Tensor:
        """Return the likeliest latent sentences (B, beam, S, Q), -1 behind their ends, the likeliest first."""
        planned = -(-2 * source.lengths // self.stride)
        needed = planned if max_length is None else planned.clamp(max=-(-max_length // self.stride) + 1)
        steps = LatentSteps(self.predictor, encoded, mask, beam=beam, longest=int(needed.max()))
        codes = search(steps, needed, lookup=lookup, beam=beam, is_end=is_end)
        watch.count("latents", int((codes[:, 0, :, 0] >= 0).sum()), int(planned.sum()))
        return codes

    @torch.no_grad()
    def forced(self, latents: Padded, batch: Batch) -> list[Tensor]:
        """Return B sentences, what is written from the target's own latents (paper B, Fig. 3)."""
        seen = coded(latents, batch, self.source, self.stride)
        encoded, mask = self.encode(sentence(batch, self.source))
        return self._write(seen, encoded, mask, None)

    def terminal_codes(self) -> np.ndarray:
        """Return (Q, K) bool, the codes that end a latent sentence."""
        return self.terminal.found.cpu().numpy()

    def encode(self, source: Padded) -> tuple[Tensor, Tensor]:
        """Return vectors (B, U, D) of source tokens and the mask (B, 1, 1, U) of valid ones."""
        vectors = self._embed(source.values.masked_fill(~source.mask, PAD))
        mask = source.mask[:, None, None]
        return self.encoder(self._placed(vectors), mask), mask

    def _shown(self, inputs: Padded) -> Tensor:
        """Return (B, T) bool, the places that read the true token in place of the latent."""
        if not self.training or self.progress >= self.mask_until:
            return torch.zeros_like(inputs.mask)
        share = self.progress / self.mask_until
        masked = share * 0.01 ** (
            1 - min(1.0, 4 * share)
        )  # tensor2tensor: linear, times exponential over a quarter
        return (torch.rand(inputs.mask.shape, device=inputs.mask.device) >= masked) & inputs.mask

    def _mixed(self, latents: Coded, inputs: Padded, is_shown: Tensor) -> Padded:
        """Return what the last layers read (B, T, D): spread latents, true tokens where they are shown."""
        spread = self.spread(latents)
        values = spread.values[:, : inputs.values.shape[1]]
        if self.training and self.mask_until:
            tokens = self._embed(inputs.values.masked_fill(~inputs.mask, PAD))
            values = torch.where(is_shown[..., None], tokens, values)
        return self._moved(Padded(values, inputs.lengths))

    def _moved(self, read: Padded) -> Padded:
        """Return the same, moved right by one where the reading is that of the code."""
        if self.reading == "paper":
            return read
        return Padded(F.pad(read.values[:, :-1], (0, 0, 1, 0)), read.lengths)

    def _read(self, read: Padded, encoded: Tensor, mask: Tensor) -> Tensor:
        """Return (B, T, D), what the last layers know of the token at each place (B, T, D)."""
        x, own = self._placed(read.values), read.mask[:, None, None]
        if self.reading == "code":
            causal = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
            own = own & causal
        found: Tensor = self.decoder(x, encoded, mask, own) if self.attends_source else self.decoder(x, own)
        return found

    def _write(self, latents: Padded, encoded: Tensor, mask: Tensor, most: int | None) -> list[Tensor]:
        """Return sentences (U,) of latents (B, S, dim): the likeliest tokens up to the first </s>, which is last."""
        found = self._read(self._moved(self.spread(latents)), encoded, mask)
        limits = latents.lengths * self.stride
        # The last latent most often says that nothing more comes.
        early = limits - self.stride
        limits = limits if most is None else limits.clamp(max=most)
        return write(found, self.embedding, early=early, limits=limits)

    def _predicted(self, latents: Coded, encoded: Tensor, mask: Tensor) -> Tensor:
        """Return -ln p () of all codes, a mean over the samples of each where there are some."""
        vectors = latents.values if self.predictor_gradient else latents.values.detach()
        log_probs = self.predictor(vectors, encoded, mask)  # (B, S, Q, K)
        targets = latents.codes[..., None] if latents.samples is None else latents.samples
        found = log_probs.gather(3, targets.clamp(min=0)).mean(3)
        return -found[latents.mask].sum()

    def _placed(self, vectors: Tensor) -> Tensor:
        """Return vectors (B, T, D) with their positions."""
        found: Tensor = self.dropout(
            vectors + positions(vectors.shape[1], vectors.shape[2], device=vectors.device)
        )
        return found

    def _embed(self, tokens: Tensor) -> Tensor:
        return F.embedding(tokens, self.embedding) * math.sqrt(self.embedding.shape[1])
