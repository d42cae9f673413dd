"""Bits per dimension and NELBO: the papers' own numbers, plain loops, and full enumeration of a toy."""

from __future__ import annotations

from functools import partial
from itertools import product
from math import log, log2

import numpy as np
import pytest
import torch

from tests.plugins.metric_oracles import entropy, score
from unitdisc.errors import DataError, RecipeError
from unitdisc.metric import Evaluated
from unitdisc.parts import Batch, Padded
from unitdisc.testing import check_metric
from unitdisc_metrics.bpd import BPD
from unitdisc_metrics.nelbo import NELBO
from unitdisc_prior.code_lstm import CodeLSTM

TABLE_II = {  # paper A: BPD, perplexity, uniform and unigram NELBO; K = 4096, a latent for 4 columns of 32 pixels
    "vanilla": (0.213, 322, 0.307, 0.278),
    "BN": (0.216, 260, 0.309, 0.278),
    "BN + codebook LR": (0.212, 432, 0.306, 0.281),
    "BN + EMA": (0.207, 1118, 0.301, 0.287),
    "BN + reest": (0.200, 2388, 0.294, 0.288),
    "BN + reest + codebook LR": (0.200, 2446, 0.294, 0.288),
}
ROUNDING = 0.0011  # half a unit of the third place in BPD and in the sum, half a unit of the perplexity


