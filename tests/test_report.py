"""The report: its pictures hold what they claim, its page is whole, escaped and needs nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from unitdisc.report import Inventory, ReportData, Score, html, label_spans, picture, png
from unitdisc.report.chart import line_chart, rank_chart
from unitdisc.report.colours import code_colour
from unitdisc.report.fonts import font
from unitdisc.units import Units

HANDWRITING = Path(__file__).parents[2] / "shared" / "data" / "handwriting_lines"


def units(codes: list[int], *, step: float = 0.02, unit_of_time: str = "second", books: int = 1) -> Units:
    table = np.repeat(np.array(codes, dtype=np.int64)[:, None], books, axis=1)
    return Units("key", table, 0.0, step, step * len(codes), unit_of_time)


def drawn(codes: list[int], **parameters: object) -> Image.Image:
    """Draw ``codes`` of two frames each over a blank recording."""
    books = parameters.pop("books", 1)
    image = np.zeros((8, 2 * len(codes)), dtype=np.uint8)
    return picture(image, units(codes, books=books), frames_per_unit=2, **parameters)  # type: ignore[arg-type]


def runs_of(image: Image.Image, colours: set[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Return the colours met from left to right in the line of pixels that holds most of them."""
    pixels = np.asarray(image)
    is_colour = np.zeros(pixels.shape[:2], dtype=bool)
    for colour in colours:
        is_colour |= (pixels == colour).all(axis=2)
    line = pixels[is_colour.sum(axis=1).argmax()]
    met = [tuple(int(level) for level in pixel) for pixel in line]
    cells = []
    for before, pixel in zip([None, *met], met, strict=False):
        if pixel in colours and pixel != before:
            cells.append(pixel)
    return cells  # type: ignore[return-value]


def data(**changes: object) -> ReportData:
    log = [
        {"step": step, "loss": 1 / step, "perplexity": None if step == 1 else 2.0 * step}
        for step in range(1, 9)
    ]
    run = ReportData(
        name="speech/ema",
        facts=[("seed", "1")],
        scores=[Score("pnmi", 0.41234, 0.0312, "higher is better"), Score("decoder", 0.5, None, "per frame")],
        log=log,
        counts=[5, 0, 3, 2],
        top_units=[("0", 5, "aa 73%"), ("2", 3, "")],
        files=["runs/x/units/test.jsonl"],
        commands=[("Units of your own recordings", "unitdisc export runs/x")],
    )
    return replace(run, **changes)  # type: ignore[arg-type]


