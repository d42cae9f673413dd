"""CTC against a sum over all paths, framewise against a loop, and what padding may not change."""

from __future__ import annotations

from functools import partial
from itertools import groupby, product
from math import exp, log

import pytest
import torch
import torch.nn.functional as F

from unitdisc.data import TargetSpec
from unitdisc.errors import RecipeError
from unitdisc.parts import Batch, Padded
from unitdisc.testing import check_head
from unitdisc_heads.ctc import CTC
from unitdisc_heads.framewise import Framewise

TARGETS = {
    "phones": TargetSpec("frames", ("a", "b", "c")),
    "phones_sequence": TargetSpec("sequence", ("a", "b", "c")),
    "words": TargetSpec("sequence", ("x",)),
}


def ctc(**parameters: object) -> CTC:
    torch.manual_seed(0)
    return CTC(5, TARGETS, **parameters)  # type: ignore[arg-type]


def framewise(**parameters: object) -> Framewise:
    torch.manual_seed(0)
    return Framewise(5, TARGETS, stride=2, **parameters)  # type: ignore[arg-type]


def padded(sequences: list[list[int]], longest: int = 0) -> Padded:
    lengths = [len(sequence) for sequence in sequences]
    values = torch.full((len(sequences), max(*lengths, longest)), -1)
    for row, sequence in enumerate(sequences):
        values[row, : len(sequence)] = torch.tensor(sequence, dtype=torch.long)
    return Padded(values, torch.tensor(lengths))


def example(transcripts: list[list[int]], extra: int = 0) -> tuple[Padded, Batch]:
    """Return latents of 4 and 3 steps, 8 and 5 frames; ``extra`` steps of padding, rubbish on all of it."""
    latents = torch.full((2, 4 + extra, 5), torch.nan)
    for row, length in enumerate((4, 3)):
        latents[row, :length] = torch.randn(length, 5, generator=torch.Generator().manual_seed(row))
    inputs = Padded(torch.zeros(2, 8 + 2 * extra, 1), torch.tensor([8, 5]))
    frames = padded([[0, 0, 1, 1, 2, 2, -1, 0], [2, 2, -1, 1, 1]], 8 + 2 * extra)
    batch = Batch(["x", "y"], inputs, {"phones": frames, "phones_sequence": padded(transcripts)})
    return Padded(latents, torch.tensor([4, 3])), batch


@pytest.mark.parametrize("hidden", [None, 6])
@pytest.mark.parametrize("detach", [True, False])
def test_the_heads_keep_their_contract(*, hidden: int | None, detach: bool) -> None:
    for head, target in ((CTC, "phones_sequence"), (Framewise, "phones")):
        make = partial(head, hidden=hidden, detach=detach)
        check_head(make, TARGETS, target=target, sends_gradient=not detach)


def all_paths(log_probs: torch.Tensor, transcript: list[int]) -> float:
    """Return the CTC loss (S, V + 1) by listing every path."""
    total = 0.0
    for path in product(range(log_probs.shape[1]), repeat=len(log_probs)):
        if [symbol - 1 for symbol, _ in groupby(path) if symbol > 0] == transcript:
            total += exp(sum(float(log_probs[s, symbol]) for s, symbol in enumerate(path)))
    return -log(total)


@pytest.mark.parametrize("transcripts", [[[0, 1], [2]], [[1, 1], [0, 1, 2]], [[], [2]], [[], []]])
@pytest.mark.parametrize("hidden", [None, 7])
def test_ctc_is_the_sum_over_all_paths_per_frame(transcripts: list[list[int]], hidden: int | None) -> None:
    latents, batch = example(transcripts)
    head = ctc(hidden=hidden, weight=3.0)
    loss, stats = head(latents, batch)
    log_probs = head.readout(latents).log_softmax(2).detach()
    expected = sum(
        all_paths(log_probs[row, :length], transcript)
        for row, (length, transcript) in enumerate(zip((4, 3), transcripts, strict=True))
    )
    assert float(loss.detach()) == pytest.approx(3 * expected / 13, rel=1e-4)
    assert stats["impossible"] == 0


