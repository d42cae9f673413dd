"""Contrastive prediction against plain loops, and where its negatives come from."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from unitdisc.data import FeatureSpec
from unitdisc.errors import RecipeError
from unitdisc.parts import Batch, Padded
from unitdisc.testing import check_decoder
from unitdisc_cpc.decoder import CPC
from unitdisc_cpc.pools import Pools, pools

SPEC = FeatureSpec((9,), 100.0, "second", standardize=True)
DIM = 4
LENGTHS = [7, 3, 1, 5, 6]
SPEAKERS = [1, 0, 0, 1, -1]


def decoder(**parameters) -> CPC:
    torch.manual_seed(0)
    return CPC(
        DIM, stride=2, conditions={"speaker": 2}, **{"hidden": 5, "steps": 3, "negatives": 4, **parameters}
    )


def example(lengths=LENGTHS, speakers=SPEAKERS) -> tuple[Padded, Batch]:
    """Return latents with rubbish on padding, and a batch of two frames to each, the last one cut short."""
    values = torch.full((len(lengths), max(lengths) + 1, DIM), torch.nan)
    generator = torch.Generator().manual_seed(1)
    for row, length in enumerate(lengths):
        values[row, :length] = torch.randn(length, DIM, generator=generator)
    frames = torch.tensor(lengths) * 2 - 1
    inputs = Padded(torch.zeros(len(lengths), int(frames.max()), 9), frames)
    batch = Batch([f"u{row}" for row in range(len(lengths))], inputs, {}, {"speaker": torch.tensor(speakers)})
    return Padded(values, torch.tensor(lengths)), batch


def scores(
    part: CPC, latents: Padded, anchor: tuple[int, int], step: int, others: list[tuple[int, int]]
) -> list[float]:
    """Return the score of the true latent and of the others (row, time), in float64 loops over an LSTM cell."""
    row, time = anchor
    lstm = part.context.double().requires_grad_(requires_grad=False)
    hidden, cell = [0.0] * lstm.hidden_size, [0.0] * lstm.hidden_size
    for past in range(time + 1):
        frame = latents.values[row, past].double().tolist()
        gates = []
        for gate in range(4 * lstm.hidden_size):
            total = float(lstm.bias_ih_l0[gate] + lstm.bias_hh_l0[gate])
            total += sum(w * x for w, x in zip(lstm.weight_ih_l0[gate].tolist(), frame, strict=True))
            total += sum(w * h for w, h in zip(lstm.weight_hh_l0[gate].tolist(), hidden, strict=True))
            gates.append(total)
        size = lstm.hidden_size
        enter, forget, new, out = (gates[n * size : (n + 1) * size] for n in range(4))
        cell = [
            c / (1 + math.exp(-f)) + math.tanh(n) / (1 + math.exp(-i))
            for c, f, i, n in zip(cell, forget, enter, new, strict=True)
        ]
        hidden = [math.tanh(c) / (1 + math.exp(-o)) for c, o in zip(cell, out, strict=True)]
    matrix = part.predictors[step - 1].double().requires_grad_(requires_grad=False)
    predicted = [
        float(bias) + sum(w * h for w, h in zip(weights.tolist(), hidden, strict=True))
        for weights, bias in zip(matrix.weight, matrix.bias, strict=True)
    ]
    found = []
    for place in [(row, time + step), *others]:
        vector = latents.values[place].double().tolist()
        found.append(sum(p * x for p, x in zip(predicted, vector, strict=True)) / math.sqrt(DIM))
    return found


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize("condition", ["speaker", None])
def test_the_contract_is_kept(condition, stride):
    make = partial(CPC, hidden=8, steps=3, condition=condition)
    check_decoder(make, SPEC, conditions={"speaker": 2}, stride=stride)


def test_in_evaluation_the_loss_is_that_of_loops_over_all_other_latents_of_the_utterance():
    latents, batch = example()
    loss, stats = decoder().eval()(latents, batch)
    part, total, correct, count = decoder(), 0.0, 0.0, 0
    for row, length in enumerate(LENGTHS):
        for step in (1, 2, 3):
            for time in range(length - step):
                others = [(row, other) for other in range(length) if other != time + step]
                true, *rest = scores(part, latents, (row, time), step, others)
                mean = sum(map(math.exp, rest)) / len(rest)
                total += math.log(math.exp(true) + 4 * mean) - true
                correct += (sum(score <= true for score in rest) / len(rest)) ** 4
                count += 1
    assert loss.item() == pytest.approx(total * 2 / (3 * batch.num_frames), rel=1e-5)
    assert float(stats["info_nce"]) == pytest.approx(total / count, rel=1e-5)
    assert float(stats["accuracy"]) == pytest.approx(correct / count, rel=1e-5)


def test_in_training_the_loss_is_that_of_loops_over_the_negatives_drawn(monkeypatch):
    drawn = []
    draw = Pools.others
    monkeypatch.setattr(Pools, "others", lambda *given: drawn.append(draw(*given)) or drawn[-1])
    latents, batch = example()
    torch.manual_seed(2)
    loss, stats = decoder()(latents, batch)
    width = latents.values.shape[1]
    places = [divmod(place, width) for place in pools(latents, batch.conditions["speaker"]).places.tolist()]
    part, total, correct, count = decoder(), 0.0, 0, 0
    for step in (1, 2, 3):
        made = [(row, time) for row, time in places if time + step < LENGTHS[row]]
        for (row, time), others in zip(made, drawn[step - 1].tolist(), strict=True):
            true, *rest = scores(part, latents, (row, time), step, [places[other] for other in others])
            total += math.log(sum(map(math.exp, [true, *rest]))) - true
            correct += true >= max(rest)
            count += 1
    assert loss.item() == pytest.approx(total * 2 / (3 * batch.num_frames), rel=1e-5)
    assert float(stats["info_nce"]) == pytest.approx(total / count, rel=1e-5)
    assert float(stats["accuracy"]) == pytest.approx(correct / count, rel=1e-5)


@pytest.mark.parametrize(
    ("groups", "shared"),
    [(SPEAKERS, [{0, 3}, {1, 2}, {1, 2}, {0, 3}, {4}]), (None, [{0}, {1}, {2}, {3}, {4}]), ([-1] * 5, None)],
)
def test_negatives_are_all_other_latents_of_the_same_speaker_alike(groups, shared):
    latents, _ = example()
    found = pools(latents, None if groups is None else torch.tensor(groups))
    width = latents.values.shape[1]
    places = [divmod(place, width) for place in found.places.tolist()]
    assert sorted(places) == [(row, time) for row, length in enumerate(LENGTHS) for time in range(length)]
    torch.manual_seed(0)
    for number, (row, time) in enumerate(places):
        assert int(found.following[number]) == LENGTHS[row] - 1 - time
        rows = {row} if shared is None else shared[row]
        wanted = {(one, t) for one in rows for t in range(LENGTHS[one])} - {(row, time)}
        if not wanted:
            continue
        drawn = found.others(torch.tensor([number]), 200 * len(wanted))[0].bincount(minlength=len(places))
        assert {places[other] for other in drawn.nonzero().flatten().tolist()} == wanted
        assert drawn[drawn > 0].min() > 130  # of 200 on average: five deviations


def test_a_prediction_does_not_see_what_follows():
    latents, _ = example([7], [0])
    part = decoder(steps=1).eval()
    context = part.context(latents.values[:, :7])[0]
    changed = latents.values[:, :7].clone()
    changed[:, 4:] += 1
    assert torch.equal(part.context(changed)[0][:, :4], context[:, :4])


def test_what_repeats_is_learnt_to_be_told_from_the_rest():
    cycle = torch.eye(DIM).repeat(6, 1)[None]  # 1, 2, 3, 4, 1, 2, ...
    latents = Padded(cycle, torch.tensor([24]))
    batch = Batch(
        ["u"], Padded(torch.zeros(1, 48, 9), torch.tensor([48])), {}, {"speaker": torch.tensor([0])}
    )
    part = decoder()
    for step in range(80):
        torch.manual_seed(step)
        loss, stats = part(latents, batch)
        for parameter, slope in zip(
            part.parameters(), torch.autograd.grad(loss, list(part.parameters())), strict=True
        ):
            parameter.data -= 5.0 * slope
    assert float(stats["accuracy"]) > 0.95


def test_data_without_the_condition_are_refused_with_what_to_do():
    with pytest.raises(
        RecipeError, match=r"has no 'speaker' \(it has: writer\); set decoder.condition .* or to null"
    ):
        CPC(DIM, stride=2, conditions={"writer": 2})
    CPC(DIM, stride=2, conditions={}, condition=None)
