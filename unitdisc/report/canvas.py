"""Writing and filling on a picture."""

from __future__ import annotations

from PIL import Image, ImageDraw

from unitdisc.report.colours import Colour
from unitdisc.report.fonts import font

TEXT, SMALL = 15, 12
"""Sizes of letters in pixels: headings, everything else."""

INK: Colour = (24, 24, 28)
FAINT: Colour = (96, 96, 106)
PAPER: Colour = (255, 255, 255)

Box = tuple[int, int, int, int]
"""Left, top, right, bottom; right and bottom stand outside."""


def text_width(text: str, size: int) -> int:
    """Return the width of ``text`` in pixels."""
    face, text = font(text, size)
    return round(face.getlength(text))


def write(
    canvas: Image.Image,
    place: tuple[float, float],
    text: str,
    *,
    anchor: str,
    size: int = SMALL,
    colour: Colour = FAINT,
) -> None:
    """Write ``text`` at ``place``; ``anchor`` says which point of the text that is, in Pillow's letters."""
    face, text = font(text, size)
    ImageDraw.Draw(canvas).text(place, text, fill=colour, font=face, anchor=anchor)


def cell(canvas: Image.Image, box: Box, text: str, fill: Colour) -> None:
    """Fill a cell and write into it: level if there is room, else upright, else nothing."""
    left, top, right, bottom = box
    room, height, width = max(right - 1 - left, 1), bottom - top, text_width(text, SMALL)
    if SMALL <= room < width + 2 <= height:
        upright = Image.new("RGB", (height, room), fill)
        write(upright, (height / 2, room / 2), text, anchor="mm", colour=INK)
        canvas.paste(upright.transpose(Image.Transpose.ROTATE_90), (left, top))
        return
    ImageDraw.Draw(canvas).rectangle((left, top, left + room - 1, bottom - 1), fill=fill)
    if width + 2 <= room:
        write(canvas, (left + room / 2, (top + bottom) / 2), text, anchor="mm", colour=INK)
