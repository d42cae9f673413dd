"""Products of few vectors with large matrices: torch's up to rounding, and torch's own where gradients are wanted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from unitdisc_translation.product import Linear, product
from unitdisc_translation.transformer import FeedForward, Residual

SIZE = 520, 512  # large enough for columns


@pytest.mark.parametrize("shape", [(0,), (1,), (3,), (1, 4), (1, 7), (5, 1), (2, 4, 6), (96,), (97,)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_a_product_is_that_of_numpy_for_few_vectors_and_many(shape: tuple[int, ...], has_bias: bool):
    generator = torch.Generator().manual_seed(1)
    x, weight = (torch.randn(*size, generator=generator) for size in ((*shape, SIZE[1]), SIZE))
    bias = torch.randn(SIZE[0], generator=generator) if has_bias else None
    expected = x.double().numpy() @ weight.double().numpy().T
    expected = expected if bias is None else expected + bias.double().numpy()
    with torch.no_grad():
        found = product(x, weight, bias)
    assert found.shape == (*shape, SIZE[0])
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_vectors_that_do_not_lie_side_by_side_give_the_same():
    x, weight = torch.randn(1, SIZE[1], 9).transpose(1, 2), torch.randn(SIZE)
    torch.testing.assert_close(product(x, weight), product(x.contiguous(), weight))
    torch.testing.assert_close(product(product(x, weight), weight.t()), x @ weight.t() @ weight)


def test_with_gradients_every_bit_is_torchs():
    torch.manual_seed(1)
    x, own, other = torch.randn(2, 8, SIZE[1]), Linear(SIZE[1], SIZE[0]), nn.Linear(SIZE[1], SIZE[0])
    other.load_state_dict(own.state_dict())
    for map_ in (own, other):
        map_(x).square().sum().backward()
    assert torch.equal(own(x), other(x))
    assert torch.equal(own.weight.grad, other.weight.grad)
    assert torch.equal(own.bias.grad, other.bias.grad)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_training_draws_and_gives_what_the_plain_modules_do(norm: str):
    torch.manual_seed(1)
    inner, around, x = (
        FeedForward(8, inner=16, dropout=0.3),
        Residual(8, norm=norm, dropout=0.2),
        torch.randn(3, 5, 8),
    )
    plain = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 8), nn.Dropout(0.2))
    plain[:4].load_state_dict(inner.state_dict())
    found = []
    for whole in (
        lambda: around(x, inner),
        lambda: x + plain(around.norm(x)) if norm == "pre" else around.norm(x + plain(x)),
    ):
        torch.manual_seed(2)
        found.append(whole())
        found[-1].square().sum().backward()
    assert torch.equal(*found)
    assert torch.equal(inner[0].weight.grad, plain[0].weight.grad)
    around.eval(), inner.eval(), plain.eval()
    expected = x + plain(around.norm(x)) if norm == "pre" else around.norm(x + plain(x))
    assert torch.equal(around(x, inner), expected)


@torch.no_grad()
def test_torchs_linear_is_used_where_it_is_faster(monkeypatch: pytest.MonkeyPatch):
    calls = []
    monkeypatch.setattr(F, "linear", lambda x, weight, bias=None: calls.append(len(x)) or x @ weight.t())
    large, small = torch.randn(SIZE), torch.randn(16, SIZE[1])
    for count in (1, 3, 4, 96, 97):
        product(torch.randn(count, SIZE[1]), large)
    assert calls == [1, 3, 97]
    product(torch.randn(8, SIZE[1]), small)
    assert calls[-1] == 8
