"""Gold rows of fully labelled units, files of scores that are none, and names that are looked up."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import unitdisc
from tests import tiny
from tests.test_scored import item, random_items, scored
from tests.tiny import command
from unitdisc import named, report_scores
from unitdisc.errors import RecipeError
from unitdisc.scored import rows


def test_gold_units_that_are_all_labelled_have_no_code_for_gaps() -> None:
    whole = [item("a", [0, 1, 2], [0, 1, 2]), item("b", [0], [3])]
    found, _ = scored(whole, rows.asked(["usage"], {}))
    assert found["usage"]["gold"]["value"] == 1.0
    gaps = [*whole, item("c", [0], [-1])]
    found, _ = scored(gaps, rows.asked(["usage"], {}))
    assert (found["usage"]["gold"]["value"], found["usage"]["gold"]["used"]) == (1.0, 5)


def test_a_gap_that_no_unit_stands_for_counts_as_a_code() -> None:
    found, _ = scored([item("a", [0, 1], [0, 0, -1, 1, 2, 3], stride=3)], rows.asked(["usage"], {}))
    assert (found["usage"]["gold"]["used"], found["usage"]["gold"]["value"]) == (2, 2 / 5)


def test_without_the_jackknife_only_what_merges_has_an_interval() -> None:
    from tests.test_scored import Known
    from unitdisc.scored.score import score

    items = random_items(12, np.random.default_rng(0))
    found, _ = score(
        Known(items),
        rows.asked(["abx:context=any", "purity"], {"target": "phones", "field": "speaker"}),
        group=lambda one: one.fields["speaker"],
        groups=[one.fields["speaker"] for one in items],
        samples=10,
        jackknife=False,
        seed=0,
        targets={"phones": 4},
        main="phones",
    )
    assert found["abx context=any"]["interval"] is None
    assert found["purity"]["interval"]["method"] == "bootstrap"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    shutil.copytree(
        tiny.undisturbed(tiny.corpora(tmp_path_factory.getbasetemp()), "lines").folder, folder / "run"
    )
    return folder / "run"


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("run"),
        lambda content: content.pop("scores"),
        lambda content: content.update(run=[]),
        lambda content: content.update(scores=[1]),
        lambda content: content["scores"]["pnmi"].pop("gold"),
        lambda content: content["scores"]["pnmi"].update(values=0.5),
        lambda content: content["scores"]["pnmi"]["values"].update(value="much"),
    ],
)
def test_scores_json_of_another_tool_is_one_line(change, run: Path) -> None:
    path = run / report_scores.SCORES
    assert command("evaluate", run, "--intervals", 0, "--out", path).code == 0
    assert len(report_scores.rows(unitdisc.load(run), None)) == 6
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    done = command("report", run)
    assert (done.code, done.err.count("\n")) == (3, 1)
    assert f"{path}: is not what unitdisc evaluate writes; move it away" in done.err


def test_scores_of_the_unit_file_of_a_run_stand_in_its_report(run: Path) -> None:
    path, units = run / report_scores.SCORES, run / "units/units-test.jsonl"
    assert command("evaluate", units, "--metric", "bitrate", "--intervals", 0, "--out", path).code == 0
    assert "bitrate" in {score.name for score in report_scores.rows(unitdisc.load(run), None)}
    content = json.loads(path.read_text())
    content["sidecar"]["checkpoint_sha256"] = "another"
    path.write_text(json.dumps(content))
    assert "bitrate" not in {score.name for score in report_scores.rows(unitdisc.load(run), None)}


def test_what_an_utterance_lacks_is_named_beside_what_it_has() -> None:
    one = replace(item("a", [0, 1], [0, 1]), codes=np.array([[0, 5], [1, 6]]))
    assert named.codes(one, 1).tolist() == [[5], [6]]
    assert named.field_value(one, "speaker") == "s"
    assert named.frame_target(one, "phones").tolist() == [0, 1]
    with pytest.raises(RecipeError, match=r"a: no target 'words' to score \(accepted: phones\)"):
        named.target(one, "words")
    with pytest.raises(RecipeError, match=r"a: codebook 2 does not exist \(accepted: 0 to 1\)"):
        named.codes(one, 2)
    with pytest.raises(RecipeError, match="a: the bottleneck quantises nothing"):
        named.codes(replace(one, codes=np.zeros((2, 0), np.int64)))
    with pytest.raises(RecipeError, match="target 'phones' has 2 symbols for 5 frames"):
        named.frame_target(replace(one, num_frames=5), "phones")


def test_nothing_to_score_says_each_reason_once(run: Path) -> None:
    units = run / "units/units-test.jsonl"
    done = command("evaluate", units, "--like", "beer")
    assert done.code == 3
    assert done.err.count("name them with --against") == 1
