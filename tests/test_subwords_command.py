"""``unitdisc subwords`` and ``unitdisc export --deduplicate`` as a user runs them."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests import tiny
from tests.tiny import Ran, command
from unitdisc import export
from unitdisc.units import Units
from unitdisc_formats.jsonl import JSONL

pytest.importorskip("sentencepiece")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A run on line images."""
    return tiny.undisturbed(tiny.corpora(tmp_path_factory.getbasetemp()), "lines")


def exported(
    folder: Path, *, num_codebooks: int = 1, deduplicate: bool = False, checkpoint: str = "c0"
) -> Path:
    """Write units of words that repeat, as ``unitdisc export`` does, and return their file."""
    rng = np.random.default_rng(0)
    words = np.array([[0, 0, 1, 2], [3, 3, 3, 2], [1, 4, 4, 0]])
    split = []
    for number in range(8):
        codes = words[rng.integers(0, 3, 10)].reshape(-1, 1).repeat(num_codebooks, axis=1)
        split.append(Units(f"u{number}", codes, 0.0, 0.02, len(codes) * 0.02, "second"))
    split.append(Units("silence", np.zeros((0, num_codebooks), np.int64), 0.0, 0.02, 0.0, "second"))
    meta = {"num_codes": 6, "num_codebooks": num_codebooks, "step": 0.02, "unit_of_time": "second"}
    meta["checkpoint_sha256"] = checkpoint
    export.write(folder, {"test": split}, exporters={"jsonl": JSONL(deduplicate=deduplicate)}, meta=meta)
    return folder / "units-test.jsonl"


@pytest.mark.parametrize("num_codebooks", [1, 2])
@pytest.mark.parametrize("deduplicate", [False, True])
def test_units_come_back_bit_for_bit(num_codebooks: int, tmp_path: Path, *, deduplicate: bool):
    full = exported(tmp_path / "full", num_codebooks=num_codebooks)
    given = exported(tmp_path / "given", num_codebooks=num_codebooks, deduplicate=deduplicate)
    model, pieces, back = tmp_path / "model", tmp_path / "pieces.jsonl", tmp_path / "back.jsonl"
    for arguments in (
        ("train", given, "--size", "20", "--out", model),
        ("encode", model, given, "--out", pieces),
        ("decode", model, pieces, "--out", back),
    ):
        done = command("subwords", *arguments)
        assert (done.code, done.err) == (0, "")
    assert back.read_bytes() == full.read_bytes()
    assert (given.read_bytes() == full.read_bytes()) == (not deduplicate)


def test_pieces_without_durations_give_units_without_repeats(tmp_path: Path):
    given = exported(tmp_path / "units")
    command("subwords", "train", given, "--size", "20", "--out", tmp_path / "model")
    command("subwords", "encode", tmp_path / "model", given, "--out", tmp_path / "pieces.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "pieces.jsonl").read_text().splitlines()]
    bare = "".join(json.dumps({"file": line["file"], "pieces": line["pieces"]}) + "\n" for line in lines)
    (tmp_path / "bare.jsonl").write_text(bare)
    done = command(
        "subwords", "decode", tmp_path / "model", tmp_path / "bare.jsonl", "--out", tmp_path / "back"
    )
    assert done.code == 0
    first = json.loads((tmp_path / "back").read_text().splitlines()[0])["units"]
    assert len(first) == len(lines[0]["durations"]) < 40
    assert all(left != right for left, right in pairwise(first))


def test_a_run_is_learnt_from_and_encoded_without_an_export(ran: Ran, tmp_path: Path):
    done = command("subwords", "train", ran.folder, "--size", "30", "--out", tmp_path / "model")
    assert (done.code, done.err) == (0, "")
    for word in ("12 sequences", "per column", "deduplicated", "pieces", "durations"):
        assert word in done.out
    pieces, back = tmp_path / "pieces", tmp_path / "back"
    done = command("subwords", "encode", tmp_path / "model", ran.folder, "--split", "test", "--out", pieces)
    assert (done.code, done.err) == (0, "")
    assert command("subwords", "decode", tmp_path / "model", pieces, "--out", back).code == 0
    assert back.read_bytes() == (ran.folder / "units" / "units-test.jsonl").read_bytes()


def test_fewer_pieces_than_asked_for_are_said(tmp_path: Path):
    done = command(
        "subwords", "train", exported(tmp_path / "units"), "--size", "5000", "--out", tmp_path / "model"
    )
    assert "(5,000 were asked for; there is nothing more to merge)" in done.out


def test_more_pieces_than_fit_into_a_number_are_as_many_as_there_are(tmp_path: Path):
    units = exported(tmp_path / "units")
    for size in ("5000", "99999999999"):
        assert command("subwords", "train", units, "--size", size, "--out", tmp_path / size).code == 0
    pieces = [(tmp_path / size / "pieces.json").read_bytes() for size in ("5000", "99999999999")]
    assert pieces[0] == pieces[1]


def test_a_file_without_lines_gives_one_without_lines(tmp_path: Path):
    units = exported(tmp_path / "units")
    command("subwords", "train", units, "--size", "20", "--out", tmp_path / "model")
    empty = units.with_name("empty.jsonl")
    empty.touch()
    done = command("subwords", "encode", tmp_path / "model", empty, "--out", tmp_path / "pieces")
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "pieces").read_bytes() == b""


