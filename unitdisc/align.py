"""Forced alignment: when the symbols of a transcript are said, by a head that says symbols and blanks."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from unitdisc.errors import DataError, RecipeError
from unitdisc.infer import passes
from unitdisc.transcript import Transcriber

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from unitdisc.data import Split
    from unitdisc.model import Model

Span = tuple[float, float]
"""First frame and last frame, excluded."""
Meet = Literal["evidence", "middle"]
"""Where neighbours meet among the blanks between them: see `meetings`, or `middles`."""


@dataclass
class Aligned:
    """Where the symbols of utterances stand.

    Args:
        spans: By key, one per symbol, in frames.
        left_out: By key, why an utterance has none.
    """

    spans: dict[str, list[Span]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def transcriber(model: Model, name: str | None) -> str:
    """Return the name of the head that aligns: ``name``, or the only one that can."""
    able = [head for head, part in model.heads.items() if isinstance(part, Transcriber)]
    accepted = ", ".join(able) or "none; train a recipe with a ctc head"
    if name is None and len(able) == 1:
        return able[0]
    if name not in able:
        found = "there is no head to align with" if not able else "name one of the heads"
        raise RecipeError(f"--head: {f'{name!r} cannot align' if name else found} (accepted: {accepted})")
    return name


def align(
    model: Model, split: Split, head: str, *, batch_frames: int, reach: float, meet: Meet = "evidence"
) -> Aligned:
    """Align every utterance of ``split`` with its transcript.

    Args:
        model: A trained model.
        split: Whose examples have the target of the head.
        head: Name of a `Transcriber`.
        batch_frames: Padded input frames of one batch at most.
        reach: Frames that a symbol can extend beyond the latents that say it (`spans_of`).
        meet: Where neighbours meet.
    """
    aligned = Aligned()
    for key, num_frames, log_probs, symbols in _read(model, split, head, batch_frames):
        if len(symbols) == 0:
            aligned.left_out[key] = "has no transcript"
        elif (needed := _needed(symbols)) > len(log_probs):
            aligned.left_out[key] = (
                f"its transcript of {len(symbols)} symbols needs {needed} latents, but there are {len(log_probs)}"
            )
        else:
            runs = runs_of(best_path(log_probs, symbols))
            aligned.spans[key] = spans_of(
                runs,
                meetings(log_probs, symbols, runs) if meet == "evidence" else middles(runs),
                stride=model.stride,
                num_frames=num_frames,
                reach=reach,
            )
    return aligned


@torch.inference_mode()
def best_path(log_probs: Tensor, symbols: Tensor) -> Tensor:
    """Return (S,) the likeliest path of blanks (0) and symbols (n + 1) that spells ``symbols``.

    Args:
        log_probs: (S, 1 + V), the blank first; S suffices for the symbols and a blank between equal neighbours.
        symbols: (U,) int64, U > 0.
    """
    try:
        from torchaudio.functional import forced_align  # noqa: PLC0415  (it may not import)
    except (ImportError, OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"alignment needs torchaudio, which does not import beside torch {torch.__version__} ({reason}); "
            "install a matching pair"
        ) from None
    path: Tensor = forced_align(log_probs[None], symbols[None] + 1, blank=0)[0]
    return path[0]


def runs_of(path: Tensor) -> list[tuple[int, int]]:
    """Return first and last latent (excluded) of each symbol of a path (S,) of blanks (0) and symbols."""
    runs, end = [], 0
    for token, run in groupby(path.tolist()):
        start, end = end, end + sum(1 for _ in run)
        if token:
            runs.append((start, end))
    return runs


def meetings(log_probs: Tensor, symbols: Tensor, runs: Sequence[tuple[int, int]]) -> list[float]:
    """Return the latent with which each symbol but the first begins.

    A blank between two symbols may stand in either. The blanks are divided where the sum of log-probabilities,
    the first symbol's before and the second's after, is highest: where the head would change if it knew but
    the two. Of several such places, as between equal symbols, it is their middle.

    Args:
        log_probs: (S, 1 + V), the blank first.
        symbols: (U,) int64.
        runs: First and last latent (excluded) of each symbol.
    """
    lowest = torch.finfo(torch.float32).min
    found = []
    for (first, second), ((_, end), (start, _)) in zip(
        pairwise((symbols + 1).tolist()), pairwise(runs), strict=True
    ):
        blanks = log_probs[end:start].double().clamp(min=lowest)
        gains = (blanks[:, first] - blanks[:, second]).cumsum(0)
        sums = torch.cat([gains.new_zeros(1), gains])
        found.append(end + float((sums == sums.max()).nonzero().double().mean()))
    return found


def middles(runs: Sequence[tuple[int, int]]) -> list[float]:
    """Return the latent with which each symbol but the first begins, where all halve the blanks between them.

    The places of narrow symbols under an encoder that sees little, which says each in its middle.
    """
    return [(end + start) / 2 for (_, end), (start, _) in pairwise(runs)]


def spans_of(
    runs: Sequence[tuple[int, int]],
    meetings: Sequence[float],
    *,
    stride: int,
    num_frames: int,
    reach: float,
) -> list[Span]:
    """Return where symbols stand, in frames, from the latents that say them.

    CTC says a symbol in a latent or two, somewhere in the symbol's time, and a blank before and after, silent
    or not. Latent s stands for the frames [s * stride, (s + 1) * stride). Neighbours end where they meet, but
    none extends more than ``reach`` frames beyond its own latents: what lies farther from every symbol, above
    all before the first and after the last, belongs to none.

    Args:
        runs: First and last latent (excluded) of each symbol.
        meetings: The latent with which each symbol but the first begins, also within one.
        stride: Frames per latent.
        num_frames: Frames of the utterance.
        reach: In frames.
    """
    edges = pairwise([0.0, *(latent * stride for latent in meetings), float(num_frames)])
    return [
        (max(low, first * stride - reach), min(high, last * stride + reach))
        for (first, last), (low, high) in zip(runs, edges, strict=True)
    ]


@torch.inference_mode()
def _read(
    model: Model, split: Split, head: str, batch_frames: int
) -> Iterator[tuple[str, int, Tensor, Tensor]]:
    """Yield key, number of frames, log-probabilities (S, 1 + V) and symbols (U,) of each utterance."""
    part, place = model.heads[head], model.places[head]
    assert isinstance(part, Transcriber)  # noqa: S101  (`transcriber` has chosen it)
    for passed in passes(model, split, batch_frames=batch_frames):
        batch, latents = passed.batch, passed.latents
        seen = model.views(batch.inputs, latents, passed.seen, passed.quantized.codes)[place]
        log_probs, target = part.log_probs(seen).float().cpu(), batch.targets[part.target]
        for row, key in enumerate(batch.keys):
            symbols = target.values[row, : int(target.lengths[row])].cpu()
            yield key, int(batch.inputs.lengths[row]), log_probs[row, : int(seen.lengths[row])], symbols


def _needed(symbols: Tensor) -> int:
    """Return the fewest latents that say ``symbols`` (U,): equal neighbours need a blank between."""
    return len(symbols) + int((symbols[1:] == symbols[:-1]).sum())
