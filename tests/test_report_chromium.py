"""The page of a run in a real Chromium: units open, sound plays, search and keyboard work, nothing is loaded."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.report_pages import KINDS, NUM_UNITS, browser
from tests.test_report import beside_page, data
from unitdisc.report import Score, html

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")

Open = Callable[..., Any]
_WATCHED = """
window.started = [];
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (when, offset, duration) {
  const samples = this.buffer.getChannelData(0);
  window.started.push({ offset, duration, peak: Math.max(...samples.map(Math.abs)), context: this.context });
  document.documentElement.dataset.started = window.started.length;
  start.call(this, when, offset, duration);
};
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def opened(chromium: Any, tmp_path: Path) -> Iterator[Open]:
    """Open the page of a kind of data from disk; afterwards there may be no error and no request to elsewhere."""
    complaints: list[str] = []
    contexts = []

    def open_page(kind: str, *, beside: bool = False, page: str | None = None, **look: Any) -> Any:
        file = tmp_path / "report.html"
        text = page or html(data(browser=browser(kind, beside=beside), beside="other/run" if beside else ""))
        file.write_text(text, encoding="utf-8")
        contexts.append(chromium.new_context(offline=True, **look))
        shown = contexts[-1].new_page()
        shown.set_default_timeout(20000)
        shown.on("console", lambda message: complaints.append(message.text))
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        shown.on(
            "request",
            lambda request: (
                None
                if request.url.split(":")[0] in {"file", "blob", "data"}
                else complaints.append(request.url)
            ),
        )
        shown.add_init_script(_WATCHED)
        shown.goto(file.as_uri())
        return shown

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def shown_units(page: Any) -> list[str]:
    return page.locator("#units button:visible").evaluate_all("all => all.map(one => one.dataset.unit)")


