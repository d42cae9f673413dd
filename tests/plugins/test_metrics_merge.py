"""Scores from merged parts: what a bootstrap over speakers needs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from tests.plugins.metric_oracles import random_split, score
from unitdisc.errors import PluginError
from unitdisc.metric import Evaluated
from unitdisc.testing import check_metric
from unitdisc_metrics.ami import AMI
from unitdisc_metrics.ari import ARI
from unitdisc_metrics.bitrate import Bitrate
from unitdisc_metrics.boundaries import Boundaries
from unitdisc_metrics.bpd import BPD
from unitdisc_metrics.frame_accuracy import FrameAccuracy
from unitdisc_metrics.mapped_per import MappedPER
from unitdisc_metrics.nelbo import NELBO
from unitdisc_metrics.nmi import NMI
from unitdisc_metrics.per import PER
from unitdisc_metrics.perplexity import Perplexity
from unitdisc_metrics.pnmi import PNMI
from unitdisc_metrics.purity import Purity
from unitdisc_metrics.speaker_probe import SpeakerProbe
from unitdisc_metrics.term_discovery import TermDiscovery
from unitdisc_metrics.tokens import Tokens
from unitdisc_metrics.unit_accuracy import UnitAccuracy
from unitdisc_metrics.usage import Usage
from unitdisc_metrics.v_measure import VMeasure

LABELLED = [AMI, ARI, NMI, PNMI, Purity, VMeasure, UnitAccuracy, MappedPER, Tokens, Boundaries]
MAKERS = [
    *(partial(metric, target="phones") for metric in LABELLED),
    partial(Boundaries, target="phones", units="mapped", average="utterance"),
    partial(Boundaries, target="phones", units="mapped-one-to-one"),
    partial(Purity, target="phones", over="segments"),
    partial(UnitAccuracy, target="phones", fit="halves", map="one-to-one"),
    partial(MappedPER, target="phones", fit="halves", average="utterance"),
    partial(TermDiscovery, target="phones", length=1, max_pairs=10),
    partial(PER, head="probe", target="phones", reference="dedup-alignment"),
    partial(FrameAccuracy, head="probe", target="phones"),
    Perplexity,
    Usage,
    Bitrate,
    BPD,
    NELBO,
]


def spoken(seed: int) -> list[Evaluated]:
    draw = np.random.default_rng(seed)
    return [
        replace(
            item,
            fields={"speaker": f"s{n % 5}"},
            nats={"decoder": float(draw.exponential(9))},
            predictions={"probe": draw.integers(0, 5, item.num_frames)},
        )
        for n, item in enumerate(random_split(seed, num_codebooks=2))
    ]


@pytest.mark.parametrize("make", MAKERS)
def test_drawn_speakers_score_as_their_utterances_drawn_as_often(make) -> None:
    for seed in range(20):
        split, draw = spoken(seed), np.random.default_rng(seed)
        times = {f"s{n}": int(draw.integers(0, 4)) for n in range(5)} | {"s0": 1, "s1": 2}
        parts = {speaker: make() for speaker in times}
        for item in split:
            parts[item.fields["speaker"]].update(item)
        merged = make()
        for speaker, part in parts.items():
            merged.merge(part, times[speaker])
        again = [item for item in split for _ in range(times[item.fields["speaker"]])]
        assert merged.compute() == pytest.approx(score(make(), again))


@pytest.mark.parametrize("make", MAKERS)
def test_merged_scores_go_on_taking_items_in(make) -> None:
    split = spoken(0)
    first, merged = make(), make()
    for item in split[:10]:
        first.update(item)
    merged.merge(first)
    assert score(merged, split[10:]) == pytest.approx(score(make(), split))


def test_a_score_that_cannot_be_merged_says_so() -> None:
    assert not SpeakerProbe.merges
    with pytest.raises(PluginError, match="SpeakerProbe takes in items only"):
        SpeakerProbe().merge(SpeakerProbe())


def test_the_law_finds_a_merge_that_forgets() -> None:
    class Forgetful(Perplexity):
        taken = ("_books",)

    with pytest.raises(AssertionError, match="merging instances is taking in their items"):
        check_metric(Forgetful)
