"""Colours of codes and of sound."""

from __future__ import annotations

from functools import cache
from math import cos, pi, sin

import numpy as np

Colour = tuple[int, int, int]

_LIGHTNESS = (0.80, 0.70, 0.88)
_CHROMA = 0.11
_GOLDEN = (5**0.5 - 1) / 2
_SOUND = ((250, 250, 252), (216, 220, 236), (152, 152, 204), (98, 80, 160), (56, 24, 96), (20, 4, 40))


@cache
def code_colour(code: int) -> Colour:
    """Return the colour of a code: always the same, light enough for black text.

    Hues go round by the golden section, which keeps neighbouring numbers far apart; lightness takes turns.
    """
    hue = 2 * pi * (code * _GOLDEN % 1)
    return _from_oklch(_LIGHTNESS[code % len(_LIGHTNESS)], _CHROMA, hue)


def sound_colours(image: np.ndarray) -> np.ndarray:
    """Return (H, T, 3) uint8 for levels (H, T) uint8: silence white and energy dark, as usual in print."""
    table = np.array(_SOUND, dtype=np.float64)
    places = np.linspace(0, 255, len(table))
    levels = np.arange(256)
    colours = np.stack([np.interp(levels, places, table[:, channel]) for channel in range(3)], axis=1)
    coloured: np.ndarray = colours.round().astype(np.uint8)[image]
    return coloured


def _from_oklch(lightness: float, chroma: float, hue: float) -> Colour:
    """Return sRGB of an Oklab colour (Ottosson 2020), cut to the gamut."""
    a, b = chroma * cos(hue), chroma * sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        _gamma(4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short),
        _gamma(-1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short),
        _gamma(-0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short),
    )


def _gamma(linear: float) -> int:
    linear = min(max(linear, 0.0), 1.0)
    value = 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
    return round(255 * value)
