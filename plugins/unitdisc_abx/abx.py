"""ABX discriminability as a metric."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt

from unitdisc.errors import DataError, RecipeError
from unitdisc.metric import Metric
from unitdisc.named import field_value, frame_target
from unitdisc_abx.blocks import Frames
from unitdisc_abx.carried import carried
from unitdisc_abx.cells import Limits, groups
from unitdisc_abx.frame_distances import checked, frame_distance
from unitdisc_abx.item_file import read_items
from unitdisc_abx.means import Score
from unitdisc_abx.scoring import score
from unitdisc_abx.tokens import Token, labelled

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unitdisc.metric import Evaluated, Need


class ABX(Metric):
    """ABX error in percent: how often X is closer to a token B of another label than to A of its own; 50 is chance.

    A, B and X are stretches of frames. The error of a cell, which is all of them of one pair of labels, context
    and speakers, is the mean over its triplets of 1 where d(X, A) > d(X, B) and 1/2 where both are equal; d is the
    least sum of frame distances along a warping path with X first, over the path's length (Schatz et al. 2013).
    "within" a speaker A and X are any two tokens of his; "across", X is of another speaker than A and B. The value
    is the mean over contexts and speakers of X, then over speakers of A and B, then over ordered "pairs" of
    labels. That is the definition of fastabx 0.9, whose values come out where nothing is sampled; draws differ, and
    so do ties that rounding breaks there: here equal frames are at distance 0 and sums do not depend on their order.

    "cells", "triplets", "tokens" and "pairs" say how much was compared, "empty" how many tokens have no frame: a
    short token between two latents has none. Shuffled units, the chance value, keep the tokens' durations.

    Args:
        target: Name of a target with one label per frame, whose runs of equal labels are the tokens; unlabelled
            frames and the ends of the utterance are one kind of context.
        item_file: Tokens from a file of ZeroSpeech or libri-light in place of a target: a header ``#file onset
            offset #phone prev-phone next-phone speaker``, then a line per token, in seconds; #file is the
            utterance's id.
        on: "units": the codes. "latents": vectors before the bottleneck. "values": those after it. "inputs": the
            features as the encoder sees them.
        distance: Between frames. "angular": the angle over pi. "euclidean". "kl": symmetrised, of distributions.
            "identical": 0 or 1, of units; all codebooks count as one unit. null takes identical for units and
            angular for vectors.
        book: Codebook to score by itself, from 0; null takes the tuple of all codes as the unit.
        speaker: "within" or "across" speakers.
        context: "within": A, B and X have the same labels before and after them. "any": whatever they have.
        span: What of a target's run is compared: "single": itself. "triple": itself with the runs before and after
            it, as the triphones of ZeroSpeech, which go with context within.
        field: Manifest field that names the speaker (or the writer); null takes all as one. An item file has its
            own.
        slicing: Which frames belong to a token. "standard": those whose middle lies in it, edges included.
            "librilight": without the last of them, as in libri-light and ZeroSpeech 2021.
        zero_frames: What a vector of zeros is under "angular". "far": at distance 1 from all others and 0 from
            another one, as in libri-light. "diagonal": a vector whose numbers are all equal, as in fastabx.
        empty: What becomes of a token without a frame: "skip" it, or "refuse" to score.
        max_size_group: Most tokens of one label, context and speaker, drawn at random; ZeroSpeech takes 10, null
            takes all.
        max_x_across: Most speakers of X for one A and B, drawn at random; ZeroSpeech takes 5, null takes all.
        seed: Of the draws.
    """

    higher_is_better: ClassVar[bool] = False

    def __init__(
        self,
        *,
        target: str | None = None,
        item_file: Path | None = None,
        on: Literal["units", "latents", "values", "inputs"] = "units",
        distance: Literal["angular", "euclidean", "kl", "identical"] | None = None,
        book: Annotated[int, Ge(0)] | None = None,
        speaker: Literal["within", "across"] = "within",
        context: Literal["within", "any"] = "within",
        span: Literal["single", "triple"] = "single",
        field: str | None = "speaker",
        slicing: Literal["standard", "librilight"] = "standard",
        zero_frames: Literal["far", "diagonal"] = "far",
        empty: Literal["skip", "refuse"] = "skip",
        max_size_group: Annotated[int, Gt(1)] | None = 10,
        max_x_across: Annotated[int, Gt(0)] | None = 5,
        seed: Annotated[int, Ge(0)] = 0,
    ) -> None:
        if (target is None) == (item_file is None):
            raise RecipeError("give abx either a target or an item_file")
        if distance is not None and (distance == "identical") != (on == "units"):
            raise RecipeError(
                f"distance {distance} on {on}: identical goes with units, the others with vectors"
            )
        if item_file is not None and span == "triple":
            raise RecipeError("span: an item file says itself what its tokens are; leave span out")
        self.needs: tuple[Need, ...] = () if on == "units" else (on,)
        self._target, self._field, self._span = target, field, span
        self._on, self._book = on, book
        self._distance = frame_distance(
            distance or ("identical" if on == "units" else "angular"), zero_frames
        )
        self._speaker, self._context = speaker, context
        self._slicing, self._refuses_empty = slicing, empty == "refuse"
        self._limits = Limits(max_size_group, max_x_across, seed)
        self._item_file = item_file
        self._items = None if item_file is None else read_items(item_file)
        self._heard: dict[str, tuple[torch.Tensor, list[tuple[Token, int, int]]]] = {}
        self._empty = 0
        self._left_out: set[str] = set()

    def update(self, item: Evaluated) -> None:
        """Keep the frames of one utterance's tokens."""
        tokens = list(self._tokens(item))
        frames = carried(item, self._on, self._book)
        rate = Fraction(1) if self._on == "inputs" else Fraction(1, item.stride)
        if self._items is not None:
            rate *= Fraction(item.frame_rate)
        kept = []
        for token in tokens:
            start, stop = self._cut(token, rate, len(frames), item.key)
            if start < stop:
                kept.append((token, start, stop))
            elif self._refuses_empty:
                raise DataError(
                    f"{item.key}: '{token.label}' from {float(token.onset):g} to {float(token.offset):g} holds the "
                    "middle of no frame; set empty to skip, or score frames that are closer together"
                )
        self._empty += len(tokens) - len(kept)
        self._heard[item.key] = (checked(self._distance, torch.from_numpy(frames), item.key), kept)

    def leave_out(self, item: Evaluated) -> None:
        """Do without one utterance's tokens."""
        self._left_out.add(item.key)

    def compute(self) -> dict[str, float]:
        """Return the error and the counts. Raises `DataError` where there is nothing to compare."""
        self._require_all_files()
        heard = [self._heard[key] for key in sorted(self._heard)]
        offsets = np.cumsum([0, *(len(frames) for frames, _ in heard)])
        places = [
            (token, offset + start, stop - start)
            for offset, (_, kept) in zip(offsets[:-1].tolist(), heard, strict=True)
            for token, start, stop in kept
        ]
        tokens = [token for token, _, _ in places]
        total = Score(len({token.label for token in tokens}), len({token.speaker for token in tokens}))
        if tokens:
            starts, lengths = (np.array(column, np.int64) for column in list(zip(*places, strict=True))[1:])
            frames = Frames(torch.cat([frames for frames, _ in heard]), starts, lengths)
            found = groups(tokens, speaker=self._speaker, context=self._context, limits=self._limits)
            score(found, frames, self._distance, total)
        if not total.cells:
            raise DataError(self._nothing(total, len(tokens)))
        error, pairs = total.mean()
        return {
            "value": 100 * error,
            "pairs": float(pairs),
            "cells": float(total.cells),
            "triplets": float(total.triplets),
            "tokens": float(len(tokens)),
            "empty": float(self._empty),
        }

    def _tokens(self, item: Evaluated) -> Iterable[Token]:
        if self._items is not None:
            return self._items.get(item.key, [])
        speaker = "" if self._field is None else field_value(item, self._field)
        return labelled(frame_target(item, str(self._target)), speaker, self._span)

    def _cut(self, token: Token, rate: Fraction, num_frames: int, key: str) -> tuple[int, int]:
        """Return the frames of a token. Raises `DataError` for one that ends behind its utterance."""
        start, stop = token.frames(rate, self._slicing)
        if stop > num_frames and self._slicing == "standard":
            raise DataError(
                f"{key}: '{token.label}' ends at {float(token.offset):g} s, in frame {stop} of {num_frames}; the item "
                "file is of another recording, or features lack a frame at the end: pad them, or take slicing "
                "librilight, which cuts what is too long"
            )
        return start, min(stop, num_frames)

    def _require_all_files(self) -> None:
        missing = sorted(set(self._items or ()) - set(self._heard) - self._left_out)
        if missing:
            raise DataError(
                f"{self._item_file}: {len(missing)} of {len(self._items or ())} files are not in the split, such as "
                f"{missing[0]}; score the split that it was made for, with #file as its ids"
            )

    def _nothing(self, total: Score, num_tokens: int) -> str:
        asked = "two tokens of a label by one" if self._speaker == "within" else "a label by two"
        return (
            f"nothing to compare in {num_tokens} tokens (and {self._empty} without a frame) of {total.num_labels} "
            f"labels by {total.num_speakers} speakers: {self._speaker} speakers it takes {asked} speaker"
            f"{'' if self._speaker == 'within' else 's'} beside another label"
            f"{' in the same context; set context to any, or' if self._context == 'within' else ';'} "
            "score a larger split"
        )
