"""Metrics against scikit-learn, plain loops and closed forms."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import homogeneity_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from tests.plugins.metric_oracles import (
    entropy,
    labelled_frames,
    merged,
    mutual_information,
    purity,
    random_split,
    score,
    utterance,
)
from unitdisc.errors import DataError, RecipeError
from unitdisc.metric import Evaluated
from unitdisc_metrics import tuple_counts
from unitdisc_metrics.frame_accuracy import FrameAccuracy
from unitdisc_metrics.nmi import NMI
from unitdisc_metrics.per import PER
from unitdisc_metrics.perplexity import Perplexity
from unitdisc_metrics.pnmi import PNMI
from unitdisc_metrics.purity import Purity
from unitdisc_metrics.tuple_counts import TupleCounts
from unitdisc_metrics.usage import Usage

if TYPE_CHECKING:
    from unitdisc.metric import Metric

SPLITS = [(seed, num_codebooks) for seed in range(5) for num_codebooks in (1, 2)]


def numbered(split: list[Evaluated]) -> tuple[list[int], list[int]]:
    """Labels and unit numbers of all labelled frames, as scikit-learn takes them."""
    pairs = labelled_frames(split)
    units = {unit: number for number, unit in enumerate(sorted({unit for unit, _ in pairs}))}
    return [label for _, label in pairs], [units[unit] for unit, _ in pairs]


# NMI, PNMI, purity


@pytest.mark.parametrize(("seed", "num_codebooks"), SPLITS)
def test_nmi_is_scikit_learns_arithmetic_one(seed: int, num_codebooks: int) -> None:
    split = random_split(seed, num_codebooks=num_codebooks)
    expected = normalized_mutual_info_score(*numbered(split), average_method="arithmetic")
    assert score(NMI(target="phones"), split)["value"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("seed", "num_codebooks"), SPLITS)
def test_pnmi_is_homogeneity(seed: int, num_codebooks: int) -> None:
    split = random_split(seed, num_codebooks=num_codebooks)
    expected = homogeneity_score(*numbered(split))
    assert score(PNMI(target="phones"), split)["value"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("seed", "num_codebooks"), SPLITS)
def test_information_and_entropies_are_those_of_plain_loops(seed: int, num_codebooks: int) -> None:
    split = random_split(seed, num_codebooks=num_codebooks)
    pairs = labelled_frames(split)
    result = score(NMI(target="phones"), split)
    assert result["mutual_information"] == pytest.approx(mutual_information(pairs), abs=1e-12)
    assert result["label_entropy"] == pytest.approx(entropy(label for _, label in pairs), abs=1e-12)
    assert result["unit_entropy"] == pytest.approx(entropy(unit for unit, _ in pairs), abs=1e-12)
    assert result["frames"] == len(pairs)
    assert result["units"] == len({unit for unit, _ in pairs})
    assert result["labels"] == len({label for _, label in pairs})


@pytest.mark.parametrize(("seed", "num_codebooks"), SPLITS)
def test_purities_are_the_maxima_of_the_contingency_table(seed: int, num_codebooks: int) -> None:
    split = random_split(seed, num_codebooks=num_codebooks)
    table = contingency_matrix(*numbered(split))
    result = score(Purity(target="phones"), split)
    assert result["value"] == table.max(0).sum() / table.sum()
    assert result["value"] == pytest.approx(purity(labelled_frames(split)), abs=1e-12)
    assert result["cluster_purity"] == table.max(1).sum() / table.sum()


@pytest.mark.parametrize("metric", [NMI, PNMI, Purity])
def test_one_codebook_can_be_scored_by_itself(metric: type[NMI | PNMI | Purity]) -> None:
    split = random_split(0, num_codebooks=2)
    alone = [utterance(u.codes[:, 1].tolist(), u.targets["phones"].tolist(), stride=3) for u in split]
    assert score(metric(target="phones", book=1), split) == score(metric(target="phones"), alone)


@pytest.mark.parametrize("metric", [NMI, PNMI, Purity])
def test_units_that_rename_the_labels_score_one(metric: type[NMI | PNMI | Purity]) -> None:
    split = [utterance([4, 7, 7, 1], [0, 2, 2, 1])]
    assert score(metric(target="phones"), split)["value"] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("metric", [NMI, PNMI])
def test_independent_units_carry_no_information(metric: type[NMI | PNMI]) -> None:
    split = [utterance([0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2])]
    assert score(metric(target="phones"), split)["value"] == pytest.approx(0, abs=1e-12)


def test_half_the_entropy_explained_gives_pnmi_one_half_and_nmi_two_thirds() -> None:
    split = [utterance([0, 0, 1, 1], [0, 1, 2, 3])]  # H(X) = 2, H(Y) = I = 1 bit
    assert score(PNMI(target="phones"), split)["value"] == pytest.approx(1 / 2, abs=1e-12)
    assert score(NMI(target="phones"), split)["value"] == pytest.approx(2 / 3, abs=1e-12)


def test_single_unit_scores_zero_information_and_the_share_of_the_commonest_phone() -> None:
    split = [utterance([5, 5, 5, 5], [0, 1, 1, 1])]
    assert score(NMI(target="phones"), split)["value"] == 0
    assert score(PNMI(target="phones"), split)["value"] == 0
    assert score(Purity(target="phones"), split)["value"] == 3 / 4
    assert score(Purity(target="phones"), split)["cluster_purity"] == 1


@pytest.mark.parametrize("codes", [[1, 2, 2], [1, 1, 1]])
def test_single_label_has_nothing_to_explain_and_scores_zero(codes: list[int]) -> None:
    split = [utterance(codes, [0, 0, 0])]
    assert score(NMI(target="phones"), split)["value"] == 0
    assert score(PNMI(target="phones"), split)["value"] == 0
    assert score(Purity(target="phones"), split)["value"] == 1


def test_last_unit_is_cut_at_the_end_and_unlabelled_frames_do_not_count() -> None:
    split = [utterance([0, 1], [7, 7, -1, 7, 3], stride=4)]
    assert labelled_frames(split) == [((0,), 7), ((0,), 7), ((0,), 7), ((1,), 3)]
    assert score(Purity(target="phones"), split)["frames"] == 4


@pytest.mark.parametrize("metric", [NMI, PNMI, Purity])
@pytest.mark.parametrize("split", [[], [utterance([], [])], [utterance([1, 2], [-1, -1])]])
def test_split_without_labels_is_refused(metric: type[NMI | PNMI | Purity], split: list[Evaluated]) -> None:
    with pytest.raises(DataError, match="no labelled frame of target 'phones'"):
        score(metric(target="phones"), split)


def test_order_and_grouping_of_utterances_do_not_matter() -> None:
    split = random_split(3, num_codebooks=2)
    assert score(NMI(target="phones"), split) == score(NMI(target="phones"), split[::-1])


# Perplexity and usage


def test_uniform_codes_have_perplexity_k() -> None:
    result = score(Perplexity(), [utterance(list(range(8)), range(8)), utterance(list(range(8)), range(8))])
    assert result == {"value": 8, "joint": 8, "sample_size": 16, "usage": 1, "used": 8}


def test_single_code_has_perplexity_one() -> None:
    result = score(Perplexity(), [utterance([3] * 9, range(9))])
    assert result == {"value": 1, "joint": 1, "sample_size": 9, "usage": 1 / 8, "used": 1}


@pytest.mark.parametrize(("seed", "num_codebooks"), SPLITS)
def test_perplexities_per_book_and_joint_are_those_of_plain_loops(seed: int, num_codebooks: int) -> None:
    split = random_split(seed, num_codebooks=num_codebooks)
    units = [tuple(unit) for item in split for unit in item.codes.tolist()]
    books = [2 ** entropy(unit[q] for unit in units) for q in range(num_codebooks)]
    result = score(Perplexity(), split)
    assert result["value"] == pytest.approx(sum(books) / num_codebooks, abs=1e-12)
    assert result["joint"] == pytest.approx(2 ** entropy(units), abs=1e-12)
    assert result["sample_size"] == len(units)
    if num_codebooks > 1:
        assert [result[f"book_{q}"] for q in range(num_codebooks)] == pytest.approx(books, abs=1e-12)


def test_independent_books_multiply_in_the_joint_perplexity() -> None:
    codes = [(a, b) for a in range(4) for b in range(2)]
    result = score(Perplexity(), [utterance(codes, range(8))])
    assert (result["book_0"], result["book_1"], result["value"], result["joint"]) == (4, 2, 3, 8)


def test_usage_counts_codes_from_min_count_on() -> None:
    split = [utterance([0, 0, 0, 5], range(4)), utterance([5, 6], range(2))]
    assert score(Usage(), split) == {"value": 3 / 8, "used": 3, "sample_size": 6}
    assert score(Usage(min_count=2), split)["used"] == 2
    assert score(Usage(min_count=4), split)["used"] == 0


def test_usage_tells_the_books_apart() -> None:
    result = score(Usage(), [utterance([(0, 0), (0, 1), (0, 2), (0, 3)], range(4))])
    assert (result["book_0"], result["book_1"], result["value"]) == (1 / 8, 4 / 8, 5 / 16)


@pytest.mark.parametrize("metric", [Perplexity, Usage])
@pytest.mark.parametrize("split", [[], [utterance([], [])]])
def test_split_without_units_is_refused(metric: type[Perplexity | Usage], split: list[Evaluated]) -> None:
    with pytest.raises(DataError, match="no unit"):
        score(metric(), split)


def test_metrics_without_a_chance_value_say_so() -> None:
    assert not Perplexity.has_chance
    assert not Usage.has_chance
    assert all(metric.has_chance for metric in (NMI, PNMI, Purity, PER, FrameAccuracy))
    assert not PER.higher_is_better


# PER and frame accuracy


def heard(reference: list[int], predicted: list[int]) -> Evaluated:
    return utterance([0], reference, stride=max(1, len(reference)), predictions={"ctc": predicted})


def test_per_is_a_ratio_of_sums_over_the_corpus() -> None:
    split = [heard([1, 2, 3, 4], [1, 3, 4]), heard([5], [6, 7])]  # 1 deletion; 1 substitution and 1 insertion
    result = score(PER(head="ctc", target="phones"), split)
    assert result == {"value": 60, "edits": 3, "reference_length": 5, "utterances": 2}


def test_per_can_be_the_mean_of_the_utterances_rates() -> None:
    split = [heard([1, 2, 3, 4], [1, 3, 4]), heard([5], [6, 7]), heard([], [1])]
    result = score(PER(head="ctc", target="phones", average="utterance"), split)
    assert result == {"value": (25 + 200) / 2, "edits": 4, "reference_length": 5, "utterances": 2}


def test_per_of_nothing_predicted_is_all_deletions() -> None:
    assert score(PER(head="ctc", target="phones"), [heard([1, 2], [])])["value"] == 100


def test_per_counts_insertions_into_an_empty_reference() -> None:
    result = score(PER(head="ctc", target="phones"), [heard([], [1, 1]), heard([1, 1], [1, 1])])
    assert (result["value"], result["utterances"]) == (100, 1)


def test_per_without_any_reference_is_refused() -> None:
    with pytest.raises(DataError, match="no reference symbol of target 'phones'"):
        score(PER(head="ctc", target="phones"), [heard([], [1])])


@pytest.mark.parametrize("seed", range(5))
def test_dedup_alignment_merges_runs_and_drops_unlabelled_frames(seed: int) -> None:
    split = [
        utterance([0], u.targets["phones"].tolist(), stride=99, predictions={"ctc": []})
        for u in random_split(seed)
    ]
    result = score(PER(head="ctc", target="phones", reference="dedup-alignment"), split)
    expected = sum(len(merged(item.targets["phones"].tolist())) for item in split)
    assert result["edits"] == result["reference_length"] == expected


def test_dedup_alignment_keeps_equal_phones_that_silence_parts() -> None:
    item = utterance([0], [-1, 3, 3, -1, 3, 4, 4], stride=7, predictions={"ctc": [3, 3, 4]})
    assert score(PER(head="ctc", target="phones", reference="dedup-alignment"), [item])["edits"] == 0


def test_frame_accuracy_leaves_out_unlabelled_frames() -> None:
    split = [
        utterance([0], [1, 2, -1], stride=3, predictions={"probe": [1, 1, 1]}),
        utterance([0], [3], predictions={"probe": [3]}),
    ]
    result = score(FrameAccuracy(head="probe", target="phones"), split)
    assert result == {"value": 2 / 3, "correct": 2, "frames": 3}


def test_frame_accuracy_without_labels_is_refused() -> None:
    with pytest.raises(DataError, match="no labelled frame"):
        score(FrameAccuracy(head="p", target="phones"), [utterance([0], [-1], predictions={"p": [0]})])


# What a recipe can name wrongly


@pytest.mark.parametrize(
    "metric",
    [
        NMI(target="fones"),
        PNMI(target="fones"),
        Purity(target="fones"),
        PER(head="ctc", target="fones"),
        PER(head="ctc", target="fones", reference="dedup-alignment"),
        FrameAccuracy(head="ctc", target="fones"),
    ],
)
def test_unknown_target_is_refused_with_those_that_exist(metric: Metric) -> None:
    with pytest.raises(RecipeError, match=r"^u: no target 'fones' to score \(accepted: phones\)$"):
        metric.update(heard([1], [1]))


@pytest.mark.parametrize(
    "metric", [PER(head="probe", target="phones"), FrameAccuracy(head="probe", target="phones")]
)
def test_unknown_head_is_refused_with_those_that_exist(metric: Metric) -> None:
    with pytest.raises(RecipeError, match=r"^u: no head 'probe' to score \(accepted: ctc\)$"):
        metric.update(heard([1], [1]))
    with pytest.raises(RecipeError, match="none, the run has no head"):
        metric.update(utterance([0], [1]))


@pytest.mark.parametrize(
    "metric",
    [NMI(target="text"), Purity(target="text"), PER(head="p", target="text", reference="dedup-alignment")],
)
def test_transcript_is_refused_where_labels_per_frame_are_needed(metric: Metric) -> None:
    item = utterance([0, 1, 2], [0, 0, 0])
    item.targets["text"] = np.array([4, 5])
    with pytest.raises(RecipeError, match="2 symbols for 3 frames"):
        metric.update(item)


def test_frame_accuracy_refuses_a_head_that_predicts_sequences() -> None:
    with pytest.raises(RecipeError, match="head 'ctc' predicts 1 symbols for 3 frames"):
        FrameAccuracy(head="ctc", target="phones").update(heard([1, 1, 1], [1]))


def test_unknown_codebook_is_refused_with_those_that_exist() -> None:
    with pytest.raises(RecipeError, match=r"codebook 2 does not exist \(accepted: 0 to 1\)"):
        NMI(target="phones", book=2).update(utterance([(0, 1)], [0]))


@pytest.mark.parametrize("metric", [NMI(target="phones"), Perplexity(), Usage()])
def test_run_without_a_codebook_has_no_units_to_score(metric: Metric) -> None:
    item = Evaluated("u", np.zeros((2, 0), np.int64), 0, 2, 1, {"phones": np.zeros(2, np.int64)})
    with pytest.raises(RecipeError, match="quantises nothing"):
        metric.update(item)


# Counting


def test_tuple_counts_equal_a_dictionary_when_merging_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuple_counts, "_PENDING", 10)
    draw = np.random.default_rng(0)
    counts, expected = TupleCounts(), Counter[tuple[int, ...]]()
    for _ in range(200):
        rows = draw.integers(-1, 6, (int(draw.integers(0, 20)), 3))
        counts.add(rows)
        expected.update(map(tuple, rows.tolist()))
        assert sum(len(part[0]) for part in counts._parts) <= 3 * max(len(expected), 10) + 20
    rows, numbers = counts.result()
    assert dict(zip(map(tuple, rows.tolist()), numbers.tolist(), strict=True)) == expected
    assert [*map(tuple, rows.tolist())] == sorted(expected)


def test_plugin_names_its_metrics_without_importing_torch() -> None:
    code = (
        "import sys, importlib, unitdisc_metrics\n"
        "for place in unitdisc_metrics.unitdisc_metrics().values():\n"
        "    module, name = place.split(':')\n"
        "    getattr(importlib.import_module(module), name)\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_rows_too_wide_for_one_number_are_counted_the_same() -> None:
    draw = np.random.default_rng(0)
    rows = draw.integers(0, 4, (300, 3)) * 2**40 - 2**41
    counts = TupleCounts()
    counts.add(rows[:100])
    counts.add(rows[100:])
    found, numbers = counts.result()
    assert dict(zip(map(tuple, found.tolist()), numbers.tolist(), strict=True)) == Counter(
        map(tuple, rows.tolist())
    )
    assert [*map(tuple, found.tolist())] == sorted({*map(tuple, rows.tolist())})
