"""Scores of units: chance and ceiling rows, intervals, and values beside independent ones."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import numpy as np
import pytest

from unitdisc import recipe
from unitdisc.errors import DataError, RecipeError, UnitdiscError
from unitdisc.metric import Evaluated, Metric
from unitdisc.scored import controls, rows
from unitdisc.scored.intervals import MOST_BLOCKS, Spread, blocks, drawn, group_field
from unitdisc.scored.score import score


def item(key: str, codes: list[int], labels: list[int], *, stride: int = 1, speaker: str = "s") -> Evaluated:
    return Evaluated(
        key,
        np.array(codes, np.int64)[:, None],
        9,
        len(labels),
        stride,
        {"phones": np.array(labels, np.int64)},
        fields={"speaker": speaker},
        frame_rate=100.0,
    )


class Known:
    """Items in memory."""

    def __init__(self, items: list[Evaluated]) -> None:
        self.items = items

    def real(self, needs):
        return iter(self.items)

    def shuffled(self, needs, rng):
        from dataclasses import replace

        from unitdisc.shuffle import shuffled_codes

        codes = shuffled_codes([one.codes for one in self.items], rng)
        return (replace(one, codes=drawn) for one, drawn in zip(self.items, codes, strict=True))

    def bare(self):
        return iter(self.items)

    def codes(self):
        return [one.codes for one in self.items]


class Mean(Metric):
    """Mean of the utterances' first codes; it merges or not."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def update(self, item: Evaluated) -> None:
        self.values.append(float(item.codes[0, 0]))

    def compute(self) -> dict[str, float]:
        if not self.values:
            raise DataError("nothing")
        return {"value": float(np.mean(self.values))}


class Merging(Mean):
    merges = True

    def merge(self, other: Mean, times: int = 1) -> None:
        self.values += other.values * times


