"""Draws originals above what runs make of them: pictures in a grid, lines and recordings with their units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitdisc.data import Example
from unitdisc.report.gallery import column, gallery
from unitdisc.report.picture import Band, bands
from unitdisc.sound import images

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from PIL import Image

    from unitdisc.looks import Look
    from unitdisc.run import Run
    from unitdisc.units import Units


def picture(run: Run, originals: Sequence[Example], looks: Mapping[str, Look], title: str) -> Image.Image:
    """Draw ``originals`` and below them what runs make of them.

    Args:
        run: One of the runs, whose data source draws.
        originals: Examples as the data source gives them.
        looks: By label of the run; the label of a single run is left out.
        title: Heading.
    """
    if run.features.grid is None:
        return column(
            [_strip(run, example, number, looks, title) for number, example in enumerate(originals)]
        )
    rows = [("original", [example.inputs for example in originals])]
    for label, look in looks.items():
        rows += [(_caption(label, kind, looks), frames) for kind, frames in look.rows()]
    return gallery(
        [
            (caption, [run.source.picture(Example("", frames.clamp(0, 1))) for frames in row])
            for caption, row in rows
        ],
        title=title,
    )


def _strip(run: Run, original: Example, number: int, looks: Mapping[str, Look], title: str) -> Image.Image:
    """Draw a line or a spectrogram above what each run makes of it, with the run's units below."""
    captions, frames = ["original"], [original.inputs]
    units: list[Units | None] = [None]
    for label, look in looks.items():
        # Below the last row that was made of them.
        below = {"draw" if look.draws else look.shows: look.units}
        below[f"from the prior, {'draw' if look.draws else look.shows}"] = look.prior_units
        for kind, row in look.rows():
            captions.append(_caption(label, kind, looks))
            frames.append(row[number])
            units.append(below[kind][number] if kind in below else None)
    if run.features.unit_of_time != "second":
        frames = [item.clamp(0, 1) for item in frames]
    drawn = images(run.source, frames)
    per_frame = run.features.frame_rate
    return bands(
        [
            Band(caption, image, item, round(item.step * per_frame) if item else 1)
            for caption, image, item in zip(captions, drawn, units, strict=True)
        ],
        title=f"{original.key}, {title}",
        most_rows=1,
    )


def _caption(label: str, kind: str, looks: Mapping[str, Look]) -> str:
    return kind if len(looks) == 1 else f"{label}, {kind}"
