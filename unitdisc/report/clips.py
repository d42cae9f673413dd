"""Utterances, lines, pictures and sentences as they stand on the page."""

from __future__ import annotations

from io import BytesIO
from textwrap import shorten
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from unitdisc.report.browse import Clip
from unitdisc.report.colours import sound_colours
from unitdisc.report.picture import label_spans
from unitdisc.report.sound import mu_law, resampled, spectrogram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitdisc.data import DataSource, Example, Split
    from unitdisc.report.browse import Timed
    from unitdisc.report.excerpts import Excerpt
    from unitdisc.report.inventory import Inventory

_LONGEST_TEXT = 300
_DIGITS = 4


class Clips:
    """Makes clips of the pieces of a split.

    Args:
        source: What the split is of.
        split: The examples.
        inventory: Their units.
        stride: Frames per unit.
        target: The "frames" target whose labels are shown; "" shows none.
        shown: Fields of an example to show.
        beside: By id, units of the other run from the beginning of the example on, with the time of a step.
    """

    def __init__(
        self,
        source: DataSource,
        split: Split,
        inventory: Inventory,
        *,
        stride: int,
        target: str = "",
        shown: Sequence[str] = (),
        beside: dict[str, tuple[list[str], float]] | None = None,
    ) -> None:
        self.source, self.split, self.inventory = source, split, inventory
        self.stride, self.target, self.shown, self.beside = stride, target, shown, beside or {}

    def runs(self, piece: Excerpt) -> np.ndarray:
        """Return (M, 3), the occurrences in a piece: number of the unit, first and last step from its beginning."""
        runs = self.inventory.runs(piece.index)
        inside = runs[(runs[:, 2] > piece.first) & (runs[:, 1] < piece.stop)]
        inside[:, 1:] = np.clip(inside[:, 1:], piece.first, piece.stop) - piece.first
        return inside

    def draw(self, piece: Excerpt) -> Clip:
        """Load an example and return the piece of it."""
        example = self.split[piece.index]
        rate = self.source.features.frame_rate
        frames = piece.first * self.stride, min(piece.stop * self.stride, len(example.inputs))
        start, length = frames[0] / rate, (frames[1] - frames[0]) / rate
        image, size, sound = self._seen_and_heard(piece.index, example, frames)
        return Clip(
            key=example.key,
            about=self._about(piece.index, example),
            start=_rounded(start),
            length=_rounded(length),
            whole=_rounded(len(example.inputs) / rate),
            units=self._units(piece, length),
            labels=self._labels(example, frames),
            beside=self._beside(example.key, start, length),
            image=image,
            size=size,
            sound=sound,
            texts=self._texts(piece, example),
        )

    def _units(self, piece: Excerpt, length: float) -> Timed:
        step = self.stride / self.source.features.frame_rate
        return [
            (self.inventory.names[unit], _rounded(min(stop * step, length)))
            for unit, _, stop in self.runs(piece).tolist()
        ]

    def _labels(self, example: Example, frames: tuple[int, int]) -> list[tuple[float, float, str]]:
        if not self.target:
            return []
        rate, vocab = self.source.features.frame_rate, self.source.targets[self.target].vocab
        spans = label_spans(example.targets[self.target][slice(*frames)].numpy(), vocab)
        return [(_rounded(first / rate), _rounded(stop / rate), name) for first, stop, name in spans]

    def _beside(self, key: str, start: float, length: float) -> Timed:
        if key not in self.beside:
            return []
        names, step = self.beside[key]
        if self.source.features.grid is not None:
            return [(name, _rounded(number + 1)) for number, name in enumerate(names)]
        timed: Timed = []
        for number, name in enumerate(names):
            left, right = number * step - start, min((number + 1) * step - start, length)
            if right <= 0 or left >= length:
                continue
            if timed and timed[-1][0] == name:
                timed.pop()
            timed.append((name, _rounded(right)))
        return timed

    def _about(self, index: int, example: Example) -> list[tuple[str, str]]:
        fields = self.split.fields(index)
        about = [(name, fields[name]) for name in self.shown if fields.get(name)]
        if self.source.features.vocab_size is not None:
            about.append(("text", self.split.text(example.inputs)))
        return [(name, shorten(value, _LONGEST_TEXT, placeholder=" ...")) for name, value in about]

    def _texts(self, piece: Excerpt, example: Example) -> list[str]:
        if self.source.features.vocab_size is None:
            return []
        return [
            self.split.text(
                example.inputs[(piece.first + first) * self.stride :][: (stop - first) * self.stride]
            )
            for _, first, stop in self.runs(piece).tolist()
        ]

    def _seen_and_heard(
        self, index: int, example: Example, frames: tuple[int, int]
    ) -> tuple[bytes, tuple[int, int], bytes]:
        """Return a PNG, its size, and samples of the frames [first, stop); what cannot be seen or heard is empty."""
        features = self.source.features
        if features.vocab_size is not None:
            return b"", (0, 0), b""
        recorded = self.split.sound(index)
        if recorded is not None:
            samples, rate = recorded
            first, stop = (round(frame / features.frame_rate * rate) for frame in frames)
            heard = resampled(samples[first : max(stop, first + 1)], rate)
            return *_png(spectrogram(heard), is_sound=True), mu_law(heard)
        seen = self.source.picture(example)
        if features.grid is None:
            seen = seen[:, slice(*frames)]
        return *_png(seen, is_sound=features.unit_of_time == "second"), b""


def _png(image: np.ndarray, *, is_sound: bool) -> tuple[bytes, tuple[int, int]]:
    """Return the bytes of a PNG with its width and height; sound in the colours of sound."""
    drawn = Image.fromarray(np.ascontiguousarray(image))
    if is_sound:
        drawn = drawn.convert("L")
        drawn.putpalette(sound_colours(np.arange(256)).tobytes())
    file = BytesIO()
    drawn.save(file, "PNG", optimize=True)
    return file.getvalue(), drawn.size


def _rounded(time: float) -> float:
    return round(float(time), _DIGITS)
