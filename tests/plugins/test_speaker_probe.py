"""The speaker probe against scikit-learn and on utterances whose speaker is known to be there or not."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.preprocessing import StandardScaler

from tests.plugins.metric_oracles import score
from unitdisc.errors import DataError, RecipeError
from unitdisc.metric import Evaluated
from unitdisc.testing import check_metric
from unitdisc_metrics.linear_discriminants import discriminants
from unitdisc_metrics.speaker_probe import SpeakerProbe

NAMES = {"input": "inputs", "encoder": "latents", "bottleneck": "values"}


def speech(*, on: str, amount: float, speakers: int = 5, each: int = 8, seed: int = 0) -> list[Evaluated]:
    """Return utterances with noise to which each speaker adds an offset of his own of this size."""
    draw = np.random.default_rng(seed)
    offsets = draw.normal(size=(speakers, 2, 6))
    split = []
    for number in range(speakers * each):
        speaker, frames = number % speakers, int(draw.integers(5, 30))
        values = draw.normal(size=(frames, 2, 6)) + amount * offsets[speaker]
        if on == "units":
            codes = np.where(draw.random(frames) < amount, speaker, draw.integers(0, 8, frames))[:, None]
            carried = {}
        else:
            codes, carried = np.zeros((frames, 1), np.int64), {NAMES[on]: values.astype(np.float32)}
        fields = {"speaker": f"s{speaker}", "sex": "fm"[speaker % 2]}
        split.append(Evaluated(f"u{number:03}", codes, 8, frames, 1, fields=fields, **carried))
    return split


@pytest.mark.parametrize("on", ["input", "encoder", "bottleneck", "units"])
def test_speaker_that_is_there_is_found(on: str) -> None:
    found = score(SpeakerProbe(on=on), speech(on=on, amount=0.9))
    assert found["value"] == 100
    assert (found["speakers"], found["utterances"], found["chance"]) == (5, 40, 20)


@pytest.mark.parametrize("on", ["input", "bottleneck", "units"])
def test_speaker_that_is_not_there_is_guessed(on: str) -> None:
    values = [
        score(SpeakerProbe(on=on, seed=seed), speech(on=on, amount=0, each=20, seed=seed))["value"]
        for seed in range(10)
    ]
    assert np.mean(values) == pytest.approx(20, abs=4)  # 3 standard errors of 1000 guesses


def test_few_utterances_of_each_speaker_do_not_push_guesses_below_chance() -> None:
    # With one speaker missing more than the other in what a probe hears, 38 % were right here.
    values = [
        score(SpeakerProbe(seed=seed), speech(on="bottleneck", amount=0, speakers=2, each=3, seed=seed))[
            "value"
        ]
        for seed in range(200)
    ]
    assert np.mean(values) == pytest.approx(50, abs=5)  # 3 standard errors


@pytest.mark.parametrize(("size", "dims"), [(60, 5), (20, 40)])
@pytest.mark.parametrize("shrinkage", [0.1, 0.5, 1.0])
def test_discriminants_are_scikit_learns(shrinkage: float, size: int, dims: int) -> None:
    draw = np.random.default_rng(dims)
    classes = np.sort(draw.integers(0, 3, size))
    vectors = draw.normal(size=(size, dims)) * 10.0 ** draw.integers(-2, 3, dims) + classes[:, None]
    others = draw.normal(size=(7, dims))
    scaler = StandardScaler().fit(vectors)
    peer = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
    expected = peer.fit(scaler.transform(vectors), classes).predict_log_proba(scaler.transform(others))
    found = discriminants(vectors, classes, others, shrinkage=shrinkage)
    found -= np.log(np.exp(found - found.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True)) + found.max(
        axis=1, keepdims=True
    )
    certain = expected > -500  # below, scikit-learn's probabilities are zero
    assert found[certain] == pytest.approx(expected[certain], rel=1e-6, abs=1e-8)


def test_dimension_that_does_not_vary_changes_nothing() -> None:
    draw = np.random.default_rng(0)
    vectors, others, classes = draw.normal(size=(12, 3)), draw.normal(size=(4, 3)), np.arange(12) % 3
    plain = discriminants(vectors, classes, others, shrinkage=0.5)
    more = discriminants(
        np.insert(vectors, 1, 0.1, axis=1), classes, np.insert(others, 1, 7.0, axis=1), shrinkage=0.5
    )
    assert more == pytest.approx(plain, rel=1e-9)


def test_vectors_that_are_all_equal_leave_the_most_frequent_class() -> None:
    scores = discriminants(np.ones((5, 2)), np.array([0, 1, 1, 1, 0]), np.ones((3, 2)), shrinkage=0.5)
    assert scores.argmax(axis=1).tolist() == [1, 1, 1]


def test_every_utterance_is_named_by_a_probe_that_heard_its_speaker_but_not_it() -> None:
    # Two utterances of each speaker carry the same mark: only a probe that heard the other one can know it.
    draw = np.random.default_rng(0)
    marks = np.repeat(draw.normal(size=(10, 6)), 2, axis=0)
    split = [
        Evaluated(
            f"u{number}",
            np.zeros((3, 1), np.int64),
            8,
            3,
            1,
            fields={"speaker": f"s{number // 2}"},
            values=np.tile(mark, (3, 1)),
        )
        for number, mark in enumerate(marks)
    ]
    assert score(SpeakerProbe(), split)["value"] == 100
    alone = [
        Evaluated(**{**vars(item), "values": draw.normal(size=(3, 6))}) if number % 2 else item
        for number, item in enumerate(split)
    ]
    assert score(SpeakerProbe(), alone)["value"] < 50  # a probe that had heard the utterance would know half


def test_speakers_with_one_utterance_are_left_out_and_counted() -> None:
    split = speech(on="bottleneck", amount=1)[:16]  # s0 speaks 4 times, the others 3 times
    single = Evaluated(**{**vars(split[0]), "key": "x", "fields": {"speaker": "alone"}})
    found = score(SpeakerProbe(), [*split, single])
    assert (found["left_out"], found["utterances"], found["speakers"]) == (1, 16, 5)
    assert found["chance"] == pytest.approx(100 * 4 / 16)


def test_order_of_the_utterances_changes_nothing() -> None:
    split = speech(on="bottleneck", amount=0.1)
    assert score(SpeakerProbe(), split) == score(SpeakerProbe(), split[::-1])


def test_speaker_that_shows_in_the_deviation_alone_is_found() -> None:
    split = speech(on="bottleneck", amount=0)
    for item in split:
        item.values[...] = (item.values - item.values.mean(0)) * (1 + int(item.fields["speaker"][1]))
    assert score(SpeakerProbe(), split)["value"] > 80


def test_any_field_may_be_probed() -> None:
    found = score(SpeakerProbe(field="sex"), speech(on="bottleneck", amount=1))
    assert found["speakers"] == 2


@pytest.mark.parametrize("on", ["input", "encoder", "bottleneck", "units"])
def test_speaker_probe_keeps_the_contract(on: str) -> None:
    check_metric(partial(SpeakerProbe, on=on))


def test_metric_says_its_chance_itself() -> None:
    metric = SpeakerProbe()
    score(metric, speech(on="bottleneck", amount=1))
    assert metric.chance() == {"value": 20}


def test_unknown_field_is_refused_with_those_that_exist() -> None:
    with pytest.raises(RecipeError, match=r"no field 'writer' to score \(accepted: sex, speaker\)"):
        SpeakerProbe(field="writer").update(speech(on="bottleneck", amount=1)[0])


def test_split_with_one_speaker_is_refused() -> None:
    with pytest.raises(DataError, match="found 1 values of 'speaker'"):
        score(SpeakerProbe(), speech(on="bottleneck", amount=1, speakers=1))
