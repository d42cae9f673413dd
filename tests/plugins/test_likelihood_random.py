"""Bits per dimension and NELBO of 500 random splits, against plain loops."""

from __future__ import annotations

from functools import partial
from math import log, log2

import pytest

from tests.plugins.metric_oracles import entropy, score
from tests.plugins.test_likelihood_metrics import drawn_split
from unitdisc.metric import Evaluated
from unitdisc_metrics.bpd import BPD
from unitdisc_metrics.nelbo import NELBO

CASES = range(500)
SIZE = 32  # numbers of a frame
PRIORS = {
    "uniform": NELBO,
    "unigram": partial(NELBO, prior="unigram"),
    "learned": partial(NELBO, prior="learned", head="prior"),
}


def sent(split: list[Evaluated], prior: str) -> list[float]:
    """Return the bits that it takes to send the codes of each item."""
    if prior == "learned":
        return [item.nats["prior"] / log(2) for item in split]
    num_books = split[0].codes.shape[1]
    books = [[int(unit[book]) for item in split for unit in item.codes] for book in range(num_books)]
    each = num_books * log2(8) if prior == "uniform" else sum(map(entropy, books))
    return [len(item.codes) * each for item in split]


def means(split: list[Evaluated], bits: list[float]) -> dict[str, float]:
    """Return bits per number over all items, and the mean of those of each item."""
    sizes = [item.num_frames * SIZE for item in split]
    ratios = [one / size for one, size in zip(bits, sizes, strict=True) if size]
    return {"pixel": sum(bits) / sum(sizes), "item": sum(ratios) / len(ratios)}


@pytest.mark.parametrize("prior", PRIORS)
def test_nelbo_is_what_it_takes_to_send_codes_and_what_they_leave_open(prior: str) -> None:
    for seed in CASES:
        split = drawn_split(seed, 1 + seed % 3)
        left_open = [item.nats["decoder"] / log(2) for item in split]
        total = [one + other for one, other in zip(left_open, sent(split, prior), strict=True)]
        for average, expected in means(split, total).items():
            found = score(PRIORS[prior](average=average), split)
            assert found["value"] == pytest.approx(expected)
            assert found["bpd"] == pytest.approx(means(split, left_open)[average])


@pytest.mark.parametrize("part", ["decoder", "prior"])
def test_bpd_is_that_of_loops_over_items(part: str) -> None:
    for seed in CASES:
        split = drawn_split(seed, 1)
        bits = [item.nats[part] / log(2) for item in split]
        for average, expected in means(split, bits).items():
            found = score(BPD(part=part, average=average), split)
            assert found["value"] == pytest.approx(expected)
            assert found["dims"] == sum(item.num_frames * SIZE for item in split)
