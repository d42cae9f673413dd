"""The speaker probe on 500 random splits, beside scikit-learn's linear discriminants on the same folds."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.preprocessing import StandardScaler

from tests.plugins.metric_oracles import score
from unitdisc.metric import Evaluated
from unitdisc_metrics.speaker_probe import SpeakerProbe

CASES = range(500)
FOLDS = 2


def drawn(seed: int) -> list[Evaluated]:
    """Return utterances of two to four speakers with 4 to 6 each; some lean on a unit and a vector of their own."""
    draw = np.random.default_rng(seed)
    # Units without any variance within speakers are no covariance to scikit-learn, which names one speaker for all.
    lean, split = 0.9 * draw.random(), []
    for speaker in range(draw.integers(2, 5)):
        for _ in range(draw.integers(4, 7)):
            frames = int(draw.integers(2, 12))
            codes = np.where(draw.random(frames) < lean, speaker, draw.integers(0, 4, frames))[:, None]
            values = draw.normal(size=(frames, 2)) + lean * speaker
            key, fields = f"u{len(split):02}", {"speaker": f"s{speaker}"}
            split.append(Evaluated(key, codes, 4, frames, 1, fields=fields, values=values))
    return split


def vector(item: Evaluated, on: str) -> np.ndarray:
    if on == "units":
        return np.array([sum(unit == code for (unit,) in item.codes) / len(item.codes) for code in range(4)])
    return np.concatenate([item.values.mean(0), item.values.std(0)])


def dealt(split: list[Evaluated], seed: int) -> list[int]:
    """Return the fold of each utterance: in a drawn order those of a speaker go to the folds in turn."""
    seen: dict[str, int] = {}
    folds = [0] * len(split)
    for index in np.random.Generator(np.random.PCG64(seed)).permutation(len(split)).tolist():
        speaker = split[index].fields["speaker"]
        folds[index] = seen.setdefault(speaker, 0) % FOLDS
        seen[speaker] += 1
    return folds


def scikit_learns(split: list[Evaluated], on: str, folds: list[int], shrinkage: float) -> tuple[int, int]:
    """Return how many speakers it names, and how many of them it takes for hardly likelier than another."""
    vectors = np.stack([vector(item, on) for item in split])
    speakers = np.array([item.fields["speaker"] for item in split])
    right = unsure = 0
    for fold in set(folds):
        asked = np.array(folds) == fold
        scaler = StandardScaler().fit(vectors[~asked])
        probe = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
        probe.fit(scaler.transform(vectors[~asked]), speakers[~asked])
        chances = np.sort(probe.predict_proba(scaler.transform(vectors[asked])), axis=1)
        right += int((probe.predict(scaler.transform(vectors[asked])) == speakers[asked]).sum())
        unsure += int((chances[:, -1] - chances[:, -2] < 1e-9).sum())
    return right, unsure


@pytest.mark.parametrize("on", ["bottleneck", "units"])
def test_probe_names_the_speakers_that_scikit_learn_names(on: str) -> None:
    for seed in CASES:
        split, shrinkage = drawn(seed), (0.1, 0.5, 1.0)[seed % 3]
        found = score(SpeakerProbe(on=on, folds=FOLDS, shrinkage=shrinkage, seed=seed), split)
        right, unsure = scikit_learns(split, on, dealt(split, seed), shrinkage)
        assert found["utterances"] == len(split)
        assert found["value"] * len(split) / 100 == pytest.approx(right, abs=unsure + 1e-6)
