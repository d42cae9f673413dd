"""`unitdisc evaluate`: the page of a run alone, options that act or are refused, speakers, maps of another split."""

from __future__ import annotations

import shutil
from dataclasses import replace
from math import log2
from pathlib import Path

import numpy as np
import pytest

from tests import tiny
from tests.test_evaluate_units import (
    NONE,
    SECONDS,
    evaluate,
    gold,
    refused,
    scores,
    some_units,
    written,
)
from tests.tiny import Ran
from unitdisc.units import Units


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.corpora(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def speech(folder: Path) -> Ran:
    return tiny.undisturbed(folder, "speech")


# A run alone


def test_a_run_alone_prints_the_page_and_leaves_its_files_as_they_are(speech: Ran) -> None:
    before = {path: path.read_bytes() for path in speech.folder.iterdir() if path.is_file()}
    done = evaluate(speech.folder)
    assert (done.code, done.err) == (0, "")
    for text in ("± 95 %", "shuffled", "random", "gold: labels as units", "pnmi ↑", "per ↓", "decoder.mse"):
        assert text in done.out, text
    assert f"{speech.folder} (speech, step {tiny.STEPS}), split test: 4 utterances" in done.out
    assert "pnmi: Phone-normalised mutual information" in done.out
    after = {path: path.read_bytes() for path in speech.folder.iterdir() if path.is_file()}
    assert {path.name for path in before if before[path] != after[path]} <= {"run.lock"}


def test_a_run_whose_data_are_gone_prints_what_it_keeps(speech: Ran, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(speech.folder, run)
    recipe = run / "recipe.yaml"
    lines = recipe.read_text().splitlines()
    recipe.write_text("\n".join("  root: /nowhere" if "root:" in line else line for line in lines))
    done = evaluate(run)
    assert done.code == 0
    assert "no such folder" in done.err
    assert "below are the scores that the run keeps" in done.err
    assert "pnmi" in done.out


@pytest.mark.parametrize("metric", ["speaker_probe", "abx:on=latents,target=phones"])
def test_what_units_do_not_hold_is_named(speech: Ran, tmp_path: Path, metric: str) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("a 0 0.06 x\n")
    item = Units("a", np.array([[1], [2], [1]]), 0.0, 0.02, 0.06, "second")
    units = written(tmp_path / "units", [item])
    done = evaluate(units, "--against", labels, "--metric", metric, "--intervals", "0")
    assert done.code == 2
    assert "unit files hold units alone" in done.err


def test_the_page_of_a_run_alone_has_a_column_for_what_a_paper_reports(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny.undisturbed(folder, "lines").folder, run)
    recipe = run / "recipe.yaml"
    recipe.write_text(
        recipe.read_text() + "paper: {table: 'A, Table 9', row: ours, pnmi: 0.25, decoder.bpd: 0.3125}\n"
    )
    done = evaluate(run)
    assert done.code == 0, done.err
    assert "paper: A, Table 9: ours." in done.out
    (pnmi,) = (line for line in done.out.splitlines() if line.startswith("│ pnmi"))
    (bpd,) = (line for line in done.out.splitlines() if line.startswith("│ decoder.bpd"))
    assert "0.25 │" in pnmi
    assert "0.3125 │" in bpd


def test_the_seed_reaches_the_shuffled_units_of_a_run(speech: Ran) -> None:
    found = {seed: scores(speech.folder, *NONE, "--seed", seed) for seed in (0, 1, 2)}
    shuffled = {seed: content["scores"]["pnmi"]["shuffled"]["value"] for seed, content in found.items()}
    assert len({*shuffled.values()}) == 3
    assert [content["seed"] for content in found.values()] == [0, 1, 2]
    assert found[0]["scores"]["pnmi"]["values"] == found[1]["scores"]["pnmi"]["values"]


def test_where_no_seed_is_asked_for_it_is_that_of_the_recipe(speech: Ran, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(speech.folder, run)
    recipe = (run / "recipe.yaml").read_text()
    assert "  seed: 0" in recipe
    head, section = recipe.split("evaluate:")
    (run / "recipe.yaml").write_text(f"{head}evaluate:{section.replace('seed: 0', 'seed: 7', 1)}")
    asked, free = scores(run, *NONE, "--seed", 7), scores(run, *NONE)
    assert free["seed"] == 7
    assert asked["scores"] == free["scores"]


# Options that act, or are refused


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--target", "phones"), "--target: the metrics of a recipe say it themselves"),
        (("--speakers", "utt2spk"), "--speakers: is for other labels or unit files"),
        (("--group", "speaker", *NONE), "--group: is about intervals"),
        (("--fit-on", "train"), "--fit-on: no score that is asked for learns a map"),
        (("--frame", "0.01"), "--frame: is about labels"),
        (("--step", "0.01"), "--step: is for unit files"),
    ],
)
def test_what_would_do_nothing_for_a_run_is_refused(
    arguments: tuple[str, ...], says: str, speech: Ran
) -> None:
    assert says in refused(speech.folder, *arguments, code=2)


def test_a_target_for_a_run_is_scored_where_metrics_are_named(speech: Ran) -> None:
    found = scores(speech.folder, "--target", "phones", "--metric", "pnmi", *NONE)
    assert found["scores"]["pnmi"]["target"] == "phones"


@pytest.mark.parametrize("option", ["--frame", "--step", "--label-step"])
@pytest.mark.parametrize("length", ["1e-8", "1e-300", "1e300", "nan", "inf"])
def test_lengths_that_nothing_has_are_refused(option: str, length: str, tmp_path: Path) -> None:
    units = written(tmp_path / "units", some_units(), sidecar=False)
    given = {"--step": 0.02, option: length}
    options = [argument for pair in given.items() for argument in pair]
    says = refused(units, "--against", gold(tmp_path / "gold.jsonl"), *options, code=2)
    assert f"{option} {float(length):g}: nothing lasts so" in says


def test_frames_that_are_too_many_are_refused(tmp_path: Path) -> None:
    units = written(tmp_path / "units", some_units())
    labels = gold(tmp_path / "gold.jsonl")
    says = refused(units, "--against", labels, "--frame", "1e-5", code=2)
    assert "a unit of 0.02 seconds would be 2,000 frames; give 2e-05 or more" in says
    assert (
        scores(units, "--against", labels, "--frame", 2e-3, "--metric", "pnmi", *NONE)["grid"]["stride"] == 10
    )


def test_a_unit_file_with_impossible_times_is_refused(tmp_path: Path) -> None:
    far = [Units("a", np.array([[0], [1]]), 0.0, 1e-12, 2e-12, "second")]
    assert "cannot be; the file is damaged" in refused(written(tmp_path / "units", far, "npz", step=1e-12))


def test_a_unit_of_time_without_a_step_acts_or_is_refused(tmp_path: Path) -> None:
    units = written(tmp_path / "units", some_units(), sidecar=False)
    says = refused(units, "--unit-of-time", "column", *NONE, code=2)
    assert "nothing says how many columns a unit lasts; give --step" in says
    timed = written(tmp_path / "timed", some_units(), "ctm", sidecar=False)
    content = scores(timed, "--unit-of-time", "column", "--metric", "bitrate", *NONE)
    assert content["grid"]["unit_of_time"] == "column"


@pytest.mark.parametrize("option", [("--unit-of-time", "column"), ("--step", "0.01")])
def test_a_file_that_says_its_times_is_not_told_others(option: tuple[str, str], tmp_path: Path) -> None:
    units = written(tmp_path / "units", some_units(), "npz", sidecar=False)
    assert "says itself that a unit lasts 0.02 seconds" in refused(units, *option)
    assert scores(units, "--step", "0.02", "--metric", "bitrate", *NONE)["sidecar"]["step"] == 0.02


# Who speaks


def several(count: int = 6) -> list[Units]:
    rng = np.random.default_rng(0)
    return [
        Units(f"u{n}", np.repeat(rng.integers(0, 9, (15, 1)), 3, axis=0), 0.0, 0.02, 0.9, "second")
        for n in range(count)
    ]


def test_speakers_from_a_table_make_intervals_and_speaker_scores(tmp_path: Path) -> None:
    units, path = several(), tmp_path / "utt2spk"
    path.write_text("other x\n" + "".join(f"{item.key} s{n % 3}\n" for n, item in enumerate(units)))
    rows = [
        f"{item.key} 1 {t / 10:.1f} 0.1 {'ab'[(t + n) % 2]}" for n, item in enumerate(units) for t in range(9)
    ]
    (tmp_path / "phones.ctm").write_text("\n".join(rows))
    asked = ("--against", tmp_path / "phones.ctm", "--speakers", path, "--metric", "pnmi", "--metric")
    found = scores(written(tmp_path / "units", units), *asked, "unit_accuracy:fit=halves", "--intervals", 5)
    assert (found["intervals"]["over"], found["intervals"]["groups"]) == ("speaker", 3)
    assert "gap" in found["scores"]["unit_accuracy fit=halves"]["values"]


def test_speakers_need_no_labels_and_ids_may_have_folders(tmp_path: Path) -> None:
    renamed = [replace(item, key=f"dev/{item.key}.wav") for item in several()]
    units, path = written(tmp_path / "units", renamed), tmp_path / "utt2spk"
    path.write_text("".join(f"u{n} s{n}\n" for n in range(6)))
    asked = (units, "--speakers", path, "--metric", "bitrate", "--intervals", 5)
    assert "6 (such as 'dev/u0.wav') of 6 that are scored; give --stem" in refused(*asked)
    assert scores(*asked, "--stem")["intervals"] == {
        "samples": 5, "jackknife": True, "over": "speaker", "groups": 6,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a x\nb\n", "utt2spk:2: expected an id and its speaker, found 'b'"),
        ("a x\na y\n", "utt2spk:2: 'a' has another speaker in an earlier line"),
        ("a x\nb y\n", "says no speaker of 1 (such as 'c') of 3 that are scored; add them"),
    ],
)
def test_a_wrong_table_of_speakers_is_named(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "utt2spk").write_text(text)
    assert says in refused(written(tmp_path / "units", some_units()), "--speakers", tmp_path / "utt2spk")