class Checker(HTMLParser):
    """Complains about tags that do not match, and collects what the page says and points at."""

    VOID = frozenset({"meta", "img"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_equal_neighbours_make_one_cell_in_the_colour_of_their_code() -> None:
    cells = runs_of(drawn([4, 4, 4, 9, 4, 300]), {code_colour(code) for code in (4, 9, 300)})
    seen = [colour for colour, before in zip(cells, [None, *cells], strict=False) if colour != before]
    assert seen == [code_colour(code) for code in (4, 9, 4, 300)]


def test_colours_are_stable_light_and_different() -> None:
    colours = [code_colour(code) for code in range(64)]
    assert len(set(colours)) == 64
    assert code_colour(0) == (248, 159, 187)  # pinned: a code keeps its colour from version to version
    for red, green, blue in colours:
        linear = [(level / 255) ** 2.2 for level in (red, green, blue)]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        assert (luminance + 0.05) / 0.06 > 4.5  # WCAG contrast to the near-black numbers


def test_short_items_take_one_row_and_long_ones_three() -> None:
    one, three, cut = drawn([1, 2] * 20), drawn([1, 2] * 120), drawn([1, 2] * 5000)
    assert one.height * 2 < three.height
    assert abs(cut.height - three.height) < 40  # the title that says what is left out
    assert max(one.width, three.width, cut.width) < 1450


def test_the_title_says_what_is_left_out() -> None:
    from unitdisc.report.picture import _layout, _title

    long = units([1, 2] * 5000)
    layout = _layout(20_000, long, 2, [])
    assert _title("name", 20_000, long, layout) == "name (the first 5.1 of 200 seconds)"


@pytest.mark.parametrize("codes", [[0], [3, 3], []])
@pytest.mark.parametrize("labels", [None, [], [(0, 1, "a")]])
def test_the_shortest_items_are_drawn(codes: list[int], labels: list[tuple[int, int, str]] | None) -> None:
    assert drawn(codes, labels=labels, title="x").width > 30


def test_no_codebook_and_many_codebooks_are_drawn() -> None:
    none, one, two, many = (drawn([1, 2, 3] * 9, books=books) for books in (0, 1, 2, 9))
    assert none.height < one.height < two.height < many.height < 2 * two.height


def test_lines_keep_their_proportions_and_their_greys() -> None:
    image = np.full((32, 100), 200, dtype=np.uint8)
    line = units([1] * 25, step=4.0, unit_of_time="column")
    drawing = np.asarray(picture(image, line, frames_per_unit=4))
    is_paper = (drawing == 200).all(axis=2)
    height, width = is_paper.any(axis=1).sum(), is_paper.any(axis=0).sum()
    assert width / height == pytest.approx(100 / 32, rel=0.02)


def test_loud_sound_is_dark_and_silence_white() -> None:
    image = np.zeros((4, 40), dtype=np.uint8)
    image[:, 20:] = 255
    drawing = np.asarray(picture(image, units([1] * 20), frames_per_unit=2).convert("L")).astype(int)
    row = drawing[40]
    assert row[row.size // 3] > 240
    assert row[-60] < 40


def test_labels_are_runs_of_a_frame_target() -> None:
    assert label_spans([0, 0, -1, 1, 1, 0], ["a", "b"]) == [(0, 2, "a"), (3, 5, "b"), (5, 6, "a")]


def test_letters_without_a_font_become_plain_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unitdisc.report.fonts._system", lambda _: None)
    assert font("été ə", 12)[1] == "ete ?"
    drawn([1], labels=[(0, 2, "ə")], title="été")


def test_the_same_item_gives_the_same_bytes() -> None:
    assert png(drawn([1, 2, 3])) == png(drawn([1, 2, 3]))


def test_a_real_line_is_drawn() -> None:
    if not HANDWRITING.exists():
        pytest.skip(f"{HANDWRITING} is not here")
    with (HANDWRITING / "manifest.jsonl").open(encoding="utf-8") as file:
        line = json.loads(file.readline())
    image = np.asarray(Image.open(HANDWRITING / line["path"]).convert("L"))
    codes = list(range(-(-image.shape[1] // 4)))
    drawing = picture(
        image, units(codes, step=4.0, unit_of_time="column"), frames_per_unit=4, title=line["text"]
    )
    assert drawing.width > 1000


def test_an_inventory_matches_counting_by_hand() -> None:
    found = Inventory([np.array([[3], [3], [1]]), np.array([[3]])], num_codes=4)
    found.meet(0, np.array([0, 1, 1, 1, -1, 0]), 2)
    assert found.names == ["3", "1"]
    assert found.counts.tolist() == [3, 1]
    assert found.occurrences.tolist() == [2, 1]
    assert found.code_counts == [0, 1, 0, 3]
    assert found.labels_of(0, ("a", "b")) == [("b", 0.75), ("a", 0.25)]
    assert found.labels_of(1, ("a", "b")) == [("a", 1.0)]
    assert found.runs(0).tolist() == [[0, 0, 2], [1, 2, 3]]
    assert found.num_units == 4


def test_units_of_two_codebooks_are_counted_as_pairs() -> None:
    found = Inventory([np.array([[0, 1], [0, 1], [1, 1]])], num_codes=2)
    assert found.names == ["0.1", "1.1"]
    assert found.counts.tolist() == [2, 1]
    assert found.code_counts == [2, 1, 0, 3]


def test_cells_of_pictures_are_not_merged() -> None:
    found = Inventory([np.array([[5], [5]])], num_codes=6, is_merged=False)
    assert found.occurrences.tolist() == [2]
    assert found.runs(0).tolist() == [[0, 0, 1], [0, 1, 2]]


def test_the_page_is_well_formed_and_needs_nothing_else() -> None:
    page = Checker(html(data()))
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "img"}
    assert not re.search(r"https?://|url\(|@import", html(data()))
    policy = next(found for _, found in page.tags if found.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in (policy["content"] or "")


def test_the_page_tells_what_it_was_given() -> None:
    text = Checker(html(data())).text
    for said in (
        "speech/ema",
        "0.4123",
        "0.0312",
        "seed",
        "3 of 4 codes",
        "aa 73%",
        "50.0%",
        "runs/x/units/test.jsonl",
    ):
        assert said in text
    assert "unitdisc export runs/x" in text


def test_charts_have_words_for_those_who_do_not_see_them() -> None:
    page = Checker(html(data()))
    charts = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(charts) == 3
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in charts)


def test_everything_is_escaped() -> None:
    evil = "<script>\"&'</script>"
    page = html(
        data(
            name=evil,
            facts=[(evil, evil)],
            scores=[Score(evil, 1.0, None, evil)],
            top_units=[(evil, 1, evil)],
            files=[evil],
            commands=[(evil, evil)],
        )
    )
    assert "<script" not in page
    assert Checker(page).text.count(evil) >= 9


def test_a_run_without_units_or_scores_gives_a_page() -> None:
    page = Checker(html(ReportData("x", [], [], [], [])))
    assert page.text.count("x") >= 1
    assert "svg" not in {tag for tag, _ in page.tags}


def test_columns_that_no_score_fills_are_left_out() -> None:
    full = Score("nmi", 0.5, 0.1, "", interval=(0.42, 0.58), random=0.2, ceiling=0.9, beside=0.6)
    text = Checker(html(data(scores=[full], beside="speech/gumbel"))).text
    for said in ("0.42 to 0.58", "Random", "Ceiling", "0.9", "speech/gumbel", "0.6"):
        assert said in text
    assert "Ceiling" not in Checker(html(data())).text


def test_undefined_scores_are_called_so() -> None:
    assert "undefined" in html(data(scores=[Score("nmi", float("nan"), float("inf"), "")]))


@pytest.mark.parametrize(
    "values",
    [
        [1.0, 1.0],
        [0.0, 0.0, 0.0],
        [1e-9, 2e-9],
        [1e9, -1e9],
        [1.0, float("nan"), 2.0, float("inf")],
        list(range(5000)),
    ],
)
def test_a_curve_stays_inside_its_chart(values: list[float]) -> None:
    svg = line_chart([(float(step), value) for step, value in enumerate(values)], name="loss", x_name="step")
    path = next(part.get("d") or "" for part in ET.fromstring(svg) if part.get("class") == "line")
    places = [tuple(map(float, place.split())) for place in path[1:].split("L")]
    assert 2 <= len(places) <= 401
    assert all(58 <= x <= 506 and 12 <= y <= 200 for x, y in places)


def test_too_few_points_give_no_chart() -> None:
    assert line_chart([(1.0, 2.0), (2.0, float("nan"))], name="loss", x_name="step") == ""
    assert rank_chart([0, 0]) == ""
    assert rank_chart([]) == ""


def test_usage_of_many_codes_stays_small() -> None:
    svg = rank_chart([n % 7 for n in range(65536)])
    ET.fromstring(svg)
    assert len(svg) < 20_000
    assert "of 65536 codes" in svg


def test_reports_are_drawn_without_torch() -> None:
    script = "import sys, unitdisc.report; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1])


def beside_page(**changes: object) -> ReportData:
    log = [{"step": step, "loss": 2.0, "perplexity": 3.0 * step} for step in range(1, 20)]
    return data(beside="other/run", beside_log=log, **changes)


def test_curves_of_another_run_are_dashed_and_both_stand_in_a_legend_and_in_words() -> None:
    page = Checker(html(beside_page()))
    classes = [found.get("class") for tag, found in page.tags if tag == "path"]
    assert classes.count("line beside") == 3  # loss, perplexity, legend
    assert "speech/ema (this run): solid" in page.text
    assert "other/run: dashed" in page.text
    told = [found["aria-label"] for tag, found in page.tags if tag == "svg" and "role" in found]
    assert told[0] == "loss over step: speech/ema (this run) from 1 to 0.125; other/run from 2 to 2"


def test_curves_of_both_runs_share_their_axes() -> None:
    short, long = [(1.0, 0.0), (2.0, 1.0)], [(1.0, 10.0), (101.0, 20.0)]
    svg = line_chart(short, name="loss", x_name="step", beside=long)
    paths = [
        part.get("d") or "" for part in ET.fromstring(svg) if (part.get("class") or "").startswith("line")
    ]
    (left, _, middle, _), (_, upper, right, top) = (re.findall(r"[\d.]+", path) for path in paths)
    assert (float(left), float(right)) == (58, 506)
    assert float(middle) == pytest.approx(58 + 448 / 100, abs=0.1)
    assert float(top) < float(upper) < 200


def test_a_run_without_a_value_leaves_the_other_one_alone_in_its_chart() -> None:
    svg = line_chart([], name="churn", x_name="step", beside=[(1.0, 0.5), (2.0, 0.25)])
    assert [
        part.get("class") for part in ET.fromstring(svg) if part.get("class") in {"line", "line beside"}
    ] == ["line beside"]
    assert "this run no values; the other run from 0.5 to 0.25" in svg


def test_usage_of_both_runs_is_drawn_to_one_scale() -> None:
    svg = rank_chart([5, 5], beside=[9, 0, 1], names=("a", "b"))
    area, line = (
        part.get("d") or "" for part in ET.fromstring(svg) if part.get("class") in {"area", "line beside"}
    )
    assert "a: 2 of 2 codes are used; the most frequent one takes 50 %" in svg
    assert "b: 2 of 3 codes are used; the most frequent one takes 90 %" in svg
    first = [float(path.split("V")[1].split("H")[0]) for path in (area, line)]
    assert first[0] > first[1] > 12  # downwards


def test_a_page_of_one_run_has_no_legend() -> None:
    assert "legend" not in html(data()).split("</style>")[1]
    assert "line beside" not in html(data())
