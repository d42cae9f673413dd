"""Edit distance: the compiled and the built-in version against the textbook table."""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unitdisc import edit_distance as module
from unitdisc.edit_distance import bit_parallel, edit_distance

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def table_distance(a: Sequence[Any], b: Sequence[Any]) -> int:
    """Oracle: the whole (len(a) + 1, len(b) + 1) table of Wagner and Fischer, cell by cell."""
    table = [[i + j for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            table[i][j] = min(
                table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + int(a[i - 1] != b[j - 1])
            )
    return table[-1][-1]


def random_pairs(count: int, longest: int) -> Iterator[tuple[list[int], list[int]]]:
    draw = random.Random(0)
    for _ in range(count):
        symbols = range(-draw.randint(0, 4), draw.randint(1, 5))
        sizes = draw.randint(0, longest), draw.randint(0, longest)
        yield draw.choices(symbols, k=sizes[0]), draw.choices(symbols, k=sizes[1])


def test_equals_the_table_on_random_pairs_with_negative_symbols() -> None:
    for a, b in random_pairs(3000, 12):
        expected = table_distance(a, b)
        assert edit_distance(a, b) == expected
        assert bit_parallel(a, b) == expected


def test_equals_the_table_beyond_one_machine_word() -> None:
    for a, b in random_pairs(12, 300):
        expected = table_distance(a, b)
        assert edit_distance(a, b) == expected
        assert bit_parallel(a, b) == expected


def test_both_versions_agree_on_long_sequences() -> None:
    for a, b in random_pairs(3, 1500):
        assert edit_distance(a, b) == bit_parallel(a, b) == edit_distance(b, a)


@given(st.text("abß", max_size=12), st.text("abß", max_size=12))
def test_strings_are_sequences_of_characters(a: str, b: str) -> None:
    assert edit_distance(a, b) == table_distance(a, b)


@given(
    st.lists(st.sampled_from(["sil", "ah", ("a", 1), -1, -2, None]), max_size=8),
    st.lists(st.sampled_from(["sil", "ah", ("a", 1), -1, -2, None]), max_size=8),
)
def test_any_hashable_symbols_compare_by_equality(a: list[Any], b: list[Any]) -> None:
    assert edit_distance(a, b) == table_distance(a, b)


def test_minus_one_differs_from_minus_two() -> None:
    assert hash(-1) == hash(-2)
    assert edit_distance([-1], [-2]) == 1


def test_empty_against_anything_counts_its_symbols() -> None:
    assert (edit_distance([], []), edit_distance([], [7, 7]), edit_distance("abc", "")) == (0, 2, 3)
    assert (bit_parallel([], []), bit_parallel([], [7, 7]), bit_parallel([1, 2, 3], [])) == (0, 2, 3)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_numpy_integers_equal_python_integers(dtype: type[np.integer[Any]]) -> None:
    assert edit_distance(np.array([1, 2, 3], dtype), [1, 3]) == 1


@pytest.mark.parametrize(
    "tensors", [torch.tensor([1, 2]), [torch.tensor(1)], torch.nn.Parameter(torch.ones(2))]
)
def test_tensors_are_refused_with_the_way_out(tensors: Any) -> None:
    with pytest.raises(TypeError, match=r"\.tolist\(\)"):
        edit_distance([1, 2], tensors)
    with pytest.raises(TypeError, match=r"\.tolist\(\)"):
        edit_distance(tensors, [1, 2])


def test_without_editdistance_the_built_in_version_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "editdistance", None)
        fallback = importlib.reload(module)
        assert fallback._distance is fallback.bit_parallel
        assert fallback.edit_distance([-1, 5], [-2, 5]) == 1
    importlib.reload(module)


def test_importing_it_does_not_import_torch() -> None:
    code = "import sys, unitdisc.edit_distance; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
