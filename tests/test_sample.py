"""Pictures of what models know: which rows there are, what their numbers mean, and what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests import tiny
from tests.tiny import command
from unitdisc.data import collate
from unitdisc.errors import RecipeError
from unitdisc.likelihood import Prior
from unitdisc.looks import Looker
from unitdisc.parts import Padded
from unitdisc.report.gallery import gallery
from unitdisc.report.picture import Band, bands
from unitdisc.run import load
from unitdisc.sample import _spread, sample
from unitdisc.units import Units

PICTURES = """
seed: 1
data: {use: images, root: pictures, size: [8, 8]}
encoder: {use: residual_conv, channels: 8, residual_layers: 1, halvings: 1}
latents: {norm: batch, dim: 8}
bottleneck: {use: ema, num_codes: 8}
decoder: {use: deconv_levels, channels: 8, residual_layers: 1, levels: 16}
metrics: {perplexity: {use: perplexity}}
train:
  {steps: 2, batch_frames: 512, lr: 1.0e-2, warmup: 0, average: null, threads: 1, device: cpu,
    checkpoint_every: 2, log_every: 1}
export: {splits: [], formats: []}
"""


class Even(Prior):
    """Every code is as likely as any other."""

    def __init__(self, num_codes: int, stride: int) -> None:
        super().__init__()
        self.num_codes, self.stride = num_codes, stride

    def log_probs(self, latents: Padded) -> Tensor:
        return torch.full((*latents.values.shape, self.num_codes), -np.log(self.num_codes))

    def draw(self, lengths: Tensor, *, temperature: float = 1.0) -> Tensor:
        del temperature
        codes = torch.randint(self.num_codes, (len(lengths), int(lengths.max()), 1))
        return codes.masked_fill(~Padded(codes, lengths).mask[..., None], -1)


def noisy(decoder, latents, lengths, conditions=None, *, temperature=1.0):
    """Draw around what the decoder expects."""
    expected = decoder.reconstruct(latents, lengths, conditions)
    return [frames + 0.1 * temperature * torch.randn_like(frames) for frames in expected]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny.corpora(tmp_path_factory.getbasetemp())
    if not (folder / "pictures").exists():
        rng = np.random.default_rng(3)
        (folder / "pictures").mkdir()
        for split, count in (("train", 16), ("test", 6)):
            images = rng.integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)
            np.savez(folder / "pictures" / f"{split}.npz", images=images)
        (folder / "pictures.yaml").write_text(PICTURES)
    return folder


def trained(corpora: Path, folder: Path, kind: str, *changes: str) -> Path:
    done = command("train", corpora / f"{kind}.yaml", "--out", folder, "train.steps=2", *changes)
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def lines(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(corpora, tmp_path_factory.mktemp("sample") / "lines", "lines", "seed=9")


@pytest.fixture(scope="module")
def pictures(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    folder = tmp_path_factory.mktemp("sample")
    first, second = (
        trained(corpora, folder / str(seed), "pictures", f"seed={seed}", f"data.root={corpora / 'pictures'}")
        for seed in (1, 2)
    )
    gradient = ("bottleneck={use: gradient, num_codes: 8}", f"data.root={corpora / 'pictures'}")
    return first, second, trained(corpora, folder / "gradient", "pictures", *gradient)


@pytest.fixture
def run(lines: Path, tmp_path: Path) -> Path:
    return shutil.copytree(lines, tmp_path / "run")


def about(folder: Path) -> dict:
    return json.loads((folder / "samples.json").read_text())


def one_line(done: tiny.Done, code: int) -> str:
    assert done.code == code, done
    assert done.err.startswith("unitdisc: ")
    assert done.err.count("\n") == 1
    return done.err


def test_lines_stand_above_their_reconstructions_in_the_run_folder(run):
    done = command("sample", run, "--count", "2", "--seed", "5")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-2:] == [str(run / "samples.png"), str(run / "samples.json")]
    meta, opened = about(run), load(run)
    assert meta["keys"] == [opened.source.split("test").keys[place] for place in (0, 2)]
    assert (meta["split"], meta["seed"], meta["temperature"]) == ("test", 5, 1.0)
    assert meta["runs"][0]["checkpoint_sha256"] == opened.checkpoint.digest
    assert meta["runs"][0]["rows"] == ["expected"]  # pixels are independent, so nothing is drawn
    assert meta["runs"][0]["shows"] == "expected"
    assert meta["picture_sha256"] == hashlib.sha256((run / "samples.png").read_bytes()).hexdigest()
    assert not tiny.leftovers(run)


def test_error_and_bits_over_a_split_are_those_of_scoring_and_of_a_loop(run):
    assert command("evaluate", run).code == 0
    assert command("sample", run, "--count", "1", "--over", "1000").code == 0
    (item,) = about(run)["runs"]
    opened = load(run)
    split = opened.source.split("test")
    assert item["examples_measured"] == len(split)
    losses = opened.metrics["losses"]
    assert item["scores"]["bpd"] == pytest.approx(losses["decoder.bpd"], rel=1e-5)
    assert item["scores"]["levels"] == losses["decoder.levels"]
    squares = count = 0
    for index in range(len(split)):
        batch = collate([split[index]])
        with torch.inference_mode():
            latents = opened.model.encode(batch)
            seen = Padded(opened.model.quantize(latents).values, latents.lengths)
            (expected,) = opened.model.decoder.reconstruct(seen, batch.inputs.lengths, batch.conditions)
        error = expected.double().numpy() - split[index].inputs.double().numpy()
        squares, count = squares + (error**2).sum(), count + error.size
    assert item["scores"]["mse"] == pytest.approx(squares / count, rel=1e-5)


def test_draws_and_a_prior_add_rows_and_follow_the_seed(run, monkeypatch):
    opened = load(run)
    monkeypatch.setattr(type(opened.model.decoder), "sample", noisy, raising=False)
    opened.model.named_heads["head_prior"] = Even(8, opened.model.stride)
    contents = [sample([opened], count=2, seed=seed) for seed in (1, 2, 1)]
    rows = ["expected", "draw", "from the prior, expected", "from the prior, draw"]
    assert contents[0]["runs"][0]["rows"] == rows
    digests = [content["picture_sha256"] for content in contents]
    assert digests[0] == digests[2] != digests[1]
    assert contents[0]["runs"][0]["scores"] == contents[1]["runs"][0]["scores"]
    warm = sample([opened], count=2, seed=1, temperature=2.0)
    assert warm["picture_sha256"] != digests[0]


def test_drawing_leaves_the_random_numbers_of_others_alone(run, monkeypatch):
    opened = load(run)
    monkeypatch.setattr(type(opened.model.decoder), "sample", noisy, raising=False)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    sample([opened], count=2)
    assert torch.equal(torch.rand(3), expected)


def test_a_prior_is_found_or_named(run):
    opened = load(run)
    for name in ("prior", "other"):
        opened.model.named_heads[f"head_{name}"] = Even(8, opened.model.stride)
    with pytest.raises(RecipeError, match="has the priors prior, other; choose one with --prior"):
        sample([opened])
    assert sample([opened], prior="other", count=1)["runs"][0]["rows"] == [
        "expected",
        "from the prior, expected",
    ]
    with pytest.raises(RecipeError, match="no head 'othr' to draw codes from; did you mean 'other'"):
        sample([opened], prior="othr")


def test_pictures_of_one_run_and_of_several(pictures, tmp_path):
    first, second, gradient = pictures
    assert command("sample", first, "--count", "3", "--out", tmp_path / "one").code == 0
    assert about(tmp_path / "one")["runs"][0]["rows"] == ["expected", "draw"]
    done = command("sample", first, second, gradient, "--over", "4", "--out", tmp_path / "three")
    assert done.code == 0, done.err
    meta = about(tmp_path / "three")
    assert [item["label"] for item in meta["runs"]] == ["ema, seed 1", "ema, seed 2", "gradient, seed 1"]
    assert all(item["rows"] == ["expected"] for item in meta["runs"])
    assert len(meta["keys"]) == 6
    scores = [item["scores"] for item in meta["runs"]]
    ema, other = meta["spread"]
    assert (ema["rule"], ema["seeds"], other["seeds"]) == ("ema", [1, 2], [1])
    for name in ("mse", "bpd"):
        pair = scores[0][name], scores[1][name]
        assert ema[name]["mean"] == pytest.approx(np.mean(pair))
        assert ema[name]["deviation"] == pytest.approx(np.std(pair, ddof=1))
        assert (ema[name]["least"], ema[name]["most"]) == (min(pair), max(pair))
        assert other[name]["deviation"] is None
    assert "2 seeds: mse" in done.out
    warm = command("sample", first, second, "--temperature", "0.5", "--out", tmp_path / "three")
    assert warm.code == 0
    assert about(tmp_path / "three")["runs"][0]["rows"] == ["expected", "draw"]


def test_runs_of_one_rule_and_seed_are_told_apart(corpora, pictures, tmp_path):
    other = trained(
        corpora,
        tmp_path / "wide",
        "pictures",
        "name=wide",
        "bottleneck.num_codes=9",
        f"data.root={corpora / 'pictures'}",
    )
    assert command("sample", pictures[0], other, "--out", tmp_path / "out").code == 0
    labels = [item["label"] for item in about(tmp_path / "out")["runs"]]
    assert labels == ["pictures, seed 1", "wide, seed 1"]


def test_speech_is_shown_as_spectrograms(corpora, tmp_path):
    run = trained(corpora, tmp_path / "run", "speech")
    assert command("sample", run, "--count", "1").code == 0
    (item,) = about(run)["runs"]
    assert item["scores"].keys() == {"mse"}
    with Image.open(run / "samples.png") as drawn:
        assert drawn.width > 500


def test_lines_that_are_not_quantised_have_no_units_below(corpora, tmp_path):
    changes = ("bottleneck={use: none}", "metrics=null", "export.formats=[]", "export.splits=[]")
    run = trained(corpora, tmp_path / "run", "lines", *changes)
    assert command("sample", run, "--count", "1").code == 0
    assert about(run)["runs"][0]["rows"] == ["expected"]


def test_what_is_likeliest_pixel_by_pixel_is_called_so_and_has_no_error(corpora, tmp_path, monkeypatch):
    decoder = "decoder={use: pixel_cnn, hidden: 4, layers: 1}"
    run = trained(corpora, tmp_path / "run", "lines", decoder)
    assert command("evaluate", run).code == 0
    opened, decoded = load(run), []
    inner = type(opened.model.decoder).reconstruct

    def counting(decoder, latents, lengths, conditions=None):
        decoded.extend(lengths.tolist())
        return inner(decoder, latents, lengths, conditions)

    monkeypatch.setattr(type(opened.model.decoder), "reconstruct", counting)
    content = sample([opened], count=1, over=1000)
    (item,) = content["runs"]
    assert (item["shows"], item["rows"]) == ("likeliest", ["likeliest", "draw"])
    assert item["scores"].keys() == {"bpd", "levels"}
    assert item["scores"]["bpd"] == pytest.approx(opened.metrics["losses"]["decoder.bpd"], rel=1e-5)
    assert item["examples_measured"] > 1 == len(decoded)  # bits need no slow decoding
    assert "mse" not in content["spread"][0]


@pytest.mark.parametrize(
    ("total", "count", "places"), [(7, 3, [0, 2, 4]), (15, 8, None), (4, 9, [0, 1, 2, 3])]
)
def test_examples_are_from_all_over_the_split(total, count, places):
    found = _spread(total, count)
    assert found == (places or [0, 1, 3, 5, 7, 9, 11, 13])


def test_what_is_shown_is_in_the_order_of_the_examples_whatever_their_lengths(run):
    opened = load(run)
    split = opened.source.split("test")
    order = sorted(
        range(len(split)), key=split.lengths.__getitem__, reverse=True
    )  # batches begin with short ones
    assert split.lengths[order[0]] > split.lengths[order[-1]]
    look = Looker(opened, prior="", with_draws=False, temperature=1.0).look(split, order, None, seed=1)
    assert [units.key for units in look.units] == [split.keys[index] for index in order]
    assert [len(frames) for frames in look.shown] == [split.lengths[index] for index in order]


def test_a_run_is_not_replaced_by_its_samples(run):
    assert command("sample", run, "--count", "1").code == 0  # from here on it holds samples.json
    said = one_line(command("sample", run, "--count", "1", "--out", run), 5)
    assert "is the folder of a run" in said
    assert load(run).recipe.seed == 9


def test_what_cannot_be_shown_is_one_line(corpora, lines, pictures, tmp_path):
    none = trained(corpora, tmp_path / "none", "lines", "decoder=null", "heads.probe.detach=false")
    assert "its recipe has no decoder" in one_line(command("sample", none), 2)
    assert "decoder grey_levels has no sample" in one_line(command("sample", lines, "--temperature", "1"), 2)
    assert "has no head 'p' to draw codes from (it has: none)" in one_line(
        command("sample", lines, "--prior", "p"), 2
    )
    assert "--out: is missing" in one_line(command("sample", *pictures), 2)
    out = ("--out", tmp_path / "out")
    assert "the same run is given twice" in one_line(
        command("sample", lines, lines / ".." / lines.name, *out), 2
    )
    assert f"of {lines}; give runs on the same data" in one_line(
        command("sample", lines, pictures[0], *out), 3
    )
    assert "valid" in one_line(command("sample", lines, "--split", "valid", *out), 3)
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    assert "holds other files" in one_line(command("sample", lines, "--out", tmp_path / "full"), 5)
    assert "no run is here" in one_line(command("sample", tmp_path), 5)


def test_a_gallery_shows_every_pixel_beside_captions_and_goes_on_below():
    rng = np.random.default_rng(0)
    rows = [(name, rng.integers(0, 255, (15, 32, 32, 3)).astype(np.uint8)) for name in ("one", "another row")]
    drawn = np.asarray(gallery(rows, title="title"))
    left = next(x for x in range(drawn.shape[1]) if (drawn[40:, x] != 255).mean() > 0.5)
    assert (drawn[:, left - 6 : left] == 255).all()  # captions end before the pictures
    top = next(y for y in range(drawn.shape[0]) if (drawn[y, left:] != 255).mean() > 0.5)
    for row, (_, images) in enumerate(rows):
        for place in (0, 11, 12, 14):
            block, column = divmod(place, 12)
            y = top + block * (2 * 96 + 4 + 20) + row * 100
            x = left + column * 100
            assert (drawn[y : y + 96 : 3, x : x + 96 : 3] == images[place]).all()
    assert drawn.shape[1] < 1450


def test_grey_pictures_and_single_ones_are_drawn():
    image = np.full((8, 8), 7, dtype=np.uint8)
    drawn = np.asarray(gallery([("a", [image])]))
    assert (drawn == 7).all(axis=2).sum() == 96 * 96


def test_bands_share_columns_and_each_has_its_own_units():
    dark, light = np.full((32, 64), 40, dtype=np.uint8), np.full((32, 64), 200, dtype=np.uint8)
    units = Units("a", np.arange(16)[:, None], 0.0, 4.0, 64.0, "column")
    one = bands([Band("dark", dark, units, 4)], title="a")
    two = np.asarray(bands([Band("dark", dark), Band("light", light, units, 4)], title="a"))
    first, second = (np.argwhere((two == value).all(axis=2)) for value in (40, 200))
    assert first[:, 1].min() == second[:, 1].min()
    assert first[:, 1].max() == second[:, 1].max()
    assert first[:, 0].max() < second[:, 0].min()
    assert two.shape[0] - one.height == second[:, 0].max() + 1 - second[:, 0].min() + 4