def test_a_transcript_longer_than_the_latents_is_counted_and_costs_nothing() -> None:
    latents, batch = example([[0, 1], [1, 1, 2]])  # "bbc" needs four latents, there are three
    head = ctc()
    loss, stats = head(latents, batch)
    loss.backward()
    log_probs = head.readout(latents).log_softmax(2).detach()
    assert float(stats["impossible"]) == pytest.approx(5 / 13)  # of the frames
    assert float(loss.detach()) == pytest.approx(all_paths(log_probs[0], [0, 1]) / 13, rel=1e-4)
    assert all(weights.grad is not None and weights.grad.isfinite().all() for weights in head.parameters())


def test_ctc_predicts_the_collapsed_best_path() -> None:
    head = ctc()
    head.readout = torch.nn.Module()  # type: ignore[assignment]
    best = torch.tensor([[1, 1, 0, 1], [0, 3, 3, 2]])
    head.readout.forward = lambda _: F.one_hot(best, 4).float()
    predicted = head.predict(Padded(torch.zeros(2, 4, 5), torch.tensor([4, 3])), torch.tensor([8, 5]))
    assert [row.tolist() for row in predicted] == [[0, 0], [2]]


@pytest.mark.parametrize("hidden", [None, 7])
@pytest.mark.parametrize("context", [1, 3])
def test_framewise_is_the_cross_entropy_of_labelled_frames(hidden: int | None, context: int) -> None:
    latents, batch = example([[], []])
    head = framewise(hidden=hidden, context=context, detach=False)
    loss, stats = head(latents, batch)
    log_probs = head.readout(latents).log_softmax(2).detach()
    total, correct, labelled = 0.0, 0, 0
    for row, t in product(range(2), range(8)):
        label = int(batch.targets["phones"].values[row, t])
        if label >= 0:
            total -= float(log_probs[row, t // 2, label])
            correct += int(log_probs[row, t // 2].argmax()) == label
            labelled += 1
    assert float(loss.detach()) == pytest.approx(total / 13, rel=1e-5)
    assert float(stats["accuracy"]) == pytest.approx(correct / labelled)


def test_framewise_predicts_one_label_per_frame() -> None:
    latents, batch = example([[], []])
    head = framewise()
    predicted = head.predict(latents, batch.inputs.lengths)
    best = head.readout(latents).argmax(2)
    assert [row.tolist() for row in predicted] == [
        [int(best[0, t // 2]) for t in range(8)],
        [int(best[1, t // 2]) for t in range(5)],
    ]


@pytest.mark.parametrize("head", [ctc, framewise])
def test_padding_changes_neither_loss_nor_gradient(head: type) -> None:
    results = []
    for extra in (0, 6):
        part = head(detach=False, hidden=6)
        latents, batch = example([[0, 1], [2]], extra)
        values = latents.values.requires_grad_()
        loss, _ = part(latents, batch)
        loss.backward()
        assert values.grad is not None
        results.append(
            [loss, values.grad[:, :4].nan_to_num(0), *[weights.grad for weights in part.parameters()]]
        )
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("head", [ctc, framewise])
def test_a_probe_sends_no_gradient_back(head: type) -> None:
    for detach in (True, False):
        latents, batch = example([[0, 1], [2]])
        values = latents.values.requires_grad_()
        head(detach=detach)(latents, batch)[0].backward()
        assert (values.grad is None) == detach


def test_no_labelled_frame_gives_zero_loss_and_accuracy() -> None:
    latents, batch = example([[], []])
    batch.targets["phones"].values.fill_(-1)
    loss, stats = framewise()(latents, batch)
    assert loss == 0
    assert stats["accuracy"] == 0


def test_unknown_targets_are_refused_naming_those_of_the_right_kind() -> None:
    with pytest.raises(RecipeError, match=r"'letters'.*phones_sequence, words"):
        ctc(target="letters")
    with pytest.raises(RecipeError, match=r"'words'.*'sequence'.*has: phones\)"):
        framewise(target="words")
    with pytest.raises(RecipeError, match="odd"):
        framewise(context=2)
