"""Sentences of all places at once: what loops give, and few places compared with the vocabulary."""

from __future__ import annotations

import pytest
import torch

from unitdisc_translation import writing
from unitdisc_translation.vocabulary import END, PAD, START, UNKNOWN
from unitdisc_translation.writing import write

V, D, PLACES = 9, 6, 8


def by_loops(vectors: torch.Tensor, table: torch.Tensor, limit: int) -> list[int]:
    written: list[int] = []
    while END not in written:
        logits = (table @ vectors[len(written)]).tolist()
        allowed = [token for token in range(V) if token not in (PAD, START, UNKNOWN)]
        is_last = len(written) == limit - 1
        written.append(END if is_last else max(allowed, key=logits.__getitem__))
    return written


@pytest.mark.parametrize("seed", range(20))
def test_sentences_are_those_of_loops_wherever_the_end_is_looked_for_first(seed: int):
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(7, PLACES, D, generator=generator)
    table = torch.randn(V, D, generator=generator)
    limits = torch.randint(1, PLACES + 1, (7,), generator=generator)
    early = torch.randint(0, PLACES + 3, (7,), generator=generator)
    expected = [by_loops(*each) for each in zip(vectors, [table] * 7, limits.tolist(), strict=True)]
    found = [row.tolist() for row in write(vectors, table, early=early, limits=limits)]
    assert found == expected
    assert len(set(map(len, found))) > 1  # else it would show little


@pytest.mark.parametrize("part", [1, 2, 4, 8])
def test_a_vocabulary_in_parts_gives_the_same(monkeypatch: pytest.MonkeyPatch, part: int):
    generator = torch.Generator().manual_seed(part)
    vectors, table = (torch.randn(*size, D, generator=generator) for size in ((50, PLACES), (V,)))
    given = {"early": torch.full((50,), 4), "limits": torch.full((50,), PLACES)}
    expected = write(vectors, table, **given)
    monkeypatch.setattr(writing, "_PART", part)
    found = write(vectors, table, **given)
    assert [row.tolist() for row in found] == [row.tolist() for row in expected]


def test_no_place_is_compared_that_is_not_needed(monkeypatch: pytest.MonkeyPatch):
    compared = []
    own = writing.product
    monkeypatch.setattr(writing, "product", lambda x, table: compared.append(len(x)) or own(x, table))
    table = torch.eye(V)
    tokens = torch.tensor([[4, END, 5, 5, 5, 5], [4, 5, 5, 6, END, 5], [4, 5, 5, 5, 5, 5]])
    vectors, early = table[tokens], torch.tensor([4, 4, 4])
    limits = torch.tensor([6, 6, 3])
    found = write(vectors, table, early=early, limits=limits)
    assert [row.tolist() for row in found] == [[4, END], [4, 5, 5, 6, END], [4, 5, END]]
    assert compared == [4 + 4 + 2, 1]  # the last place of a sentence can hold </s> alone
    compared.clear()
    write(vectors[:1], table, early=early[:1], limits=limits[:1])
    assert compared == [4]
