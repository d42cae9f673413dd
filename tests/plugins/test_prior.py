"""Priors over codes: the contract, exact probabilities, exact draws."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import product
from math import log

import pytest
import torch

from tests.test_train import final
from tests.toy import ToySource, toy_recipe
from unitdisc import steps
from unitdisc.errors import RecipeError
from unitdisc.evaluate import evaluate
from unitdisc.infer import codes_of
from unitdisc.likelihood import Prior
from unitdisc.model import build
from unitdisc.parts import Batch, Padded
from unitdisc.recipe import Recipe, Use
from unitdisc.testing import check_prior
from unitdisc_ema.rule import EMA
from unitdisc_metrics.bpd import BPD
from unitdisc_prior.code_lstm import CodeLSTM
from unitdisc_prior.code_pixel_cnn import CodePixelCNN

K, Q, S = 2, 2, 3
PRIORS = {
    "code_lstm": partial(CodeLSTM, hidden=6),
    "code_pixel_cnn": partial(CodePixelCNN, hidden=6, layers=2, grid=(2, 2)),  # one cell more than S
}


@pytest.fixture(params=PRIORS)
def prior(request: pytest.FixtureRequest) -> Prior:
    torch.manual_seed(5)
    return PRIORS[request.param](num_codes=K, num_codebooks=Q, stride=2).eval()


def nats(prior: Prior, codes: torch.Tensor) -> torch.Tensor:
    lengths = torch.full((len(codes),), codes.shape[1])
    inputs = Padded(torch.zeros(len(codes), 2 * codes.shape[1], 1), 2 * lengths)
    with torch.no_grad():
        return prior.nats(Padded(codes, lengths), Batch(["u"] * len(codes), inputs))


def every_sequence() -> torch.Tensor:
    return torch.tensor(list(product(range(K), repeat=S * Q))).view(-1, S, Q)


@pytest.mark.parametrize("num_codebooks", [1, 3])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_code_lstm_keeps_the_contract(num_codebooks, dropout):
    check_prior(partial(CodeLSTM, hidden=6, layers=2, dropout=dropout), num_codebooks=num_codebooks)


@pytest.mark.parametrize("num_codebooks", [1, 3])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_code_pixel_cnn_keeps_the_contract(num_codebooks, dropout):
    check_prior(partial(CodePixelCNN, hidden=6, layers=2, dropout=dropout), num_codebooks=num_codebooks)


def test_probabilities_of_all_code_sequences_sum_to_1(prior):
    assert (-nats(prior, every_sequence()).double()).exp().sum() == pytest.approx(1, abs=1e-5)


def test_probabilities_of_an_untrained_prior_differ_by_more_than_rounding(prior):
    found = nats(prior, every_sequence())
    assert found.max() - found.min() > 0.5  # else the other tests would show little


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_draws_are_as_frequent_as_their_probabilities_say(prior, temperature):
    number = 20_000
    torch.manual_seed(1)
    drawn = Counter(
        tuple(row)
        for row in prior.draw(torch.full((number,), S), temperature=temperature).flatten(1).tolist()
    )
    chi_square = 0.0
    for codes in every_sequence():
        expected = number * probability(prior, codes, temperature)
        chi_square += (drawn[tuple(codes.flatten().tolist())] - expected) ** 2 / expected
    assert chi_square < 103.4  # 63 degrees of freedom, exceeded with a chance of 0.001


def probability(prior: Prior, codes: torch.Tensor, temperature: float) -> float:
    """Multiply the tempered probabilities of one code after the other, each from a sequence cut behind it."""
    found = 1.0
    for place, code in enumerate(codes.flatten().tolist()):
        given = codes.flatten().clone()
        given[place:] = 0
        with torch.no_grad():
            log_probs = prior.log_probs(Padded(given.view(1, S, Q), torch.tensor([S]))).view(S * Q, K)
        found *= float((log_probs[place] / temperature).softmax(0)[code])
    return found


def test_a_shorter_draw_is_distributed_like_the_beginning_of_a_longer_one(prior):
    firsts = [
        sum(
            float((-nats(prior, codes[None])).exp())
            for codes in every_sequence()
            if codes[0].tolist() == pair
        )
        for pair in ([0, 0], [0, 1], [1, 0], [1, 1])
    ]
    torch.manual_seed(2)
    drawn = Counter(tuple(row) for row in prior.draw(torch.ones(20_000, dtype=torch.int64))[:, 0].tolist())
    expected = [20_000 * chance for chance in firsts]
    observed = [drawn[pair] for pair in product(range(2), repeat=2)]
    chi_square = sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True))
    assert chi_square < 16.3  # 3 degrees of freedom, exceeded with a chance of 0.001


def test_bits_per_latent_count_every_latent_once(prior):
    codes = every_sequence()[:4]
    batch = Batch(["u"] * 4, Padded(torch.zeros(4, 5, 1), torch.tensor([5, 5, 3, 1])))  # 3, 3, 2, 1 latents
    latents = Padded(codes, torch.tensor([3, 3, 2, 1]))
    with torch.no_grad():
        loss, numbers = prior(latents, batch)
        total = float(prior.nats(latents, batch).sum())
    assert float(loss) == pytest.approx(total / 14)
    assert float(numbers["bits_per_latent"]) == pytest.approx(total / log(2) / 9)


def test_predictions_are_the_likeliest_codes_given_the_true_ones_before():
    torch.manual_seed(0)
    prior = CodeLSTM(num_codes=5, num_codebooks=1, stride=2, hidden=6).eval()
    codes = torch.randint(5, (1, 3, 1))
    latents = Padded(codes, torch.tensor([3]))
    [found] = prior.predict(latents, torch.tensor([5]))
    best = prior.log_probs(latents)[0, :, 0].argmax(1).tolist()
    assert found.tolist() == [best[0], best[0], best[1], best[1], best[2]]


@pytest.mark.parametrize("name", PRIORS)
def test_a_prior_learns_a_language_down_to_its_entropy(name):
    torch.manual_seed(0)
    make = {"code_lstm": CodeLSTM, "code_pixel_cnn": partial(CodePixelCNN, grid=(2, 3), layers=2)}[name]
    prior = make(num_codes=4, num_codebooks=2, stride=1, hidden=16)
    optimizer = torch.optim.Adam(prior.parameters(), lr=0.02)
    lengths = torch.full((64,), 6)
    for _ in range(300):
        # Book 0 goes on by 1 or 2 with equal chance, book 1 is its successor: 1 bit per latent, 2 at the first.
        steps = torch.randint(1, 3, (64, 6))
        first = (torch.randint(4, (64, 1)) + steps.cumsum(1) - steps[:, :1]) % 4
        codes = torch.stack([first, (first + 1) % 4], 2)
        loss, numbers = prior(Padded(codes, lengths), Batch([""] * 64, Padded(torch.zeros(64, 6), lengths)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(numbers["bits_per_latent"]) == pytest.approx(7 / 6, abs=0.05)


class SeesTheNextBook(CodeLSTM):
    def log_probs(self, latents):
        return super().log_probs(Padded(latents.values.flip(2), latents.lengths)).flip(2)


class SeesItself(CodeLSTM):
    def contexts(self, latents):
        return self.lstm(latents)[0]


class CountsPadding(CodeLSTM):
    def nats(self, latents, batch):
        whole = torch.full_like(latents.lengths, latents.values.shape[1])
        return super().nats(Padded(latents.values.clamp(0, 4), whole), batch)


class DrawsOneTooMany(CodeLSTM):
    def draw(self, lengths, *, temperature=1.0):
        return super().draw(lengths + 1, temperature=temperature)


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (SeesTheNextBook, "a code is given those before it alone"),
        (SeesItself, "a code is given those before it alone"),
        (CountsPadding, "weighted by valid frames|padding changes nothing"),
        (DrawsOneTooMany, "draw gives codes of the lengths asked for"),
    ],
)
def test_broken_prior_is_caught_by_its_law(broken, law):
    with pytest.raises(AssertionError, match=law):
        check_prior(partial(broken, hidden=6))


def recipe_with_prior() -> Recipe:
    use = partial(Use, where="test")
    toy = toy_recipe(
        rule=(EMA, {"num_codes": 4, "num_codebooks": 2, "decay": 0.9}),
        metrics={"bits": use("metric", "bpd", BPD, {"part": "prior"})},
    )
    return replace(toy, heads={**toy.heads, "prior": use("head", "code_lstm", CodeLSTM, {"hidden": 8})})


def test_a_prior_in_training_leaves_all_other_parts_as_they_are_without_it(tmp_path):
    recipe = recipe_with_prior()
    alone = replace(recipe, heads={"probe": recipe.heads["probe"]}, metrics={})
    steps.train(recipe, tmp_path / "with")
    steps.train(alone, tmp_path / "without")
    state = final(tmp_path / "with")["model"]
    assert all(torch.equal(state[name], one) for name, one in final(tmp_path / "without")["model"].items())


def test_evaluation_gives_every_example_the_nats_of_its_own_codes(tmp_path):
    recipe = recipe_with_prior()
    source = ToySource()
    steps.train(recipe, tmp_path)
    model = build(recipe, source.features, source.targets, source.conditions).eval()
    model.load_state_dict(final(tmp_path)["model"])
    split = source.split("test")
    found = evaluate(model, split, recipe)
    total, num_latents = 0.0, 0
    for units in codes_of(model, split, batch_frames=1):
        codes = Padded(torch.from_numpy(units)[None], torch.tensor([len(units)]))
        with torch.no_grad():
            total += float(model.heads["prior"].nats(codes, None))
        num_latents += len(units)
    assert found["losses"]["prior"] == pytest.approx(total / sum(split.lengths), rel=1e-4)
    # 9 to 29 frames per example in pairs, so that the mean over batches weighted by frames is only nearly the same
    assert found["losses"]["prior.bits_per_latent"] == pytest.approx(total / log(2) / num_latents, rel=0.02)
    bits = found["metrics"]["bits"]["values"]["value"]
    assert bits == pytest.approx(total / log(2) / (6 * sum(split.lengths)), rel=1e-4)


@pytest.mark.parametrize(("changed", "says"), [({"grid": None}, "code_lstm"), ({"kernel": 4}, "odd")])
def test_grid_prior_refuses_what_it_cannot_be_built_for(changed, says):
    with pytest.raises(RecipeError, match=says):
        CodePixelCNN(**{"num_codes": 2, "num_codebooks": 1, "stride": 1, "grid": (2, 2), **changed})