def test_a_run_that_quantises_nothing_has_no_units(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path):
    recipe = tiny.corpora(tmp_path_factory.getbasetemp()) / "lines.yaml"
    changes = ("bottleneck={use: none}", "metrics=null", "export.formats=[]", "train.steps=1")
    assert command("train", recipe, "--out", tmp_path / "run", *changes).code == 0
    done = command("subwords", "train", tmp_path / "run", "--size", "20", "--out", tmp_path / "model")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "bottleneck none quantises nothing; there are no units" in done.err


def test_deduplicate_counts_for_every_format_and_stands_in_the_sidecar(ran: Ran, tmp_path: Path):
    formats = ("--format", "jsonl", "--format", "km", "--format", "ctm")
    done = command("export", ran.folder, *formats, "--deduplicate", "--out", tmp_path / "units")
    assert (done.code, done.err) == (0, "")
    meta = json.loads((tmp_path / "units" / "units.meta.json").read_text())
    merged = {name: use["deduplicate"] for name, use in meta["formats"].items()}
    assert merged == {"jsonl": True, "km": True, "ctm": True}
    lines = [json.loads(line) for line in (tmp_path / "units" / "units-test.jsonl").read_text().splitlines()]
    km = (tmp_path / "units" / "test.km").read_text().splitlines()
    ctm = [line.split() for line in (tmp_path / "units" / "test.ctm").read_text().splitlines()]
    assert [line["units"] for line in lines] == [list(map(int, labels.split())) for labels in km]
    assert [unit for line in lines for unit in line["units"]] == [int(row[4]) for row in ctm]
    assert sum(sum(line["durations"]) for line in lines) == meta["splits"]["test"]["units"]


def test_units_of_other_weights_are_not_encoded(tmp_path: Path):
    ours, theirs = exported(tmp_path / "ours"), exported(tmp_path / "theirs", checkpoint="c1")
    command("subwords", "train", ours, "--size", "20", "--out", tmp_path / "model")
    done = command("subwords", "encode", tmp_path / "model", theirs, "--out", tmp_path / "pieces")
    assert done.code == 3
    assert "units of other weights" in done.err
    assert not (tmp_path / "pieces").exists()


def test_a_missing_sentencepiece_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    given = exported(tmp_path / "units")
    done = command("subwords", "train", given, "--size", "20", "--out", tmp_path / "model")
    assert done.code == 2
    assert done.err == "unitdisc: subwords need sentencepiece: pip install 'unitdisc[translation]'\n"


@pytest.mark.parametrize(
    ("arguments", "code", "found"),
    [
        (("train", "UNITS", "--size", "6", "--out", "OUT"), 2, "give 7 or more"),
        (
            ("train", "UNITS", "--size", "20", "--split", "test", "--out", "OUT"),
            2,
            "is a file, which holds one",
        ),
        (("train", "UNITS", "--size", "20", "--out", "TMP"), 5, "holds other files"),
        (("train", "TMP/nowhere", "--size", "20", "--out", "OUT"), 5, "no run is here"),
        (("train", "TMP/alone.jsonl", "--size", "20", "--out", "OUT"), 3, "units.meta.json is not beside it"),
        (("train", "TMP/pairs/units-test.jsonl", "--size", "20", "--out", "OUT"), 3, "units have 2 codes"),
        (("encode", "MODEL", "TMP/units/large.jsonl", "--out", "OUT"), 3, "large.jsonl: b: found code 6"),
        (("train", "TMP/foreign/a.jsonl", "--size", "20", "--out", "OUT"), 5, "'num_codebooks' is missing"),
        (("encode", "TMP/nowhere", "UNITS", "--out", "OUT"), 5, "no subwords are here"),
        (
            ("decode", "MODEL", "UNITS", "--out", "OUT"),
            3,
            'units-test.jsonl:1: expected {"file": id, "pieces"',
        ),
        (("decode", "MODEL", "TMP/wrong.jsonl", "--out", "OUT"), 3, "wrong.jsonl:2: piece 900 is not in"),
        (("decode", "MODEL", "TMP/short.jsonl", "--out", "OUT"), 3, "short.jsonl:1: 0 durations for"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(arguments, code, found, tmp_path: Path):
    units = exported(tmp_path / "units")
    assert command("subwords", "train", units, "--size", "20", "--out", tmp_path / "model").code == 0
    (tmp_path / "alone.jsonl").write_text(units.read_text())
    (tmp_path / "wrong.jsonl").write_text('{"file": "a", "pieces": [1]}\n{"file": "b", "pieces": [900]}\n')
    (tmp_path / "short.jsonl").write_text('{"file": "a", "pieces": [1], "durations": []}\n')
    (tmp_path / "units" / "large.jsonl").write_text(
        '{"file": "a", "units": [5]}\n{"file": "b", "units": [6]}\n'
    )
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "a.jsonl").write_text(units.read_text())
    (tmp_path / "foreign" / "units.meta.json").write_text('{"num_codes": 6}')
    pairs = exported(tmp_path / "pairs", num_codebooks=2)
    meta = pairs.with_name("units.meta.json")
    meta.write_text(meta.read_text().replace('"num_codebooks": 2', '"num_codebooks": 1'))
    places = {"UNITS": units, "MODEL": tmp_path / "model", "OUT": tmp_path / "out"}
    done = command("subwords", *[places.get(word, word.replace("TMP", str(tmp_path))) for word in arguments])
    assert done.code == code
    assert found in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()
