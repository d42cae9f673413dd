"""Browsers of made-up units, one for each kind of data, for tests of the page."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from unitdisc.kinds import _LINE, _PICTURE, _SOUND, _TOKENS, Kind
from unitdisc.report.browse import Browser, Clip, UnitCard
from unitdisc.report.sound import RATE, mu_law

KINDS: dict[str, Kind] = {"sound": _SOUND, "line": _LINE, "picture": _PICTURE, "tokens": _TOKENS}
NUM_UNITS = 6
EVIL = "</script><script>document.title='taken'</script>"


def browser(name: str, *, beside: bool = False) -> Browser:
    """Return a browser of six units in three clips; unit 5 has no example."""
    grid = (2, 2) if name == "picture" else None
    return Browser(
        kind=KINDS[name],
        unit_of_time={"sound": "second", "line": "column", "picture": "pixel", "tokens": "token"}[name],
        units=[
            _unit(number, beside=beside, is_labelled=name in {"sound", "line"}) for number in range(NUM_UNITS)
        ],
        clips=[_clip(name, number, beside=beside) for number in range(3)],
        total=210,
        labels_name="phones" if name in {"sound", "line"} else "",
        beside="other/run" if beside else "",
        unused=[(0.5, -0.5)],
        explained=0.5,
        grid=grid,
        beside_grid=grid if beside else None,
        notes=["Examples are taken from 3 of 9."],
    )


def _unit(number: int, *, beside: bool, is_labelled: bool) -> UnitCard:
    return UnitCard(
        name=str(number * 11),
        count=60 - 10 * number,
        occurrences=20,
        duration=0.5,
        labels=[(f"ph{number}", 0.75), (EVIL, 0.25)] if is_labelled else [],
        place=(number / 6, -number / 6),
        nearest=[(str((number + 1) % NUM_UNITS * 11), 0.5)],
        beside=[("3", 0.5)] if beside else [],
        examples=[] if number == 5 else [(number % 3, number % 4)],
    )


def _clip(name: str, number: int, *, beside: bool) -> Clip:
    scale = {"sound": 0.5, "line": 20.0, "picture": 1.0, "tokens": 2.0}[name]
    units = [(str((number + step) % NUM_UNITS * 11), round((step + 1) * scale, 4)) for step in range(4)]
    is_timed = name in {"sound", "line"}
    pixels = np.full((32, 80), 200, dtype=np.uint8) if is_timed else np.zeros((8, 8, 3), dtype=np.uint8)
    samples = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)
    return Clip(
        key=f"item-{number} {EVIL}",
        about=[("text", f"called {'abc'[number]}")],
        start=0.0,
        length=4 * scale,
        whole=4 * scale,
        units=units,
        labels=[(0.0, scale, "ph0"), (2 * scale, 3 * scale, "ph1")] if is_timed else [],
        beside=[("3", 2 * scale), ("4", 4 * scale)] if beside else [],
        image=b"" if name == "tokens" else _png(pixels),
        size=(0, 0) if name == "tokens" else (pixels.shape[1], pixels.shape[0]),
        sound=mu_law(samples) if name == "sound" else b"",
        texts=["der", "Hund", "und", "so"] if name == "tokens" else [],
    )


def _png(pixels: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
