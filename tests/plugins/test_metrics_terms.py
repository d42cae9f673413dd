"""Tokens, types and repeated terms against plain loops and examples worked by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import combinations, groupby
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.plugins.metric_oracles import random_split, score, utterance
from tests.plugins.test_metrics_mapping import levenshtein
from unitdisc.data import TargetSpec
from unitdisc.errors import DataError, RecipeError
from unitdisc.testing import check_metric
from unitdisc_metrics import term_discovery
from unitdisc_metrics.fragments import labelled_runs, runs_of, within
from unitdisc_metrics.term_discovery import TermDiscovery
from unitdisc_metrics.tokens import Tokens, hits

if TYPE_CHECKING:
    from unitdisc.metric import Evaluated, Metric

PHONES = {"phones": TargetSpec("frames", tuple("abcde"))}
CASES = range(500)
Run = tuple[object, int, int]


def runs(symbols: list) -> list[Run]:
    """(symbol, first frame, frame after the last) of each run."""
    places = [[*places] for _, places in groupby(range(len(symbols)), key=symbols.__getitem__)]
    return [(symbols[run[0]], run[0], run[-1] + 1) for run in places]


def phones_of(item: Evaluated) -> list[Run]:
    return [run for run in runs(item.targets["phones"].tolist()) if run[0] != -1]


def units_of(item: Evaluated) -> list[Run]:
    return runs([tuple(item.codes[t // item.stride].tolist()) for t in range(item.num_frames)])


def belonging(start: int, stop: int, phones: list[Run], edge: float) -> list[int]:
    """Numbers of the phones of which more than ``edge`` frames, or more than half, lie in [start, stop)."""
    shared = [sum(start <= t < stop for t in range(left, right)) for _, left, right in phones]
    return [
        n
        for n, (frames, (_, left, right)) in enumerate(zip(shared, phones, strict=True))
        if frames > edge or frames > (right - left) / 2
    ]


def hundred_a_second(split: list[Evaluated]) -> list[Evaluated]:
    return [replace(item, frame_rate=100.0) for item in split]


def test_labels_of_a_fragment_are_those_that_lie_mostly_in_it() -> None:
    for seed in CASES:
        draw = np.random.default_rng(seed)
        labels = np.repeat(draw.integers(-1, 3, 8), draw.integers(1, 9, 8))
        starts, stops = np.sort(draw.integers(0, len(labels) + 1, (20, 2)), axis=1).T
        full = starts < stops
        edge = int(draw.integers(0, 5))
        first, stop = within(starts[full], stops[full], labelled_runs(labels), edge)
        phones = [run for run in runs(labels.tolist()) if run[0] != -1]
        for a, b, left, right in zip(first, stop, starts[full], stops[full], strict=True):
            assert [*range(a, b)] == belonging(left, right, phones, edge)


# Tokens and types


def most_hits(tokens: list[Run], segments: list[Run], tolerance: int) -> int:
    """The largest matching, one segment after the other, each skipped or put on any free token."""
    if not segments:
        return 0
    (_, start, stop), rest = segments[0], segments[1:]
    near = [one for one in tokens if abs(one[1] - start) <= tolerance and abs(one[2] - stop) <= tolerance]
    put = [1 + most_hits([other for other in tokens if other != one], rest, tolerance) for one in near]
    return max([most_hits(tokens, rest, tolerance), *put])


def test_hits_are_the_largest_matching() -> None:
    for seed in CASES:
        draw = np.random.default_rng(seed)
        labels, units = (np.repeat(draw.integers(-1, 4, 12), draw.integers(1, 5, 12))[:14] for _ in range(2))
        tolerance = int(draw.integers(0, 4))
        tokens = [run for run in runs(labels.tolist()) if run[0] != -1]
        found = hits(labelled_runs(labels), runs_of(units[:, None]), tolerance)
        assert found == most_hits(tokens, runs(units.tolist()), tolerance)


def test_token_and_type_scores_are_those_of_plain_loops() -> None:
    for seed in CASES:
        split = hundred_a_second(random_split(seed, stride=1 + seed % 3))[:6]
        right = wanted = given = 0
        known, spelt = set(), set()
        for item in split:
            phones, labels = phones_of(item), item.targets["phones"].tolist()
            if not phones:
                continue
            low, high = phones[0][1], phones[-1][2]
            segments = [
                (unit, max(a, low), min(b, high)) for unit, a, b in units_of(item) if a < high and b > low
            ]
            segments = [(unit, a, b) for unit, a, b in segments if max(labels[a:b]) >= 0]
            right += hits(labelled_runs(np.array(labels)), as_runs(segments), 2)
            wanted, given = wanted + len(phones), given + len(segments)
            spell = partial(spelling, phones=phones)
            known |= {spell(a, b) for _, a, b in phones}
            spelt |= {spell(a, b) for _, a, b in segments} - {()}
        if not wanted:
            continue
        found = score(Tokens(target="phones"), split)
        assert (found["hits"], found["tokens"], found["segments"]) == (right, wanted, given)
        assert found["value"] == pytest.approx(2 * right / (wanted + given))
        assert (found["token_types"], found["segment_types"]) == (len(known), len(spelt))
        assert found["type_precision"] == pytest.approx(len(known & spelt) / max(len(spelt), 1))
        assert found["type_recall"] == pytest.approx(len(known & spelt) / len(known))


def spelling(start: int, stop: int, phones: list[Run]) -> tuple:
    return tuple(phones[n][0] for n in belonging(start, stop, phones, 3))


def as_runs(segments: list[Run]):
    frames = runs_of(np.zeros((0, 1), int))
    starts, stops = (np.array([run[n] for run in segments], int) for n in (1, 2))
    return replace(frames, symbols=np.zeros((len(starts), 1), int), starts=starts, stops=stops)


def test_words_are_spelt_in_phones() -> None:
    words, phones = [0] * 6 + [1] * 4, [0] * 3 + [1] * 3 + [1] * 2 + [2] * 2
    item = utterance([0] * 6 + [1] * 2 + [2] * 2, phones)
    item.targets["words"] = np.array(words)
    found = score(Tokens(target="words", spelling="phones", tolerance=0), [item])
    assert (found["hits"], found["segments"], found["tokens"]) == (1, 3, 2)  # the first word as a whole
    # Spelt 01 and 12 in truth. Of the phone 1 [3, 8) the segments hold three frames, two, none.
    assert (found["token_types"], found["segment_types"], found["type_precision"]) == (2, 3, 1 / 3)


def test_units_that_are_the_words_score_one() -> None:
    found = score(Tokens(target="phones"), [utterance([4, 4, 5, 5, 5], [0, 0, 1, 1, 1])])
    assert (found["value"], found["type_f1"], found["type_recall"]) == (1, 1, 1)


# Terms


def terms(split: list[Evaluated], length: int) -> tuple[list[float], float, int]:
    """Distances of all pairs of fragments of a term, share of phones covered, number of fragments."""
    places: dict[tuple, list[tuple[int, int, int]]] = {}
    for u, item in enumerate(split):
        units = units_of(item)
        for n in range(len(units) - length + 1):
            key = tuple(unit for unit, _, _ in units[n : n + length])
            places.setdefault(key, []).append((u, units[n][1], units[n + length - 1][2]))
    phones = [phones_of(item) for item in split]
    covered, distances, fragments = set(), [], 0
    for found in places.values():
        if len(found) < 2:
            continue
        inside = [(u, belonging(a, b, phones[u], 3)) for u, a, b in found]
        covered |= {(u, n) for u, numbers in inside for n in numbers}
        spelt = [[phones[u][n][0] for n in numbers] for u, numbers in inside if numbers]
        fragments += len(spelt)
        distances += [levenshtein(a, b) / max(len(a), len(b)) for a, b in combinations(spelt, 2)]
    return distances, len(covered) / max(sum(map(len, phones)), 1), fragments


def test_terms_score_as_plain_loops_do() -> None:
    for seed in CASES:
        split = hundred_a_second(random_split(seed, stride=1 + seed % 3))[:5]
        length = 1 + seed % 3
        distances, coverage, fragments = terms(split, length)
        if not any(map(phones_of, split)):
            continue
        found = score(TermDiscovery(target="phones", length=length, max_pairs=10**6), split)
        assert found["value"] == pytest.approx(np.mean(distances) if distances else 1)
        assert (found["coverage"], found["fragments"]) == (pytest.approx(coverage), fragments)
        assert found["pairs"] == len(distances)


def test_terms_are_the_same_few_at_a_time_and_with_codes_too_large_for_64_bits(monkeypatch) -> None:
    split = hundred_a_second([item for seed in range(9) for item in random_split(seed, num_codebooks=2)])
    expected = score(TermDiscovery(target="phones", length=2), split)
    wide = [replace(item, codes=item.codes * 2**30) for item in split]
    assert score(TermDiscovery(target="phones", length=2), wide) == expected
    monkeypatch.setattr(term_discovery, "_FRAGMENTS", 5)
    assert score(TermDiscovery(target="phones", length=2), split) == expected
    assert expected["fragments"] > 50


def test_a_sample_of_pairs_comes_near_to_all_of_them() -> None:
    split = hundred_a_second([item for seed in range(20) for item in random_split(seed)])
    whole = score(TermDiscovery(target="phones", length=1, max_pairs=10**6), split)
    sampled = score(TermDiscovery(target="phones", length=1, max_pairs=500), split)
    again = score(TermDiscovery(target="phones", length=1, max_pairs=500), split[::-1])
    other = score(TermDiscovery(target="phones", length=1, max_pairs=500, seed=1), split)
    assert sampled["value"] == pytest.approx(whole["value"], abs=0.02)
    assert sampled == again
    assert sampled["value"] not in (whole["value"], other["value"])


def test_repeated_units_of_repeated_phones_are_perfect() -> None:
    split = [utterance([0, 1, 1, 2, 7], [0, 1, 1, 2, 3]), utterance([0, 1, 2, 2, 6], [0, 1, 2, 2, 4])]
    found = score(TermDiscovery(target="phones"), split)
    assert (found["value"], found["terms"], found["pairs"]) == (0, 1, 1)
    assert found["coverage"] == 6 / 8


def test_min_count_leaves_out_rarer_terms() -> None:
    split = [utterance([0, 1], [0, 1]), utterance([0, 1], [0, 1])]
    assert score(TermDiscovery(target="phones", length=2), split)["terms"] == 1
    found = score(TermDiscovery(target="phones", length=2, min_count=3), split)
    assert (found["terms"], found["value"], found["coverage"]) == (0, 1, 0)


# What can be wrong


@pytest.mark.parametrize("metric", [Tokens, TermDiscovery])
@pytest.mark.parametrize("split", [[], [utterance([1, 2], [-1, -1])], [utterance([])]])
def test_split_without_labels_is_refused(metric: type[Metric], split: list[Evaluated]) -> None:
    with pytest.raises(DataError, match="no labelled frame of target 'phones'"):
        score(metric(target="phones"), split)


def test_spelling_has_to_exist() -> None:
    with pytest.raises(RecipeError, match=r"no target 'fones' to score \(accepted: phones\)"):
        score(Tokens(target="phones", spelling="fones"), [utterance([0], [0])])


@pytest.mark.parametrize("num_codebooks", [1, 2])
@pytest.mark.parametrize("metric", [Tokens, partial(TermDiscovery, length=1, max_pairs=3)])
def test_scores_of_terms_keep_the_contract(metric, num_codebooks: int) -> None:
    check_metric(partial(metric, target="phones"), targets=PHONES, num_codebooks=num_codebooks)


def test_frequent_terms_weigh_by_their_pairs() -> None:
    counts = Counter({"same": 3, "other": 1})  # fragments of one term: three alike and one unlike
    split = [utterance([5], [0])] * counts["same"] + [utterance([5], [1])] * counts["other"]
    assert score(TermDiscovery(target="phones", length=1), split)["value"] == pytest.approx(3 / 6)
