"""`unitdisc evaluate` on unit files: what is checked first, what is printed and written, and that runs agree."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests import tiny
from tests.tiny import Done, Ran, command
from unitdisc import export
from unitdisc.units import Units

META = {"num_codes": 9, "num_codebooks": 1, "step": 0.02, "unit_of_time": "second", "offset": 0.0}
NONE = ("--intervals", 0)
USAGE = ("--metric", "usage", *NONE)
SECONDS = {"a": 0.6, "b": 0.9, "c": 1.2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.corpora(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def speech(folder: Path) -> Ran:
    return tiny.undisturbed(folder, "speech")


def some_units(**more: object) -> list[Units]:
    rng = np.random.default_rng(0)
    counts = {key: round(seconds / 0.02) for key, seconds in SECONDS.items()}
    return [
        Units(
            key, np.repeat(rng.integers(0, 9, (count // 3, 1)), 3, axis=0), 0.0, 0.02, count * 0.02, "second"
        )
        for key, count in counts.items()
    ]


def written(
    folder: Path, units: list[Units], name: str = "jsonl", *, sidecar: bool = True, **meta: object
) -> Path:
    writer = export.exporters([name])[name].build()
    export.write(
        folder, {"test": units}, exporters={name: writer}, meta={**META, "checkpoint_sha256": "", **meta}
    )
    if not sidecar:
        (folder / export.META).unlink()
    return folder / writer.place("test")


def gold(path: Path, *, seconds: dict[str, float] = SECONDS, of: tuple[str, ...] = ("a", "b", "c")) -> Path:
    """Write labels by frame of 10 ms: four labels in turn, 70 ms each."""
    lines = []
    for key in of:
        names = [["sil", "ae", "t", "o"][t // 7 % 4] for t in range(round(seconds[key] * 100))]
        lines.append(json.dumps({"file": key, "phones": names, "speaker": key.upper()}))
    path.write_text("\n".join(lines))
    return path


def evaluate(*arguments: object) -> Done:
    return command("evaluate", *map(str, arguments))


def scores(*arguments: object) -> dict:
    done = evaluate(*arguments, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def refused(*arguments: object, code: int = 3) -> str:
    done = evaluate(*arguments)
    assert (done.code, done.out) == (code, ""), done
    assert done.err.count("\n") == 1
    assert done.err.startswith("unitdisc: ")
    return done.err


def test_a_page_has_every_score_beside_chance_ceiling_and_interval(tmp_path: Path) -> None:
    units = written(tmp_path / "units", some_units())
    out = tmp_path / "scores.json"
    done = evaluate(units, "--against", gold(tmp_path / "gold.jsonl"), "--intervals", 20, "--out", out)
    assert (done.code, done.err) == (0, "")
    content = json.loads(out.read_text())
    assert {"pnmi", "nmi", "purity", "boundaries", "bitrate", "perplexity"} <= set(content["scores"])
    for name in content["scores"]:
        assert f"{name} ↑" in done.out or f"{name} ↓" in done.out
        assert f"\n{name}: " in done.out
    found = content["scores"]["pnmi"]
    assert found["shuffled"]["value"] < found["gold"]["value"]
    assert found["interval"]["low"] < found["values"]["value"] < found["interval"]["high"]
    assert (found["target"], content["seed"], content["intervals"]["over"]) == ("phones", 0, "speaker")
    assert len(content["units"]["sha256"]) == len(content["labels"]["sha256"]) == 64


@pytest.mark.parametrize("name", ["jsonl", "ctm", "textgrid", "zs2021", "npz"])
def test_every_format_gives_the_same_scores(name: str, tmp_path: Path) -> None:
    asked = ("--against", gold(tmp_path / "gold.jsonl"), "--metric", "pnmi", "--metric", "boundaries", *NONE)
    expected = scores(written(tmp_path / "jsonl", some_units()), *asked)["scores"]
    assert scores(written(tmp_path / "units", some_units(), name), *asked)["scores"] == expected


@pytest.mark.parametrize("kind", ["speech", "lines"])
def test_units_of_a_run_score_as_the_run_does(kind: str, folder: Path) -> None:
    run = tiny.undisturbed(folder, kind).folder
    content = json.loads((run / "metrics.json").read_text())["metrics"]
    names = [name for name in ("perplexity", "usage", "pnmi", "nmi", "purity") if name in content]
    metrics = [argument for name in names for argument in ("--metric", name)]
    assert "pnmi" in names
    for path in (run, run / "units" / "units-test.jsonl"):
        found = scores(path, *metrics, "--against", folder / kind, *NONE)
        assert {name: found["scores"][name]["values"] for name in names} == {
            name: pytest.approx(content[name]["values"]) for name in names
        }
        assert found["warnings"] == []


def test_a_run_scores_by_its_recipe_with_intervals_and_the_same_chance(speech: Ran, tmp_path: Path) -> None:
    content = json.loads((speech.folder / "metrics.json").read_text())
    found = scores(speech.folder, "--intervals", 5)
    assert set(found["scores"]) == set(content["metrics"])
    for name, entry in found["scores"].items():
        expected = content["metrics"][name]
        assert entry["values"] == pytest.approx(expected["values"]), name
        if expected["chance"] is not None:
            assert entry["shuffled"] == pytest.approx(expected["chance"]), name
    done = evaluate(speech.folder, "--like", "fairseq", "--out", tmp_path / "s.json")
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "s.json").read_text())["like"] == "fairseq"


def test_item_files_score_abx_straight_from_units(tmp_path: Path) -> None:
    units = [Units(key, np.array([[1], [1], [2], [2]] * 5), 0.0, 0.02, 0.4, "second") for key in "ab"]
    rows = ["#file onset offset #phone prev-phone next-phone speaker"]
    for key in "ab":
        spans = [(0.04 * n, 0.04 * n + 0.04, "xy"[n % 2]) for n in range(10)]
        rows += [f"{key} {on:.2f} {off:.2f} {phone} q q {key}" for on, off, phone in spans]
    (tmp_path / "t.item").write_text("\n".join(rows))
    found = scores(written(tmp_path / "units", units), "--against", tmp_path / "t.item", "--metric", "abx")
    assert found["scores"]["abx"]["values"]["value"] == 0.0  # x and y are other units
    assert found["scores"]["abx"]["item_file"] == str(tmp_path / "t.item")
    everything = scores(written(tmp_path / "units", units), "--against", tmp_path / "t.item", *NONE)
    assert {"abx", "bitrate"} <= set(everything["scores"])
    assert everything["left_out"]["pnmi"] == "asks for target"


def test_item_files_have_intervals_and_refuse_what_is_about_labels_of_frames(tmp_path: Path) -> None:
    keys = "abcd"
    units = [Units(key, np.array([[1], [1], [2], [2]] * 5), 0.0, 0.02, 0.4, "second") for key in keys]
    rows = ["#file onset offset #phone prev-phone next-phone speaker"]
    rows += [f"{key} 0.0{4 * n} 0.{4 * n + 4:02d} {'xxy'[n]} q q {key}" for key in keys for n in range(3)]
    items = tmp_path / "t.item"
    items.write_text("\n".join(rows))
    asked = (written(tmp_path / "units", units), "--against", items, "--metric", "abx")
    found = scores(*asked, "--intervals", 5)["scores"]["abx"]["interval"]
    assert (found["method"], found["blocks"]) == ("jackknife", 4)
    assert "--fold: an ABX item file has no labels" in refused(*asked, "--fold", items, code=2)
    assert "--label-step: is for labels by frame" in refused(*asked, "--label-step", 0.02, code=2)


def test_a_sidecar_of_another_tool_is_said(tmp_path: Path) -> None:
    path = written(tmp_path / "units", some_units())
    (path.parent / export.META).write_text(json.dumps({"files": {path.name: {}}}))
    assert "is not what unitdisc wrote" in refused(path)


def test_without_labels_a_system_has_the_rows_that_need_none(tmp_path: Path) -> None:
    units = written(tmp_path / "units", some_units())
    found = scores(units, "--like", "distsup", *NONE)
    assert set(found["scores"]) == {"perplexity", "used tokens"}
    assert "name them with --against" in found["left_out"]["boundary F1"]
    assert "name them with --against" in refused(units, "--like", "discophon", *NONE)


def test_units_without_labels_have_rates(tmp_path: Path) -> None:
    found = scores(written(tmp_path / "units", some_units(), sidecar=False), *NONE)
    assert {"bitrate", "perplexity", "usage"} <= set(found["scores"])
    assert any("rates are per unit" in line for line in found["warnings"])
    assert any("number of codes: " in line for line in found["warnings"])


# What is an error


@pytest.mark.parametrize(("step", "fits"), [(0.01, "0.02"), (0.04, "0.02")])
def test_a_wrong_rate_is_an_error_that_names_the_right_one(step: float, fits: str, tmp_path: Path) -> None:
    units = written(tmp_path / "units", some_units(), sidecar=False)
    says = refused(units, "--against", gold(tmp_path / "gold.jsonl"), "--step", step)
    assert f"a unit does not last {step:g} s" in says
    assert f"--step {fits} would fit" in says


def test_a_wrong_rate_is_seen_where_only_labels_tell_how_long_recordings_are(tmp_path: Path) -> None:
    units = written(tmp_path / "units", some_units(), sidecar=False)
    rows = [f"{key} 1 0.1 {seconds - 0.2:.2f} ae" for key, seconds in SECONDS.items()]
    (tmp_path / "phones.ctm").write_text("\n".join(rows))
    arguments = (units, "--against", tmp_path / "phones.ctm", *USAGE, "--step")
    assert "a unit does not last 0.01 s" in refused(*arguments, 0.01)
    assert len(scores(*arguments, 0.02)["warnings"]) == 1  # the number of codes is not told
    (_, found) = scores(*arguments, 0.04)["warnings"]
    assert found.startswith("units last 2.25 times as long as the labels reach: a wrong --step")


def test_merged_repeats_are_told_from_a_wrong_rate(tmp_path: Path) -> None:
    merged = [replace(item, codes=item.codes[::3]) for item in some_units()]
    merged = [replace(item, codes=np.arange(len(item.codes))[:, None] % 9) for item in merged]
    units = written(tmp_path / "units", merged, sidecar=False)
    says = refused(units, "--against", gold(tmp_path / "gold.jsonl"), "--step", 0.02)
    assert "repeats were merged" in says


def test_an_unknown_length_of_a_unit_is_an_error(tmp_path: Path) -> None:
    units = written(tmp_path / "units", some_units(), sidecar=False)
    assert "nothing says how long a unit lasts; give --step" in refused(
        units, "--against", gold(tmp_path / "g.jsonl")
    )


def test_seconds_and_columns_do_not_meet(tmp_path: Path) -> None:
    columns = [
        replace(item, step=4.0, end=4.0 * len(item.codes), unit_of_time="column") for item in some_units()
    ]
    units = written(tmp_path / "units", columns, step=4.0, unit_of_time="column")
    says = refused(units, "--against", gold(tmp_path / "gold.jsonl"))
    assert "units last columns, the times of labels by frame are seconds" in says


def test_ids_without_any_in_common_are_an_error_with_the_likely_cause(tmp_path: Path) -> None:
    renamed = [replace(item, key=f"dev/{item.key}.wav") for item in some_units()]
    units = written(tmp_path / "units", renamed)
    labels = gold(tmp_path / "gold.jsonl")
    says = refused(units, "--against", labels)
    assert "no id of the units (such as 'dev/a.wav') is one of the labels (such as 'a')" in says
    assert "give --stem" in says
    assert scores(units, "--against", labels, "--stem", *USAGE)["utterances"] == 3


def test_no_label_at_all_is_an_error(tmp_path: Path) -> None:
    lines = [
        json.dumps({"file": key, "phones": [None] * round(seconds * 100)}) for key, seconds in SECONDS.items()
    ]
    (tmp_path / "gold.jsonl").write_text("\n".join(lines))
    says = refused(written(tmp_path / "units", some_units()), "--against", tmp_path / "gold.jsonl")
    assert "no scored utterance has a label of 'phones'" in says


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--like", "discofon"), 2, "did you mean 'discophon'"),
        (("--target", "words"), 3, "--target words: no such labels (accepted: phones)"),
        (("--group", "hand"), 3, "--group hand: a says none"),
        (("--metric", "per:head=x"), 2, "per head=x: a: no head 'x' to score"),
        (("--frame", "0.015"), 2, "no whole number of such frames"),
        (("--from", "jsonl", "--step", "0.01"), 3, "says step 0.02, not 0.01"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: tuple, code: int, says: str, tmp_path: Path) -> None:
    units, labels = written(tmp_path / "units", some_units()), gold(tmp_path / "gold.jsonl")
    assert says in refused(units, "--against", labels, *arguments, code=code)


def test_options_that_would_do_nothing_are_refused(speech: Ran, tmp_path: Path) -> None:
    assert "--step: is for unit files" in refused(speech.folder, "--step", 0.02, code=2)
    units = written(tmp_path / "units", some_units())
    assert "--label-step: is about labels; name them with --against" in refused(
        units, "--label-step", 0.01, code=2
    )


def test_units_that_begin_late_are_named_where_items_begin_at_zero(tmp_path: Path) -> None:
    late = [replace(item, start=0.01) for item in some_units()]
    (tmp_path / "t.item").write_text(
        "#file onset offset #phone prev-phone next-phone speaker\n"
        + "\n".join(f"{key} 0.1 0.2 x q q f" for key in SECONDS)
    )
    path = written(tmp_path / "units", late, "ctm", offset=0.01)
    found = scores(path, "--against", tmp_path / "t.item", *USAGE)
    assert found["warnings"][0].startswith("units of 3 (such as 'a') begin at 0.01")


def test_a_format_that_nothing_tells_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "my_units"
    shutil.copy(written(tmp_path / "units", some_units(), sidecar=False), path)
    assert "give --from NAME" in refused(path)
    assert scores(path, "--from", "jsonl", *USAGE)["utterances"] == 3
    assert "no run is here, and no unit file" in refused(tmp_path / "units-none.jsonl", code=5)


# What is a warning


def warnings(tmp_path: Path, units: list[Units], labels: Path) -> list[str]:
    path = written(tmp_path / "units", units)
    return scores(path, "--against", labels, *USAGE)["warnings"]


def test_good_units_have_no_warning(tmp_path: Path) -> None:
    assert warnings(tmp_path, some_units(), gold(tmp_path / "gold.jsonl")) == []


def test_ids_of_one_side_are_counted(tmp_path: Path) -> None:
    (found,) = warnings(tmp_path, some_units(), gold(tmp_path / "gold.jsonl", of=("a", "b")))
    assert found.startswith("1 (such as 'c') of 3 unit sequences have no labels")
    (found,) = warnings(tmp_path, some_units()[:2], gold(tmp_path / "gold.jsonl"))
    assert found.startswith("1 (such as 'c') of 3 labelled ids have no units")


def test_lengths_that_are_off_by_one_are_counted_and_scored_without_the_rest(tmp_path: Path) -> None:
    short = [replace(item, codes=item.codes[:-1], end=item.end - 0.02) for item in some_units()]
    (found,) = warnings(tmp_path, short, gold(tmp_path / "gold.jsonl"))
    assert found.startswith("3 (such as 'a') of 3 have a unit or two more or less")
    units, labels = written(tmp_path / "units", short), tmp_path / "gold.jsonl"
    counted = scores(units, "--against", labels, "--metric", "pnmi", *NONE)
    expected = sum(Fraction(len(item.codes) * 2) for item in short)
    assert counted["scores"]["pnmi"]["values"]["frames"] == expected


def test_another_recording_under_the_same_id_is_named(tmp_path: Path) -> None:
    units = some_units()
    units[1] = replace(units[1], codes=units[1].codes[:20], end=0.4)
    (found,) = warnings(tmp_path, units, gold(tmp_path / "gold.jsonl"))
    assert found.startswith("1 (such as 'b') of 3 differ from their recordings by more than 2 units")


def test_an_utterance_without_labels_is_counted(tmp_path: Path) -> None:
    path = gold(tmp_path / "gold.jsonl", of=("a", "b"))
    path.write_text(path.read_text() + "\n" + json.dumps({"file": "c", "phones": [None] * 120}))
    (found,) = warnings(tmp_path, some_units(), path)
    assert found.startswith("1 (such as 'c') of 3 have no label of 'phones'")


def test_one_unit_everywhere_is_named(tmp_path: Path) -> None:
    same = [replace(item, codes=np.full_like(item.codes, 4)) for item in some_units()]
    (found,) = warnings(tmp_path, same, gold(tmp_path / "gold.jsonl"))
    assert found.startswith("the unit 4 stands everywhere: a collapsed codebook")


def test_units_of_another_checkpoint_are_named(speech: Ran, folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(speech.folder, run)
    place = run / "units" / export.META
    meta = json.loads(place.read_text())
    place.write_text(json.dumps({**meta, "checkpoint_sha256": "5e" * 32}))
    for path in (run, run / "units" / "units-test.jsonl"):
        (found,) = scores(path, *USAGE)["warnings"]
        assert found.startswith("the unit files are of another checkpoint (5e5e5e5e5e5e)")
