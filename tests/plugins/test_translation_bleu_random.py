"""BLEU on 500 random corpora: that of sacreBLEU itself, and for split compounds that of plain loops."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from math import exp, log

import numpy as np
import pytest

from tests.plugins.test_translation_bleu import sentence
from unitdisc_translation.bleu import BLEU
from unitdisc_translation.compound_bleu import CompoundSplitBLEU

sacrebleu = pytest.importorskip("sacrebleu")

CASES = range(500)
WORDS = (
    *(
        "ein",
        "Ein",
        "Mann",
        "Hund",
        "rot",
        "rich-text",
        "gut-gelaunt",
        "auf-und-ab",
        "\u00fcber",
        "Stra\u00dfe",
    ),
    *("1,5", "3.", "U.S.", "don't", "(", ")", "!", "\u201cJa\u201d", "50%", "&amp;", "\u65e5\u672c", "x/y"),
)
PLAIN = WORDS[:10]
"""Words that all rules take for one, but for hyphens."""
Pairs = list[tuple[str, str]]


def corpus(seed: int, words: tuple[str, ...]) -> Pairs:
    """Return (written, reference) of 1 to 8 sentences; words are right, wrong, lost, or there twice."""
    draw = np.random.default_rng(seed)
    right, pairs = draw.random(), []
    for _ in range(draw.integers(1, 9)):
        reference = draw.choice(words, draw.integers(1, 15)).tolist()
        kept = [word if draw.random() < right else str(draw.choice(words)) for word in reference]
        written = np.repeat(kept, draw.choice([0, 1, 1, 1, 1, 1, 2], len(kept))).tolist()
        pairs.append((" ".join(written), " ".join(reference)))
    return pairs


def scored(metric: BLEU | CompoundSplitBLEU, pairs: Pairs) -> dict[str, float]:
    for written, reference in pairs:
        metric.update(replace(sentence(reference, ""), translate=partial(lambda text, **_: text, written)))
    return metric.compute()


def test_bleu_is_sacrebleus() -> None:
    for seed in CASES:
        pairs, lowercase = corpus(seed, WORDS), bool(seed % 2)
        written, references = zip(*pairs, strict=True)
        expected = sacrebleu.corpus_bleu(list(written), [list(references)], lowercase=lowercase)
        found = scored(BLEU(lowercase=lowercase), pairs)
        assert found["value"] == pytest.approx(expected.score, abs=1e-9)
        assert found["brevity_penalty"] == pytest.approx(expected.bp)
        assert [found[f"precision_{n}"] for n in (1, 2, 3, 4)] == pytest.approx(expected.precisions)


def split(text: str, *, lowercase: bool) -> list[str]:
    return (text.lower() if lowercase else text).replace("-", " ##at## " if lowercase else " ##AT## ").split()


def plain_bleu(pairs: list[tuple[list[str], list[str]]]) -> float:
    """Return the geometric mean of the clipped precisions of 1 to 4 words over the corpus, times the penalty."""
    logs = []
    for n in (1, 2, 3, 4):
        right = total = 0
        for written, reference in pairs:
            known = Counter(tuple(reference[i : i + n]) for i in range(len(reference) - n + 1))
            given = Counter(tuple(written[i : i + n]) for i in range(len(written) - n + 1))
            right += sum(min(count, known[words]) for words, count in given.items())
            total += given.total()
        if not right:
            return 0.0
        logs.append(log(right / total))
    lengths = [sum(map(len, side)) for side in zip(*pairs, strict=True)]
    return 100 * exp(sum(logs) / 4 + min(0.0, 1 - lengths[1] / lengths[0]))


def test_bleu_of_split_compounds_is_that_of_plain_loops() -> None:
    above_zero = 0
    for seed in CASES:
        pairs, lowercase = corpus(seed, PLAIN), bool(seed % 2)
        both = [[split(text, lowercase=lowercase) for text in pair] for pair in pairs]
        expected = plain_bleu([(written, reference) for written, reference in both])
        found = scored(CompoundSplitBLEU(lowercase=lowercase), pairs)
        assert found["value"] == pytest.approx(expected, abs=1e-9)
        above_zero += expected > 0
    assert above_zero > 250
