"""Encoder and decoder of pictures, and blocks that share a codebook: laws, exact likelihoods, memory."""

from __future__ import annotations

import itertools
import math
from functools import partial

import pytest
import torch

from unitdisc.data import FeatureSpec
from unitdisc.errors import RecipeError
from unitdisc.parts import Batch, Padded
from unitdisc.testing import check_bottleneck, check_decoder, check_encoder
from unitdisc.use import Use
from unitdisc_ema.rule import EMA
from unitdisc_images import decoder as module
from unitdisc_images.decoder import DeconvLevels
from unitdisc_images.encoder import ResidualConv
from unitdisc_none.rule import Identity
from unitdisc_shared.rule import Shared
from unitdisc_soft_em.rule import SoftEM


def spec(rows: int, columns: int, colours: int = 3) -> FeatureSpec:
    return FeatureSpec((colours,), 1.0, "pixel", standardize=False, grid=(rows, columns))


SPEECH = FeatureSpec((3, 80), 100.0, "second", standardize=True)


def whole(values: torch.Tensor) -> Padded:
    return Padded(values, torch.full((len(values),), values.shape[1]))


def decoder(rows: int, columns: int, colours: int = 3, **parameters: object) -> DeconvLevels:
    torch.manual_seed(0)
    given = {"grid": (rows // 2, columns // 2), "levels": 5, "channels": 4} | parameters
    return DeconvLevels(3, spec(rows, columns, colours), **given)


def pictures(count: int, made: DeconvLevels) -> tuple[Padded, Batch]:
    torch.manual_seed(1)
    cells, pixels = math.prod(made.grid), math.prod(made.pixels)
    inputs = whole(torch.rand(count, pixels, made.colours))
    return whole(torch.randn(count, cells, 3)), Batch([str(number) for number in range(count)], inputs)


@pytest.mark.parametrize(
    "parameters", [{}, {"kernel": 5, "dense": (2, 6)}, {"halvings": 0, "residual_layers": 0}]
)
def test_the_encoder_keeps_the_contract(parameters):
    check_encoder(partial(ResidualConv, channels=4, **parameters), spec(8, 12))


@pytest.mark.parametrize(
    "parameters", [{}, {"kernel": 5, "dense": (1, 1)}, {"kernel": 3, "residual_layers": 0}]
)
def test_the_decoder_keeps_the_contract(parameters):
    check_decoder(
        partial(DeconvLevels, channels=16, levels=7, **parameters), spec(8, 8), stride=16, grid=(2, 2)
    )


def test_nats_of_half_the_precision_break_the_law():
    class Half(DeconvLevels):
        def nats(self, latents: Padded, batch: Batch) -> torch.Tensor:
            nats = super().nats(latents, batch)
            return nats.bfloat16() if torch.is_autocast_enabled("cpu") else nats

    with pytest.raises(AssertionError, match=r"nats are \(B,\) float32, .*: they are torch\.bfloat16"):
        check_decoder(partial(Half, channels=16, levels=7), spec(8, 8), stride=16, grid=(2, 2))


def test_the_encoder_of_the_paper_gives_64_latents_of_16_pixels():
    made = ResidualConv(spec(32, 32), channels=8)
    assert (made.grid, made.stride, made.dim) == ((8, 8), 16, 8)
    assert ResidualConv(spec(32, 32), channels=8, halvings=4, kernel=5, dense=(8, 8)).stride == 16


def test_a_latent_sees_the_cell_that_it_stands_for():
    torch.manual_seed(0)
    made = ResidualConv(spec(16, 24), channels=6, residual_layers=0)
    inputs = torch.rand(1, 16 * 24, 3, requires_grad=True)
    latents = made(whole(inputs)).values.view(4, 6, -1)
    (gradient,) = torch.autograd.grad(latents[2, 5].sum(), inputs)
    rows, columns = (gradient.view(16, 24, 3) != 0).any(-1).nonzero().unbind(1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (
        5,
        14,
        17,
        23,
    )  # 10 around [8, 12), [20, 24)


def test_a_pixel_is_explained_by_its_cell():
    made = decoder(8, 16, residual_layers=0, channels=32)
    latents, _ = pictures(1, made)
    values = latents.values.clone().requires_grad_()
    hidden = made._hidden(whole(values)).view(8, 16, -1)
    (gradient,) = torch.autograd.grad(hidden[5, 12].sum(), values)
    reached = (gradient.view(4, 8, 3) != 0).any(-1).nonzero().tolist()
    assert [2, 6] in reached
    assert all(abs(row - 2) <= 1 and abs(column - 6) <= 1 for row, column in reached)


@pytest.mark.parametrize("chunk", [1, 64, 10**6])
def test_nats_match_a_loop_in_float64_whatever_is_in_memory_at_once(monkeypatch, chunk):
    monkeypatch.setitem(module._CHUNK, "cpu", chunk)
    made = decoder(4, 8)
    latents, batch = pictures(3, made)
    logits = made._logits(made._hidden(latents)).detach().double()
    expected = torch.zeros(3, dtype=torch.float64)
    for picture, pixel, colour in itertools.product(range(3), range(32), range(3)):
        level = min(math.floor(batch.inputs.values[picture, pixel, colour].item() * 5), 4)
        shares = logits[picture, pixel, colour].exp()
        expected[picture] -= math.log(shares[level] / shares.sum())
    assert torch.allclose(made.nats(latents, batch).double(), expected, rtol=1e-5)


def test_the_likelihoods_of_all_pictures_sum_to_one():
    made = decoder(2, 4, 1, levels=2)
    every = torch.tensor(list(itertools.product([0.25, 0.75], repeat=8)))[..., None]
    latents = whole(torch.randn(1, 2, 3).expand(len(every), -1, -1))
    nats = made.nats(latents, Batch(["x"] * len(every), whole(every)))
    assert (-nats.double()).exp().sum().item() == pytest.approx(1, abs=1e-6)


def test_bits_per_dimension_count_every_colour():
    made = decoder(4, 8)
    latents, batch = pictures(2, made)
    loss, numbers = made(latents, batch)
    bits = made.nats(latents, batch).sum() / math.log(2)
    assert numbers["bpd"].item() == pytest.approx(bits.item() / (2 * 32 * 3), rel=1e-5)
    assert (numbers["levels"].item(), loss.item()) == (
        5,
        pytest.approx(numbers["bpd"].item() * 3 * math.log(2)),
    )


def test_no_distribution_is_kept_for_the_gradient(monkeypatch):
    monkeypatch.setitem(module._CHUNK, "cpu", 64)
    made = decoder(8, 8, levels=256)
    latents, batch = pictures(8, made)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: (kept.append(tensor.nbytes), tensor)[1], lambda x: x
    ):
        made.nats(latents, batch)
    one_copy = 8 * 64 * 3 * 256 * 4
    assert sum(kept) < one_copy / 3


def test_reconstructions_are_expected_values():
    made = decoder(4, 8)
    latents, batch = pictures(3, made)
    shares = made._logits(made._hidden(latents)).softmax(-1)
    expected = sum(shares[..., level] * (level + 0.5) / 5 for level in range(5))
    found = made.reconstruct(latents, batch.inputs.lengths)
    assert len(found) == 3
    assert torch.allclose(torch.stack(found), expected, atol=1e-6)


def test_samples_have_the_shares_of_their_levels():
    made = decoder(2, 2, 1, levels=3)
    latents = whole(torch.randn(1, 1, 3).expand(4000, -1, -1))
    torch.manual_seed(2)
    drawn = torch.stack(made.sample(latents, latents.lengths * 4))
    shares = made._logits(made._hidden(latents))[0].softmax(-1)
    for level in range(3):
        found = (drawn == (torch.tensor(level) + 0.5) / 3).float().mean(0)
        assert torch.allclose(found, shares[..., level], atol=0.03)
    coldest = made.sample(whole(latents.values[:2]), latents.lengths[:2], temperature=1e-4)[0]
    assert torch.equal(coldest, (shares.argmax(-1) + 0.5) / 3)


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: ResidualConv(SPEECH), "residual_conv reads pictures, the data has frames of shape"),
        (lambda: ResidualConv(spec(32, 20), halvings=3), "32 x 20 pixels cannot be halved 3 times"),
        (lambda: ResidualConv(spec(8, 8), dense=(3, 5)), "3 x 5 latents do not divide 64 pixels evenly"),
        (lambda: DeconvLevels(3, SPEECH, grid=None), "deconv_levels explains pictures of a grid of latents"),
        (
            lambda: DeconvLevels(3, spec(8, 8), grid=(2, 3)),
            "2 x 3 latents cannot be doubled into 8 x 8 pixels",
        ),
        (lambda: Shared(8, rule=Identity(8), num_blocks=2), "quantises nothing"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_change(make, found):
    with pytest.raises(RecipeError) as error:
        make()
    assert found in str(error.value)


@pytest.mark.parametrize(
    "rule",
    [partial(EMA, num_codes=5), partial(SoftEM, num_codes=5), partial(EMA, num_codes=5, num_codebooks=2)],
)
def test_blocks_that_share_a_codebook_keep_the_contract(rule):
    check_bottleneck(lambda dim: Shared(dim, rule=rule(dim // 2), num_blocks=2))


def test_blocks_are_latents_of_one_rule():
    torch.manual_seed(0)
    rule = EMA(2, num_codes=4, init="normal").eval()
    made = Shared(6, rule=rule, num_blocks=3).eval()
    batch = Padded(torch.randn(2, 3, 6), torch.tensor([3, 1]))
    found = made(batch)
    assert (made.num_codes, made.num_codebooks, tuple(found.codes.shape)) == (4, 3, (2, 3, 3))
    for row, step, block in itertools.product(range(2), range(3), range(3)):
        code = found.codes[row, step, block].item()
        if step >= batch.lengths[row]:
            assert code == -1
            continue
        vector = batch.values[row, step, 2 * block : 2 * block + 2]
        assert code == (rule.codebook[0] - vector).square().sum(1).argmin().item()
        assert torch.allclose(found.values[row, step, 2 * block : 2 * block + 2], rule.codebook[0, code])


def test_a_recipe_supplies_the_size_of_a_block_to_the_rule_inside():
    inner = Use("bottleneck", "ema", EMA, {"num_codes": 5}, "r.yaml:2:3")
    made = Use("bottleneck", "shared", Shared, {"rule": inner, "num_blocks": 4}, "r.yaml:1:1")
    assert made.build(dim=12).rule.dim == 3
    with pytest.raises(RecipeError) as error:
        made.build(dim=10)
    assert str(error.value).startswith(
        "r.yaml:1:1: num_blocks is 4, which does not divide the latent size 10"
    )
