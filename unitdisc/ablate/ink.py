"""Marks and lines without stairs, in colours and shapes that tell variants apart for every eye."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from unitdisc.report.canvas import PAPER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitdisc.report.colours import Colour

_FINE = 3
# Okabe & Ito (2008), without yellow, which is faint on white.
_COLOURS: tuple[Colour, ...] = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    (0, 0, 0),
)
# Corners in units of the radius; () is a disc.
_SHAPES: tuple[tuple[tuple[float, float], ...], ...] = (
    (),
    ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    ((0, -1.2), (1.1, 0.8), (-1.1, 0.8)),
    ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
)


def colour(number: int) -> Colour:
    """Return the colour of the variant ``number``."""
    return _COLOURS[number % len(_COLOURS)]


class Ink:
    """A white area to draw on, finer than it is shown; what leaves it is cut.

    Args:
        width: In pixels.
        height: In pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._fine = Image.new("RGB", (width * _FINE, height * _FINE), PAPER)
        self._draw = ImageDraw.Draw(self._fine)

    def line(self, points: Sequence[tuple[float, float]], fill: Colour, width: float = 1) -> None:
        """Draw a line through ``points``."""
        self._draw.line(
            [(x * _FINE, y * _FINE) for x, y in points],
            fill=fill,
            width=round(width * _FINE),
            joint="curve",
        )

    def dashes(self, x: float, fill: Colour) -> None:
        """Draw a dashed line from top to bottom."""
        for top in range(0, self.height, 8):
            self.line([(x, top), (x, top + 4)], fill)

    def band(
        self, low: Sequence[tuple[float, float]], high: Sequence[tuple[float, float]], fill: Colour
    ) -> None:
        """Tint what lies between two lines."""
        mask = Image.new("L", self._fine.size, 0)
        for (left, right), (left_high, right_high) in zip(pairwise(low), pairwise(high), strict=True):
            corners = [left, right, right_high, left_high]
            ImageDraw.Draw(mask).polygon([(x * _FINE, y * _FINE) for x, y in corners], fill=44)
        self._fine.paste(fill, mask=mask)

    def mark(
        self, place: tuple[float, float], number: int, *, radius: float = 4, is_hollow: bool = False
    ) -> None:
        """Draw the mark of the variant ``number``, with a white rim that parts it from its neighbours."""
        self._shape(place, number, radius + 1, PAPER)
        self._shape(place, number, radius, colour(number))
        if is_hollow:
            self._shape(place, number, radius - 1.7, PAPER)

    def shown(self) -> Image.Image:
        """Return the area as it is to be looked at."""
        return self._fine.reduce(_FINE)

    def _shape(self, place: tuple[float, float], number: int, radius: float, fill: Colour) -> None:
        x, y, size = place[0] * _FINE, place[1] * _FINE, radius * _FINE
        corners = _SHAPES[number % len(_SHAPES)]
        if corners:
            self._draw.polygon([(x + right * size, y + down * size) for right, down in corners], fill=fill)
        else:
            self._draw.ellipse((x - size, y - size, x + size, y + size), fill=fill)
