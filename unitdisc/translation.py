"""Translation with a trained model: candidates by its decoder, and where wanted a teacher that chooses among them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from unitdisc.coded import Coded
from unitdisc.errors import RecipeError
from unitdisc.likelihood import Likelihood
from unitdisc.parts import Batch, Padded
from unitdisc.plan import fill
from unitdisc.transcript import Translator
from unitdisc.watch import UNWATCHED, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from unitdisc.model import Model
    from unitdisc.sentences import SentenceSource

_TEACHER_TOKENS = 4096
"""Tokens of candidates, with padding, of which a teacher's probabilities are in memory at once."""


def translator(model: Model) -> Translator:
    """Return the decoder of a model that translates. Raises `RecipeError` for any other."""
    if not isinstance(model.decoder, Translator):
        raise RecipeError(
            "there is no decoder that translates; take one, such as autoregressive or latent_transformer"
        )
    return model.decoder


def penalty(length: int | Tensor, alpha: float) -> float | Tensor:
    """Return what ln p of a translation of so many tokens, </s> included, is divided by (Wu et al. 2016, eq. 14)."""
    return ((5 + length) / 6) ** alpha


@torch.inference_mode()
def translate(
    model: Model,
    source: Padded,
    *,
    teacher: Model | Path | str | None = None,
    length_penalty: float = 0.6,
    watch: Watch = UNWATCHED,
    **options: Any,
) -> list[Tensor]:
    """Return B translations (U_b,) int64 of source sentences (B, U), as the data gives inputs.

    Raises `RecipeError` for a teacher that cannot judge them.

    Args:
        model: In evaluation mode; its decoder is a `Translator`.
        source: Tokens, on the model's device.
        teacher: Model, or the folder of its run, that chooses among the candidates of a sentence: the one with the
            highest ln p / `penalty` under it is taken (noisy parallel decoding, Gu et al. 2018, 3.4).
        length_penalty: Alpha of the penalty.
        watch: Is told what is done.
        options: Further arguments of `Translator.candidates`.
    """
    found = translator(model).candidates(
        source, lookup=model.bottleneck.lookup, length_penalty=length_penalty, watch=watch, **options
    )
    if teacher is None:
        return [candidates[0] for candidates in found]
    judge = _fitting(teacher, model)
    places = iter(_scores(judge, source, found, length_penalty).split([len(each) for each in found]))
    chosen = [candidates[int(next(places).argmax())] for candidates in found]
    watch.done("teacher")
    return chosen


def translate_all(
    model: Model, sentences: Sequence[Tensor], *, batch_tokens: int, **options: Any
) -> list[Tensor]:
    """Return on the CPU the translation (U_b,) int64 of each source sentence, in order.

    Args:
        model: As in `translate`.
        sentences: (U,) int64 each.
        batch_tokens: Source tokens of a batch at most, with padding; similar lengths go together.
        options: As in `translate`.
    """
    lengths = [len(sentence) for sentence in sentences]
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    found: dict[int, Tensor] = {}
    for indices in fill(order, lengths, batch_frames=batch_tokens):
        source = _padded([sentences[index] for index in indices]).to(model.device)
        rows = translate(model, source, **options)
        found.update(zip(indices, (row.cpu() for row in rows), strict=True))
    return [found[index] for index in range(len(lengths))]


def translate_texts(
    model: Model, source: SentenceSource, texts: Sequence[str], *, batch_tokens: int, **options: Any
) -> list[str]:
    """Return the translation of each text; an empty text gives an empty one.

    Args:
        model: As in `translate`.
        source: The data source of the model, prepared.
        texts: Sentences, of any length and in any letters.
        batch_tokens: As in `translate_all`.
        options: As in `translate`.
    """
    sentences = {place: source.sentence(text) for place, text in enumerate(texts) if text.strip()}
    rows = translate_all(model, list(sentences.values()), batch_tokens=batch_tokens, **options)
    written = dict(zip(sentences, (as_line(source.spelled(row)) for row in rows), strict=True))
    return [written.get(place, "") for place in range(len(texts))]


def as_line(text: str) -> str:
    """Return what a model wrote on one line: it may spell line feeds, byte by byte."""
    return text.replace("\n", " ").strip()


def _scores(teacher: Model, source: Padded, found: Sequence[Sequence[Tensor]], alpha: float) -> Tensor:
    """Return (N,) ln p / penalty of all N candidates, one sentence's after the other's."""
    rows = [row for candidates in found for row in candidates]
    owners = [number for number, candidates in enumerate(found) for _ in candidates]
    lengths = [len(row) for row in rows]
    scores = torch.zeros(len(rows), device=source.lengths.device)
    order = sorted(range(len(rows)), key=lengths.__getitem__)
    for indices in fill(order, lengths, batch_frames=_TEACHER_TOKENS):
        whose = torch.tensor([owners[index] for index in indices], device=source.lengths.device)
        sentences = Padded(source.values[whose], source.lengths[whose])
        targets = _padded([rows[index] for index in indices]).to(source.lengths.device)
        log_p = -_nats(teacher, sentences, targets)
        scores[indices] = log_p / penalty(targets.lengths, alpha)
    return scores


def _nats(teacher: Model, sentences: Padded, targets: Padded) -> Tensor:
    """Return (N,) -ln p of each target given its sentence."""
    names = [str(number) for number in range(len(targets.lengths))]
    batch = Batch(names, targets, {}, {translator(teacher).source: sentences})
    latents = teacher.encode(batch)
    quantized = teacher.quantize(latents)
    seen = Coded(quantized.values, latents.lengths, quantized.codes)
    assert isinstance(teacher.decoder, Likelihood)  # noqa: S101  (`_fitting` saw to that)
    return teacher.decoder.nats(seen, batch)


def _fitting(teacher: Model | Path | str, model: Model) -> Model:
    """Return the teacher, on the model's device. Raises `RecipeError` where it cannot judge what the model writes."""
    name = "the teacher" if isinstance(teacher, torch.nn.Module) else str(teacher)
    if not isinstance(teacher, torch.nn.Module):
        teacher = _loaded(Path(teacher).resolve()).to(model.device)
    if not (isinstance(teacher.decoder, Likelihood) and isinstance(teacher.decoder, Translator)):
        raise RecipeError(
            f"teacher: {name} gives no probabilities of translations; take a run with the decoder autoregressive"
        )
    pieces = [each.conditions.get(translator(each).source) for each in (model, teacher)]
    if pieces[0] != pieces[1] or model.features != teacher.features:
        raise RecipeError(
            f"teacher: {name} spells sentences with other pieces, so it cannot read these; train one of them with the "
            "other's vocabulary (data.vocabulary)"
        )
    return teacher


@lru_cache(maxsize=2)
def _loaded(folder: Path) -> Model:
    """Return the model of a run; a second ask does not read it again."""
    from unitdisc.run import load  # noqa: PLC0415  (a run translates with this module)

    return load(folder).model


def _padded(rows: Sequence[Tensor]) -> Padded:
    values = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    return Padded(values, torch.tensor([len(row) for row in rows], device=values.device))
