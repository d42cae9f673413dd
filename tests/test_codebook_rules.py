"""What codebook rules share: sums per code, rotations, directions, and codebooks from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.test_codebook import nearest64, randn
from unitdisc.codebook import code_sums, nearest, quantize
from unitdisc.codebook.files import read_codebook
from unitdisc.errors import RecipeError
from unitdisc.parts import Padded
from unitdisc.testing import check_bottleneck
from unitdisc_ema.rule import EMA
from unitdisc_gradient.rule import Gradient


@pytest.mark.parametrize(("count", "books", "codes"), [(200, 1, 7), (50, 3, 300), (0, 2, 5)])
def test_sums_per_code_match_a_loop(count, books, codes):
    vectors = randn(count, 6)
    chosen = torch.randint(codes, (count, books), generator=torch.Generator().manual_seed(1))
    sums, counts = code_sums(vectors, chosen, codes)
    expected = np.zeros((books, codes, 6 // books))
    for vector, row in zip(vectors.double().numpy(), chosen.tolist(), strict=True):
        for q, code in enumerate(row):
            expected[q, code] += vector.reshape(books, -1)[q]
    np.testing.assert_allclose(sums.numpy(), expected, atol=1e-5)
    assert counts.tolist() == [
        [int((chosen[:, q] == code).sum()) for code in range(codes)] for q in range(books)
    ]


def rotation_and_scale(latent: np.ndarray, codeword: np.ndarray) -> np.ndarray:
    """The matrix of Fifty et al. that takes a latent to its codeword, in float64."""
    start, end = latent / np.linalg.norm(latent), codeword / np.linalg.norm(codeword)
    middle = (start + end) / np.linalg.norm(start + end)
    rotation = np.eye(len(latent)) - 2 * np.outer(middle, middle) + 2 * np.outer(end, start)
    return rotation * np.linalg.norm(codeword) / np.linalg.norm(latent)


@pytest.mark.parametrize("books", [1, 2])
def test_rotation_passes_the_transpose_of_the_map_onto_the_codeword(books):
    latents, codebook, slope = (
        randn(20, 8).requires_grad_(),
        randn(books, 5, 8 // books, seed=1),
        randn(20, 8, seed=2),
    )
    found = quantize(latents, codebook, estimator="rotation")
    (found.values * slope).sum().backward()
    for n in range(20):
        for q in range(books):
            block = slice(q * 8 // books, (q + 1) * 8 // books)
            latent = latents[n, block].detach().double().numpy()
            codeword = found.values[n, block].detach().double().numpy()
            matrix = rotation_and_scale(latent, codeword)
            np.testing.assert_allclose(matrix @ latent, codeword, atol=1e-6)
            expected = matrix.T @ slope[n, block].double().numpy()
            np.testing.assert_allclose(latents.grad[n, block].numpy(), expected, atol=1e-4)


def test_rotation_of_a_latent_of_length_zero_is_the_identity():
    latents, slope = torch.zeros(1, 3, requires_grad=True), randn(1, 3)
    (quantize(latents, randn(4, 3, seed=1), estimator="rotation").values * slope).sum().backward()
    assert torch.equal(latents.grad, slope)


@pytest.mark.parametrize("make", [Gradient, EMA])
@pytest.mark.parametrize("options", [{"distance": "cosine"}, {"estimator": "rotation"}])
def test_options_keep_the_contract(make, options):
    def build(*, dim: int, num_codebooks: int = 1):
        return make(dim, num_codes=5, num_codebooks=num_codebooks, init="normal", **options)

    check_bottleneck(build)


@pytest.mark.parametrize("make", [Gradient, EMA])
def test_cosine_takes_the_codeword_of_the_smallest_angle(make):
    rule = make(6, num_codes=9, num_codebooks=2, init="normal", distance="cosine")
    latents = randn(40, 6)
    found = rule(Padded(latents[None], torch.tensor([40])))
    for q in range(2):
        block, book = latents[:, 3 * q : 3 * q + 3].double(), rule.codebook[q].detach().double()
        cosines = (block @ book.T) / (block.norm(dim=1)[:, None] * book.norm(dim=1))
        assert torch.equal(found.codes[0, :, q], cosines.argmax(1))
    torch.testing.assert_close(found.values.view(40, 2, 3).norm(dim=-1), torch.ones(40, 2))


@pytest.mark.parametrize("make", [Gradient, EMA])
def test_codebook_starts_from_a_file(make, tmp_path):
    np.save(tmp_path / "books.npy", randn(2, 5, 3).numpy())
    rule = make(6, num_codes=5, num_codebooks=2, init_from=tmp_path / "books.npy")
    assert torch.equal(rule.codebook, read_codebook(tmp_path / "books.npy"))
    with pytest.raises(
        RecipeError, match="holds 2 codebooks of 5 codewords for latents of 6 numbers; the recipe has"
    ):
        make(6, num_codes=4, num_codebooks=2, init_from=tmp_path / "books.npy")


def test_search_finds_the_same_codes_when_many_codewords_fill_several_tiles():
    latents, codebook = randn(70, 5), randn(5000, 5, seed=1)
    assert torch.equal(nearest(latents, codebook), nearest64(latents, codebook))
    assert (
        nearest(latents, codebook.repeat(2, 1)).max() < 5000
    )  # of equal codewords, those of the first tiles


def test_replaced_codewords_start_anew():
    rule = EMA(4, num_codes=3, init="normal")
    batch = Padded(randn(1, 20, 4), torch.tensor([20]))
    for _ in range(3):
        rule.before_step(0.0)
        rule(batch)
        rule.after_step(0.0)
    before = rule.codebook.clone()
    new = randn(1, 3, 4, seed=5)
    rule.replace(new, torch.tensor([[True, False, True]]))
    assert torch.equal(rule.codebook[0, [0, 2]], new[0, [0, 2]])
    assert torch.equal(rule.codebook[0, 1], before[0, 1])
    torch.testing.assert_close(rule.sums[0, [0, 2]] / rule.counts[0, [0, 2], None], new[0, [0, 2]])
    assert rule.counts[0, [0, 2]].tolist() == [1, 1]
    rule.replace(before, torch.ones(1, 3, dtype=torch.bool), counts="keep")
    torch.testing.assert_close(rule.sums / rule.counts[..., None], before)


def pixel_columns(folder: Path, count: int) -> torch.Tensor:
    """Columns of real handwriting, standardised as batch norm does: (N, 32)."""
    columns: list[torch.Tensor] = []
    for path in sorted(folder.rglob("*.png"))[:200:20]:
        with Image.open(path) as image:
            high = image.convert("L").resize((max(1, image.width * 32 // image.height), 32))
            columns += torch.from_numpy(np.array(high, dtype=np.float32)).T
    values = torch.stack(columns)
    values = values[torch.randperm(len(values), generator=torch.Generator().manual_seed(0))[:count]]
    return (values - values.mean(0)) / values.std(0)


@pytest.mark.parametrize("make", [Gradient, EMA])
def test_codewords_longer_than_latents_collapse_the_usage_and_shorter_ones_spread_it(make, shared_data):
    """Paper A, Fig. 1, on real latents: the first codes of random codebooks at four scales."""
    latents = pixel_columns(shared_data / "handwriting_lines", 4000)
    perplexities, ratios = [], []
    for scale in (0.5, 1.0, 2.0, 4.0):
        torch.manual_seed(0)
        rule = make(32, num_codes=256, init="normal")
        every = torch.ones(1, 256, dtype=torch.bool)
        rule.replace(rule.codebook.detach() * scale, every)
        stats = rule(Padded(latents[None], torch.tensor([len(latents)]))).stats
        perplexities.append(stats["batch_perplexity"].item())
        ratios.append(stats["norm_ratio"].item())
    assert ratios == sorted(ratios)
    assert perplexities == sorted(perplexities, reverse=True)
    assert perplexities[0] > 10 * perplexities[-1]
