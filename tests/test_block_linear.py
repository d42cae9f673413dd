"""Linear maps of blocks."""

from __future__ import annotations

import pytest
import torch

from unitdisc.errors import RecipeError
from unitdisc.layers.block_linear import BlockLinear, block_size


def test_each_block_has_its_own_map():
    torch.manual_seed(0)
    layer = BlockLinear(3, 4, 2)
    torch.nn.init.normal_(layer.bias)
    blocks = torch.randn(5, 3, 4)
    found = layer(blocks)
    for q in range(3):
        expected = torch.nn.functional.linear(blocks[:, q], layer.weight[q].T, layer.bias[q])
        torch.testing.assert_close(found[:, q], expected)


def test_maps_are_float32_under_autocast():
    layer, blocks = BlockLinear(1, 4, 2), torch.randn(5, 1, 4)
    expected = layer(blocks)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(blocks), expected)


def test_first_weights_lie_within_their_bound():
    weight = BlockLinear(2, 10, 14).weight
    assert 0.45 < weight.abs().max().item() <= 0.5


def test_number_of_blocks_that_does_not_divide_is_named():
    assert block_size(12, 3) == 4
    with pytest.raises(
        RecipeError, match="num_codebooks is 5, which does not divide the latent size 12; accepted: 1, 2, 3"
    ):
        block_size(12, 5)
