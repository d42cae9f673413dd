"""Columns for the characters of lines: what is written, what an encoder may see, and lines with known columns."""

from __future__ import annotations

import json
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.tiny import command
from unitdisc.align import middles
from unitdisc.data import FeatureSpec
from unitdisc.manifest import read_folder
from unitdisc.parts import Padded
from unitdisc.testing import check_encoder
from unitdisc_handwriting.encoder import LineConv
from unitdisc_handwriting.source import Lines

COLUMNS = FeatureSpec((32,), 1.0, "column", standardize=False)
NARROW = partial(LineConv, channels=(4, 4, 4, 4, 4, 4, 8), projection=6, layers=0)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNITDISC_CACHE", str(tmp_path / "cache"))


def write(folder: Path, texts: dict[str, str], *, height: int = 32, width: int = 40) -> Path:
    folder.mkdir()
    rows = []
    for key, text in texts.items():
        Image.fromarray(np.full((height, width), 255, np.uint8)).save(folder / f"{key}.png")
        rows.append(json.dumps({"id": key, "path": f"{key}.png", "split": "train", "text": text}))
    (folder / "manifest.jsonl").write_text("\n".join(rows))
    (folder / "marks.tsv").write_text("id\tstart_column\tend_column\tmark\na\t0\t5\tx\na\t5\t9\ty\n")
    return folder


def lines(root: Path, **parameters) -> Lines:
    source = Lines(root=root, **parameters)
    source.prepare()
    return source


def test_characters_stand_in_the_columns_of_the_stored_image(tmp_path):
    corpus = write(tmp_path / "c", {"a": "o n", "b": "on", "c": "no"}, height=64, width=81)
    before = lines(corpus, text=True)  # 81 x 64 is read as 41 x 32
    spans = {"a": [(0.0, 10.0), (10.0, 11.5), (12.0, 41.0)], "c": [(1.0, 20.5), (20.5, 30.0)]}
    (tmp_path / "out").mkdir()

    says = before.write_aligned(tmp_path / "out", "text", spans)

    assert "2 lines (2 train)" in says
    after = lines(tmp_path / "out", text=True, labels=("characters",))
    columns = {line.id: [*map(tuple, line.labels["characters"])] for line in after.imported.lines}
    assert columns == {
        "a": [(0, 20, "o"), (20, 23, "|"), (24, 81, "n")],
        "c": [(2, 41, "n"), (41, 59, "o")],
    }
    one, other = before.split("train")[0], after.split("train")[0]
    assert torch.equal(one.inputs, other.inputs)
    assert torch.equal(one.targets["text"], other.targets["text"])
    vocab = after.targets["characters"].vocab
    spelt = [vocab[number] if number >= 0 else "-" for number in other.targets["characters"].tolist()]
    assert "".join(spelt) == "o" * 10 + "|" * 2 + "n" * 29  # column 11 shows the stored 22
    assert after.checksum() != before.checksum()


def test_the_table_can_be_laid_beside_the_manifest(tmp_path):
    corpus = write(tmp_path / "c", {"a": "é e\u00a0x"})
    (tmp_path / "out").mkdir()
    spans = [(8.0 * place, 8.0 * place + 8) for place in range(5)]
    lines(corpus, text=True).write_aligned(tmp_path / "out", "text", {"a": spans})
    (corpus / "characters.tsv").write_bytes((tmp_path / "out" / "characters.tsv").read_bytes())
    table = read_folder(corpus, tables=["characters"], unit="column").tables["characters"]["a"]
    assert [label.symbol for label in table] == ["é", "|", "e", "|", "x"]
    beside, written = lines(corpus, labels=("characters",)), lines(tmp_path / "out", labels=("characters",))
    assert torch.equal(*(source.split("train")[0].targets["characters"] for source in (beside, written)))


def test_a_table_of_labels_is_aligned_anew_and_others_stay(tmp_path):
    corpus = write(tmp_path / "c", {"a": "on"})
    source = lines(corpus, labels=("marks",))
    (tmp_path / "out").mkdir()
    source.write_aligned(tmp_path / "out", "marks_sequence", {"a": [(1.0, 3.0), (3.0, 20.0)]})
    (line,) = lines(tmp_path / "out", labels=("marks",)).imported.lines
    assert line.labels == {"marks": [[1, 3, "x"], [3, 20, "y"]]}


def test_neighbours_halve_the_blanks_between_them():
    assert middles([(0, 2), (2, 3), (8, 9), (10, 12)]) == [2, 5.5, 9.5]
    assert middles([(3, 4)]) == []


