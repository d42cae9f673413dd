"""The bytes of each format, by hand or by a slow reader that follows its description; other tools where installed."""

from __future__ import annotations

import json
import struct
import tarfile
from io import BytesIO
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, SupervisionSet
from lhotse.shar import SharWriter

from tests.plugins.test_formats_round_trip import made
from tests.plugins.unit_sets import unit_set
from unitdisc.errors import DataError
from unitdisc.exporter import Told
from unitdisc.units import Units
from unitdisc_formats.km import KM


def units(key: str, codes: list, *, step: float = 0.02, end: float | None = None) -> Units:
    array = np.array(codes, np.int64).reshape(len(codes), -1) if codes else np.zeros((0, 1), np.int64)
    return Units(key, array, 0.0, step, len(codes) * step if end is None else end, "second")


def written(
    name: str, items: list[Units], folder: Path, *, num_codes: int = 6, **options: bool
) -> dict[str, bytes]:
    paths = made(name, **options).write(items, split="test", num_codes=num_codes, folder=folder)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


B = units("b", [3, 3, 5], end=0.05)
TWO = [B, units("a", [0])]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("gslm", {}, {"test.gslm": "b|3 3 5\na|0\n"}),
        ("gslm", {"deduplicate": True}, {"test.gslm": "b|3 5\na|0\n", "test.gslm.durations": "b|2 1\na|1\n"}),
        ("zs2021", {}, {"quantized_outputs-test.txt": "b\t3,3,5\na\t0\n"}),
        (
            "zs2019",
            {},
            {"zs2019-test/b.txt": "0 0 0 1 0 0\n0 0 0 1 0 0\n0 0 0 0 0 1\n", "zs2019-test/a.txt": "1 0 0 0 0 0\n"},
        ),
        (
            "tde",
            {"deduplicate": True},
            {
                "test.class": "Class 0:\na 0.000000 0.020000\n\nClass 3:\nb 0.000000 0.040000\n\n"
                "Class 5:\nb 0.040000 0.050000\n\n"
            },
        ),
        ("csv", {"deduplicate": True}, {"test.csv": "id,start,end,unit\nb,0.000000,0.040000,3\n"
                                                    "b,0.040000,0.050000,5\na,0.000000,0.020000,0\n"}),
        (
            "espnet",
            {"deduplicate": True},
            {
                "text.rm.test": "b \u4e03\u4e05\na \u4e00\n",
                "text.rm.test.durations": "b 2 1\na 1\n",
                "distinct_cjk_token_lists": "0 \u4e00\n1 \u4e01\n2 \u4e02\n3 \u4e03\n4 \u4e04\n5 \u4e05\n",
            },
        ),
    ],
)  # fmt: skip
def test_text_formats_are_these_bytes(
    name: str, options: dict, expected: dict[str, str], tmp_path: Path
) -> None:
    assert written(name, TWO, tmp_path, **options) == {file: text.encode() for file, text in expected.items()}


def test_zs2019_puts_the_vectors_of_codebooks_beside_one_another(tmp_path: Path) -> None:
    assert written("zs2019", [units("a", [[1, 0]])], tmp_path, num_codes=2) == {
        "zs2019-test/a.txt": b"0 1 1 0\n"
    }


def test_kaldi_writes_text_and_a_table_of_integer_vectors(tmp_path: Path) -> None:
    found = written("kaldi", [*TWO, units("c", [])], tmp_path)
    assert found["test.text"] == b"b 3 3 5\na 0\nc\n"
    number = b"\x04%b"
    vectors = {b"b": [3, 3, 5], b"a": [0], b"c": []}
    assert found["test.ark"] == b"".join(
        key + b" \0B" + b"".join(number % struct.pack("<i", value) for value in (len(codes), *codes))
        for key, codes in vectors.items()
    )
    read = [
        (item.key, item.codes[:, 0].tolist()) for _, item in made("kaldi").read(tmp_path / "test.ark", Told())
    ]
    assert read == [(key.decode(), codes) for key, codes in vectors.items()]


TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0.000000
xmax = 0.050000
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "units"
        xmin = 0.000000
        xmax = 0.050000
        intervals: size = 2
        intervals [1]:
            xmin = 0.000000
            xmax = 0.040000
            text = "3"
        intervals [2]:
            xmin = 0.040000
            xmax = 0.050000
            text = "5"
"""
SHORT = """File type = "ooTextFile short"
"TextGrid"