@pytest.mark.parametrize(
    ("kind", "beside"), [("sound", True), ("line", False), ("picture", False), ("tokens", True)]
)
def test_every_unit_opens(opened: Open, kind: str, beside: bool) -> None:
    page = opened(kind, beside=beside)
    for number in range(NUM_UNITS):
        page.click(f'#units button[data-unit="{number * 11}"]')
        assert page.inner_text("#unit h3").strip() == f"Unit {number * 11}"
        text = page.inner_text("#unit")
        assert str(60 - 10 * number) in text
        assert page.locator("#unit figure").count() == (0 if number == 5 else 1)
        assert ("other/run" in text) == beside
        assert page.locator("#unit .span, #unit mark").count() == (0 if number == 5 else 1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_clip_opens_with_its_units(opened: Open, kind: str) -> None:
    page = opened(kind, beside=True)
    for number in range(3):
        page.select_option("#clip", str(number))
        names = page.locator("#line .own button").evaluate_all("all => all.map(one => one.dataset.name)")
        assert names == [str((number + step) % NUM_UNITS * 11) for step in range(4)]
        assert f"called {'abc'[number]}" in page.inner_text("#about")
        assert page.locator("#line .other button").count() == 2
    page.click("#before")
    assert page.input_value("#clip") == "1"


def test_pictures_are_drawn_from_their_bytes(opened: Open) -> None:
    page = opened("line")
    href = page.get_attribute("#line image", "href")
    size = page.evaluate(
        "async href => { const image = new Image(); image.src = href; await image.decode();"
        " return [image.naturalWidth, image.naturalHeight]; }",
        href,
    )
    assert size == [80, 32]


@pytest.mark.parametrize(("name", "offset", "length"), [("Play", 0.2, 1.1), ("Unit alone", 0.5, 0.5)])
def test_an_example_can_be_heard(opened: Open, name: str, offset: float, length: float) -> None:
    page = opened("sound")
    page.click('#units button[data-unit="11"]')
    button = page.locator(f'#unit button:text-is("{name}")')
    button.click()
    page.wait_for_selector("html[data-started='1']")
    page.wait_for_selector("#unit [aria-pressed=true]", state="detached")
    started = page.evaluate("window.started[0]")
    assert started["offset"] == pytest.approx(offset, abs=1e-6)
    assert started["duration"] == pytest.approx(length, abs=1e-6)
    assert started["peak"] == pytest.approx(0.5, abs=0.02)
    assert page.evaluate("window.started[0].context.currentTime") >= length


def test_the_units_follow_what_is_heard(opened: Open) -> None:
    page = opened("sound")
    page.click("#play")
    seen = page.evaluate(
        """() => new Promise((done) => {
          const seen = new Set();
          const look = () => {
            const now = document.querySelector("#line button.now");
            if (now) seen.add(now.dataset.name);
            const hasEnded = document.querySelector("#play").getAttribute("aria-pressed") === "false";
            if (window.started.length && hasEnded) done([...seen]); else setTimeout(look, 5);
          };
          look();
        })"""
    )
    assert len(seen) > 1  # a busy machine may miss one
    assert seen == sorted(seen, key=int)
    assert page.locator("#line .head, #line .now").count() == 0


def test_a_second_press_stops_and_leaves_nothing_behind(opened: Open) -> None:
    page = opened("sound", reduced_motion="no-preference")
    page.evaluate("() => { const play = document.getElementById('play'); play.click(); play.click(); }")
    page.wait_for_selector("#play[aria-pressed=true]")
    page.click("#play")
    page.wait_for_selector("#play[aria-pressed=false]")
    assert page.locator("#line .head").count() == 0


@pytest.mark.parametrize(("wish", "heads"), [("reduce", 0), ("no-preference", 1)])
def test_nothing_glides_for_those_who_do_not_want_it(opened: Open, wish: str, heads: int) -> None:
    page = opened("sound", reduced_motion=wish)
    page.click("#play")
    page.wait_for_selector("#line .now", state="attached")
    assert page.locator("#line .head").count() == heads


@pytest.mark.parametrize(
    ("typed", "units", "clips"),
    [("33", ["33"], 3), ("ph2", ["22"], 3), ("PH4", ["44"], 3), ("item-1", [], 1), ("called c", [], 1)],
)
def test_search_finds_numbers_labels_and_ids(opened: Open, typed: str, units: list[str], clips: int) -> None:
    page = opened("sound")
    page.fill("#find", typed)
    assert shown_units(page) == units
    assert page.locator("#clip option").count() == clips
    found = page.inner_text("#found")
    assert found.startswith(f"{len(units)} unit")
    page.fill("#find", "")
    assert len(shown_units(page)) == NUM_UNITS


def test_the_list_is_ordered_as_wanted(opened: Open) -> None:
    page = opened("sound")
    for order in ("name", "duration", "label", "count"):
        page.select_option("#order", order)
        assert shown_units(page) == ["0", "11", "22", "33", "44", "55"]


def test_the_keyboard_reaches_everything(opened: Open) -> None:
    page = opened("sound")
    page.focus("#order")
    for key in ("Tab", "ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    assert page.inner_text("#unit h3").strip() == "Unit 22"
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert page.inner_text("#unit h3").strip() == "Unit 44"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "55"  # the nearest unit
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent").strip() == "Unit 55"
    page.focus("#zoom")
    for key in ("Tab", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    assert page.inner_text("#unit h3").strip() == "Unit 11"
    page.focus("#play")
    page.keyboard.press("Enter")
    page.wait_for_selector("#play[aria-pressed=true]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#play[aria-pressed=false]")


def test_p_plays_from_a_unit(opened: Open) -> None:
    page = opened("sound")
    page.focus('#line .own button[data-name="22"]')
    page.keyboard.press("p")
    page.wait_for_selector("html[data-started='1']")
    assert page.evaluate("window.started[0].offset") == pytest.approx(1.0)


def test_the_whole_of_an_example_is_shown_below(opened: Open) -> None:
    page = opened("line")
    page.click('#units button[data-unit="11"]')
    page.click('#unit button:text-is("Whole line image")')
    assert page.input_value("#clip") == "1"
    assert page.evaluate("document.activeElement.dataset.name") == "22"


@pytest.mark.parametrize("kind", KINDS)
def test_everything_has_a_name_for_screen_readers(opened: Open, kind: str) -> None:
    page = opened(kind, beside=True)
    nameless = page.evaluate(
        """() => {
          const named = (one) => one.getAttribute("aria-label") || one.textContent.trim();
          const buttons = [...document.querySelectorAll("button, [role=img], [role=toolbar], [role=region]")];
          const fields = [...document.querySelectorAll("input, select")];
          return [...buttons.filter((one) => !named(one)), ...fields.filter((one) => !one.labels.length)]
            .map((one) => one.outerHTML);
        }"""
    )
    assert nameless == []
    stops = page.evaluate(
        "() => [...document.querySelectorAll('[role=toolbar]')]"
        ".map((bar) => bar.querySelectorAll('button[tabindex=\"0\"]').length)"
    )
    assert set(stops) == {1}  # one stop of the Tab key each
    page.click('#units button[data-unit="33"]')
    assert page.inner_text("#told").startswith("Unit 33")


@pytest.mark.parametrize("kind", ["sound", "picture"])
def test_a_narrow_screen_needs_no_scrolling_aside(opened: Open, kind: str) -> None:
    page = opened(kind, beside=True, viewport={"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
def test_light_and_dark_can_be_read(opened: Open, scheme: str, is_dark: bool) -> None:
    page = opened("line", color_scheme=scheme)
    colours = page.evaluate(
        "() => { const style = getComputedStyle(document.body);"
        " return [style.backgroundColor, style.color].map((text) => text.match(/\\d+/g).map(Number)); }"
    )
    paper, ink = (sum(levels[:3]) for levels in colours)
    assert (paper < ink) == is_dark
    assert abs(paper - ink) > 400


def test_no_label_or_id_becomes_part_of_the_page(opened: Open) -> None:
    page = opened("sound")
    page.click('#units button[data-unit="11"]')
    assert page.title() == "speech/ema - unitdisc"
    assert "</script>" in page.inner_text("#unit")


def test_without_scripts_the_scores_and_frequent_units_are_there(opened: Open) -> None:
    page = opened("sound", java_script_enabled=False)
    text = page.inner_text("main")
    assert "0.4123" in text
    assert "aa 73%" in text
    assert "JavaScript" in text


def test_scores_stand_side_by_side(opened: Open) -> None:
    score = replace(Score("pnmi", 0.41, 0.03, ""), beside=0.52)
    page = opened(
        "sound", page=html(data(scores=[score], browser=browser("sound", beside=True), beside="other/run"))
    )
    assert page.locator("th:text-is('other/run')").count() == 1
    assert "0.52" in page.inner_text("table >> nth=0")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_curves_of_two_runs_can_be_told_apart(opened: Open, scheme: str) -> None:
    text = html(beside_page(browser=browser("sound", beside=True)))
    page = opened("sound", page=text, color_scheme=scheme, viewport={"width": 400, "height": 800})
    paper = levels(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    strokes = {}
    for kind in (".line:not(.beside)", ".line.beside"):
        curve = page.locator(f".charts {kind}").first
        style = "one => [getComputedStyle(one).stroke, getComputedStyle(one).strokeDasharray]"
        stroke, strokes[kind] = curve.evaluate(style)
        assert contrast(levels(stroke), paper) > 3  # what WCAG asks of graphics
    assert [dashes != "none" for dashes in strokes.values()] == [False, True]
    legend = page.locator(".legend").first
    assert legend.inner_text().split("\n") == ["speech/ema (this run): solid", "other/run: dashed"]
    assert legend.bounding_box()["y"] < page.locator(".charts").first.bounding_box()["y"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def levels(colour: str) -> list[float]:
    return [int(level) / 255 for level in re.findall(r"\d+", colour)[:3]]


def contrast(one: list[float], other: list[float]) -> float:
    """Return the ratio of luminances (WCAG 2.2)."""
    bright = sorted(
        sum(
            weight * (level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4)
            for weight, level in zip((0.2126, 0.7152, 0.0722), colour, strict=True)
        )
        for colour in (one, other)
    )
    return (bright[1] + 0.05) / (bright[0] + 0.05)
