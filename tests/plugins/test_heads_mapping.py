"""Units mapped to the label that they met most often, against counts in plain loops."""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import groupby
from math import log

import pytest
import torch

from unitdisc.data import TargetSpec
from unitdisc.errors import RecipeError
from unitdisc.parts import Batch, Padded
from unitdisc.testing import check_head
from unitdisc_heads.mapping import Mapping

TARGETS = {
    "phones": TargetSpec("frames", ("a", "b", "sil", "z")),
    "phones_sequence": TargetSpec("sequence", ("a", "b", "z")),
}
STRIDE = 2
CODES = [[0, 0, 1, 2, 2], [3, 1, 0]]
LABELS = [[0, 0, 0, 1, 2, 2, 1, -1, 1, 3], [3, 0, 2, 2, 1]]


def mapping(**parameters: object) -> Mapping:
    return Mapping(TARGETS, num_codes=5, num_codebooks=1, stride=STRIDE, **parameters)  # type: ignore[arg-type]


def padded(rows: list[list[int]], longest: int = 0) -> Padded:
    values = torch.full((len(rows), max(longest, *map(len, rows))), -1)
    for number, row in enumerate(rows):
        values[number, : len(row)] = torch.tensor(row)
    return Padded(values, torch.tensor([len(row) for row in rows]))


def example() -> tuple[Padded, Batch]:
    codes, labels = padded(CODES), padded(LABELS)
    seen = Padded(codes.values[..., None], codes.lengths)
    inputs = Padded(torch.zeros(2, labels.values.shape[1], 1), labels.lengths)
    return seen, Batch(["x", "y"], inputs, {"phones": labels})


def step(head: Mapping) -> tuple[float, float]:
    head.train()
    head.before_step(0.0)
    loss, stats = head(*example())
    head.after_step(0.0)
    return float(loss), float(stats["accuracy"])


def met() -> Counter[tuple[int, int]]:
    """Return how often each unit meets each label."""
    return Counter(
        (codes[t // STRIDE], label)
        for codes, labels in zip(CODES, LABELS, strict=True)
        for t, label in enumerate(labels)
        if label >= 0
    )


def most_frequent(code: int) -> int:
    counts = met()
    return max(range(4), key=lambda label: (counts[code, label], -label))


def test_mapping_keeps_the_contract_of_heads():
    for sequence, target in ((None, "phones"), ("phones_sequence", "phones_sequence")):
        check_head(partial(Mapping, sequence=sequence), TARGETS, target=target, sends_gradient=False)


def test_counts_are_those_of_frames_and_fade_by_the_step():
    head = mapping(decay=0.5)
    step(head)
    step(head)
    expected = torch.zeros(5, 4)
    for (code, label), count in met().items():
        expected[code, label] = 1.5 * count
    assert torch.equal(head.counts, expected)


def test_counts_move_in_training_and_by_finished_steps_only():
    head = mapping()
    head(*example())  # a step that is skipped
    assert not head.counts.any()
    step(head)
    once = head.counts.clone()
    head.eval()
    head(*example())
    head.after_step(0.0)
    assert torch.equal(head.counts, head.decay * once)


def test_each_frame_is_given_the_most_frequent_label_of_its_unit():
    head = mapping()
    step(head)
    seen, batch = example()
    predicted = [row.tolist() for row in head.predict(seen, batch.inputs.lengths)]
    assert predicted == [
        [most_frequent(codes[t // STRIDE]) for t in range(len(labels))]
        for codes, labels in zip(CODES, LABELS, strict=True)
    ]


def test_sequences_are_merged_runs_in_the_symbols_of_the_transcript():
    head = mapping(sequence="phones_sequence")
    step(head)
    seen, batch = example()
    predicted = [row.tolist() for row in head.predict(seen, batch.inputs.lengths)]
    vocab, symbols = TARGETS["phones"].vocab, TARGETS["phones_sequence"].vocab
    for row, codes in zip(predicted, CODES, strict=True):
        names = [vocab[label] for label, _ in groupby(most_frequent(code) for code in codes)]
        assert [symbols[number] for number in row] == [name for name in names if name != "sil"]


def test_a_unit_that_was_never_met_stands_for_the_most_frequent_label():
    head = mapping()
    head.counts[:4] = torch.tensor([0.0, 1.0, 3.0, 0.0])
    seen = Padded(torch.tensor([[[4]]]), torch.tensor([1]))
    assert head.predict(seen, torch.tensor([2]))[0].tolist() == [2, 2]


def test_loss_and_accuracy_are_those_of_the_counts_before_the_step():
    head = mapping()
    step(head)
    loss, accuracy = step(head)
    counts, frames = met(), sum(map(len, LABELS))
    totals = Counter(code for (code, _), count in counts.items() for _ in range(count))
    expected = -sum(count * log(count / totals[pair[0]]) for pair, count in counts.items()) / frames
    hits = sum(count for (code, label), count in counts.items() if label == most_frequent(code))
    assert loss == pytest.approx(expected, abs=2e-3)  # but for what no unit has met
    assert accuracy == pytest.approx(hits / counts.total())


def test_codes_of_several_codebooks_count_as_independent_given_the_label():
    head = Mapping(TARGETS, num_codes=2, num_codebooks=2, stride=1)
    head.counts.copy_(torch.tensor([[6.0, 1, 1, 1], [2, 5, 1, 1], [5, 4, 1, 1], [3, 2, 1, 1]]))
    seen = Padded(torch.tensor([[[1, 0]]]), torch.tensor([1]))
    posterior = (head.counts / head.counts.sum(1, keepdim=True)).double()
    prior = (head.counts.sum(0) + 1).double()
    expected = posterior[1] * posterior[2] / (prior / prior.sum())
    expected = (expected / expected.sum()).log()
    torch.testing.assert_close(head._log_probs(head._units(seen))[0, 0].double(), expected, rtol=0, atol=2e-3)


def test_targets_of_the_wrong_kind_are_refused():
    with pytest.raises(RecipeError, match=r"'phones_sequence'.*'frames'"):
        mapping(target="phones_sequence")
    with pytest.raises(RecipeError, match=r"'phones'.*'sequence'"):
        mapping(sequence="phones")
