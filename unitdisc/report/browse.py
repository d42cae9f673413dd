"""What the browser of units shows, and the form in which it stands on the page."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from unitdisc.report.colours import code_colour

if TYPE_CHECKING:
    from unitdisc.kinds import Kind

Timed = list[tuple[str, float]]
"""Names with the time at which each ends; the next one begins there."""


@dataclass(frozen=True)
class Clip:
    """An utterance, a line, a picture, a sentence, or a piece of a long one.

    Args:
        key: Its id.
        about: What the corpus says of it: (name, value).
        start: Where it begins in the whole, in the unit of time.
        length: In the unit of time.
        whole: Length of the whole.
        units: Of its occurrences, from its beginning on; of pictures one for each cell, row by row.
        labels: (begin, end, name) of reference labels.
        beside: Units of the other run.
        image: Bytes of a PNG.
        size: Width and height of the image.
        sound: Bytes of mu-law samples at 16 kHz.
        texts: What each of ``units`` spells; of sentences alone.
    """

    key: str
    about: list[tuple[str, str]]
    start: float
    length: float
    whole: float
    units: Timed
    labels: list[tuple[float, float, str]] = field(default_factory=list)
    beside: Timed = field(default_factory=list)
    image: bytes = b""
    size: tuple[int, int] = (0, 0)
    sound: bytes = b""
    texts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class UnitCard:
    """What is known of a unit.

    Args:
        name: Its code, or its codes with dots between.
        count: Steps that it takes in the split.
        occurrences: How often it occurs.
        duration: Of an occurrence, the mean in the unit of time.
        labels: The commonest labels with their shares.
        place: On the map.
        nearest: The names of the units with the nearest codewords, and their distances.
        beside: The units of the other run that stand where it stands, with their shares.
        examples: Number of a clip, and number of one of its occurrences.
    """

    name: str
    count: int
    occurrences: int
    duration: float
    labels: list[tuple[str, float]]
    place: tuple[float, float]
    nearest: list[tuple[str, float]]
    beside: list[tuple[str, float]]
    examples: list[tuple[int, int]]


@dataclass(frozen=True)
class Browser:
    """The browser of units.

    Args:
        kind: What the examples are.
        unit_of_time: Of all times.
        units: The most frequent one first.
        clips: That the examples are taken from.
        total: Steps of the whole split.
        labels_name: What the labels are; "" where there are none.
        beside: Name of the other run; "" where there is none.
        unused: Places of codewords that the split does not use.
        explained: Share of the codewords' variance that the map shows.
        grid: Rows and columns of units of a picture.
        beside_grid: The same of the other run.
        beside_counts: How often each of its codes occurs.
        notes: What is left out.
    """

    kind: Kind
    unit_of_time: str
    units: list[UnitCard]
    clips: list[Clip]
    total: int
    labels_name: str = ""
    beside: str = ""
    unused: list[tuple[float, float]] = field(default_factory=list)
    explained: float = 0.0
    grid: tuple[int, int] | None = None
    beside_grid: tuple[int, int] | None = None
    beside_counts: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def as_json(browser: Browser) -> str:
    """Return the browser as JSON that can stand inside a script element."""
    content = {
        "kind": browser.kind.name,
        "one": browser.kind.one,
        "many": browser.kind.many,
        "time": browser.unit_of_time,
        "labels": browser.labels_name,
        "beside": browser.beside,
        "total": browser.total,
        "colours": {name: colour(name) for name in sorted(_names(browser))},
        "unused": browser.unused,
        "grid": browser.grid,
        "besideGrid": browser.beside_grid,
        "units": [_unit(unit) for unit in browser.units],
        "clips": [_clip(clip) for clip in browser.clips],
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # "</script>" or "<!--" in a label must not end or change the element.
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _names(browser: Browser) -> set[str]:
    """Return the names of all units that the page colours, those of the other run among them."""
    own = {unit.name for unit in browser.units}
    others = {name for unit in browser.units for name, _ in unit.beside}
    return own | others | {name for clip in browser.clips for name, _ in clip.units + clip.beside}


def colour(name: str) -> str:
    """Return the colour of a unit in CSS; of several codebooks that of its codes together."""
    number = 0
    for code in name.split("."):
        number = number * 31 + int(code)
    return "#{:02x}{:02x}{:02x}".format(*code_colour(number))


def _unit(unit: UnitCard) -> dict[str, Any]:
    return {
        "name": unit.name,
        "count": unit.count,
        "occurrences": unit.occurrences,
        "duration": unit.duration,
        "labels": unit.labels,
        "place": unit.place,
        "nearest": unit.nearest,
        "beside": unit.beside,
        "examples": unit.examples,
    }


def _clip(clip: Clip) -> dict[str, Any]:
    return {
        "key": clip.key,
        "about": clip.about,
        "start": clip.start,
        "length": clip.length,
        "whole": clip.whole,
        "units": clip.units,
        "labels": clip.labels,
        "beside": clip.beside,
        "image": b64encode(clip.image).decode(),
        "size": clip.size,
        "sound": b64encode(clip.sound).decode(),
        "texts": clip.texts,
    }
