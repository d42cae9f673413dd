"""Word alignment agrees with plain loops, and fertilities account for every token of the target."""

from __future__ import annotations

from collections import defaultdict
from math import exp
from pathlib import Path

import numpy as np
import pytest
import torch

from unitdisc.data import collate
from unitdisc.errors import DataError
from unitdisc.parts import Padded
from unitdisc.testing import check_data
from unitdisc_translation import alignment
from unitdisc_translation.alignment import ITERATIONS, NONE, TENSION, Aligner
from unitdisc_translation.fertility import copied, fertilities, limited
from unitdisc_translation.source import Parallel
from unitdisc_translation.vocabulary import END

V = 12
ENGLISH = [
    "a man",
    "a dog",
    "a man sees a dog",
    "the man",
    "the dog",
    "the dog sees the man",
    "a green dog",
] * 3
GERMAN = [
    "ein Mann",
    "ein Hund",
    "ein Mann sieht ein Hund",
    "der Mann",
    "der Hund",
    "der Hund sieht der Mann",
]
GERMAN = [*GERMAN, "ein Hund grün"] * 3


def pairs(number: int = 40) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(0)
    return tuple([rng.integers(V, size=rng.integers(1, 7)) for _ in range(number)] for _ in range(2))


def prior(place: int, width: int, row: int, height: int) -> float:
    aside = [exp(-TENSION * abs((i + 1) / width - (row + 1) / height)) for i in range(width)]
    return NONE if place == width else (1 - NONE) * aside[place] / sum(aside)


def learnt_by_loops(sources: list[np.ndarray], targets: list[np.ndarray]) -> dict[tuple[int, int], float]:
    """Expectation maximisation, token by token (Brown et al. 1993 with the prior of Dyer et al. 2013)."""
    table = defaultdict(lambda: 1.0)
    for _ in range(ITERATIONS):
        counts, totals = defaultdict(float), defaultdict(float)
        for source, target in zip(sources, targets, strict=True):
            given = [*source.tolist(), V]
            for row, word in enumerate(target.tolist()):
                weights = [
                    table[other, word] * prior(place, len(source), row, len(target))
                    for place, other in enumerate(given)
                ]
                for other, weight in zip(given, weights, strict=True):
                    counts[other, word] += weight / sum(weights)
                    totals[other] += weight / sum(weights)
        table = {pair: count / totals[pair[0]] for pair, count in counts.items()}
    return table


def words(texts: list[str], known: dict[str, int]) -> list[np.ndarray]:
    return [np.array([known.setdefault(word, len(known)) for word in text.split()]) for text in texts]


@pytest.mark.parametrize("chunk", [4096, 7])
def test_what_is_learnt_is_what_plain_loops_learn(monkeypatch, chunk):
    monkeypatch.setattr(alignment, "_CHUNK", chunk)
    found = Aligner.fit(*pairs(), vocab_size=V)
    expected = learnt_by_loops(*pairs())
    table = {divmod(int(pair), V): p for pair, p in zip(found.pairs, found.probabilities, strict=True)}
    assert table == pytest.approx({pair: p for pair, p in expected.items() if p >= 1e-7}, abs=1e-9)


def test_each_token_goes_to_the_likeliest_of_the_source():
    sources, targets = pairs()
    found = Aligner.fit(sources, targets, vocab_size=V)
    table = learnt_by_loops(sources, targets)
    for source, target in zip(sources, targets, strict=True):
        for row, place in enumerate(found.align(source, target)):
            scores = [
                max(table[word, target[row]], 1e-7) * prior(i, len(source), row, len(target))
                for i, word in enumerate(source.tolist())
            ]
            assert scores[place] == pytest.approx(max(scores), rel=1e-9)


def test_words_that_change_places_are_found():
    rng = np.random.default_rng(1)
    sources = [rng.choice(20, 5, replace=False) for _ in range(300)]
    order = [0, 2, 1, 4, 3]
    found = Aligner.fit(sources, [20 + source[order] for source in sources], vocab_size=40)
    right = [found.align(source, 20 + source[order]).tolist() == order for source in sources]
    assert np.mean(right) > 0.98


def test_tokens_that_were_never_seen_lie_on_the_diagonal():
    found = Aligner.fit(*pairs(), vocab_size=V + 10)
    strange = np.arange(V, V + 4)
    assert found.align(strange, strange + 4).tolist() == [0, 1, 2, 3]


def test_of_many_pairs_some_at_equal_distances_are_learnt_from(monkeypatch):
    sources, targets = pairs()
    monkeypatch.setattr(alignment, "MOST", 10)
    found = Aligner.fit(sources, targets, vocab_size=V)
    expected = Aligner.fit(sources[::4], targets[::4], vocab_size=V)
    assert np.array_equal(found.pairs, expected.pairs)


