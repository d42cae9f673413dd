"""Every format for which there is a reader of others: it finds what was written, in 200 random unit sets."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from lhotse import CutSet, SupervisionSegment, SupervisionSet

from tests.plugins.test_formats_round_trip import PROMISES, made, merges
from tests.plugins.unit_sets import NUM_CODES, unit_set
from unitdisc.repeats import durations, without_repeats
from unitdisc.units import Units

SETS = range(200)
NEAR = 1.1e-6
"""Seconds between a time and what 6 decimals and a sum of two of them say."""
LEAKY = pytest.mark.filterwarnings(  # some readers leave their archives open
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)


def sets(name: str, *, refused: str = "$^") -> list[list[Units]]:
    """Return the sets that a format takes, without ids that the reader does not."""
    promise = PROMISES[name]
    pattern = f"{promise.refused}|{refused}"
    return [unit_set(seed, refused=pattern, num_codebooks=promise.books) for seed in SETS]


def write(name: str, items: list[Units], folder: Path, **options: bool) -> Path:
    made(name, **options).write(items, split="dev", num_codes=NUM_CODES, folder=folder)
    return folder / made(name).place("dev")


def flat(codes: np.ndarray) -> list:
    return (codes[:, 0] if codes.shape[1] == 1 else codes).tolist()


def require_spans(item: Units, found: list[tuple[float, float, str]]) -> None:
    expected = [(start, end, "-".join(map(str, codes))) for start, end, codes in item.spans()]
    assert [label for _, _, label in found] == [label for _, _, label in expected]
    for edge in range(2):
        times = [span[edge] for span in expected]
        assert [span[edge] for span in found] == pytest.approx(times, abs=NEAR, rel=0)


def test_jsonl_is_read_by_json(tmp_path: Path) -> None:
    for items in sets("jsonl"):
        path = write("jsonl", items, tmp_path)
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert [(row["file"], row["units"]) for row in rows] == [(i.key, flat(i.codes)) for i in items]


def test_zs2019_is_read_by_numpy(tmp_path: Path) -> None:
    for number, items in enumerate(sets("zs2019")):
        (tmp_path / str(number)).mkdir()
        folder = write("zs2019", items, tmp_path / str(number))
        for item in items:
            if len(item.codes):
                vectors = np.loadtxt(folder / f"{item.key}.txt", ndmin=2)
                ones = vectors.reshape(len(item.codes), -1, NUM_CODES)
                assert (ones.sum(2) == 1).all()
                assert ones.argmax(2).tolist() == item.codes.tolist()


def test_kaldi_tables_are_read_by_kaldiio(tmp_path: Path) -> None:
    kaldiio = pytest.importorskip("kaldiio")
    for items in sets("kaldi"):
        write("kaldi", items, tmp_path)
        found = dict(kaldiio.load_ark(str(tmp_path / "dev.ark")))
        assert {key: codes.tolist() for key, codes in found.items()} == {i.key: flat(i.codes) for i in items}


def test_ctm_is_read_by_lhotse(tmp_path: Path) -> None:
    for items in sets("ctm"):
        path = write("ctm", items, tmp_path)
        segments = [
            SupervisionSegment(id=item.key, recording_id=item.key, start=0.0, duration=max(item.end, 1e-3))
            for item in items
        ]
        found = SupervisionSet.from_segments(segments).with_alignment_from_ctm(path, type="unit")
        spans = {segment.id: (segment.alignment or {}).get("unit", []) for segment in found}
        for item in items:
            require_spans(item, [(span.start, span.end, span.symbol) for span in spans[item.key]])


@pytest.mark.parametrize("library", ["praatio", "tgt"])
def test_textgrids_are_read_by_other_libraries(library: str, tmp_path: Path) -> None:
    pytest.importorskip(library)
    for number, items in enumerate(sets("textgrid")):
        (tmp_path / str(number)).mkdir()
        folder = write("textgrid", items, tmp_path / str(number))
        for item in items:
            if not len(item.codes):
                continue
            for book in range(item.codes.shape[1]):
                tier = "units" if item.codes.shape[1] == 1 else f"units {book}"
                found = read_tier(library, folder / f"{item.key}.TextGrid", tier)
                only = Units(
                    item.key, item.codes[:, book : book + 1], item.start, item.step, item.end, "second"
                )
                require_spans(only, found)


def read_tier(library: str, path: Path, tier: str) -> list[tuple[float, float, str]]:
    if library == "tgt":
        import tgt

        grid = tgt.read_textgrid(str(path), encoding="utf-8")
        return [(float(i.start_time), float(i.end_time), i.text) for i in grid.get_tier_by_name(tier)]
    from praatio import textgrid

    return [
        tuple(i) for i in textgrid.openTextgrid(str(path), includeEmptyIntervals=False).getTier(tier).entries
    ]


def test_csv_is_read_by_the_csv_module(tmp_path: Path) -> None:
    for items in sets("csv"):
        path = write("csv", items, tmp_path)
        found: dict[str, list] = {item.key: [] for item in items}
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                found[row["id"]].append((float(row["start"]), float(row["end"]), row["unit"]))
        for item in items:
            require_spans(item, found[item.key])


def test_supervisions_are_read_by_lhotse(tmp_path: Path) -> None:
    for items in sets("lhotse"):
        path = write("lhotse", items, tmp_path)
        found = SupervisionSet.from_file(path) if items else []
        for item, segment in zip(items, found, strict=True):
            assert (segment.id, segment.recording_id) == (item.key, item.key)
            require_spans(item, [(i.start, i.end, i.symbol) for i in segment.alignment["unit"]])


@LEAKY
def test_shar_is_read_by_lhotse(tmp_path: Path) -> None:
    for number, items in enumerate(sets("shar", refused="[/.]")):
        folder = tmp_path / str(number)
        folder.mkdir()
        paths = type(made("shar"))(shard_size=2).write(items, split="dev", num_codes=NUM_CODES, folder=folder)
        assert len(paths) == 2 * max(1, -(-len(items) // 2))
        cuts = list(CutSet.from_shar(in_dir=folder / "shar-dev"))
        assert [cut.id for cut in cuts] == [item.key for item in items]
        for cut, item in zip(cuts, items, strict=True):
            if len(item.codes):
                assert cut.load_units().tolist() == item.codes.tolist()
                assert cut.units.frame_shift == item.step


@LEAKY
@pytest.mark.parametrize("merged", [False, True])
def test_webdataset_is_read_by_webdataset(tmp_path: Path, *, merged: bool) -> None:
    webdataset = pytest.importorskip("webdataset")
    for items in sets("webdataset", refused=r"\.\.|^_"):
        if not items:
            continue
        path = write("webdataset", items, tmp_path, deduplicate=merged)
        samples = list(webdataset.WebDataset(str(path), shardshuffle=False).decode())
        assert [sample["__key__"] for sample in samples] == [item.key for item in items]
        for sample, item in zip(samples, items, strict=True):
            codes = without_repeats(item.codes) if merged else item.codes
            assert sample["units.npy"].tolist() == flat(codes)
            assert (sample["json"]["step"], sample["json"]["end"]) == (item.step, item.end)
            if merged:
                assert sample["durations.npy"].tolist() == durations(item.codes).tolist()


@pytest.mark.parametrize("merged", [False, True])
def test_parquet_is_read_by_pyarrow(tmp_path: Path, *, merged: bool) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for items in sets("parquet"):
        table = parquet.read_table(write("parquet", items, tmp_path, deduplicate=merged))
        expected = [
            {
                "id": item.key,
                "units": flat(without_repeats(item.codes) if merged else item.codes),
                **({"durations": durations(item.codes).tolist()} if merged else {}),
                **{name: getattr(item, name) for name in ("start", "step", "end", "unit_of_time")},
                "split": "dev",
            }
            for item in items
        ]
        assert table.to_pylist() == expected


def test_npz_is_read_by_numpy(tmp_path: Path) -> None:
    for items in sets("npz"):
        with np.load(write("npz", items, tmp_path), allow_pickle=False) as found:
            assert found["ids"].tolist() == [item.key for item in items]
            offsets = found["offsets"]
            for item, left, right in zip(items, offsets, offsets[1:], strict=False):
                assert found["codes"][left:right].tolist() == item.codes.tolist()


def test_merges_names_the_formats_with_durations() -> None:
    assert {name for name in PROMISES if not merges(name)} == {"shar"}
