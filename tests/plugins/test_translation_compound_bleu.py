"""The tokenised, compound-split BLEU of the time, by examples worked by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from tests.plugins.test_translation_bleu import sentence
from unitdisc.recipe import read
from unitdisc.testing import check_metric
from unitdisc_translation.compound_bleu import CompoundSplitBLEU
from unitdisc_translation.words import words

pytest.importorskip("sacrebleu")


def scored(pairs: list[tuple[str, str]], **parameters: object) -> CompoundSplitBLEU:
    """Return the metric after (reference, written)."""
    metric = CompoundSplitBLEU(**parameters)
    for reference, written in pairs:
        metric.update(replace(sentence(reference, ""), translate=partial(lambda text, **_: text, written)))
    return metric


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("de", "Ein Mann, der schl\u00e4ft.", "Ein Mann , der schl\u00e4ft ."),
        (
            "de",
            "Am 3. Mai kam Dr. Kohl, z.B. um 1.000,50 Euro.",
            "Am 3. Mai kam Dr. Kohl , z.B. um 1.000,50 Euro .",
        ),
        ("de", "Das ist gut. Und das?", "Das ist gut . Und das ?"),
        ("de", "\u201cJa\u201d, sagt\u2019s \u2026", '" Ja " , sagt \' s ...'),
        ("de", "a_b [c] 50% -x- rich-text", "a _ b [ c ] 50 % -x- rich-text"),
        ("de", "\uff11\uff12\uff01 a\tb\x01c", "12 ! a bc"),
        ("en", "It's the 80's, isn't it? 'Yes.'", "It 's the 80 's , isn 't it ? ' Yes . '"),
        ("fr", "L'eau d'Aix, aujourd'hui.", "L' eau d' Aix , aujourd' hui ."),
        ("de", "", ""),
        ("de", ". ... .", ". ... ."),
    ],
)
def test_words_and_marks_come_apart_as_moses_takes_them(language, text, expected):
    assert " ".join(words(text, language)) == expected


def test_compounds_are_split_at_hyphens_inside_of_words_alone():
    prepared = CompoundSplitBLEU().prepared
    assert prepared("Ein rich-text-Format - gut") == (
        "Ein rich ##AT##-##AT## text ##AT##-##AT## Format - gut"
    )
    assert prepared("a-b-c") == "a ##AT##-##AT## b-c"  # as in the script: what a match has eaten is gone


def test_a_compound_that_is_half_right_counts_as_five_words():
    # Written: rich @ text format . (5 tokens after the split, 4 of them right); reference: rich @ test format .
    metric = scored([("rich-test format.", "rich-text format.")])
    values = metric.compute()
    assert values["precision_1"] == pytest.approx(100 * 4 / 5)
    assert values["precision_2"] == pytest.approx(100 * 2 / 4)  # rich @, format .
    assert values["precision_3"] == values["value"] == 0  # multi-bleu does not smooth
    assert values["brevity_penalty"] == 1


def test_the_score_is_the_geometric_mean_of_precisions_over_the_corpus():
    # The first sentence is right (7 tokens), of the second "er schl\u00e4ft ." against "sie schl\u00e4ft ." 2 of 3.
    metric = scored(
        [
            ("Der gut-gelaunte Mann lacht.", "Der gut-gelaunte Mann lacht."),
            ("Sie schl\u00e4ft.", "Er schl\u00e4ft."),
        ]
    )
    expected = 100 * ((9 / 10) * (7 / 8) * (5 / 6) * (4 / 4)) ** (1 / 4)
    assert metric.compute()["value"] == pytest.approx(expected)


def test_capitals_count_unless_they_are_not_to():
    pairs = [("Der Hund und der Mann", "der hund und der mann")]
    assert scored(pairs).compute()["precision_1"] == pytest.approx(100 * 2 / 5)
    assert scored(pairs, lowercase=True).compute()["value"] == pytest.approx(100)


def test_the_signature_says_what_was_done_to_the_sentences():
    metric = scored([("a b c d", "a b c d")], language="fr", beam=1)
    metric.compute()
    signature = metric.signature() or ""
    assert "|smooth:none|" in signature
    assert "|tok:none|" in signature
    assert signature.endswith("|beam:1|length_penalty:0.6|words:moses-rules.fr|compounds:split")


def test_it_keeps_the_contract_and_stands_in_a_recipe():
    check_metric(CompoundSplitBLEU)
    asked = read(
        "translation/autoregressive", overrides=["metrics.old={use: bleu_compound_split, teacher: runs/x}"]
    )
    assert isinstance(asked.metrics["old"].build(), CompoundSplitBLEU)