def test_bytes_keep_all_and_others_are_refused_in_one_line():
    made = Aligner.fit(*pairs(), vocab_size=V)
    again = Aligner.from_bytes(made.to_bytes())
    assert np.array_equal(again.pairs, made.pairs)
    assert np.array_equal(again.probabilities, made.probabilities)
    with pytest.raises(DataError, match=r"^table: is no table of alignments; remove"):
        Aligner.from_bytes(b"nothing", name="table")


def test_fertilities_count_and_end_stands_for_end_alone():
    known: dict[str, int] = {}
    sources, targets = words(ENGLISH, known), words(GERMAN, known)
    aligner = Aligner.fit(sources, targets, vocab_size=len(known))
    source, target = np.append(sources[1], END), np.append(targets[2], END)  # a dog; ein Mann sieht ein Hund
    found = fertilities(aligner, source, target, most=50)
    places = aligner.align(sources[1], targets[2]).tolist()
    assert found.tolist() == [places.count(0), places.count(1), 1]


@pytest.mark.parametrize(
    ("counts", "most", "expected"),
    [
        ([2, 0, 1], 3, [2, 0, 1]),
        ([5, 0, 1], 3, [3, 2, 1]),
        ([0, 1, 5], 3, [0, 3, 3]),
        ([0, 9, 1], 4, [2, 4, 4]),
        ([9, 9, 9], 2, [2, 2, 2]),
    ],
)
def test_what_is_too_much_for_a_token_goes_to_the_next_ones_then_to_those_before(counts, most, expected):
    assert limited(np.array(counts), most).tolist() == expected


def test_a_token_is_copied_as_often_as_its_fertility_says():
    fertility = torch.tensor([[2, 0, 1, 1], [0, 3, 0, 0], [1, 1, 0, 0]])
    found = copied(fertility, torch.tensor([4, 2, 2]), 4)
    assert found.tolist() == [[0, 0, 2, 3], [1, 1, 1, 1], [0, 1, 1, 1]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split, number in (("train", 21), ("test", 3)):
        for language, lines in (("en", ENGLISH), ("de", GERMAN)):
            (tmp_path / f"{split}.{language}").write_text("".join(f"{line}\n" for line in lines[:number]))
    return tmp_path


def prepared(root: Path, **parameters: object) -> Parallel:
    source = Parallel(root=root, **{"vocab_size": 300, "fertilities": 5, **parameters})
    source.prepare()
    return source


def test_the_data_with_fertilities_keep_the_contract(folder):
    check_data(Parallel(root=folder, vocab_size=300, fertilities=5))
    check_data(Parallel(root=folder, vocab_size=300, fertilities=5), "test")


def test_each_source_token_has_a_fertility_and_they_sum_to_the_target(folder):
    source = prepared(folder)
    assert source.targets["fertility"].vocab == ("0", "1", "2", "3", "4", "5")
    for name in ("train", "test"):
        split = source.split(name)
        for index in range(len(split)):
            example = split[index]
            found = example.targets["fertility"]
            assert len(found) == len(example.conditions["source"])
            assert found.sum() == len(example.inputs)
    batch = collate([split[0], split[2]])
    assert isinstance(batch.targets["fertility"], Padded)


def test_what_pads_the_target_has_no_fertility(folder):
    plain, padded = (prepared(folder, pad=pad).split("train") for pad in (None, 32))
    for index in range(3):
        assert torch.equal(plain[index].targets["fertility"], padded[index].targets["fertility"])
        assert len(padded[index].inputs) > len(plain[index].inputs)


def test_words_are_aligned_once_and_by_the_training_pairs_alone(folder, monkeypatch):
    first = prepared(folder)
    monkeypatch.setattr(Aligner, "fit", None)  # never called again
    again = prepared(folder, fertilities=3)
    assert np.array_equal(first._aligner.pairs, again._aligner.pairs)
    (folder / "test.en").write_text("a dog sees\n" * 3)
    prepared(folder)
    assert first.checksum() != again.checksum()


def test_without_fertilities_nothing_is_aligned(folder, monkeypatch):
    monkeypatch.setattr(Aligner, "fit", None)
    source = prepared(folder, fertilities=None)
    assert source.targets == {}
    assert source.split("train")[0].targets == {}


def test_where_no_training_pair_is_left_one_line_says_so(folder):
    with pytest.raises(DataError, match=r"train\.en: no pair is left to align words in; give more text$"):
        prepared(folder, max_tokens=2)