0
0.06
<exists>
2
"TextTier"
"clicks"
0
0.06
1
0.03
"a ""click"" 7"
"IntervalTier"
"units"
0
0.06
2
0
0.04
"3"
0.04
0.06
"5"
"""


def test_textgrid_is_praats_long_text_form(tmp_path: Path) -> None:
    found = written("textgrid", [B], tmp_path, deduplicate=True)
    assert found == {"textgrid-test/b.TextGrid": TEXTGRID.encode()}


def test_textgrid_ends_in_an_empty_interval_where_units_end_before_the_recording(tmp_path: Path) -> None:
    (content,) = written("textgrid", [units("b", [3], end=0.05)], tmp_path).values()
    assert content.endswith(b'xmin = 0.020000\n            xmax = 0.050000\n            text = ""\n')
    ((_, item),) = made("textgrid").read(tmp_path / "textgrid-test", Told(0.02))
    assert (item.codes.tolist(), item.end) == ([[3]], 0.05)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_textgrid_reads_praats_short_form_and_its_encodings(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "b.TextGrid"
    path.write_text(SHORT.replace('"ooTextFile short"', '"ooTextFile"'), encoding=encoding)
    ((_, item),) = made("textgrid").read(path, Told(0.02))
    assert (item.key, item.codes[:, 0].tolist(), item.end) == ("b", [3, 3, 5], 0.06)


def test_tde_is_read_as_its_scorer_reads_it(tmp_path: Path) -> None:
    for seed in range(50):
        items = unit_set(seed, refused=r"\s|^Class", num_codebooks=1)
        (content,) = written("tde", items, tmp_path).values()
        expected = {(i.key, code): set() for i in items for code in i.codes[:, 0].tolist()}
        for item in items:
            for start, end, (code,) in item.spans():
                expected[item.key, code].add((round(start, 6), round(end, 6)))
        assert scorer_reads(content.decode()) == {key: spans for key, spans in expected.items() if spans}


def scorer_reads(text: str) -> dict[tuple[str, int], set[tuple[float, float]]]:
    """Follow the description of the format: every class ends with an empty line, segments have a length."""
    found: dict[tuple[str, int], set[tuple[float, float]]] = {}
    seen = []
    for block in text.split("\n\n")[:-1]:
        head, *rows = block.split("\n")
        assert head.startswith("Class ")
        assert head.endswith(":")
        seen.append(int(head[6:-1]))
        assert rows
        for row in rows:
            key, start, end = row.split(" ")
            assert float(end) > float(start)
            found.setdefault((key, seen[-1]), set()).add((float(start), float(end)))
    assert len(set(seen)) == len(seen)
    assert text == "" or text.endswith("\n\n")
    return found


def test_what_lhotse_writes_again_is_read(tmp_path: Path) -> None:
    written("lhotse", TWO, tmp_path)
    again = tmp_path / "again.jsonl.gz"
    SupervisionSet.from_file(tmp_path / "supervisions-test.jsonl").to_eager().to_file(again)
    found = [(item.key, item.codes[:, 0].tolist()) for _, item in made("lhotse").read(again, Told(0.02))]
    assert found == [("b", [3, 3, 5]), ("a", [0])]


LEAKY = pytest.mark.filterwarnings(  # lhotse leaves its shards open
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@LEAKY
def test_shar_that_lhotse_wrote_is_read(tmp_path: Path) -> None:
    written("shar", TWO, tmp_path)
    again = tmp_path / "again"
    again.mkdir()
    with SharWriter(again, fields={"units": "numpy"}, shard_size=1) as writer:
        for cut in CutSet.from_shar(in_dir=tmp_path / "shar-test"):
            cut.shard_origin = str(cut.shard_origin)
            writer.write(cut)
    found = [(item.key, item.codes[:, 0].tolist(), item.step) for _, item in made("shar").read(again, Told())]
    assert found == [("b", [3, 3, 5], 0.02), ("a", [0], 0.02)]


def test_webdataset_samples_are_grouped_by_what_stands_before_the_first_dot(tmp_path: Path) -> None:
    written("webdataset", TWO, tmp_path)
    with tarfile.open(tmp_path / "test.tar") as archive:
        files = [(member.name, archive.extractfile(member).read()) for member in archive]
    samples = {
        key: {name.split(".", 1)[1]: content for name, content in group}
        for key, group in groupby(files, key=lambda file: file[0].split(".")[0])
    }
    assert list(samples) == ["b", "a"]
    assert np.load(BytesIO(samples["b"]["units.npy"])).tolist() == [3, 3, 5]
    times = {"start": 0.0, "step": 0.02, "end": 0.05, "unit_of_time": "second"}
    assert json.loads(samples["b"]["json"]) == times


def test_npz_holds_flat_arrays_and_offsets(tmp_path: Path) -> None:
    written("npz", TWO, tmp_path)
    with np.load(tmp_path / "test.npz", allow_pickle=False) as found:
        assert found["ids"].tolist() == ["b", "a"]
        assert found["codes"].tolist() == [[3], [3], [5], [0]]
        assert found["offsets"].tolist() == [0, 3, 4]
        assert found["end"].tolist() == [0.05, 0.02]


def test_parquet_is_a_table_of_lists(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    written("parquet", TWO, tmp_path, deduplicate=True)
    rows = parquet.read_table(tmp_path / "test.parquet").to_pylist()
    assert [(row["id"], row["units"], row["durations"]) for row in rows] == [
        ("b", [3, 5], [2, 1]),
        ("a", [0], [1]),
    ]


def test_km_writes_the_manifest_of_its_recordings(tmp_path: Path) -> None:
    for name, samples in (("b.flac", 800), ("x/a.wav", 333)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, np.zeros(samples), 16000)
    items = [B, units("x/a", [0])]
    KM(audio=tmp_path).write(items, split="test", num_codes=6, folder=tmp_path)
    assert (tmp_path / "test.tsv").read_text() == f"{tmp_path}\nb.flac\t800\nx/a.wav\t333\n"
    (tmp_path / "test.keys").unlink()  # as fairseq has it
    assert [item.key for _, item in KM().read(tmp_path / "test.km", Told())] == ["b", "x/a"]


def test_km_names_a_recording_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no recording 'b'\.flac, \.wav or \.ogg"):
        KM(audio=tmp_path).write([B], split="test", num_codes=6, folder=tmp_path)