def test_an_encoder_without_lstms_keeps_the_contract_and_sees_27_columns():
    check_encoder(NARROW, COLUMNS)
    part = NARROW(COLUMNS).eval()
    assert part.stride == 2
    inputs = torch.rand(1, 80, 32, requires_grad=True)
    latents = part(Padded(inputs, torch.tensor([80]))).values
    assert latents.shape == (1, 40, 6)
    latents[0, 20].square().sum().backward()
    seen = inputs.grad[0].abs().sum(1).nonzero().flatten().tolist()
    assert (seen[0], seen[-1]) == (27, 53)  # 13 to either side of column 40


GLYPHS = {
    "i": np.tile([0, 1, 1, 0, 0, 1, 1, 0], (20, 1)),  # 8 columns wide
    "e": np.repeat([1, 0, 1, 0, 1], 4)[:, None] * np.ones((1, 12), int),
    "x": np.kron(np.indices((5, 4)).sum(0) % 2, np.ones((4, 4), int)),  # 16
}
RECIPE = """
data: {use: lines, root: ROOT, text: true}
encoder: {use: line_conv, layers: 0, channels: [4, 4, 8, 8, 8, 16, 16], projection: 16}
bottleneck: {use: none}
heads: {ctc: {use: ctc, target: text}}
metrics: {cer: {use: per, head: ctc, target: text}}
train: {steps: 150, batch_frames: 600, lr: 1.0e-2, warmup: 10, threads: 1, device: cpu}
export: {splits: [], formats: []}
"""


def write_glyphs(root: Path) -> dict[str, list[tuple[int, int]]]:
    """Write lines of glyphs 2 to 6 columns apart with texts alone; return their columns."""
    rng = np.random.Generator(np.random.PCG64(0))
    root.mkdir()
    truth: dict[str, list[tuple[int, int]]] = {}
    rows = []
    for number in range(40):
        key, text, page = f"l{number:02d}", "", [np.zeros((32, 4))]
        truth[key] = []
        for kind in rng.choice(list(GLYPHS), int(rng.integers(3, 8))):
            start = sum(part.shape[1] for part in page)
            glyph = np.pad(GLYPHS[kind], ((6, 6), (0, 0)))
            truth[key].append((start, start + glyph.shape[1]))
            page += [glyph, np.zeros((32, int(rng.integers(2, 7))))]
            text += kind
        ink = np.concatenate(page, axis=1)
        grey = 230 - 190 * ink + rng.normal(0, 4, ink.shape)
        Image.fromarray(grey.clip(0, 255).astype(np.uint8)).save(root / f"{key}.png")
        split = "test" if number % 4 == 3 else "train"
        # The text of the first line cannot be spelt with the latents of its width.
        said = "ie" * 200 if number == 0 else text
        rows.append(json.dumps({"id": key, "path": f"{key}.png", "split": split, "text": said}))
    (root / "manifest.jsonl").write_text("\n".join(rows))
    del truth["l00"]
    return truth


@pytest.mark.torchaudio
def test_texts_alone_give_boundaries_between_the_characters(tmp_path):
    truth = write_glyphs(tmp_path / "glyphs")
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("ROOT", str(tmp_path / "glyphs")))
    done = command("train", tmp_path / "recipe.yaml", "--out", tmp_path / "run")
    assert done.code == 0, done.err
    done = command("data", "align", tmp_path / "run", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert done.err.startswith("left out l00: its transcript of 400 symbols needs 400 latents")
    assert "39 lines (29 train, 10 test)" in done.out
    about = json.loads((tmp_path / "out" / "alignment.json").read_text())
    assert (about["reach"], about["meet"], list(about["left_out"])) == (16, "middle", ["l00"])

    beyond, wrong, all_columns = [], 0, 0  # columns between a boundary and the paper where it should be
    for line in lines(tmp_path / "out", labels=("characters",)).imported.lines:
        found, true = line.labels["characters"], truth[line.id]
        for (before, after), (start, *_) in zip(pairwise(true), found[1:], strict=True):
            beyond.append(max(before[1] - start, start - after[0], 0))
        for (start, end, _), (first, last) in zip(found, true, strict=True):
            wrong += last - first - max(0, min(end, last) - max(start, first))
            all_columns += last - first
    assert np.mean(beyond) < 1
    assert max(beyond) <= 6
    assert wrong / all_columns < 0.1
