"""A font for a text: Pillow's own, which is everywhere, or one of the system for letters that it lacks."""

from __future__ import annotations

import unicodedata
from functools import cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_SYSTEM = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "Arial.ttf",
    "Helvetica.ttc",
)


def font(text: str, size: int) -> tuple[Font, str]:
    """Return a font of ``size`` pixels and the text to draw with it.

    Pillow's own font knows ASCII. Other letters need a font of the system; where there is none, accents are
    dropped and what remains unknown becomes "?".
    """
    if text.isascii():
        return _own(size), text
    system = _system(size)
    if system is not None:
        return system, text
    bare = unicodedata.normalize("NFKD", text)
    return _own(size), "".join(
        letter if letter.isascii() else "?" for letter in bare if not unicodedata.combining(letter)
    )


@cache
def _own(size: int) -> Font:
    return ImageFont.load_default(size)


@cache
def _system(size: int) -> Font | None:
    for name in _SYSTEM:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None
