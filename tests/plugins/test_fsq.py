"""The rule fsq against plain loops, finite differences of its estimator, and the paper's example."""

from __future__ import annotations

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch

from tests.plugins.finite_differences import slopes
from unitdisc.errors import RecipeError
from unitdisc.parts import Padded
from unitdisc.testing import check_bottleneck
from unitdisc_fsq.rule import FSQ

LENGTHS = torch.tensor([4, 0, 2])


def padded(dim: int) -> Padded:
    generator = torch.Generator().manual_seed(1)
    values = 2 * torch.randn(3, 6, dim, generator=generator)
    return Padded(values.requires_grad_(), LENGTHS)


def bounded(number: float, levels: int) -> float:
    """Appendix A.1 of the paper."""
    reach = (levels - 1) * (1 - 1e-3) / 2
    offset = 0.0 if levels % 2 else 0.5
    return math.tanh(number + math.tan(offset / reach)) * reach - offset


class Oracle:
    """The rule in float64 loops; ``offset`` is what rounding adds, a constant."""

    def __init__(self, rule: FSQ, batch: Padded, levels: list[int]) -> None:
        self.latents = batch.values.detach()[batch.mask].double().numpy()
        self.arrays = {name: value.detach().double().numpy() for name, value in rule.named_parameters()}
        self.levels, self.books = levels, rule.num_codebooks
        shape = (len(self.latents), self.books, len(levels))
        self.offset, self.codes = np.zeros(shape), np.zeros(shape[:2], dtype=int)
        for n, q, i in np.ndindex(shape):
            value = self.bounded(n, q, i)
            self.offset[n, q, i] = round(value) - value
            self.codes[n, q] += (round(value) + levels[i] // 2) * math.prod(levels[:i])

    def bounded(self, n: int, q: int, i: int) -> float:
        block = self.latents[n].reshape(self.books, -1)[q]
        if "into.weight" not in self.arrays:
            return bounded(block[i], self.levels[i])
        products = [x * w for x, w in zip(block, self.arrays["into.weight"][q, :, i], strict=True)]
        return bounded(sum(products) + self.arrays["into.bias"][q, i], self.levels[i])

    def values(self, n: int) -> np.ndarray:
        found: list[float] = []
        for q in range(self.books):
            grid = [
                (self.bounded(n, q, i) + self.offset[n, q, i]) / (count // 2)
                for i, count in enumerate(self.levels)
            ]
            if "back.weight" in self.arrays:
                pairs = zip(self.arrays["back.weight"][q].T, self.arrays["back.bias"][q], strict=True)
                grid = [sum(g * w for g, w in zip(grid, column, strict=True)) + b for column, b in pairs]
            found += grid
        return np.array(found)

    def total(self, task: np.ndarray) -> float:
        return float(sum(row @ self.values(n) for n, row in enumerate(task)))


@pytest.mark.parametrize(
    "make",
    [
        partial(FSQ, levels=[8, 5, 5, 5]),
        partial(FSQ, levels=[2, 3], num_codebooks=4, project=False),
        partial(FSQ, levels=[7, 5, 5, 5, 5]),
    ],
)
def test_fsq_keeps_the_contract(make):
    check_bottleneck(make)


@pytest.mark.parametrize(("levels", "books"), [([8, 5, 3], 1), ([4, 2], 2), ([3, 4, 7], 2)])
@pytest.mark.parametrize("project", [True, False])
def test_values_codes_and_gradients_are_those_of_the_loops(levels, books, project):
    torch.manual_seed(0)
    dim = books * (4 if project else len(levels))
    rule, batch = FSQ(dim, levels=levels, num_codebooks=books, project=project), padded(dim)
    task = torch.randn(batch.values.shape)
    oracle = Oracle(rule, batch, levels)

    output = rule(batch)
    (output.values * task)[batch.mask].sum().backward()

    assert np.array_equal(output.codes[batch.mask].numpy(), oracle.codes)
    expected = np.array([oracle.values(n) for n in range(6)])
    assert np.allclose(output.values[batch.mask].detach().numpy(), expected, atol=1e-6)
    assert output.loss.item() == 0
    function = partial(oracle.total, task[batch.mask].double().numpy())
    slope = slopes(function, oracle.latents)
    assert np.allclose(batch.values.grad[batch.mask].numpy(), slope, rtol=1e-4, atol=1e-5)
    for name, parameter in rule.named_parameters():
        slope = slopes(function, oracle.arrays[name])
        assert np.allclose(parameter.grad.numpy(), slope, rtol=1e-4, atol=1e-5)


def test_example_of_the_papers_notebook():
    rule = FSQ(3, levels=[3, 5, 4], project=False)
    output = rule(Padded(torch.tensor([[[0.25, 0.6, -7.0]]]), torch.tensor([1])))
    assert output.values.flatten().tolist() == pytest.approx([0.0, 0.5, -1.0])
    assert output.codes.item() == 1 + 3 * 3 + 0


def test_every_code_stands_for_a_point_of_its_own_on_the_grid_and_can_be_reached():
    rule = FSQ(3, levels=[2, 3, 4], project=False)
    points = rule.lookup(torch.arange(24).view(-1, 1))
    axes = ([-1.0, 0.0], [-1.0, 0.0, 1.0], [-1.0, -0.5, 0.0, 0.5])
    expected = [point[::-1] for point in itertools.product(*axes[::-1])]  # the first dimension moves fastest
    assert [tuple(point) for point in points.tolist()] == expected
    torch.manual_seed(0)
    codes = rule(Padded(3 * torch.randn(1, 2000, 3), torch.tensor([2000]))).codes
    assert codes.unique().tolist() == list(range(24))


@pytest.mark.parametrize(
    ("levels", "bits"),
    [
        ([8, 6, 5], 8),
        ([8, 5, 5, 5], 10),
        ([7, 5, 5, 5, 5], 12),
        ([8, 8, 8, 6, 5], 14),
        ([8, 8, 8, 5, 5, 5], 16),
    ],
)
def test_levels_of_the_papers_table_come_near_their_size(levels, bits):
    rule = FSQ(8, levels=levels)
    assert rule.num_codes == math.prod(levels)
    assert math.log2(rule.num_codes) == pytest.approx(bits, abs=0.15)


def test_grid_is_no_state():
    assert set(FSQ(8, levels=[5, 5]).state_dict()) == {"into.weight", "into.bias", "back.weight", "back.bias"}
    assert not FSQ(2, levels=[5, 5], project=False).state_dict()


def test_levels_that_cannot_be_are_named():
    with pytest.raises(RecipeError, match="makes 100,000 codes; accepted: at most 65,536"):
        FSQ(8, levels=[10] * 5)
    with pytest.raises(RecipeError, match="3 levels for blocks of 4 dimensions; accepted: 4 levels"):
        FSQ(8, levels=[5] * 3, num_codebooks=2, project=False)
    with pytest.raises(RecipeError, match="num_codebooks is 3, which does not divide the latent size 8"):
        FSQ(8, levels=[5], num_codebooks=3)


def test_stats_count_the_codes():
    rule = FSQ(2, levels=[3, 3], project=False)
    latents = torch.tensor([[[0.0, 0.0], [9.0, 9.0], [0.0, 0.0], [9.0, 9.0], [-9.0, 0.0]]])
    stats = rule(Padded(latents, torch.tensor([4]))).stats
    assert stats["batch_perplexity"].item() == pytest.approx(2.0)
    assert stats["used"].item() == pytest.approx(2 / 9)
