"""The comparison as a picture: every seed of every score, and curves of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from unitdisc.ablate import curves, strips, sweep
from unitdisc.ablate.ink import Ink
from unitdisc.report.canvas import FAINT, INK, PAPER, SMALL, TEXT, text_width, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitdisc.ablate.comparison import Comparison

WIDTH, MARGIN, GAP = 1280, 24, 28
_LEGEND = 22


def plot(comparison: Comparison, *, title: str, names: Sequence[str], over: str | None = None) -> Image.Image:
    """Draw the comparison.

    Args:
        comparison: What is drawn.
        title: Heading.
        names: Numbers of the training log to draw as curves; those that no run logged are left out.
        over: Number that the scores are also drawn over, see `sweep.places`.
    """
    inner = WIDTH - 2 * MARGIN
    blocks = [_heading(title, comparison), *strips.rows(comparison, inner)]
    if over is not None and (swept := sweep.rows(comparison, over, inner)):
        series = sweep.series(comparison)
        blocks += [*([_legend(series, inner)] if len(series) > 1 else []), *swept]
    if drawn := curves.rows(comparison, names, inner):
        blocks += [_legend(comparison.variants, inner), *drawn]
    height = 2 * MARGIN + sum(block.height for block in blocks) + GAP * (len(blocks) - 1)
    page = Image.new("RGB", (WIDTH, height), PAPER)
    top = MARGIN
    for block in blocks:
        page.paste(block, (MARGIN, top))
        top += block.height + GAP
    return page


def _heading(title: str, comparison: Comparison) -> Image.Image:
    heading = Image.new("RGB", (WIDTH - 2 * MARGIN, 42), PAPER)
    write(heading, (0, 0), title, anchor="lt", size=TEXT, colour=INK)
    note = (
        "a mark per seed, hollow where the codebook collapsed; bar: mean with its 95 % t interval over seeds"
    )
    if len(comparison.variants) > 1:
        note += f"; dashed: mean of {comparison.baseline}"
    write(heading, (0, 26), note, anchor="lt", colour=FAINT)
    return heading


def _legend(variants: Sequence[str], width: int) -> Image.Image:
    places, left, line = [], 0, 0
    for variant in variants:
        size = 22 + text_width(variant, SMALL) + 24
        if left and left + size > width:
            left, line = 0, line + 1
        places.append((left, line))
        left += size
    ink = Ink(width, _LEGEND * (line + 1))
    for number, (left, line) in enumerate(places):
        ink.mark((left + 8, _LEGEND * line + 11), number)
    legend = ink.shown()
    for variant, (left, line) in zip(variants, places, strict=True):
        write(legend, (left + 20, _LEGEND * line + 11), variant, anchor="lm", colour=INK)
    return legend
