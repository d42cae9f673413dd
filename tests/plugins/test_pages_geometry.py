"""Lines drawn by arithmetic along sloped and bent baselines come out upright, where arithmetic expects them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from PIL import Image
from small_pages import INK, PAPER, page_line, page_piece, page_xml, rectangle, save

from unitdisc_pages.cut import background, cut, inside
from unitdisc_pages.described import Line
from unitdisc_pages.reader import PAGE
from unitdisc_pages.strip import strip

SIZE = (900, 700)
MIDDLE = (450, 350)
LENGTH, ABOVE, BELOW = 600, 48, 16
"""The outline in pixels along and across the baseline: twice 32 high."""
GLYPHS = [(start, start + 12) for start in range(20, 580, 30)]
RISE = 24


def along(angle, bend):
    """Return the functions from (u, v) to the page and back, of a baseline centred on the page."""
    x, y = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    left, top = MIDDLE[0] - LENGTH / 2 * x, MIDDLE[1] - LENGTH / 2 * y

    def to_page(u, v):
        v = v + bend(u)
        return (left + u * x - v * y, top + u * y + v * x)

    def from_page(px, py):
        u, across = (px - left) * x + (py - top) * y, (py - top) * x - (px - left) * y
        return u, across - bend(u)

    return to_page, from_page


def level(u):
    return 0.0 * u


def arc(u):
    """Return the straight pieces of an arc, 24 pixels deep."""
    knots = np.linspace(0, LENGTH, 13)
    return np.interp(u, knots, -24 * np.sin(np.pi * knots / LENGTH))


def drawn(from_page, *, fine=2):
    """Return the page with its glyphs, each pixel the mean of fine x fine points, and rubbish outside."""
    y, x = (np.mgrid[: SIZE[1] * fine, : SIZE[0] * fine] + 0.5) / fine
    u, v = from_page(x, y)
    is_glyph = (u % 30 >= 20) | (u % 30 < 2)
    is_ink = is_glyph & (u >= 20) & (u < 572) & (v >= -RISE) & (v < 0)
    is_rubbish = (v < -ABOVE - 2) | (v > BELOW + 2)
    page = np.where(is_ink | is_rubbish, INK, PAPER).astype(float)
    return np.rint(page.reshape(SIZE[1], fine, SIZE[0], fine).mean((1, 3))).astype(np.uint8)


def frame(to_page):
    """Return the outline that follows the baseline, and the baseline."""
    knots = np.linspace(0, LENGTH, 13)
    upper = [to_page(u, -ABOVE) for u in knots]
    return [*upper, *(to_page(u, BELOW) for u in knots[::-1])], [to_page(u, 0.0) for u in knots]


def expected(fine=8):
    """Return the line (32, 300), and which pixels no edge of a glyph is near to."""
    v, u = (np.mgrid[: 32 * fine, : 300 * fine] + 0.5) / fine * 2
    v -= ABOVE
    is_ink = np.zeros(u.shape, bool)
    for start, end in GLYPHS:
        is_ink |= (u >= start) & (u < end) & (v >= -RISE) & (v < 0)
    line = np.where(is_ink, INK, PAPER).reshape(32, fine, 300, fine).mean((1, 3))
    wide = np.pad(line, 1, mode="edge")
    around = np.stack([wide[y : y + 32, x : x + 300] for y in range(3) for x in range(3)])
    return line, np.ptp(around, axis=0) == 0


def only(folder, **options):
    (item,) = PAGE(**options).read(folder)
    return item


@pytest.mark.parametrize("bend", [level, arc])
@pytest.mark.parametrize("angle", [0, 8, -30, 44, 90, -90])
def test_glyphs_along_any_baseline_stand_upright_in_their_columns(tmp_path, angle, bend):
    to_page, from_page = along(angle, bend)
    save(tmp_path / "scan.png", drawn(from_page))
    outline, baseline = frame(to_page)
    words = "".join(
        page_piece("Word", [to_page(u, v) for u, v in rectangle(start, -RISE, end, 0)], f"w{number}")
        for number, (start, end) in enumerate(GLYPHS)
    )
    (tmp_path / "scan.xml").write_text(page_xml([page_line("l1", outline, baseline, inner=words)], SIZE))
    item = only(tmp_path)
    image, (line, is_far) = item.read(), expected()
    assert image.shape == (32, 300)
    assert np.abs(image - line)[is_far].max() <= 3
    assert np.abs(image - line).mean() < 8
    columns = [(start / 2, end / 2, f"w{number}") for number, (start, end) in enumerate(GLYPHS)]
    assert item.tables == {"words": [(int(start), int(end), name) for start, end, name in columns]}


def test_points_from_right_to_left_do_not_turn_a_line_upside_down(tmp_path):
    to_page, from_page = along(8, arc)
    save(tmp_path / "scan.png", drawn(from_page))
    outline, baseline = frame(to_page)
    images = []
    for points in (baseline, baseline[::-1]):
        (tmp_path / "scan.xml").write_text(page_xml([page_line("l1", outline, points)], SIZE))
        images.append(only(tmp_path).read())
    assert np.abs(images[0].astype(int) - images[1]).max() <= 1


def test_a_level_line_of_the_wanted_height_is_the_page_itself(tmp_path):
    page = np.random.default_rng(0).integers(0, 256, (80, 200), dtype=np.uint8)
    save(tmp_path / "scan.png", page)
    line = page_line("l1", rectangle(10, 20, 190, 52), [(10, 45), (190, 45)])
    (tmp_path / "scan.xml").write_text(page_xml([line], (200, 80)))
    assert np.array_equal(only(tmp_path).read(), page[20:52, 10:190])


def test_a_line_without_baseline_stands_as_it_is_and_says_so(tmp_path):
    page = np.random.default_rng(0).integers(0, 256, (80, 200), dtype=np.uint8)
    save(tmp_path / "scan.png", page)
    (tmp_path / "scan.xml").write_text(page_xml([page_line("l1", rectangle(10, 20, 190, 52))], (200, 80)))
    item = only(tmp_path)
    assert np.array_equal(item.read(), page[20:52, 10:190])
    assert item.fields["baseline"] == "none"


@pytest.mark.parametrize("factor", [1, 3, 5, 9, 20])
def test_reduction_keeps_means_at_every_scale(tmp_path, factor):
    page = (
        np.random.default_rng(0)
        .integers(0, 256, (32, 50), dtype=np.uint8)
        .repeat(factor, 0)
        .repeat(factor, 1)
    )
    save(tmp_path / "scan.png", page)
    size = (50 * factor, 32 * factor)
    (tmp_path / "scan.xml").write_text(page_xml([page_line("l1", rectangle(0, 0, *size))], size))
    image = only(tmp_path).read()
    assert image.shape == (32, 50)
    direct = Image.fromarray(page.astype(np.float32)).resize((50, 32), Image.Resampling.BILINEAR)
    assert abs(image.mean() - page.mean()) < 1
    if factor <= 3:
        assert np.abs(image[1:-1, 1:-1] - np.asarray(direct)[1:-1, 1:-1]).max() < 2
    assert np.corrcoef(image.ravel(), np.asarray(direct).ravel())[0, 1] > 0.98


def test_what_lies_outside_the_outline_becomes_the_most_frequent_grey_inside(tmp_path):
    page = np.full((60, 200), 205, np.uint8)
    page[20:52, 10:190] = 180
    page[30:40, 20:60] = 15
    save(tmp_path / "scan.png", page)
    roof = [(10, 20), (100, 20), (100, 30), (190, 30), (190, 52), (10, 52)]
    (tmp_path / "scan.xml").write_text(page_xml([page_line("l1", roof)], (200, 60)))
    image = only(tmp_path, cover=1.0).read()
    assert (image[:10, 90:] == 180).all()
    assert set(np.unique(image)) == {15, 180}


def test_cover_cuts_single_spikes_of_an_outline(tmp_path):
    page = np.full((200, 400), PAPER, np.uint8)
    save(tmp_path / "scan.png", page)
    spike = [(0, 100), (200, 100), (203, 0), (206, 100), (400, 100), (400, 164), (0, 164)]
    (tmp_path / "scan.xml").write_text(page_xml([page_line("l1", spike)], (400, 200)))
    assert only(tmp_path).read().shape == (32, 200)
    assert only(tmp_path, cover=1.0).read().shape == (32, 78)


@pytest.mark.parametrize("angle", [-6, 0, 6])
def test_upright_word_boxes_of_a_sloped_line_land_on_their_words(tmp_path, angle):
    to_page, from_page = along(angle, level)
    save(tmp_path / "scan.png", drawn(from_page))
    outline, baseline = frame(to_page)
    words = ""
    for number, (start, end) in enumerate(GLYPHS):
        corners = np.array([to_page(u, v) for u, v in rectangle(start, -RISE, end, 0)])
        box = rectangle(*corners.min(0), *corners.max(0))
        words += page_piece("Word", box, f"w{number}")
    (tmp_path / "scan.xml").write_text(page_xml([page_line("l1", outline, baseline, inner=words)], SIZE))
    labels = only(tmp_path).tables["words"]
    assert len(labels) == len(GLYPHS)
    for (start, end, _), (first, last) in zip(labels, GLYPHS, strict=True):
        assert abs(start - first / 2) <= 1.5
        assert abs(end - last / 2) <= 1.5


def test_the_geometry_field_leads_back_to_the_page(tmp_path):
    to_page, from_page = along(-30, arc)
    save(tmp_path / "scan.png", drawn(from_page))
    (tmp_path / "scan.xml").write_text(page_xml([page_line("l1", *frame(to_page))], SIZE))
    about = json.loads(only(tmp_path).fields["geometry"])
    (x, y), (left, top) = about["direction"], about["origin"]
    for column, row in ((0, 0), (17.5, 3), (150, 24), (300, 32)):
        u = about["left"] + column * about["step"][0]
        v = about["top"] + row * about["step"][1] + np.interp(u, *zip(*about["baseline"], strict=True))
        place = (left + u * x - v * y, top + u * y + v * x)
        assert place == pytest.approx(to_page(2 * column, 2 * row - ABOVE), abs=0.02)


def test_columns_and_places_are_inverse():
    to_page, _ = along(44, arc)
    outline, baseline = map(np.array, frame(to_page))
    _, place = strip(Line("l", "x", "", "", outline, baseline), SIZE, height=32, cover=0.95)
    columns = np.linspace(0, place.width, 40)
    for row in (0.0, 13.0, 32.0):
        np.testing.assert_allclose(place.columns(place.to_page(columns, np.array(row))), columns, atol=1e-9)


def test_inside_matches_a_slow_count_of_rounds():
    rng = np.random.default_rng(1)
    for _ in range(20):
        outline = rng.uniform(-4, 24, (rng.integers(3, 9), 2))
        slow = np.zeros((20, 20), bool)
        for row in range(20):
            for column in range(20):
                x, y, rounds = column + 0.5, row + 0.5, 0
                for (ax, ay), (bx, by) in zip(outline, [*outline[1:], outline[0]], strict=True):
                    if (ay <= y) != (by <= y) and ax + (y - ay) * (bx - ax) / (by - ay) <= x:
                        rounds += 1 if ay < by else -1
                slow[row, column] = rounds != 0
        assert np.array_equal(inside(outline, (20, 20)), slow)
        assert np.array_equal(inside(np.concatenate([outline, outline]), (20, 20)), slow)


def test_background_is_the_peak_of_the_histogram():
    rng = np.random.default_rng(0)
    paper = rng.normal(200, 6, 7000).clip(0, 255)
    ink = rng.normal(70, 20, 3000).clip(0, 255)
    assert abs(background(np.concatenate([paper, ink]).astype(np.uint8)) - 200) <= 3
    assert background(np.full(9, 255, np.uint8)) == 255


def test_an_outline_from_edge_to_edge_of_the_page_is_cut(tmp_path):
    outline, baseline = np.array(rectangle(0, 0, 300, 64), float), np.array([(0, 50), (300, 50)], float)
    outline, place = strip(Line("l", "x", "", "", outline, baseline), (300, 64), height=32, cover=0.95)
    assert (cut(np.full((64, 300), PAPER, np.uint8), outline, place) == PAPER).all()
