"""Real lines, laid bent and sloped on a drawn page that is described in PAGE and ALTO, come back as they were."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_pages import alto_line, alto_xml, page_line, page_xml, pairs, save

from unitdisc_pages.reader import ALTO, PAGE

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "handwriting_lines"
ENLARGED = 3
SIZE = (2600, 2700)
BASE = 22
"""Row of the 32 on which the script stands, about."""
ANGLES, BENDS, TOPS = (-12, -4, 0, 3, 9, 20), (0, -14, 0, 14, 10, -20), (60, 560, 900, 1100, 1400, 1900)


def real_lines(count=6):
    """Return images and texts of lines of several hands."""
    rows = [json.loads(row) for row in (REAL / "manifest.jsonl").read_text().splitlines()]
    hands = {row["document"]: row for row in rows if 500 < row["width"] < 700}
    chosen = list(hands.values())[:count]
    return [(np.asarray(Image.open(REAL / row["path"])), row["text"]) for row in chosen]


def laid(page, image, angle, bend, place):
    """Lay a line on the page with Pillow; return its outline and baseline there."""
    height, width = (ENLARGED * size for size in image.shape)
    large = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
    rise = np.rint(bend * np.sin(math.pi * (np.arange(width) + 0.5) / width)).astype(int)
    slack = abs(bend)
    bent = np.zeros((2, height + 2 * slack, width), np.uint8)
    for column in range(width):
        rows = slice(slack + rise[column], slack + rise[column] + height)
        bent[0, :, column] = np.pad(large[:, column], slack, mode="edge")[:1]
        bent[0, rows, column], bent[1, rows, column] = large[:, column], 255
    ink, mask = (Image.fromarray(layer) for layer in bent)
    turned = ink.rotate(-angle, Image.Resampling.BICUBIC, expand=True)
    page.paste(turned, place, mask.rotate(-angle, Image.Resampling.NEAREST, expand=True))

    def on_page(x, y):
        x, y = x - width / 2, y - (height + 2 * slack) / 2
        c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        return (
            x * c - y * s + turned.width / 2 + place[0],
            x * s + y * c + turned.height / 2 + place[1],
        )

    knots = np.linspace(0, width, 25)
    rises = slack + bend * np.sin(math.pi * knots / width)
    upper = [on_page(x, y) for x, y in zip(knots, rises, strict=True)]
    lower = [on_page(x, y + height) for x, y in zip(knots, rises, strict=True)]
    return [*upper, *lower[::-1]], [
        on_page(x, y + ENLARGED * BASE) for x, y in zip(knots, rises, strict=True)
    ]


def composed(folder):
    """Write the scan, and both descriptions in folders of their own; return the lines."""
    rng = np.random.default_rng(0)
    page = Image.fromarray(rng.normal(150, 12, SIZE[::-1]).clip(0, 255).astype(np.uint8))
    lines = real_lines()
    in_page, in_alto = [], []
    for number, (image, text) in enumerate(lines):
        place = (100 + 60 * number, TOPS[number])
        outline, baseline = laid(page, image, ANGLES[number], BENDS[number], place)
        in_page.append(page_line(f"l{number}", outline, baseline, text))
        in_alto.append(alto_line(f"l{number}", outline=outline, baseline=pairs(baseline, " ")))
    save(folder / "scan.png", np.asarray(page))
    for form, content in (("page", page_xml(in_page, SIZE)), ("alto", alto_xml(in_alto, SIZE))):
        (folder / form).mkdir()
        (folder / form / "scan.xml").write_text(content)
    return lines


@pytest.mark.skipif(not REAL.is_dir(), reason="needs shared/data/handwriting_lines")
def test_real_lines_come_back_from_a_composed_page(tmp_path):
    lines = composed(tmp_path)
    for reader in (PAGE(), ALTO()):
        found = list(reader.read(tmp_path))
        assert len(found) == len(lines)
        for item, (image, text) in zip(found, lines, strict=True):
            cut = item.read()
            assert abs(cut.shape[1] - image.shape[1]) <= 1
            width = min(cut.shape[1], image.shape[1])
            inner = np.s_[1:-1, 3 : width - 3]
            assert np.corrcoef(cut[inner].ravel(), image[inner].ravel())[0, 1] > 0.97
            assert np.abs(cut[inner].astype(int) - image[inner]).mean() < 6
            assert item.fields.get("text", text) == text