def example(
    codes: np.ndarray, *, num_codes: int, frames: int, size: int, nats: dict[str, float], key: str = "u"
) -> Evaluated:
    stride = -(-frames // max(1, len(codes)))
    return Evaluated(key, codes, num_codes, frames, stride, frame_size=size, nats=nats)


def with_perplexity(perplexity: int, bpd: float) -> list[Evaluated]:
    """Return lines of 400 columns in which the first ``perplexity`` of 4096 codes are equally frequent."""
    codes = np.arange(perplexity).repeat(100).reshape(-1, 100, 1)
    nats = {"decoder": bpd * log(2) * 400 * 32}
    return [example(line, num_codes=4096, frames=400, size=32, nats=nats) for line in codes]


def drawn_split(seed: int, num_codebooks: int) -> list[Evaluated]:
    """Return lines of 1 to 60 columns and one without any; the last latent of most is cut by the end."""
    draw = np.random.default_rng(seed)
    split = []
    for frames in [*draw.integers(1, 61, 9).tolist(), 0]:
        codes = draw.integers(0, 5, (-(-frames // 4), num_codebooks))
        nats = {"decoder": float(frames * draw.exponential()), "prior": float(frames * draw.exponential())}
        split.append(Evaluated("u", codes, 8, frames, 4, frame_size=32, nats=nats))
    return split


@pytest.mark.parametrize("row", TABLE_II)
def test_nelbo_columns_of_table_ii_follow_from_its_bpd_and_perplexity(row):
    bpd, perplexity, uniform, unigram = TABLE_II[row]
    split = with_perplexity(perplexity, bpd)
    found = {prior: score(NELBO(prior=prior), split) for prior in ("uniform", "unigram")}
    assert found["uniform"]["value"] == pytest.approx(uniform, abs=ROUNDING)
    assert found["unigram"]["value"] == pytest.approx(unigram, abs=ROUNDING)
    assert found["uniform"]["rate"] == pytest.approx(12 / 128)
    assert found["unigram"]["perplexity"] == pytest.approx(perplexity)
    assert found["unigram"]["bpd"] == pytest.approx(bpd) == score(BPD(), split)["value"]


@pytest.mark.parametrize(
    ("num_codebooks", "num_codes", "latents", "rate"),
    [(8, 128, 64, 1.1667), (5, 1024, 64, 1.0417), (10, 512, 64, 1.8750), (10, 256, 64, 1.6667)],
)
def test_product_codebooks_on_cifar_sum_over_books(num_codebooks, num_codes, latents, rate):
    codes = np.zeros((latents, num_codebooks), np.int64)
    picture = example(codes, num_codes=num_codes, frames=1024, size=3, nats={"decoder": 0.0})
    found = score(NELBO(), [picture])
    assert found["rate"] == pytest.approx(rate, abs=5e-5)
    assert found["dims"] == 3072
    assert score(NELBO(prior="unigram"), [picture])["rate"] == 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("num_codebooks", [1, 3])
def test_numbers_are_those_of_plain_loops(seed, num_codebooks):
    split = drawn_split(seed, num_codebooks)
    books = [[int(code) for item in split for code in item.codes[:, q]] for q in range(num_codebooks)]
    bits = {
        "uniform": lambda item: len(item.codes) * num_codebooks * log2(8),
        "unigram": lambda item: len(item.codes) * sum(entropy(book) for book in books),
        "learned": lambda item: item.nats["prior"] / log(2),
    }
    for prior, sent in bits.items():
        make = partial(NELBO, prior=prior, head="prior" if prior == "learned" else None)
        total, dims, ratios = 0.0, 0, []
        for item in split:
            explained = item.nats["decoder"] / log(2)
            total += explained + sent(item)
            dims += item.num_frames * 32
            if item.num_frames:
                ratios.append((explained + sent(item)) / (item.num_frames * 32))
        assert score(make(), split)["value"] == pytest.approx(total / dims)
        assert score(make(average="item"), split)["value"] == pytest.approx(sum(ratios) / len(ratios))


@pytest.mark.parametrize("part", ["decoder", "prior"])
def test_bpd_weighs_pixels_or_items(part):
    nats = [{part: 6 * log(2)}, {part: 2 * log(2)}]
    split = [
        Evaluated("u", np.zeros((1, 1), np.int64), 4, frames, 4, frame_size=2, nats=one)
        for frames, one in zip([3, 1], nats, strict=True)
    ]
    found = score(BPD(part=part), split)
    assert found == {
        "value": pytest.approx(8 / 8),
        "nats_per_frame": pytest.approx(8 * log(2) / 4),
        "dims": 8,
    }
    assert score(BPD(part=part, average="item"), split)["value"] == pytest.approx((6 / 6 + 2 / 2) / 2)


class Toy:
    """Pictures of 2 x 3 pixels with 2 levels; a latent for each column; everything is known and enumerable."""

    def __init__(self, seed: int) -> None:
        draw = np.random.default_rng(seed)
        self.pictures = np.array([*product((0, 1), repeat=6)]).reshape(-1, 3, 2)  # 3 columns of 2 pixels
        self.codes = np.array([*product((0, 1), repeat=3)])  # (8, S)
        self.shares = draw.dirichlet(np.full(64, 0.3))  # p(x) of the data
        ink = draw.uniform(0.05, 0.95, (2, 3, 2))  # of the second level, by code and place
        told = ink[self.codes[:, :, None], np.arange(3)[:, None], np.arange(2)]  # (8, 3, 2)
        ones = self.pictures[:, None] == 1
        self.likelihood = np.where(ones, told, 1 - told).prod((2, 3))  # (64, 8): p(x | z)
        self.chosen = np.array([draw.integers(0, 2, 3) for _ in self.pictures])  # any encoder will do

    def log_likelihood(self, picture: int, codes: np.ndarray) -> float:
        return log(self.likelihood[picture, int(codes @ [4, 2, 1])])

    def split(self, prior_nats: np.ndarray, *, pictures: np.ndarray) -> list[Evaluated]:
        """Return what evaluation hands out of ``pictures`` (N,) with a prior of these nats (8,) over codes."""
        found = []
        for number in pictures.tolist():
            codes = self.chosen[number]
            nats = {
                "decoder": -self.log_likelihood(number, codes),
                "prior": float(prior_nats[int(codes @ [4, 2, 1])]),
            }
            found.append(Evaluated(f"u{number}", codes[:, None], 2, 3, 1, frame_size=2, nats=nats))
        return found

    def prior_nats(self) -> np.ndarray:
        """Return (8,), -ln p(z) under a trained `CodeLSTM`; it has learned what the encoder does with the data."""
        torch.manual_seed(0)
        prior = CodeLSTM(num_codes=2, num_codebooks=1, stride=1, hidden=8)
        optimizer = torch.optim.Adam(prior.parameters(), lr=0.02)
        every = Padded(torch.from_numpy(self.codes)[:, :, None], torch.full((8,), 3))
        batch = Batch([""] * 8, Padded(torch.zeros(8, 3, 2), torch.full((8,), 3)))
        places = self.chosen @ [4, 2, 1]
        share = torch.from_numpy(np.bincount(places, weights=self.shares, minlength=8)).float()
        for _ in range(200):
            optimizer.zero_grad()
            (prior.nats(every, batch) * share).sum().backward()
            optimizer.step()
        return prior.nats(every, batch).detach().double().numpy()


@pytest.mark.parametrize("seed", range(3))
def test_nelbo_of_every_picture_bounds_what_all_codes_together_say(seed):
    toy = Toy(seed)
    nats = toy.prior_nats()
    assert toy.likelihood.sum(0) == pytest.approx(1)  # over all pictures, for each sequence of codes
    assert np.exp(-nats).sum() == pytest.approx(1, abs=1e-5)
    for number in range(64):
        [picture] = toy.split(nats, pictures=np.array([number]))
        for make, prior in [
            (NELBO, np.full(8, 1 / 8)),
            (partial(NELBO, prior="learned", head="prior"), np.exp(-nats)),
        ]:
            true = -log2(toy.likelihood[number] @ prior) / 6  # p(x) = sum over z of p(z) p(x | z)
            assert score(make(), [picture])["value"] >= true


@pytest.mark.parametrize("seed", range(3))
def test_nelbo_of_data_bounds_its_likelihood_and_entropy_and_better_priors_are_shorter(seed):
    toy = Toy(seed)
    nats = toy.prior_nats()
    # As many of each picture as its share says; the shares of the scored data are then known exactly.
    pictures = np.repeat(np.arange(64), np.round(toy.shares * 500).astype(int))
    shares = np.bincount(pictures, minlength=64) / len(pictures)
    split = toy.split(nats, pictures=pictures)
    ones = toy.chosen[pictures].mean()
    unigram = np.array([ones ** sum(codes) * (1 - ones) ** (3 - sum(codes)) for codes in toy.codes])
    found = {}
    for name, prior in [("uniform", np.full(8, 1 / 8)), ("unigram", unigram), ("learned", np.exp(-nats))]:
        metric = NELBO(prior=name, head="prior" if name == "learned" else None)
        found[name] = score(metric, split)["value"]
        true = -(shares @ np.log2(toy.likelihood @ prior)) / 6
        entropy_of_data = -sum(share * log2(share) for share in shares if share) / 6
        assert found[name] >= true >= entropy_of_data
    assert found["uniform"] >= found["unigram"] > found["learned"]


@pytest.mark.parametrize("num_codebooks", [1, 2])
@pytest.mark.parametrize("average", ["pixel", "item"])
@pytest.mark.parametrize("prior", ["uniform", "unigram", "learned"])
def test_nelbo_keeps_the_contract(num_codebooks, average, prior):
    head = "prior" if prior == "learned" else None
    make = partial(NELBO, prior=prior, head=head, average=average)
    check_metric(make, likelihoods=("decoder", "prior"), num_codebooks=num_codebooks)


@pytest.mark.parametrize("average", ["pixel", "item"])
def test_bpd_keeps_the_contract(average):
    check_metric(partial(BPD, average=average))


@pytest.mark.parametrize("make", [BPD, partial(NELBO, prior="learned", head="lstm")])
def test_missing_likelihood_is_named_with_those_that_exist(make):
    item = Evaluated("u7", np.zeros((2, 1), np.int64), 4, 2, 1, nats={"prior": 1.0})
    with pytest.raises(RecipeError, match=r"u7: no likelihood '(decoder|lstm)' .*accepted: prior"):
        score(make(), [item])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [({"prior": "learned"}, "name that head"), ({"prior": "unigram", "head": "prior"}, "leave it out")],
)
def test_head_stands_with_the_learned_prior_alone(arguments, says):
    with pytest.raises(RecipeError, match=says):
        NELBO(**arguments)


def test_split_without_frames_is_refused():
    with pytest.raises(DataError, match="no frame"):
        score(BPD(), [Evaluated("u", np.zeros((0, 1), np.int64), 4, 0, 1, nats={"decoder": 0.0})])