def random_items(count: int, rng: np.random.Generator, *, length: int = 30) -> list[Evaluated]:
    found = []
    for number in range(count):
        codes, labels = rng.integers(0, 9, length), np.repeat(rng.integers(-1, 4, length // 3), 3)
        found.append(item(f"u{number}", codes.tolist(), labels.tolist(), speaker=f"s{number % 6}"))
    return found


def test_random_segments_are_as_many_and_every_edge_is_one() -> None:
    rng = np.random.default_rng(0)
    for num_books in (1, 2):
        codes = [rng.integers(0, 3, (length, num_books)) for length in (40, 1, 7, 0, 23)]
        drawn = controls.random_segments(codes, rng)
        for before, after in zip(codes, drawn, strict=True):
            assert before.shape == after.shape
            assert len(list(groupby(before.tolist()))) == len(list(groupby(after.tolist())))
        known = {tuple(row) for sequence in codes for row in sequence.tolist()}
        assert {tuple(row) for sequence in drawn for row in sequence.tolist()} <= known


def test_edges_of_random_segments_are_equally_likely_everywhere() -> None:
    rng = np.random.default_rng(0)
    codes = [np.array([0, 0, 0, 1, 1, 0])[:, None] for _ in range(6000)]
    drawn = np.concatenate(controls.random_segments(codes, rng), axis=1).T
    places = (drawn[:, 1:] != drawn[:, :-1]).mean(axis=0)
    assert places == pytest.approx([0.4] * 5, abs=0.03)  # 2 of 5 edges


def test_gold_units_are_the_most_frequent_label_of_their_frames() -> None:
    rng = np.random.default_rng(0)
    for stride in (1, 2, 3, 4):
        labels = rng.integers(-1, 3, 47).tolist()
        one = item("a", [0] * -(-47 // stride), labels, stride=stride)
        found = controls.gold(one, "phones", 3, has_gaps=True)
        for number, code in enumerate(found.codes[:, 0].tolist()):
            stretch = [3 if label < 0 else label for label in labels[number * stride : (number + 1) * stride]]
            counts = Counter(stretch)
            best = max(counts.values())
            assert code == next(label for label in stretch if counts[label] == best)
        assert found.num_codes == 4


def test_the_bootstrap_of_a_mean_has_the_textbook_interval() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    values = rng.integers(0, 9, 12)
    for kind, samples, tolerance in ((Merging, 4000, 0.03), (Mean, 1, 1e-9)):
        spread = Spread(kind, 12)
        for number, value in enumerate(values.tolist()):
            spread.update(item(f"u{number}", [value], [0]), number)
        found = spread.interval(samples, rng)
        assert found is not None
        expected = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
        half = (expected[1] - expected[0]) / 2
        assert (found["high"] - found["low"]) / 2 == pytest.approx(half, rel=tolerance)
        assert (found["high"] + found["low"]) / 2 == pytest.approx(values.mean())


def test_merged_parts_are_fed_once_each_and_left_out_parts_all_but_once() -> None:
    for kind, expected in ((Merging, {1}), (Mean, {4})):
        spread = Spread(kind, 5)
        for number in range(5):
            spread.update(item(f"u{number}", [number], [0]), number)
        assert {len(part.values) for part in spread.parts} == expected
        assert len(spread.metric.values) == 5


def test_many_groups_become_blocks_of_equal_size() -> None:
    found = blocks([f"g{number}" for number in range(130)], np.random.default_rng(0))
    assert sorted(set(Counter(found.values()).values())) == [2, 3]
    assert len(set(found.values())) == MOST_BLOCKS
    assert blocks(["b", "a", "b"], np.random.default_rng(0)) == {"a": 0, "b": 1}


def test_groups_are_speakers_writers_or_utterances() -> None:
    assert group_field({"a": {"speaker": "x"}, "b": {"speaker": "y"}}, None) == "speaker"
    assert group_field({"a": {"document": "x"}}, None) == "document"
    assert group_field({"a": {"speaker": "x"}, "b": {}}, None) is None
    assert group_field({"a": {"page": "1"}}, "page") == "page"
    with pytest.raises(DataError, match="--group hand: a says none; accepted: page"):
        group_field({"a": {"page": "1"}}, "hand")


def scored(items: list[Evaluated], chosen: list[rows.Row], *, samples: int = 0, seed: int = 0):
    return score(
        Known(items),
        chosen,
        group=lambda one: one.fields["speaker"],
        groups=[one.fields["speaker"] for one in items],
        samples=samples,
        seed=seed,
        targets={"phones": 4, "pairs": 2},
        main="phones",
    )


def test_values_are_those_of_scikit_learn_with_gold_at_one_and_chance_near_none() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    items = random_items(40, rng)
    found, left_out = scored(
        items, rows.asked(["pnmi", "nmi", "boundaries"], {"target": "phones"}), samples=20
    )
    units = np.concatenate([one.codes[:, 0] for one in items])
    labels = np.concatenate([one.targets["phones"] for one in items])
    units, labels = units[labels >= 0], labels[labels >= 0]
    assert found["pnmi"]["values"]["value"] == pytest.approx(metrics.homogeneity_score(labels, units))
    assert found["nmi"]["values"]["value"] == pytest.approx(
        metrics.normalized_mutual_info_score(labels, units)
    )
    assert found["pnmi"]["gold"]["value"] == pytest.approx(1.0)
    assert found["pnmi"]["shuffled"]["value"] < 0.1
    assert found["boundaries"]["gold"]["precision"] == pytest.approx(1.0)
    assert (
        found["pnmi"]["interval"]["low"]
        < found["pnmi"]["values"]["value"]
        < found["pnmi"]["interval"]["high"]
    )
    assert left_out == {}


def test_the_same_seed_gives_the_same_scores() -> None:
    items = random_items(12, np.random.default_rng(0))
    chosen = rows.asked(["abx:context=any", "purity"], {"target": "phones", "field": "speaker"})
    assert scored(items, chosen, samples=10) == scored(items, chosen, samples=10)
    assert scored(items, chosen, samples=10) != scored(items, chosen, samples=10, seed=1)


def test_rows_fill_in_what_is_known_and_keep_what_is_said() -> None:
    known = {"target": "phones", "field": "document", "item_file": "x.item"}
    (row,) = rows.asked(["far=boundaries:tolerance=0.04,matching=nearest"], known)
    assert (row.name, row.use.arguments["tolerance"], row.use.arguments["target"]) == ("far", 0.04, "phones")
    (row,) = rows.asked(["abx:target=words"], known)
    assert (row.use.arguments["target"], row.use.arguments["item_file"]) == ("words", None)
    (row,) = rows.asked(["abx"], known)
    assert (row.use.arguments["target"], row.use.arguments["field"]) == (None, "document")


def test_every_system_has_rows_that_are_built() -> None:
    for name in rows.LIKE:
        found, _ = rows.like(name, {"target": "phones"})
        assert len(found) == len(rows.LIKE[name])
        assert all(isinstance(row.use.build(), Metric) for row in found)


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["pnmi nmi"], "write NAME"),
        (["pnmi", "pnmi"], "stands there twice"),
        (["nothing"], "there is no metric"),
        (["pnmi:tolerance=1"], "tolerance"),
    ],
)
def test_a_wrong_metric_is_said(texts: list[str], says: str) -> None:
    with pytest.raises(UnitdiscError, match=says):
        rows.asked(texts, {"target": "phones"})


def test_default_rows_need_no_more_than_units_and_labels() -> None:
    found, left_out = rows.fitting({"target": "phones"})
    names = {row.name for row in found}
    assert {"pnmi", "nmi", "purity", "boundaries", "perplexity", "bitrate", "abx"} <= names
    assert {"per", "frame_accuracy", "speaker_probe"} <= set(left_out)
    found, left_out = rows.fitting({})
    assert {"perplexity", "usage", "bitrate"} <= {row.name for row in found}
    assert left_out["pnmi"] == "asks for target"


def test_a_score_that_cannot_be_made_is_left_out_unless_it_was_asked_for() -> None:
    items = random_items(3, np.random.default_rng(0))
    chosen = rows.asked(["bpd", "pnmi"], {"target": "phones"})
    with pytest.raises(RecipeError, match="bpd: u0: no likelihood"):
        scored(items, chosen)
    found, left_out = scored(items, [rows.Row(row.name, row.use, is_wanted=False) for row in chosen])
    assert list(found) == ["pnmi"]
    assert list(left_out) == ["bpd"]


def test_a_component_of_the_command_line_may_be_a_metric() -> None:
    assert recipe.component("metric", "pnmi", ["target=phones"]).arguments["target"] == "phones"


def test_gold_units_are_the_labels_that_a_score_looks_at() -> None:
    items = random_items(6, np.random.default_rng(0))
    for one in items:
        one.targets["pairs"] = one.targets["phones"] // 2  # -1 stays
    found, _ = scored(
        items, rows.asked(["a=purity:target=pairs", "b=purity", "perplexity"], {"target": "phones"})
    )
    assert found["a"]["gold"]["units"] == 2
    assert found["b"]["gold"]["units"] == 4
    assert found["perplexity"]["gold"]["used"] == 5  # four labels, and what is unlabelled


def test_two_speakers_say_nothing_of_others_so_utterances_are_drawn():
    known = {f"u{number}": {"speaker": f"s{number % 2}"} for number in range(4)}
    assert drawn(known, "speaker", is_asked=False) == {key: key for key in known}
    assert set(drawn(known, "speaker", is_asked=True).values()) == {"s0", "s1"}
    known["u4"] = {"speaker": "s2"}
    assert set(drawn(known, "speaker", is_asked=False).values()) == {"s0", "s1", "s2"}
    assert drawn(known, None, is_asked=False) == {key: key for key in known}