# How long recordings are


def test_bitrate_counts_recordings_to_their_end(tmp_path: Path) -> None:
    short = [replace(item, codes=item.codes[:-2], end=item.end - 0.04) for item in some_units()]
    codes = np.concatenate([item.codes[:, 0] for item in short])
    shares = np.bincount(codes) / len(codes)
    bits = -sum(share * log2(share) for share in shares if share) * len(codes)
    labels = gold(tmp_path / "gold.jsonl")
    found = scores(written(tmp_path / "a", short), "--against", labels, "--like", "zrc2019", *NONE)
    assert found["scores"]["bitrate"]["values"]["seconds"] == pytest.approx(sum(SECONDS.values()))
    assert found["scores"]["bitrate"]["values"]["value"] == pytest.approx(bits / sum(SECONDS.values()))
    alone = scores(written(tmp_path / "b", short), "--metric", "bitrate", *NONE)["scores"]["bitrate"]
    assert alone["values"]["seconds"] == pytest.approx(sum(SECONDS.values()) - 3 * 0.04)


# Maps learnt elsewhere


def frames(item: Units, key: str) -> list[tuple[int, str]]:
    """Return unit and label of each labelled frame of 10 ms, by the labels of `gold`."""
    count = round(SECONDS[key] * 100)
    return [(int(item.codes[t // 2, 0]), ["sil", "ae", "t", "o"][t // 7 % 4]) for t in range(count)]


def commonest(pairs: list[tuple[int, str]]) -> dict[int, str]:
    """Return the label that each unit meets most often, of equals the one that labels have first."""
    order = ["sil", "ae", "t", "o"]
    return {
        unit: max(order, key=lambda label: pairs.count((unit, label))) for unit in {unit for unit, _ in pairs}
    }


def test_a_map_of_another_unit_file_is_that_of_plain_loops(tmp_path: Path) -> None:
    first, *others = some_units()
    labels = gold(tmp_path / "gold.jsonl")
    here, there = written(tmp_path / "here", [first]), written(tmp_path / "there", others)
    found = scores(here, "--against", labels, "--fit-on", there, "--metric", "unit_accuracy", *NONE)
    pairs = frames(first, "a")
    learnt = commonest([pair for item in others for pair in frames(item, item.key)])
    own = commonest(pairs)
    values = found["scores"]["unit_accuracy"]["values"]
    expected = sum(learnt.get(unit) == label for unit, label in pairs) / len(pairs)
    same = sum(own[unit] == label for unit, label in pairs) / len(pairs)
    assert values["value"] == pytest.approx(expected)
    assert values["same"] == pytest.approx(same)
    assert values["gap"] == pytest.approx(same - expected)
    assert found["fit_on"]["path"] == found["scores"]["unit_accuracy"]["fit_on"] == str(there)
    assert found["scores"]["unit_accuracy"]["gold"]["gap"] == pytest.approx(0, abs=0.1)


def test_a_map_of_another_split_of_a_run_is_that_of_its_unit_files(
    speech: Ran, folder: Path, tmp_path: Path
) -> None:
    done = tiny.command(
        "export", speech.folder, "--split", "train", "--format", "jsonl", "--out", tmp_path / "train"
    )
    assert done.code == 0, done.err
    asked = ("--metric", "unit_accuracy", *NONE)
    of_run = scores(speech.folder, *asked, "--fit-on", "train")
    beside = scores(speech.folder, *asked, "--fit-on", "train", "--against", folder / "speech")
    test, train = speech.folder / "units/units-test.jsonl", tmp_path / "train/units-train.jsonl"
    of_files = scores(test, *asked, "--fit-on", train, "--against", folder / "speech")
    values = [found["scores"]["unit_accuracy"]["values"] for found in (of_run, beside, of_files)]
    assert values[0] == pytest.approx(values[1])
    assert values[1] == pytest.approx(values[2])
    assert of_run["fit_on"] == {"split": "train"}
    alone = scores(speech.folder, *asked)["scores"]["unit_accuracy"]["values"]
    assert values[0]["same"] == alone["value"]


def test_maps_learnt_elsewhere_have_intervals(tmp_path: Path) -> None:
    units = several(8)
    rows = [
        f"{item.key} 1 {t / 10:.1f} 0.1 {'ab'[(t + n) % 2]}" for n, item in enumerate(units) for t in range(9)
    ]
    (tmp_path / "phones.ctm").write_text("\n".join(rows))
    here, there = written(tmp_path / "here", units[:4]), written(tmp_path / "there", units[4:])
    asked = ("--against", tmp_path / "phones.ctm", "--fit-on", there, "--metric", "unit_accuracy")
    found = scores(here, *asked, "--intervals", 20)["scores"]["unit_accuracy"]
    assert found["interval"]["low"] < found["values"]["value"] < found["interval"]["high"]


def test_what_a_map_cannot_be_learnt_on_is_named(tmp_path: Path) -> None:
    labels = gold(tmp_path / "gold.jsonl")
    here = written(tmp_path / "here", some_units())
    asked = (here, "--against", labels, "--metric", "unit_accuracy", *NONE, "--fit-on")
    slow = [replace(item, codes=item.codes[::2], step=0.04) for item in some_units()]
    there = written(tmp_path / "slow", slow, step=0.04)
    assert "its units have step 0.04, those that are scored 0.02" in refused(*asked, there)
    renamed = [replace(item, key=f"x{item.key}") for item in some_units()]
    assert "no id of the units (such as 'xa')" in refused(*asked, written(tmp_path / "x", renamed))
    assert "--fit-on: is about labels" in refused(here, "--metric", "bitrate", "--fit-on", here, code=2)
    halves = (here, "--against", labels, "--metric", "unit_accuracy:fit=halves", "--fit-on", here)
    assert "fit halves learns the map on other speakers" in refused(*halves, code=2)


# How long a recording is


@pytest.mark.parametrize("start", [0.0, 100.0])
def test_without_labels_units_last_from_the_first_to_the_last(tmp_path: Path, start: float) -> None:
    item = Units("a", np.array([[1], [2], [1], [3]]), start, 0.02, start + 0.08, "second")
    units = written(tmp_path, [item])
    found = scores(units, "--metric", "bitrate", "--intervals", "0")["scores"]["bitrate"]
    assert found["values"]["seconds"] == pytest.approx(0.08)
