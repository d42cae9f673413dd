"""Intervals of metrics that merge, but whose parts cannot be drawn several times over."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import numpy as np
import pytest

from tests.plugins.metric_oracles import random_split
from unitdisc.scored.intervals import Spread
from unitdisc_metrics.term_discovery import TermDiscovery


class FedAnew(TermDiscovery):
    """Kept once more for each block that is left out."""

    merges: ClassVar[bool] = False


@pytest.mark.parametrize("num_blocks", [2, 5, 30])
def test_leaving_out_merged_blocks_is_leaving_out_their_utterances(num_blocks: int) -> None:
    split = [item for seed in range(12) for item in random_split(seed)]
    merged, fed = (
        Spread(partial(kind, target="phones", length=1), num_blocks) for kind in (TermDiscovery, FedAnew)
    )
    for number, item in enumerate(split):
        merged.update(item, number % num_blocks)
        fed.update(item, number % num_blocks)
    rng = np.random.default_rng(0)
    found, expected = merged.interval(50, rng), fed.interval(50, rng)
    assert found is not None
    assert expected is not None
    assert found.pop("method") == expected.pop("method") == "jackknife"
    assert found == pytest.approx(expected)
    assert sum(len(part._heard) for part in merged.parts) == len(split)  # not once per block left out


def test_what_cannot_be_drawn_again_has_no_interval_without_the_jackknife() -> None:
    spread = Spread(partial(TermDiscovery, target="phones"), 5, jackknife=False)
    assert spread.interval(50, np.random.default_rng(0)) is None
