"""Boundary scores of 500 random utterances, counted on TextGrids that tgt and praatio read."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.plugins.metric_oracles import score
from tests.plugins.test_formats_round_trip import made
from tests.plugins.test_formats_third_party import read_tier
from tests.plugins.test_metrics_random import SLOW
from unitdisc.metric import Evaluated
from unitdisc.units import Units
from unitdisc_metrics.boundaries import Boundaries

tgt = pytest.importorskip("tgt")
praatio = pytest.importorskip("praatio")

CASES = range(500)
TOLERANCE = 0.02


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)


def drawn(seed: int) -> Evaluated:
    """Return an utterance with a phone every 10 ms and a unit every 20 ms."""
    draw = np.random.default_rng(seed)
    phones = np.repeat(draw.integers(0, 4, 9), draw.integers(1, 12, 9))
    phones = phones[: len(phones) // 2 * 2]
    codes = np.where(draw.random(len(phones) // 2) < 0.8, phones[::2], draw.integers(0, 4, len(phones) // 2))
    targets = {"phones": phones.astype(np.int64)}
    return Evaluated("u", codes.astype(np.int64)[:, None], 4, len(phones), 2, targets, frame_rate=100.0)


def write_phones(phones: np.ndarray, path: Path) -> None:
    """Let tgt write a TextGrid of the phones."""
    edges = [0, *(np.flatnonzero(np.diff(phones)) + 1).tolist(), len(phones)]
    tier = tgt.IntervalTier(0, len(phones) / 100, "phones")
    for start, stop in pairwise(edges):
        tier.add_interval(tgt.Interval(start / 100, stop / 100, f"p{phones[start]}"))
    grid = tgt.TextGrid()
    grid.add_tier(tier)
    tgt.write_to_file(grid, str(path), format="long")


def changes(spans: list[tuple[float, float, str]]) -> list[int]:
    """Return the milliseconds at which another label begins."""
    return [round(1000 * two[0]) for one, two in pairwise(spans) if one[2] != two[2]]


@pytest.mark.parametrize("matching", SLOW)
def test_boundaries_of_files_match_as_those_of_arrays(matching: str, tmp_path: Path) -> None:
    (tmp_path / "units").mkdir()
    for seed in CASES:
        item, library = drawn(seed), ("tgt", "praatio")[seed % 2]
        write_phones(item.targets["phones"], tmp_path / "phones.TextGrid")
        units = Units("u", item.codes, 0.0, 0.02, item.num_frames / 100, "second")
        folder = tmp_path / "units" / str(seed)
        folder.mkdir()
        made("textgrid").write([units], split="dev", num_codes=4, folder=folder)
        reference = changes(read_tier(library, tmp_path / "phones.TextGrid", "phones"))
        predicted = changes(read_tier(library, next(folder.rglob("u.TextGrid")), "units"))
        hits = SLOW[matching](reference, predicted, round(1000 * TOLERANCE))
        if reference:
            found = score(Boundaries(target="phones", matching=matching, tolerance=TOLERANCE), [item])
            counts = (found["hits"], found["predicted"], found["reference"])
            assert counts == (hits, len(predicted), len(reference))
