"""`unitdisc convert`: what comes out, what is said to be lost, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from unitdisc import cli, export
from unitdisc.cli.convert import command
from unitdisc.convert import convert, read
from unitdisc.errors import DataError, RecipeError, StorageError, UnitdiscError
from unitdisc.exporter import UNKNOWN, Exporter
from unitdisc.lost import lost
from unitdisc.units import Units

META = {
    "num_codes": 9,
    "num_codebooks": 1,
    "step": 0.02,
    "unit_of_time": "second",
    "offset": 0.0,
    "checkpoint_sha256": "5e" * 32,
    "recipe": "speech/demo",
}


def units(
    key: str, codes: list, *, end: float | None = None, step: float = 0.02, of: str = "second"
) -> Units:
    array = np.array(codes, np.int64).reshape(len(codes), -1) if codes else np.zeros((0, 1), np.int64)
    return Units(key, array, 0.0, step, len(codes) * step if end is None else end, of)


SOME = [units("b", [3, 3, 5], end=0.05), units("a", [0]), units("c", [])]


def exported(folder: Path, name: str, items: list[Units] = SOME, **meta: object) -> Path:
    """Write the folder that `unitdisc export` would write."""
    writer = export.exporters([name])[name].build()
    export.write(folder, {"test": items}, exporters={name: writer}, meta={**META, **meta})
    return folder / writer.place("test")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def sidecar(folder: Path) -> dict:
    return json.loads((folder / export.META).read_text())


# Conversions


FORMATS = ("jsonl", "km", "gslm", "zs2019", "zs2021", "tde", "ctm", "textgrid", "csv", "kaldi", "espnet", "lhotse",
           "shar", "webdataset", "npz")  # fmt: skip


@pytest.mark.parametrize("source", FORMATS)
def test_any_format_becomes_any_other(source: str, tmp_path: Path) -> None:
    items = [units("b", [3, 3, 5], end=0.05), units("a", [0])]
    path = exported(tmp_path / "from", source, items)
    for target in FORMATS:
        convert(read(path, source), target, tmp_path / target)
        writer = export.exporters([target])[target].build()
        found = read(tmp_path / target / writer.place("test"), target)
        assert {item.key: item.codes.tolist() for item in found.units} == {
            i.key: i.codes.tolist() for i in items
        }
        assert (found.num_codes, found.meta["step"], found.split) == (9, 0.02, "test")


def test_the_sidecar_says_what_the_first_one_said(tmp_path: Path) -> None:
    path = exported(tmp_path / "from", "jsonl")
    convert(read(path, "jsonl"), "gslm", tmp_path / "to")
    found = sidecar(tmp_path / "to")
    assert {key: found[key] for key in META} == META
    assert found["files"] == {
        "test.gslm": {"format": "gslm", "split": "test", "sha256": export.sha256(tmp_path / "to/test.gslm")}
    }


def test_a_file_of_another_system_is_all_that_is_needed(tmp_path: Path) -> None:
    (tmp_path / "mine.gslm").write_text("x|3 3 5\ny|0\n")
    result = run(
        tmp_path / "mine.gslm", "--from", "gslm", "--to", "ctm", "--step", 0.02, "--out", tmp_path / "to"
    )
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        str(tmp_path / "to/mine.ctm"),
        str(tmp_path / "to/units.meta.json"),
        "number of codes: 6, the largest code + 1; if there are more, give --num-codes",
        "lost: nothing",
    ]
    assert (tmp_path / "to/mine.ctm").read_text().splitlines()[2] == "x 1 0.040000 0.020000 5"
    assert sidecar(tmp_path / "to")["checkpoint_sha256"] == ""


def test_one_codebook_of_several_is_written(tmp_path: Path) -> None:
    path = exported(tmp_path / "from", "jsonl", [units("a", [[1, 2], [3, 4]])], num_codebooks=2)
    result = run(path, "--from", "jsonl", "--to", "gslm", "--book", 1, "--out", tmp_path / "to")
    assert (tmp_path / "to/test.gslm").read_text() == "a|2 4\n"
    assert "lost: the other codebooks; times (a unit lasts 0.02 seconds" in result.output
    assert (sidecar(tmp_path / "to")["num_codebooks"], sidecar(tmp_path / "to")["book"]) == (1, 1)
    with pytest.raises(RecipeError, match="--book 2: found 2 codebooks, numbered from 0"):
        convert(read(path, "jsonl"), "gslm", tmp_path / "to", book=2)


def test_km_of_several_codebooks_is_read_by_its_name(tmp_path: Path) -> None:
    path = exported(tmp_path / "from", "km", [units("a", [[1, 2], [3, 4]])], num_codebooks=2)
    assert not path.exists()
    assert read(path, "km").units[0].codes.tolist() == [[1, 2], [3, 4]]


def test_the_command_is_listed() -> None:
    assert "convert" in cli.COMMANDS


# What is lost


@pytest.mark.parametrize(
    ("target", "options", "expected"),
    [
        ("npz", (), "nothing"),
        ("webdataset", ("deduplicate=true",), "nothing"),
        ("shar", (), "nothing"),
        ("jsonl", (), "times (a unit lasts 0.02 seconds, says units.meta.json)"),
        ("gslm", ("deduplicate=true",), "times (a unit lasts 0.02 seconds, says units.meta.json)"),
        ("zs2019", ("deduplicate=true",), "the order of ids; durations (how often a unit is repeated)"),
        ("lhotse", (), "nothing"),
        ("ctm", (), "1 of 3 ids, which have no units"),
        ("tde", ("deduplicate=true",), "1 of 3 ids, which have no units; the order of ids"),
    ],
)
def test_what_is_lost_is_said(target: str, options: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    path = exported(tmp_path / "from", "npz")
    result = run(path, *options, "--from", "npz", "--to", target, "--out", tmp_path / "to")
    assert result.output.splitlines()[-1] == f"lost: {expected}"


def test_rounded_times_and_the_end_of_recordings_are_lost() -> None:
    old = units("a", [1, 2], step=512 / 44100, end=0.5)
    assert lost([old], [old]) == []
    assert lost([old], [units("a", [1, 2], step=0.01161, end=0.02322)]) == [
        "where a recording ends, if that is not where its last unit does",
        "decimals of times (up to 5e-08 seconds)",
    ]


def test_columns_and_units_can_be_lost() -> None:
    old = units("a", [1, 2], step=4.0, of="column")
    assert lost([old], [units("a", [1, 2], step=4.0)]) == [
        "that times are in columns (units.meta.json says so)"
    ]
    assert lost([old], [units("a", [1, 1], step=4.0)]) == ["units of 1 ids"]
    assert lost([units("a", [1], of=UNKNOWN)], [units("a", [1])]) == []


def test_what_an_exporter_of_others_loses_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Plain(Exporter):
        def write(self, units, *, split, num_codes, folder):
            (folder / "plain").write_text(str(len(units)))
            return [folder / "plain"]

    path = exported(tmp_path / "from", "npz")
    source = read(path, "npz")
    use = export.exporters(["gslm"])["gslm"]
    monkeypatch.setattr(
        export, "exporters", lambda *_: {"plain": type(use)("exporter", "plain", Plain, {}, "test")}
    )
    assert "cannot be read back" in convert(source, "plain", tmp_path / "to").lost[0]
    with pytest.raises(RecipeError, match="format plain: can be written, not read"):
        read(path, "plain")


# Refusals


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        ("a|1 9\n", {"num_codes": 9}, r"x\.gslm:1: a: found code 9; there are 0 to 8"),
        ("a|1\na|2\n", {}, r"x\.gslm:2: 'a' stands there twice; keep one of them"),
        ("", {}, r"x\.gslm: holds no units"),
        ("a|1\nb|x\n", {}, r"x\.gslm:2: expected codes, found 'x'"),
    ],
)
def test_wrong_units_are_named(lines: str, options: dict, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.gslm").write_text(lines)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "x.gslm", "gslm", **options)


def test_units_of_several_kinds_do_not_go_together(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"file": "a", "units": [1]}\n{"file": "b", "units": [[1, 2]]}\n')
    with pytest.raises(DataError, match=r"x\.jsonl:2: b: units have 2 codes, those before 1"):
        read(path, "jsonl")
    path = exported(tmp_path / "from", "npz", [units("a", [1]), units("b", [1], step=0.01)])
    with pytest.raises(DataError, match=r"b: a unit lasts 0\.01 seconds, that of others 0\.02 seconds"):
        read(path, "npz")


def test_what_is_told_must_agree_with_the_sidecar(tmp_path: Path) -> None:
    path = exported(tmp_path / "from", "jsonl")
    assert read(path, "jsonl", step=0.02, num_codes=9).num_codes == 9
    with pytest.raises(
        DataError, match=r"units\.meta\.json beside it says step 0\.02, not 0\.01; leave it out"
    ):
        read(path, "jsonl", step=0.01)
    with pytest.raises(DataError, match=r"says num_codes 9, not 8"):
        read(path, "jsonl", num_codes=8)


def test_a_file_that_its_sidecar_does_not_know_is_read_without_it(tmp_path: Path) -> None:
    exported(tmp_path / "from", "jsonl")
    (tmp_path / "from/other.jsonl").write_text('{"file": "a", "units": [20]}\n')
    found = read(tmp_path / "from/other.jsonl", "jsonl")
    assert (found.num_codes, found.is_told, found.split) == (21, False, "other")


@pytest.mark.parametrize("files", [[], {"x": 1}, {"x": {}}])
def test_a_sidecar_of_something_else_is_named(files: object, tmp_path: Path) -> None:
    (tmp_path / export.META).write_text(json.dumps({"files": files}))
    (tmp_path / "x.gslm").write_text("a|1\n")
    with pytest.raises(StorageError, match=r"units\.meta\.json: is not what unitdisc wrote"):
        read(tmp_path / "x.gslm", "gslm")


def test_splits_with_like_names_are_told_apart(tmp_path: Path) -> None:
    writer = export.exporters(["zs2019"])["zs2019"].build()
    splits = {"test": [units("a", [1])], "test2": [units("a", [2])]}
    export.write(tmp_path / "from", splits, exporters={"zs2019": writer}, meta=META)
    for split, (item,) in splits.items():
        found = read(tmp_path / f"from/zs2019-{split}", "zs2019")
        assert (found.split, found.units[0].codes.tolist()) == (split, item.codes.tolist())


def test_damage_is_found_by_the_checksum(tmp_path: Path) -> None:
    path = exported(tmp_path / "from", "km")
    (tmp_path / "from/test.keys").write_text("b\na\nd\n")
    with pytest.raises(DataError, match=r"test\.keys: is not what units\.meta\.json lists"):
        read(path, "km")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--to", "ctm"),
            "format ctm holds times, and nothing says how long a unit lasts; give --step SECONDS",
        ),
        (("--to", "gslm", "--book", 1), "--book 1: found 1 codebooks, numbered from 0"),
        (("--to", "gsml"), "'gsml'"),
        (("--to", "gslm", "speed=3"), "speed"),
    ],
)
def test_what_cannot_be_converted_leaves_nothing(arguments: tuple, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.gslm").write_text("a|1\n")
    result = run(tmp_path / "x.gslm", "--from", "gslm", *arguments, "--out", tmp_path / "to")
    assert isinstance(result.exception, UnitdiscError)
    assert message in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["x.gslm"]


def test_a_missing_file_and_other_files_in_the_new_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.gslm: is not there"):
        read(tmp_path / "gone.gslm", "gslm")
    path = exported(tmp_path / "from", "jsonl")
    (tmp_path / "to").mkdir()
    (tmp_path / "to/mine.txt").write_text("mine")
    with pytest.raises(UnitdiscError, match="holds other files"):
        convert(read(path, "jsonl"), "gslm", tmp_path / "to")
