"""Segments and decoding against plain loops and brute force over all segmentations and paths."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from unitdisc.codebook import CodebookRule
from unitdisc.errors import RecipeError
from unitdisc.parts import Padded, Part
from unitdisc.testing import check_bottleneck
from unitdisc_ema.rule import EMA
from unitdisc_gradient.rule import Gradient
from unitdisc_none.rule import Identity
from unitdisc_residual.rule import Residual
from unitdisc_segmental import viterbi
from unitdisc_segmental.greedy import merge
from unitdisc_segmental.rule import Segmental

LENGTHS = [[17, 2, 5], [1], [30, 4], [3, 3]]
"""Utterances of the micro-batches of one step; the first rank takes those at even places."""


def padded(lengths: list[int], dim: int, seed: int = 0) -> Padded:
    generator = torch.Generator().manual_seed(seed)
    return Padded(
        torch.randn(len(lengths), max(lengths) + 2, dim, generator=generator), torch.tensor(lengths)
    )


def parts(rule: torch.nn.Module) -> list[Part]:
    return [part for part in rule.modules() if isinstance(part, Part)]


def segmental(inner, dim: int, **arguments) -> Segmental:
    """A rule whose parts all take part in a step, as the engine has it."""
    rule = Segmental(dim, rule=inner(dim), **arguments)
    rule.before_step = lambda progress: [type(part).before_step(part, progress) for part in parts(rule)]
    rule.after_step = lambda progress: [type(part).after_step(part, progress) for part in parts(rule)]
    return rule


def step(rule: Segmental, *batches: Padded) -> None:
    rule.train()
    rule.before_step(0.0)
    for batch in batches:
        rule(batch)
    rule.after_step(0.0)


def greedy(latents: np.ndarray, count: int) -> tuple[list[list[int]], float]:
    """Merge neighbours one by one, all prices anew each time, in exact fractions."""
    exact = [[Fraction(float(value)) for value in row] for row in latents]

    def error(segment: list[int]) -> Fraction:
        columns = zip(*(exact[place] for place in segment), strict=True)
        return sum(
            (sum(v * v for v in column) - sum(column) ** 2 / len(segment) for column in columns), Fraction(0)
        )

    segments, last = [[place] for place in range(len(latents))], Fraction(0)
    while len(segments) > count:
        prices = [error(a + b) - error(a) - error(b) for a, b in itertools.pairwise(segments)]
        last = min(prices)
        where = prices.index(last)
        segments[where : where + 2] = [segments[where] + segments[where + 1]]
    return segments, float(last)


def rates(count: int) -> np.ndarray:
    return np.random.default_rng(count).uniform(0.05, 1, count)


@pytest.mark.parametrize(
    "inner",
    [
        partial(EMA, num_codes=5),
        partial(EMA, num_codes=3, num_codebooks=2, distance="cosine"),
        partial(Gradient, num_codes=7, estimator="rotation"),
    ],
)
@pytest.mark.parametrize(
    "arguments", [{}, {"fraction": 0.01, "evaluation": "greedy"}, {"evaluation": "nearest"}]
)
def test_rule_keeps_the_contract(inner, arguments):
    check_bottleneck(lambda dim: segmental(inner, dim, **arguments))


def test_levels_of_a_residual_stack_may_be_segmental():
    check_bottleneck(lambda dim: Residual(dim, rule=Segmental(dim, rule=EMA(dim, num_codes=4)), num_levels=2))


@pytest.mark.parametrize("kind", ["random", "ties", "far"])
def test_merging_matches_the_greedy_oracle(kind):
    """Ties go to the lowest place; small whole numbers make them exact."""
    rng = np.random.default_rng(0)
    for fraction in rates(12):
        lengths = rng.integers(0, 14, 5)
        latents = np.zeros((5, 15, 3))
        for row, length in zip(latents, lengths, strict=True):
            drawn = rng.normal(size=(length, 3)) + 1000 * (kind == "far")
            row[:length] = rng.integers(0, 3, (length, 3)) if kind == "ties" else drawn
        segments = merge(latents, lengths, fraction=float(fraction))
        for row, length in enumerate(lengths.tolist()):
            count = min(max(round(length * fraction), 1), length)
            expected, price = greedy(latents[row, :length], count)
            assert np.flatnonzero(segments.starts[row]).tolist() == [places[0] for places in expected]
            assert segments.prices[row] == pytest.approx(price, abs=1e-9)


def test_merging_finds_segments_that_are_there():
    """Piecewise constant latents with a little noise: the best of all segmentations, by brute force."""
    rng = np.random.default_rng(1)
    latents = np.repeat(rng.normal(size=(4, 2)), [3, 1, 4, 2], axis=0) + 0.01 * rng.normal(size=(10, 2))
    found = merge(latents[None], np.array([10]), fraction=0.4).starts[0]

    def error(cuts: tuple[int, ...]) -> float:
        bounds = itertools.pairwise([0, *cuts, 10])
        return sum(((latents[a:b] - latents[a:b].mean(0)) ** 2).sum() for a, b in bounds)

    best = min(itertools.combinations(range(1, 10), 3), key=error)
    assert np.flatnonzero(found).tolist() == [0, *best] == [0, 3, 4, 8]


@pytest.mark.parametrize("books", [1, 2])
def test_segment_has_the_code_with_the_smallest_sum_of_distances(books):
    torch.manual_seed(0)
    rule = Segmental(4, rule=EMA(4, num_codes=6, num_codebooks=books, init="normal"), fraction=0.4)
    batch = padded([11, 5, 1], 4)
    output = rule(batch)
    codebook = rule.rule.codebook.double().numpy()
    for row, length in enumerate(batch.lengths.tolist()):
        latents = batch.values[row, :length].double().numpy()
        for places in greedy(latents, max(round(0.4 * length), 1))[0]:
            blocks = latents[places].reshape(len(places), books, -1)
            for book in range(books):
                sums = [((blocks[:, book] - codeword) ** 2).sum() for codeword in codebook[book]]
                assert (output.codes[row, places, book] == int(np.argmin(sums))).all()
    assert torch.equal(rule.lookup(output.codes), output.values)


def test_one_segment_per_latent_is_the_rule_itself():
    plain, rule = EMA(4, num_codes=6), segmental(partial(EMA, num_codes=6), 4, fraction=1.0)
    rule.rule.load_state_dict(plain.state_dict())
    batch = padded([11, 5, 1], 4)
    expected, found = plain(batch), rule(batch)
    assert torch.equal(found.codes, expected.codes)
    assert torch.equal(found.values, expected.values)
    assert torch.equal(found.loss, expected.loss)
    for each in (plain, rule):
        step(each, batch)
    assert torch.equal(rule.rule.codebook, plain.codebook)
    assert torch.equal(rule.eval()(batch).codes, plain.eval()(batch).codes)  # no merge, so changes are free


def test_every_latent_of_a_segment_counts_for_its_code():
    rule = segmental(partial(EMA, num_codes=5, decay=0.5, init_count=0.0, init="normal"), 3)
    before, batch = rule.rule.sums.clone(), padded([9, 4], 3)
    codes, latents = rule(batch).codes[batch.mask][:, 0], batch.values[batch.mask]
    step(rule, batch)
    for code in range(5):
        own = latents[codes == code]
        assert rule.rule.counts[0, code].item() == pytest.approx(0.5 * len(own))
        torch.testing.assert_close(rule.rule.sums[0, code], 0.5 * before[0, code] + 0.5 * own.sum(0))


def test_gradients_are_those_of_the_rule_with_these_codes():
    torch.manual_seed(0)
    rule = Segmental(3, rule=Gradient(3, num_codes=4, commitment=0.4, init="normal"))
    batch = padded([7, 3], 3)
    batch.values.requires_grad_()
    task = torch.randn(batch.values.shape)
    output = rule(batch)
    ((output.values * task)[batch.mask].sum() + output.loss).backward()

    latents, codes = batch.values[batch.mask].detach().double(), output.codes[batch.mask][:, 0]
    error = latents - rule.rule.codebook[0].detach().double()[codes]
    assert output.loss.item() == pytest.approx(1.4 * (error**2).mean().item(), rel=1e-5)
    expected = task[batch.mask] + 0.4 * 2 * error / error.numel()
    torch.testing.assert_close(batch.values.grad[batch.mask].double(), expected, rtol=1e-5, atol=1e-6)
    for code in range(4):
        pull = -2 * error[codes == code].sum(0) / error.numel()
        torch.testing.assert_close(rule.rule.codebook.grad[0, code].double(), pull, rtol=1e-5, atol=1e-6)


def cheapest(latents: Tensor, codebook: Tensor, price: float) -> list[int]:
    """The path of least cost among all K^S."""
    distances = ((latents[:, None].double() - codebook.double()) ** 2).sum(-1).tolist()

    def cost(path: tuple[int, ...]) -> float:
        changes = sum(a != b for a, b in itertools.pairwise(path))
        return sum(row[code] for row, code in zip(distances, path, strict=True)) + price * changes

    return list(min(itertools.product(range(len(codebook)), repeat=len(latents)), key=cost))


@pytest.mark.parametrize("chunk", [2**18, 9])
def test_decoding_matches_brute_force(chunk, monkeypatch):
    """Whatever the number of sequences and steps that fit a chunk."""
    monkeypatch.setitem(viterbi._CHUNK, "cpu", chunk)
    generator = torch.Generator().manual_seed(0)
    for seed in range(20):
        batch = padded([5, 1, 6, 3], 2, seed)
        codebook = torch.randn(4, 2, generator=generator)
        price = torch.rand((), generator=generator) * 3
        codes = viterbi.decode(batch.values, batch.lengths, codebook, switch_cost=price)
        for row, length in enumerate(batch.lengths.tolist()):
            expected = cheapest(batch.values[row, :length], codebook, price.item())
            assert codes[row, :length].tolist() == expected


def test_staying_is_preferred_to_an_equally_cheap_change():
    latents = torch.tensor([[[0.0], [1.0], [0.0]]])
    codes = viterbi.decode(
        latents, torch.tensor([3]), torch.tensor([[0.0], [1.0]]), switch_cost=torch.tensor(0.5)
    )
    assert codes.tolist() == [[0, 0, 0]]


def test_evaluation_decodes_each_codebook_at_its_share_of_what_merges_cost():
    torch.manual_seed(0)
    rule = segmental(partial(EMA, num_codes=3, num_codebooks=2, init="normal"), 4, switch_cost=0.5, decay=0.8)
    averages = np.zeros(2)
    for seed in range(3):
        batch = padded([9, 1, 6], 4, seed)
        step(rule, batch)
        last = [greedy(batch.values[row, :n].numpy(), round(0.4 * n))[1] for row, n in ((0, 9), (2, 6))]
        averages = 0.8 * averages + 0.2 * np.array([sum(last), 2])
    assert np.allclose(rule.prices.numpy(), averages)
    batch = padded([6, 2], 4, 9)
    codes = rule.eval()(batch).codes
    for row, length in enumerate(batch.lengths.tolist()):
        for book in range(2):
            block = batch.values[row, :length, 2 * book : 2 * book + 2]
            price = 0.5 * averages[0] / averages[1] / 2
            assert codes[row, :length, book].tolist() == cheapest(block, rule.rule.codebook[book], price)


def test_free_changes_give_the_nearest_codes_and_dear_ones_a_single_code():
    rule = segmental(partial(EMA, num_codes=8, init="normal"), 4)
    batch = padded([20, 3], 4)
    step(rule, batch)
    rule.eval()
    nearest = rule.rule(batch).codes
    rule.switch_cost = 0.0
    assert torch.equal(rule(batch).codes, nearest)
    rule.evaluation = "nearest"
    assert torch.equal(rule(batch).codes, nearest)
    rule.evaluation, rule.switch_cost = "hmm", 1e6
    output = rule(batch)
    assert output.stats["changes"] == 0
    assert [len(set(codes.tolist())) for codes in (output.codes[0, :20, 0], output.codes[1, :3, 0])] == [1, 1]


def test_greedy_evaluation_gives_the_codes_of_training():
    rule = segmental(partial(EMA, num_codes=8, init="normal"), 4, evaluation="greedy")
    batch = padded([20, 3], 4)
    trained = rule(batch)
    assert torch.equal(rule.eval()(batch).codes, trained.codes)
    assert trained.stats["changes"] <= (7 + 0) / (19 + 2)


@pytest.mark.parametrize("training", [True, False])
def test_sequences_in_a_batch_are_coded_as_each_alone(training):
    rule = segmental(partial(EMA, num_codes=8, init="normal"), 4)
    step(rule, padded([20, 30], 4))
    rule.train(training)
    batch = padded([20, 3, 1, 13], 4, 1)
    together = rule(batch).codes
    for row, length in enumerate(batch.lengths.tolist()):
        alone = rule(Padded(batch.values[row : row + 1, :length], torch.tensor([length])))
        assert torch.equal(alone.codes[0], together[row, :length])


def test_steps_without_a_merge_leave_the_price_alone():
    rule = segmental(partial(EMA, num_codes=3), 4)
    step(rule, padded([9], 4))
    before = rule.prices.clone()
    step(rule, padded([1, 1], 4))
    assert torch.equal(rule.prices, before)
    assert before[1] > 0


class Largest(TorchDispatchMode):
    """Remembers the bytes of the largest tensor that any operation gives."""

    size = 0

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        output = function(*arguments, **(named or {}))
        if isinstance(output, Tensor):
            self.size = max(self.size, output.numel() * output.element_size())
        return output


def test_decoding_never_holds_a_number_for_each_latent_and_code():
    batch, codebook = padded([40] * 4, 8), torch.randn(2**14, 8)
    with Largest() as largest:
        viterbi.decode(batch.values, batch.lengths, codebook, switch_cost=torch.tensor(1.0))
    allowed = viterbi.workspace(2**14, 8, device=torch.device("cpu"))
    assert largest.size <= allowed < 2**22 < 4 * 160 * 2**14


@pytest.mark.parametrize("inner", [Identity(4), Residual(4, rule=EMA(4, num_codes=3), num_levels=2)])
def test_rule_without_nearest_codewords_is_refused(inner):
    with pytest.raises(RecipeError, match="does not give latents their nearest codewords; accepted: a rule"):
        Segmental(4, rule=inner)


def test_rule_with_codes_of_its_own_is_refused():
    class Own(EMA):
        def forward(self, latents: Padded):
            return CodebookRule.forward(self, latents)

    with pytest.raises(RecipeError, match="rule: Own does not give"):
        Segmental(4, rule=Own(4, num_codes=3))


def learn(numbers: list[int]) -> dict[str, Tensor]:
    """Train on these micro-batches of each of three steps and return the state."""
    torch.manual_seed(0)
    rule = segmental(partial(EMA, num_codes=7, num_codebooks=2, decay=0.9), 6, decay=0.5)
    for number in range(3):
        step(rule, *(padded(LENGTHS[part], 6, 100 * number + part) for part in numbers))
    return rule.state_dict()


def test_two_ranks_learn_the_state_of_one(tmp_path: Path):
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen([sys.executable, __file__, str(rank), str(tmp_path)], env=environment)
        for rank in (0, 1)
    ]
    assert [rank.wait(timeout=100) for rank in ranks] == [0, 0]
    alone = learn(list(range(len(LENGTHS))))
    for rank in (0, 1):
        state = load_file(tmp_path / f"{rank}.safetensors")
        assert state.keys() == alone.keys()
        for name, value in alone.items():
            torch.testing.assert_close(state[name], value, rtol=1e-6, atol=1e-6)


def main(rank: int, folder: Path) -> None:
    rendezvous = f"file://{folder / 'rendezvous'}"
    torch.distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=2)
    save_file(learn(list(range(len(LENGTHS)))[rank::2]), folder / f"{rank}.safetensors")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
