"""Labels of every form: exact frames, the same from each file, and what is refused."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from unitdisc.errors import DataError
from unitdisc.scored import labels
from unitdisc.scored.items import Grid, exact_step
from unitdisc.scored.spans import NANOSECONDS, Table

STEP = Fraction(1, 100)
SAID = {
    "a": [("0", "0.125", "sil"), ("0.125", "0.29", "ae"), ("0.29", "0.3", "t")],
    "b": [("0.05", "0.1", "t"), ("0.1", "0.205", "ae")],
}
LENGTHS = {"a": "0.3", "b": "0.25"}


def frames(found: labels.Labels, key: str, count: int, frame: Fraction = STEP) -> list[str]:
    table = found.tables["phones"]
    names = [*table.vocab, ""]
    return [names[number] for number in table.spans[key].frames(count, frame)]


def slow(
    rows: list[tuple[Fraction, Fraction, str]], count: int, frame: Fraction, start: Fraction
) -> list[str]:
    """Ask every label about the middle of every frame; the last to begin wins."""
    found = []
    for t in range(count):
        middle = start + t * frame + frame / 2
        standing = [row for row in rows if row[0] <= middle < row[1]]
        found.append(max(standing, key=lambda row: row[0])[2] if standing else "")
    return found


def test_frames_have_the_label_at_their_middle_exactly() -> None:
    rng = np.random.default_rng(0)
    for case in range(300):
        rate = int(rng.choice([16000, 11025, 44100, 1000, NANOSECONDS]))
        edges = (
            np.sort(rng.choice(np.arange(200), 8, replace=False)) * (rate // 100) // 2
        )  # often on a middle
        ticks = [(int(left), int(right)) for left, right in itertools.pairwise(edges) if left < right]
        overlapping = [(left, right + int(rng.integers(2)) * (rate // 300)) for left, right in ticks]
        table = Table()
        table.add("x", [(*row, f"s{n % 3}") for n, row in enumerate(overlapping)], rate)
        frame = [Fraction(1, 100), Fraction(128, 11025), Fraction(1, 80)][case % 3]
        start = Fraction(int(rng.integers(0, 5)), 200)
        rows = [
            (Fraction(left, rate), Fraction(right, rate), f"s{n % 3}")
            for n, (left, right) in enumerate(overlapping)
        ]
        names = [*table.vocab, ""]
        found = [names[number] for number in table.spans["x"].frames(100, frame, start)]
        assert found == slow(rows, 100, frame, start), case


def written(folder: Path, form: str) -> Path:
    """Write `SAID` in one form."""
    folder.mkdir(exist_ok=True)
    timed = [(key, *row) for key, rows in SAID.items() for row in rows]
    if form == "corpus":
        for key, length in LENGTHS.items():
            soundfile.write(folder / f"{key}.wav", np.zeros(round(float(length) * 16000)), 16000)
        lines = [json.dumps({"id": key, "path": f"{key}.wav", "speaker": "f1"}) for key in SAID]
        (folder / "manifest.jsonl").write_text("\n".join(lines))
        rows = [
            f"{key}\t{float(on) * 16000:.0f}\t{float(off) * 16000:.0f}\t{name}"
            for key, on, off, name in timed
        ]
        (folder / "phones.tsv").write_text("\n".join(["id\tstart_sample\tend_sample\tphone", *rows]))
        return folder
    if form == "textgrid":
        tgt = pytest.importorskip("tgt")
        for key, rows in SAID.items():
            grid, tier = tgt.TextGrid(), tgt.IntervalTier(0, float(LENGTHS[key]), "phones")
            tier.add_annotations([tgt.Interval(float(on), float(off), name) for on, off, name in rows])
            grid.add_tier(tier)
            (folder / "f1").mkdir(exist_ok=True)
            tgt.write_to_file(grid, str(folder / "f1" / f"{key}.TextGrid"), format="long")
        return folder
    path = (
        folder / {"ctm": "phones.ctm", "timed": "gold.phn", "frames": "ali.txt", "jsonl": "gold.jsonl"}[form]
    )
    if form == "ctm":
        rows = [
            f"{key} 1 {on} {float(Fraction(off) - Fraction(on)):.9f} {name}" for key, on, off, name in timed
        ]
    elif form == "timed":
        rows = [f"{key} {on} {off} {name}" for key, on, off, name in timed]
    else:
        exact = {
            key: [(Fraction(on), Fraction(off), name) for on, off, name in rows] for key, rows in SAID.items()
        }
        counts = {key: int(Fraction(length) / STEP) for key, length in LENGTHS.items()}
        by_frame = {key: slow(rows, counts[key], STEP, Fraction(0)) for key, rows in exact.items()}
        if form == "frames":
            rows = [" ".join([key, *(name or "sil" for name in names)]) for key, names in by_frame.items()]
        else:
            rows = [
                json.dumps({"file": key, "phones": [name or None for name in names]})
                for key, names in by_frame.items()
            ]
    path.write_text("\n".join(rows))
    return path


@pytest.mark.parametrize("form", ["corpus", "textgrid", "ctm", "timed", "frames", "jsonl"])
def test_all_forms_say_the_same(form: str, tmp_path: Path) -> None:
    found = labels.read(written(tmp_path / "gold", form), step=STEP)
    for key, length in LENGTHS.items():
        rows = [(Fraction(on), Fraction(off), name) for on, off, name in SAID[key]]
        count = int(Fraction(length) / STEP)
        expected = slow(rows, count, STEP, Fraction(0))
        if form == "frames":
            expected = [name or "sil" for name in expected]
        assert frames(found, key, count) == expected
        if form in {"corpus", "textgrid", "frames", "jsonl"}:
            assert found.lengths[key] == Fraction(length)
    if form in {"corpus", "textgrid"}:
        assert found.fields["a"]["speaker"] == "f1"


def test_tiers_of_any_name_are_tables(tmp_path: Path) -> None:
    textgrid = pytest.importorskip("praatio.textgrid")
    grid = textgrid.Textgrid()
    grid.addTier(textgrid.IntervalTier("Phone", [(0.0, 0.1, "t"), (0.1, 0.3, "o")], 0, 0.3))
    grid.addTier(textgrid.IntervalTier("f1 - words", [(0.0, 0.3, "to")], 0, 0.3))
    grid.save(str(tmp_path / "x.TextGrid"), format="short_textgrid", includeBlankSpaces=False)
    found = labels.read(tmp_path, step=STEP)
    assert {name: list(table.vocab) for name, table in found.tables.items()} == {
        "phones": ["t", "o"],
        "words": ["to"],
    }
    assert found.main(None) == "phones"


def test_tiers_of_two_speakers_do_not_replace_one_another(tmp_path: Path) -> None:
    tiers = "".join(f'"IntervalTier" "{who} - phones" 0 1 1 0 1 "{who}"\n' for who in ("f1", "m1"))
    (tmp_path / "x.TextGrid").write_text(f'"ooTextFile" "TextGrid" 0 1 <exists> 2\n{tiers}')
    with pytest.raises(DataError, match=r"x.TextGrid: several tiers are phones, such as 'm1 - phones'"):
        labels.read(tmp_path, step=STEP)


def test_classes_replace_symbols_and_an_empty_class_is_unlabelled(tmp_path: Path) -> None:
    (tmp_path / "fold.tsv").write_text("ae\tvowel\nt\tstop\nsil\t\n")
    found = labels.read(written(tmp_path / "gold", "ctm"), step=STEP)
    labels.fold(found, "phones", tmp_path / "fold.tsv")
    assert frames(found, "a", 30)[:14] == [""] * 12 + ["vowel", "vowel"]
    (tmp_path / "fold.tsv").write_text("ae\tvowel\n")
    again = labels.read(tmp_path / "gold" / "phones.ctm", step=STEP)
    with pytest.raises(DataError, match=r"fold.tsv: has no line for 'sil' of phones"):
        labels.fold(again, "phones", tmp_path / "fold.tsv")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.ctm", "a 1 0.1 ae\n", r"x.ctm:1: found"),
        ("x.ctm", "a 1 0.1 inf ae\n", r"x.ctm:1: 'ae' of a starts at 0.1 and lasts inf"),
        ("x.phn", "a 0.2 1e300 ae\n", r"x.phn:1: 'ae' of a goes from 0.2 to 1e300 s"),
        ("x.jsonl", "[1]\n", r"x.jsonl:1: expected"),
        ("x.phn", "a 0.2 0.1 ae\n", r"x.phn:1: 'ae' of a goes from 0.2 to 0.1 s"),
        ("x.txt", "a sil\na ae\n", r"x.txt:2: 'a' stands in an earlier line"),
        ("x.item", "file on\na 0\n", r"x.item:2: expected the columns"),
        ("x.txt", "\n", r"x.txt: holds no labels"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(name: str, content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=says):
        labels.read(tmp_path / name, step=STEP)


@pytest.mark.parametrize(
    ("step", "unit_of_time", "frame", "expected"),
    [
        (0.02, "second", None, (Fraction(1, 100), 2)),
        (0.0125, "second", None, (Fraction(1, 80), 1)),
        (256 / 22050, "second", None, (Fraction(128, 11025), 1)),
        (4, "column", None, (Fraction(1), 4)),
        (0.02, "second", 0.005, (Fraction(1, 200), 4)),
        (0.02, "second", 0.015, None),
    ],
)
def test_a_unit_is_a_whole_number_of_frames(step, unit_of_time, frame, expected) -> None:
    grid = Grid.of(exact_step(step), unit_of_time, None if frame is None else exact_step(frame))
    assert (None if grid is None else (grid.frame, grid.stride)) == expected


def test_frames_are_counted_as_corpora_count_them_and_never_without_units() -> None:
    grid = Grid(Fraction(1, 100), 3)
    for samples in range(1, 4000, 7):
        num_frames = max(1, (samples + 80) // 160)  # as the data source counts at 16 kHz
        assert grid.num_frames(Fraction(samples, 16000), -(-num_frames // 3)) == num_frames
    assert grid.num_frames(Fraction(1), 4) == 12  # what has no unit is not scored
    assert grid.num_frames(Fraction(1, 100), 4) == 10  # the last unit keeps a frame
    assert grid.num_frames(Fraction(1), 0) == 0


def test_a_checksum_follows_labels_and_not_recordings(tmp_path: Path) -> None:
    corpus = written(tmp_path / "gold", "corpus")
    before = labels.digest(corpus)
    (corpus / "a.wav").write_bytes(b"other")
    assert labels.digest(corpus) == before
    (corpus / "phones.tsv").write_text("other")
    assert labels.digest(corpus) != before
    (tmp_path / "test.km0").write_text("1 2\n")
    first = labels.digest(tmp_path / "test.km")
    (tmp_path / "test.km1").write_text("1 2\n")
    assert labels.digest(tmp_path / "test.km") != first
