"""The benchmarks of encoding run and say what they measured."""

from __future__ import annotations

import pytest

from tests.test_benchmarks import FACTS, SPREAD, measured


def test_k_means_units_take_turns_with_faiss():
    pytest.importorskip("faiss")
    (item,) = measured("k_means_units.py", "--frames", "400", "--shape", "300,20")
    rates = {"ratio", "frames_per_second", "peer_frames_per_second"}
    assert set(item) == {"benchmark", "shape", "cold", "other_codes", "excess", "peer"} | rates | FACTS
    assert item["shape"] == [400, 300, 20]
    assert item["excess"] < 1e-4
    assert all(set(item[rate]) == SPREAD for rate in rates)


def test_memory_of_encode_is_that_of_its_process():
    (item,) = measured("encode_memory.py", "--hours", "0.002", "--minutes", "0.02")
    expected = {"benchmark", "hours", "recordings", "peak_bytes", "seconds", "units"}
    assert set(item) == expected | FACTS
    assert item["recordings"] == 6
    assert item["units"] > 6 * 50
    assert item["peak_bytes"] > 2**26
