"""Tables and pictures of comparisons whose numbers are known."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.toy import toy_recipe
from unitdisc.ablate import curves, table
from unitdisc.ablate.axis import Axis
from unitdisc.ablate.comparison import Comparison, compare
from unitdisc.ablate.outcome import Outcome, least_perplexity
from unitdisc.ablate.plot import WIDTH, plot
from unitdisc.ablate.processes import Ended, shares
from unitdisc.ablate.record import record
from unitdisc.ablate.variants import Cell, Variant
from unitdisc.paper import Paper
from unitdisc.report import Score

RECIPE = toy_recipe()
T2 = 0.95 / math.sqrt(
    2 * 0.975 * 0.025
)  # quantile 0.975 of Student's t with 2 degrees of freedom, closed form
SCORES = {
    "good": {1: 10.0, 2: 12.0, 3: 11.0},
    "best": {1: 15.0, 2: 17.0, 3: 15.0},
    "odd": {1: 9.0, 3: math.nan},
}


def outcome(variant: str, seed: int, value: float | None, **more: object) -> Outcome:
    cell = Cell(variant, replace(RECIPE, seed=seed), Path("out") / variant / f"seed-{seed}")
    if value is None:
        return Outcome(cell, Ended(4, "step 7: gave up", 1.0))
    log = [
        {"step": step, "loss": value / step, "perplexity": value + step / 100} for step in range(5, 400, 5)
    ]
    scores = {
        "pnmi": Score("pnmi", value, None, "", "higher"),
        "per": Score("per", -value, None, "", "lower"),
    }
    return Outcome(cell, None, scores, perplexity=more.get("perplexity", 5.0), num_codes=8, log=log)


def comparison(**more: object) -> Comparison:
    outcomes = [
        outcome(name, seed, values.get(seed), perplexity=1.5 if (name, seed) == ("best", 2) else 5.0)
        for seed in (3, 1, 2)
        for name, values in SCORES.items()
    ]
    return compare(outcomes, variants=list(SCORES), seeds=[1, 2, 3], baseline="good", **more)


def test_lines_hold_the_differences_to_the_baseline_over_common_seeds():
    lines = {(line.metric, line.variant): line for line in comparison().lines}
    assert list(lines) == [(metric, name) for metric in ("pnmi", "per") for name in SCORES]
    best = lines["pnmi", "best"]
    half = T2 * math.sqrt(1 / 3 / 3)  # differences 5, 5, 4
    assert best.difference.mean == pytest.approx(14 / 3)
    assert best.difference.interval == pytest.approx((14 / 3 - half, 14 / 3 + half))
    assert (best.verdict, lines["per", "best"].verdict) == ("better", "better")
    assert lines["pnmi", "good"].difference is None
    odd = lines["pnmi", "odd"]
    assert (odd.summary.n, odd.difference.n, odd.verdict) == (2, 2, "")
    assert math.isnan(odd.summary.mean)


@pytest.mark.parametrize(
    ("better", "difference", "verdict"),
    [
        ("higher", (1, 2), "better"),
        ("higher", (-2, -1), "worse"),
        ("lower", (1, 2), "worse"),
        ("lower", (-1, 2), ""),
        ("lower", (0, 2), ""),
        ("", (1, 2), "higher"),
        ("", (-2, -1), "lower"),
    ],
)
def test_a_verdict_needs_an_interval_that_leaves_0_out(better, difference, verdict):
    line = comparison().lines[1]
    found = replace(line, better=better, difference=replace(line.difference, interval=difference))
    assert found.verdict == verdict


def test_the_table_shows_failed_and_collapsed_runs():
    shown = table.text(comparison())
    rows = [line.split() for line in shown.splitlines()]
    assert ["odd", "2", "of", "3", "undefined", "undefined", "undefined", "1", "failed"] in rows
    (best,) = [row for row in rows if row[:1] == ["best"] and "15" in row]
    assert best[-2:] == ["1", "collapsed"]
    assert best[1:4] == ["3", "15", "15.67"]
    assert "8 of 9 runs finished (1 failed, 1 collapsed); seeds 1, 2, 3." in shown
    assert "failed: odd seed 2, exit code 4: step 7: gave up" in shown
    assert "collapsed: best seed 2, perplexity 1.5 of 8 codes, under 2" in shown


def test_the_markdown_table_has_the_same_cells_as_the_text():
    found = comparison()
    plain = [line for line in table.text(found).splitlines()[2:] if "  " in line]
    marked = table.markdown(found).splitlines()
    assert marked[1] == "| --- | --- | --: | --: | --: | --- | --- | --- | --- | --- |"
    assert len({line.count("|") for line in marked if line.startswith("|")}) == 1
    for text_row, row in zip(plain, marked[2:], strict=False):
        assert " ".join(text_row.split()) == " ".join(row.replace("|", " ").split())
    assert "- failed: odd seed 2" in table.markdown(found)


def test_what_a_paper_reports_stands_beside_our_numbers():
    papers = {
        "good": Paper("A, Table I", "1 vanilla", {"per": 16.9}),
        "odd": Paper("A, Table I", "", {"per": 9.0}),
    }
    found = comparison(papers=papers)
    shown = table.text(found)
    assert "paper" not in table.text(comparison())
    rows = [row.split(" | ") for row in table.markdown(found).splitlines() if row.startswith("|")]
    place = rows[0].index("paper")
    assert [row[place] for row in rows[2:]] == ["", "", "", "16.9", "", "9"]
    assert "paper: A, Table I: good is 1 vanilla; odd" in shown
    recipe = replace(RECIPE, paper=papers["good"])
    made = record(found, [Variant("good", "good", recipe)], folder=Path("out"), preset=None, command="")
    assert made["recipes"][0]["paper"] == {"table": "A, Table I", "row": "1 vanilla", "per": 16.9}
    assert [line["paper"] for line in made["scores"]] == [None, None, None, 16.9, None, 9.0]


def test_scores_in_training_are_drawn_first_and_per_before_the_others():
    log = [
        {"step": step, "loss": 1.0, "score.codes": 3.0, "score.per": 9.0, "score.acc": 1.0} for step in (1, 2)
    ]
    found = compare([replace(outcome("a", 1, 1.0), log=log)], variants=["a"], seeds=[1], baseline="a")
    assert curves.chosen(found.outcomes, ()) == [
        "score.per",
        "score.acc",
        "score.codes",
        "perplexity",
        "loss",
    ]
    assert curves.chosen(found.outcomes, ("acc",)) == ["score.acc", "perplexity", "loss"]
    heights = [
        plot(found, title="", names=curves.chosen(found.outcomes, names)).height for names in ((), ("acc",))
    ]
    assert heights[0] > heights[1]


def test_one_recipe_alone_has_no_column_of_differences():
    found = compare([outcome("good", 1, 3.0)], variants=["good"], seeds=[1], baseline="good")
    assert table.text(found).splitlines()[0].split() == [
        "score",
        "recipe",
        "n",
        "median",
        "mean",
        "95",
        "%",
        "interval",
        "runs",
    ]


def test_a_score_that_a_recipe_does_not_have_is_a_dash_and_none_is_0():
    without = replace(outcome("none", 1, 1.0), scores={"per": Score("per", 2.0, None, "", "lower")})
    outcomes = [outcome("good", 1, 1.0), without, outcome("broken", 1, None)]
    found = compare(
        outcomes, variants=["good", "none", "broken"], seeds=[1], baseline="good", metrics=["pnmi"]
    )
    rows = [line.split() for line in table.text(found).splitlines()]
    assert ["none", "-"] in rows
    assert ["broken", "0", "of", "1", "1", "failed"] in rows


def test_the_record_is_json_without_special_numbers():
    found = record(comparison(), [], folder=Path("out"), preset="small", command="unitdisc ablate a")
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text) == found
    runs = {(run["recipe"], run["seed"]): run for run in found["runs"]}
    assert (runs["odd", 2]["finished"], runs["odd", 2]["exit_code"]) == (False, 4)
    assert runs["best", 2]["collapsed"]
    assert runs["odd", 3]["scores"]["pnmi"] == {"value": None, "chance": None}
    assert runs["good", 1]["folder"] == "good/seed-1"
    assert runs["good", 1]["recipe_sha256"] != runs["good", 2]["recipe_sha256"]


@pytest.mark.parametrize(
    ("num_codes", "least"), [(2, 1.1), (3, 1.1), (4, 2.0), (128, 2.0), (200, 2.0), (1024, 10.24)]
)
def test_collapse_is_under_2_or_1_percent_of_the_codes(num_codes, least):
    assert least_perplexity(num_codes) == pytest.approx(least)
    of = replace(outcome("a", 1, 1.0), num_codes=num_codes, perplexity=least)
    assert not of.is_collapsed
    assert replace(of, perplexity=least - 1e-6).is_collapsed
    assert replace(of, perplexity=math.nan).is_collapsed
    assert not replace(of, perplexity=None).is_collapsed


def test_the_picture_is_the_same_each_time_and_has_all_colours():
    names = ("perplexity", "loss", "absent")
    first, again = (plot(comparison(), title="3 recipes", names=names) for _ in range(2))
    assert first.tobytes() == again.tobytes()
    assert first.width == WIDTH
    pixels = {tuple(pixel) for pixel in np.asarray(first).reshape(-1, 3)}
    assert {(0, 114, 178), (213, 94, 0), (0, 158, 115)} <= pixels
    assert plot(comparison(), title="3 recipes", names=("loss",)).height == first.height
    assert plot(comparison(), title="3 recipes", names=("absent",)).height < first.height


def test_a_picture_of_failures_or_single_numbers_is_drawn_all_the_same():
    for outcomes in ([outcome("a", 1, None)], [outcome("a", 1, 2.0)], [outcome("a", 1, math.nan)]):
        found = compare(outcomes, variants=["a"], seeds=[1], baseline="a", metrics=["pnmi", "other"])
        assert plot(found, title="1 recipe", names=("loss",)).width == WIDTH


@pytest.mark.parametrize("ends", [(0, 1), (-3e-5, 2e-5), (99.99, 100.01), (5, 5), (0, 0), (-1e9, 3e9)])
def test_numbers_on_an_axis_stand_inside_and_apart(ends):
    axis = Axis(*ends, start=14, stop=226)
    labels = axis.labels()
    assert len(axis.numbers) >= 3
    assert all(14 <= place <= 226 for place, _ in labels)
    assert all(right - left > 20 for (left, _), (right, _) in pairwise(labels))
    assert len({text for _, text in labels}) == len(labels)


def test_cores_are_shared_out(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(9)), raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    own = toy_recipe(threads=3)
    assert (shares([RECIPE], None).jobs, shares([RECIPE], None).threads) == (4, 2)
    assert (shares([RECIPE], 3).jobs, shares([RECIPE], 3).threads) == (3, 3)
    assert (shares([RECIPE], 1).jobs, shares([RECIPE], 1).threads) == (1, None)
    assert (shares([RECIPE], 100).jobs, shares([RECIPE], 100).threads) == (100, 1)
    assert (shares([RECIPE, own], None).jobs, shares([RECIPE, own], None).threads) == (3, 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert (shares([RECIPE], None).jobs, shares([RECIPE], None).threads) == (2, 4)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert shares([RECIPE], None).jobs == 1
    assert shares([toy_recipe(device="cpu")], None).jobs == 2
