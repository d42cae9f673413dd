"""Greedy and beam search: against plain loops and full enumeration on toys, cached against uncached on a model."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from unitdisc.data import FeatureSpec
from unitdisc.parts import Padded
from unitdisc.translation import penalty
from unitdisc_translation import decoder
from unitdisc_translation.decoder import Autoregressive, CachedSteps
from unitdisc_translation.search import beam_search, greedy
from unitdisc_translation.vocabulary import END, PAD, START, UNKNOWN

LETTERS = (4, 5, 6)
V = 7
BANNED = [PAD, START, UNKNOWN]


class Toy:
    """A model that says of each prefix of each sentence what comes next, at random but always the same."""

    def __init__(self, sentences: list[int], beam: int) -> None:
        self.prefixes = [[(sentence, ()) for _ in range(beam)] for sentence in sentences]

    @staticmethod
    def log_probs(sentence: int, prefix: tuple[int, ...]) -> Tensor:
        draw = torch.Generator().manual_seed(hash((sentence, prefix)) % 2**60)
        logits = 2 * torch.randn(V, generator=draw)
        logits[BANNED] = float("-inf")
        return logits.log_softmax(0)

    def next(self, tokens: Tensor) -> Tensor:
        for row, given in zip(self.prefixes, tokens.tolist(), strict=True):
            for place, token in enumerate(given):
                sentence, prefix = row[place]
                row[place] = sentence, (*prefix, token)
        return torch.stack([torch.stack([self.log_probs(*one) for one in row]) for row in self.prefixes])

    def select(self, sentences: Tensor, parents: Tensor) -> None:
        rows = zip(sentences.tolist(), parents.tolist(), strict=True)
        self.prefixes = [[self.prefixes[sentence][parent] for parent in row] for sentence, row in rows]


class Uncached:
    """A model that reads everything written so far again at each step."""

    def __init__(self, model: Autoregressive, source: Padded, beam: int) -> None:
        self.model, (self.encoded, self.mask) = model, model.encode(source)
        self.written = source.values.new_empty(len(source.values), beam, 0)

    def next(self, tokens: Tensor) -> Tensor:
        self.written = torch.cat([self.written, tokens[:, :, None]], 2)
        beam, length = self.written.shape[1:]
        rows = self.written.flatten(0, 1)
        encoded, mask = (value.repeat_interleave(beam, 0) for value in (self.encoded, self.mask))
        found = self.model.decode(Padded(rows, torch.full((len(rows),), length)), encoded, mask)
        logits = self.model.logits(found[:, -1]).unflatten(0, (-1, beam)).clone()
        logits[..., BANNED] = float("-inf")
        return logits

    def select(self, sentences: Tensor, parents: Tensor) -> None:
        self.written = self.written[sentences[:, None], parents]
        self.encoded, self.mask = self.encoded[sentences], self.mask[sentences]


def ln_p(sentence: int, tokens: tuple[int, ...], limit: int) -> float:
    total, prefix = 0.0, (START,)
    for token in tokens:
        total += float(Toy.log_probs(sentence, prefix)[token])
        prefix = (*prefix, token)
    return total


def score(sentence: int, tokens: tuple[int, ...], limit: int, alpha: float) -> float:
    return ln_p(sentence, tokens, limit) / ((5 + len(tokens)) / 6) ** alpha


def searched(sentence: int, *, beam: int, limit: int, alpha: float) -> tuple[int, ...]:
    """Beam search in plain words, one sentence, without stopping before ``beam`` translations have ended."""
    alive, ended = [(0.0, ())], []
    for length in range(1, limit + 1):
        grown = [
            (total + float(Toy.log_probs(sentence, (START, *prefix))[token]), (*prefix, token))
            for total, prefix in alive
            for token in ((END,) if length == limit else (END, *LETTERS))
        ]
        grown.sort(key=lambda one: -one[0])
        ended += [one for one in grown[:beam] if one[1][-1] == END]
        alive = [one for one in grown if one[1][-1] != END][:beam]
        if len(ended) >= beam:
            break
    return max(ended, key=lambda one: one[0] / ((5 + len(one[1])) / 6) ** alpha)[1]


def found(rows: list[Tensor]) -> list[tuple[int, ...]]:
    return [tuple(row.tolist()) for row in rows]


@pytest.fixture(scope="module")
def model() -> Autoregressive:
    torch.manual_seed(3)
    features = FeatureSpec((), 1.0, "token", standardize=False, vocab_size=12)
    made = Autoregressive(
        features=features, conditions={"source": 12}, hidden=16, layers=2, heads=2, inner=32, dropout=0.3
    )
    with torch.no_grad():
        made.embedding *= 3  # an untrained model that has preferences
    return made.eval()


@pytest.fixture
def source() -> Padded:
    torch.manual_seed(4)
    return Padded(torch.randint(4, 12, (5, 7)), torch.tensor([7, 1, 4, 5, 2]))


def test_the_length_penalty_is_that_of_gnmt():
    assert penalty(7, 0.0) == 1
    assert penalty(7, 1.0) == pytest.approx(2)
    assert penalty(1, 0.6) == pytest.approx(1)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.0])
def test_a_beam_as_wide_as_all_translations_finds_the_best_of_them(alpha):
    limits = torch.tensor([4, 3, 4, 1, 2])
    rows = found(beam_search(Toy(list(range(5)), 64), limits, beam=64, alpha=alpha))
    for sentence, (row, limit) in enumerate(zip(rows, limits.tolist(), strict=True)):
        every = [(*body, END) for size in range(limit) for body in product(LETTERS, repeat=size)]
        assert row == max(every, key=lambda one: score(sentence, one, limit, alpha))


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.5])
@pytest.mark.parametrize("beam", [1, 2, 3, 5])
def test_beam_search_of_a_batch_is_that_of_plain_loops(beam, alpha):
    sentences = list(range(40))
    limits = torch.tensor([1 + sentence % 9 for sentence in sentences])
    rows = found(beam_search(Toy(sentences, beam), limits, beam=beam, alpha=alpha))
    expected = [
        searched(one, beam=beam, limit=limit, alpha=alpha)
        for one, limit in zip(sentences, limits.tolist(), strict=True)
    ]
    assert rows == expected


def test_a_beam_of_1_is_greedy_whatever_the_penalty():
    sentences, limits = list(range(40)), torch.tensor([1 + place % 9 for place in range(40)])
    expected = found(greedy(Toy(sentences, 1), limits))
    for alpha in (0.0, 1.0):
        assert found(beam_search(Toy(sentences, 1), limits, beam=1, alpha=alpha)) == expected


def test_greedy_takes_the_likeliest_token_at_each_place():
    (row,) = found(greedy(Toy([11], 1), torch.tensor([9])))
    for place, token in enumerate(row[:-1]):
        assert token == int(Toy.log_probs(11, (START, *row[:place])).argmax())


def test_every_translation_ends_with_its_mark_and_within_its_limit():
    limits = torch.tensor([1, 2, 3, 8])
    for rows in (
        greedy(Toy([0, 1, 2, 3], 1), limits),
        beam_search(Toy([0, 1, 2, 3], 3), limits, beam=3, alpha=1),
    ):
        assert all(row[-1] == END and END not in row[:-1] for row in found(rows))
        assert all(len(row) <= limit for row, limit in zip(rows, limits.tolist(), strict=True))


def test_cached_steps_give_the_logits_of_whole_sequences(model, source):
    torch.manual_seed(6)
    target = torch.randint(4, 12, (5, 6))
    with torch.no_grad():
        whole = model.logits(model.decode(Padded(target, torch.full((5,), 6)), *model.encode(source)))
        steps = CachedSteps(model, source, beam=1, longest=6)
        stepwise = torch.cat([steps.next(target[:, place : place + 1]) for place in range(6)], 1)
    allowed = [token for token in range(12) if token not in BANNED]
    torch.testing.assert_close(stepwise[..., allowed], whole[..., allowed], atol=1e-5, rtol=1e-5)
    assert bool(stepwise[..., BANNED].isneginf().all())


@pytest.mark.parametrize("beam", [1, 2, 4])
def test_search_with_caches_finds_what_it_finds_without(model, source, beam):
    limits = torch.tensor([9, 3, 7, 5, 12])
    with torch.no_grad():
        cached = beam_search(CachedSteps(model, source, beam=beam, longest=12), limits, beam=beam, alpha=0.6)
        uncached = beam_search(Uncached(model, source, beam), limits, beam=beam, alpha=0.6)
    assert found(cached) == found(uncached)
    assert len(set(found(cached))) > 1  # else it would show little


def translated(model: Autoregressive, source: Padded, **options: int) -> list[torch.Tensor]:
    return [best for (best,) in model.candidates(source, lookup=torch.Tensor.float, **options)]


@pytest.mark.parametrize("beam", [1, 3])
def test_a_sentence_is_translated_alike_alone_and_in_a_batch_with_spoiled_padding(model, source, beam):
    spoiled = Padded(source.values.where(source.mask, 10**6), source.lengths)
    together = found(translated(model, spoiled, beam=beam))
    for row, length in enumerate(source.lengths.tolist()):
        alone = Padded(source.values[row : row + 1, :length], source.lengths[row : row + 1])
        assert found(translated(model, alone, beam=beam)) == [together[row]]


def test_translations_are_at_most_50_tokens_longer_than_the_source_or_as_long_as_asked(model, source):
    with torch.no_grad():
        rows = translated(model, source)
        short = translated(model, source, beam=3, max_length=2)
    assert all(len(row) <= length + 50 for row, length in zip(rows, source.lengths.tolist(), strict=True))
    assert all(len(row) <= 2 and row[-1] == END for row in short)


def test_a_large_limit_changes_nothing_and_takes_no_memory(model, source, monkeypatch):
    usual = found(translated(model, source, max_length=40))
    assert max(map(len, usual)) > 2
    monkeypatch.setattr(decoder, "_POSITIONS", 2)
    assert found(translated(model, source, max_length=40)) == usual
    with torch.no_grad():
        steps = CachedSteps(model, source, beam=1, longest=10**12)
        assert steps.next(torch.full((5, 1), 4)).isfinite().any()
