"""Unit files of which one utterance is in memory at once."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import TYPE_CHECKING, overload

import numpy as np
import pytest

from unitdisc import plugins
from unitdisc.exporter import Told
from unitdisc.units import Units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

NUMBER, LENGTH, STEP = 200, 250, 0.02


class Drawn:
    """Utterances that are made when they are asked for."""

    def __len__(self) -> int:
        return NUMBER

    def __iter__(self) -> Iterator[Units]:
        return map(self.__getitem__, range(NUMBER))

    @overload
    def __getitem__(self, index: int) -> Units: ...
    @overload
    def __getitem__(self, index: slice) -> list[Units]: ...
    def __getitem__(self, index: int | slice) -> Units | list[Units]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(NUMBER))]
        codes = np.random.default_rng(index).integers(0, 500, (LENGTH, 1))
        return Units(f"u{index:03}", codes, 0.0, STEP, LENGTH * STEP, "second")


def peak(work: Callable[[], object]) -> int:
    """Return how many bytes of Python and numpy were held at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["jsonl", "gslm", "ctm", "kaldi"])
def test_lines_are_read_and_written_one_utterance_after_the_other(name: str, tmp_path: Path) -> None:
    exporter, units = plugins.load("exporter", name)(), Drawn()
    exporter.write(units[:2], split="warm", num_codes=500, folder=tmp_path)  # imports what it needs
    assert peak(lambda: exporter.write(units, split="all", num_codes=500, folder=tmp_path)) < 2**17
    path = tmp_path / exporter.place("all")
    found = exporter.read(path, Told(STEP, "second"))
    assert peak(lambda: [*map(consume, found, units)]) < path.stat().st_size / 2
    assert next(found, None) is None


def consume(found: tuple[str, Units], expected: Units) -> None:
    assert np.array_equal(found[1].codes, expected.codes)


def test_npz_is_written_one_utterance_after_the_other(tmp_path: Path) -> None:
    exporter, units = plugins.load("exporter", "npz")(), Drawn()
    exporter.write(units[:2], split="warm", num_codes=500, folder=tmp_path)
    size = 4 * NUMBER * LENGTH
    assert peak(lambda: exporter.write(units, split="all", num_codes=500, folder=tmp_path)) < size / 2
    with np.load(tmp_path / "all.npz") as arrays:
        assert np.array_equal(arrays["codes"], np.concatenate([item.codes for item in Drawn()]))
        assert arrays["codes"].dtype == np.int32


@pytest.mark.parametrize("told", [Told(), Told(STEP, "second")])
def test_lines_of_a_ctm_may_come_in_any_order(told: Told, tmp_path: Path) -> None:
    exporter = plugins.load("exporter", "ctm")()
    (path,) = exporter.write(Drawn()[:3], split="all", num_codes=500, folder=tmp_path)
    lines = path.read_text().splitlines(keepends=True)
    parts: Sequence[list[str]] = [lines[n * LENGTH : (n + 1) * LENGTH] for n in range(3)]
    path.write_text(";; a comment\n" + "".join(itertools.chain.from_iterable(zip(*parts, strict=True))))
    for (_, found), expected in zip(exporter.read(path, told), Drawn()[:3], strict=True):
        assert (found.key, found.start) == (expected.key, 0.0)
        assert np.array_equal(found.codes, expected.codes)
