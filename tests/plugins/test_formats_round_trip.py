"""Every format: what is read back is what was written, for random units and odd ids."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

import unitdisc_formats
from tests.plugins.unit_sets import NUM_CODES, unit_set
from unitdisc.errors import RecipeError
from unitdisc.exporter import Format, Told
from unitdisc.repeats import without_repeats
from unitdisc.testing import check_exporter
from unitdisc.units import Units

SETS = 200
FOLDERS = {"zs2019", "textgrid", "page"}
PATHS = r"(^|/)\.{0,2}(/|$)|[\n]"
"""Ids that are no paths of files, and line ends."""


@dataclass(frozen=True)
class Promise:
    """What a format promises to give back.

    Args:
        refused: Pattern of ids that it refuses.
        books: Codebooks that it holds.
        times: "exact", "printed" (6 decimals) or "none".
        keeps_empty: Utterances without units.
        keeps_order: Of ids.
        keeps_repeats: After merging them.
    """

    refused: str = "$^"
    books: int = 3
    times: str = "none"
    keeps_empty: bool = True
    keeps_order: bool = True
    keeps_repeats: bool = True


SPANS = {"times": "printed", "keeps_empty": False}
PROMISES = {
    "jsonl": Promise(),
    "km": Promise(r"[\r\n]"),
    "gslm": Promise(r"[|\r\n]", books=1),
    "zs2019": Promise(PATHS, keeps_order=False, keeps_repeats=False),
    "zs2021": Promise(r"[\t\r\n]", books=1),
    "tde": Promise(r"\s|^Class", books=1, keeps_order=False, **SPANS),
    "ctm": Promise(r"\s|^;;", **SPANS),
    "textgrid": Promise(PATHS, times="printed", keeps_order=False),
    "csv": Promise(**SPANS),
    "kaldi": Promise(r"\s", books=1),
    "espnet": Promise(r"\s", books=1),
    "lhotse": Promise(times="printed"),
    "shar": Promise(PATHS, times="exact"),
    "parquet": Promise(times="exact"),
    "webdataset": Promise(rf"{PATHS}|\.[^/]*$", times="exact"),
    "npz": Promise(times="exact"),
    "page": Promise(rf"{PATHS}|\t", times="exact", keeps_order=False),
}


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    # Thousands of files; that they are durable is tested elsewhere.
    monkeypatch.setattr("os.fsync", lambda _: None)


def made(name: str, **options: bool) -> Format:
    if name == "parquet":
        pytest.importorskip("pyarrow")
    module, _, attribute = unitdisc_formats.unitdisc_exporters()[name].partition(":")
    return getattr(importlib.import_module(module), attribute)(**options)


def merges(name: str) -> bool:
    module, _, attribute = unitdisc_formats.unitdisc_exporters()[name].partition(":")
    return "deduplicate" in inspect.signature(getattr(importlib.import_module(module), attribute)).parameters


def round_trip(exporter: Format, items: list[Units]) -> list[Units]:
    told = Told(items[0].step if items else 1.0, "second")
    with TemporaryDirectory() as folder:
        exporter.write(items, split="dev", num_codes=NUM_CODES, folder=Path(folder))
        return [found for _, found in exporter.read(Path(folder) / exporter.place("dev"), told)]


def require_same(before: list[Units], after: list[Units], promise: Promise, *, merged: bool) -> None:
    kept = [item for item in before if len(item.codes) or promise.keeps_empty]
    assert {item.key for item in kept} == {item.key for item in after}
    if promise.keeps_order:
        assert [item.key for item in kept] == [item.key for item in after]
    there = {item.key: item for item in after}
    for item in kept:
        found = there[item.key]
        codes = without_repeats(item.codes) if merged and not promise.keeps_repeats else item.codes
        assert found.codes.tolist() == codes.tolist()
        assert found.codes.dtype == np.int64
        if promise.times != "none":
            near = 0.0 if promise.times == "exact" else 1.5e-6
            assert found.start == pytest.approx(item.start, abs=near, rel=0)
            assert found.end == pytest.approx(item.end, abs=near, rel=0)
            assert (found.step, found.unit_of_time) == (item.step, "second")


def test_every_format_makes_a_promise() -> None:
    assert set(PROMISES) == set(unitdisc_formats.unitdisc_exporters())


@pytest.mark.parametrize("name", PROMISES)
def test_200_random_unit_sets_come_back(name: str) -> None:
    promise, exporter = PROMISES[name], made(name)
    for seed in range(SETS):
        items = unit_set(seed, refused=promise.refused, num_codebooks=promise.books)
        if items or name not in FOLDERS:  # a folder without files is no folder of units
            require_same(items, round_trip(exporter, items), promise, merged=False)


@pytest.mark.parametrize("name", [name for name in PROMISES if merges(name)])
def test_200_random_unit_sets_come_back_from_files_without_repeats(name: str) -> None:
    promise, exporter = PROMISES[name], made(name, deduplicate=True)
    for seed in range(SETS):
        items = unit_set(seed, refused=promise.refused, num_codebooks=promise.books)
        if items or name not in FOLDERS:
            require_same(items, round_trip(exporter, items), promise, merged=True)


@pytest.mark.parametrize("name", PROMISES)
def test_every_format_keeps_the_laws_of_exporters(name: str) -> None:
    check_exporter(made(name))
    if merges(name):
        check_exporter(made(name, deduplicate=True))


@pytest.mark.parametrize("name", PROMISES)
@pytest.mark.parametrize("part", ["a b", "a|b", "a\tb", "a\nb", "a/b", "a.b", "../a", "/a", "a\0b", "\ud800"])
def test_an_id_is_kept_or_refused_in_words(name: str, part: str) -> None:
    item = Units(part, np.array([[1], [1], [2]]), 0.0, 0.02, 0.06, "second")
    try:
        found = round_trip(made(name), [item])
    except RecipeError as error:
        message = str(error)
        assert "does not fit into a" in message
        assert "\n" not in message
    else:
        assert [other.key for other in found] == [part]


@pytest.mark.parametrize("name", [name for name in PROMISES if PROMISES[name].books == 1])
def test_a_format_of_one_codebook_says_how_to_choose_one(name: str, tmp_path: Path) -> None:
    item = Units("a", np.zeros((2, 2), np.int64), 0.0, 0.02, 0.04, "second")
    with pytest.raises(
        RecipeError, match=r"holds the codes of one codebook, found 2; choose one, such as --book 0"
    ):
        made(name).write([item], split="dev", num_codes=4, folder=tmp_path)
    assert not list(tmp_path.iterdir())
