"""Line images: what is read from which file, what is refused, and where labels stand."""

from __future__ import annotations

import contextlib
import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unitdisc.data import Corpus, collate
from unitdisc.errors import DataError, RecipeError, UnitdiscError
from unitdisc.testing import check_data
from unitdisc_handwriting.image import scaled_width, to_columns
from unitdisc_handwriting.source import Lines

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "handwriting_lines"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNITDISC_CACHE", str(tmp_path / "cache"))


def pixels(height=32, width=20, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def corpus(folder, images, *, manifest=(), table=()):
    """Write the images (name to array or Image), a manifest with further fields, and ``digits.tsv``."""
    folder.mkdir(exist_ok=True)
    rows = []
    for number, (name, image) in enumerate(images.items()):
        (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(folder / name)
        extra = manifest[number] if number < len(manifest) else {}
        rows.append({"id": Path(name).stem, "path": name, "document": "a", **extra})
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    labels = ["id\tstart_column\tend_column\tdigit", *("\t".join(map(str, row)) for row in table)]
    (folder / "digits.tsv").write_text("\n".join(labels) + "\n")
    return folder


def source(folder, **parameters):
    lines = Lines(root=folder, **parameters)
    lines.prepare()
    return lines


def only(folder, **parameters):
    return source(folder, **parameters).split("train")[0]


def refusal(folder, **parameters):
    """Return the one line of the error that the first line of ``folder`` gives."""
    with pytest.raises(UnitdiscError) as caught:
        only(folder, **parameters)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_lines_keep_the_contract(tmp_path):
    check_data(Lines(root=labelled(tmp_path / "c"), labels=("digits",), height=24))


def test_a_line_says_what_its_manifest_says(tmp_path):
    folder = corpus(tmp_path, {"a.png": pixels()}, manifest=[{"writer": 7, "tags": ["x"]}])
    fields = source(folder).split("train").fields(0)
    assert fields == {"id": "a", "path": "a.png", "document": "a", "writer": "7"}


def test_columns_are_read_from_left_to_right_with_ink_high(tmp_path):
    image = pixels()
    example = only(corpus(tmp_path / "c", {"x.png": image}))
    assert example.inputs.dtype == torch.float32
    for column in range(20):
        for row in range(32):
            assert example.inputs[column, row].item() == pytest.approx(1 - image[row, column] / 255)


def test_picture_is_what_lies_on_the_paper(tmp_path):
    image = pixels()
    lines = source(corpus(tmp_path / "c", {"x.png": image}))
    assert (lines.picture(lines.split("train")[0]) == image).all()


def test_light_ink_is_ink_too(tmp_path):
    image = pixels()
    lines = source(corpus(tmp_path / "c", {"x.png": image}), dark_ink=False)
    example = lines.split("train")[0]
    torch.testing.assert_close(example.inputs, torch.from_numpy(image.T.astype(np.float32) / 255))
    assert (lines.picture(example) == 255 - image).all()


def test_grey_of_all_kinds_of_pixels_agrees(tmp_path):
    grey = np.where(pixels() < 128, 0, 255).astype(np.uint8)
    kinds = {
        "bit.png": Image.fromarray(grey).convert("1"),
        "palette.png": Image.fromarray(grey).convert("P"),
        "rgb.png": Image.fromarray(grey).convert("RGB"),
        "cmyk.tif": Image.fromarray(grey).convert("RGB").convert("CMYK"),
        "deep.png": grey.astype(np.uint16) * 257,
        "deep.tif": grey.astype(np.uint16) * 257,
        "grey.bmp": grey,
    }
    for name, image in kinds.items():
        example = only(corpus(tmp_path / name, {name: image}))
        assert torch.equal(example.inputs, torch.from_numpy(1 - grey.T / np.float32(255))), name


def test_sixteen_bits_are_kept(tmp_path):
    deep = np.random.default_rng(0).integers(0, 65536, (32, 9)).astype(np.uint16)
    example = only(corpus(tmp_path / "c", {"x.png": deep}))
    np.testing.assert_allclose(example.inputs.numpy(), 1 - deep.T / 65535, atol=1e-7)


@pytest.mark.parametrize(("dark_ink", "ink"), [(True, 0.25), (False, 0.0)])
def test_what_is_transparent_counts_as_paper(tmp_path, dark_ink, ink):
    image = np.zeros((32, 2, 4), np.uint8)  # black
    image[:, :, 3] = (0, 64)  # the left column shows the paper, the right one a quarter of the black
    example = only(corpus(tmp_path / "c", {"x.png": image}), dark_ink=dark_ink)
    torch.testing.assert_close(example.inputs[:, 0], torch.tensor([0.0, ink]), atol=2e-3, rtol=0)


def test_a_line_of_one_column_is_a_line(tmp_path):
    lines = source(corpus(tmp_path / "c", {"x.png": pixels(width=1)}))
    assert lines.split("train")[0].inputs.shape == (1, 32)
    assert list(lines.split("train").lengths) == [1]


def test_a_line_too_wide_is_refused_before_training(tmp_path):
    folder = corpus(tmp_path / "c", {"x.png": np.zeros((32, 100_000), np.uint8)})
    message = refusal(folder)
    assert "manifest.jsonl:1: x: 100000 columns" in message
    assert "at most 20000 are accepted; cut it" in message
    assert only(folder, max_width=100_000).inputs.shape == (100_000, 32)


@pytest.mark.parametrize(("size", "width"), [((64, 100), 50), ((16, 5), 10), ((48, 7), 5), ((3000, 1), 1)])
def test_other_heights_are_scaled_in_proportion(tmp_path, size, width):
    lines = source(corpus(tmp_path / "c", {"x.png": np.full(size, 51, np.uint8)}))
    assert list(lines.split("train").lengths) == [width]
    torch.testing.assert_close(lines.split("train")[0].inputs, torch.full((width, 32), 0.8))


def test_scaling_keeps_ink_where_it_was():
    grey = np.zeros((64, 128), np.float32)
    grey[:, 32:64] = 1
    columns = to_columns(grey, 32)
    assert scaled_width(128, 64, 32) == 64
    assert columns.shape == (64, 32)
    assert columns[17:31].min() == 1
    assert columns[:15].max() == columns[33:].max() == 0


def test_files_that_are_no_image_are_refused_by_line(tmp_path):
    folder = corpus(tmp_path / "c", {"x.png": pixels()})
    whole = (folder / "x.png").read_bytes()
    damaged = whole[:200] + bytes([whole[200] ^ 255]) + whole[201:]
    for content, reason in (
        (b"", "no image in the form of PNG, TIFF, JPEG, BMP"),
        (b"GIF89a" + bytes(50), "no image in the form of"),
        (whole[: len(whole) // 2], "cannot be decoded"),
        (damaged, "cannot be decoded"),
    ):
        (folder / "x.png").write_bytes(content)
        message = refusal(folder)
        assert f"{folder}/manifest.jsonl:1: x.png: {reason}" in message


def test_damaged_images_never_give_a_traceback(tmp_path):
    folder = corpus(
        tmp_path / "c", {"x.png": pixels(), "x.tif": pixels(), "x.jpg": pixels(), "x.bmp": pixels()}
    )
    rng = np.random.default_rng(0)
    lines = source(corpus(tmp_path / "d", {"x.png": pixels()}))
    for name in ("x.png", "x.tif", "x.jpg", "x.bmp"):
        whole = np.frombuffer((folder / name).read_bytes(), np.uint8)
        for _ in range(60):
            content = whole.copy()
            content[rng.integers(len(content), size=3)] = rng.integers(0, 256, 3)
            (lines.imported.root / "x.png").write_bytes(
                content[: rng.integers(1, len(content) + 1)].tobytes()
            )
            with contextlib.suppress(DataError):
                assert lines.split("train")[0].inputs.shape == (20, 32)


def test_an_image_bomb_is_refused_from_its_header(tmp_path):
    large = corpus(tmp_path / "c", {"x.png": Image.new("1", (9_000, 9_000))})
    assert "x.png: 9000 x 9000 pixels, at most 67108864 are read" in refusal(large)
    for width in (10_000, 20_000):  # Pillow warns about the first and refuses the second
        bomb = corpus(tmp_path / str(width), {"x.png": Image.new("1", (width, 10_000))})
        assert f"({width * 10_000} pixels) exceeds limit" in refusal(bomb)


def test_what_a_scanner_notes_wrongly_beside_the_pixels_does_no_harm(tmp_path):
    page = Image.fromarray(pixels())
    folder = corpus(tmp_path / "c", {"x.tif": page})
    page.save(folder / "x.tif", tiffinfo={282: (72.0,)})
    content = (folder / "x.tif").read_bytes()
    at = content.index(struct.pack("<HH", 282, 5))  # the resolution, as one fraction
    twice = content[:at] + struct.pack("<HHLHH", 282, 3, 2, 72, 72) + content[at + 12 :]
    (folder / "x.tif").write_bytes(twice)
    assert only(folder).inputs.shape == (20, 32)


def test_pixels_of_unknown_meaning_and_many_pages_are_refused(tmp_path):
    floats = Image.fromarray(np.zeros((32, 4), np.float32))
    assert "pixels of form F" in refusal(corpus(tmp_path / "c", {"x.tif": floats}))
    page = Image.fromarray(pixels())
    folder = corpus(tmp_path / "d", {"x.tif": page})
    page.save(folder / "x.tif", save_all=True, append_images=[page])
    assert "holds 2 images" in refusal(folder)


@pytest.mark.parametrize(("name", "stated"), [("width", 21), ("height", 31)])
def test_a_manifest_that_states_another_size_is_refused(tmp_path, name, stated):
    folder = corpus(tmp_path / "c", {"x.png": pixels()}, manifest=[{name: stated}])
    found = {"width": 20, "height": 32}[name]
    assert f"manifest.jsonl:1: {name} is {stated}, but x.png has {found}" in refusal(folder)


def test_an_image_changed_since_its_import_is_refused(tmp_path):
    folder = corpus(tmp_path / "c", {"x.png": pixels()})
    lines = source(folder)
    Image.fromarray(pixels(width=21)).save(folder / "x.png")
    with pytest.raises(DataError, match=r"x.png: 21 x 32 pixels, but 20 x 32 when it was imported"):
        lines.split("train")[0]
    (folder / "x.png").unlink()
    with pytest.raises(DataError, match=r"x.png: cannot be decoded .*No such file"):
        lines.split("train")[0]


def labelled(folder):
    images = {"one.png": pixels(width=20), "two.png": pixels(width=8)}
    table = [("one", 2, 6, "7"), ("one", 5, 9, "1"), ("one", 12, 20, "7"), ("two", 0, 8, "0")]
    return corpus(folder, images, manifest=[{"split": "train"}, {"split": "test"}], table=table)


def test_labels_stand_at_their_columns(tmp_path):
    lines = source(labelled(tmp_path / "c"), labels=("digits",))
    example = lines.split("train")[0]
    assert lines.targets["digits"].kind == "frames"
    assert lines.targets["digits_sequence"].kind == "sequence"
    assert lines.targets["digits"].vocab == lines.targets["digits_sequence"].vocab == ("0", "1", "7")
    assert example.targets["digits"].tolist() == [-1] * 2 + [2] * 3 + [1] * 4 + [-1] * 3 + [2] * 8
    assert example.targets["digits_sequence"].tolist() == [2, 1, 2]
    assert example.middles["digits_sequence"].tolist() == [4, 7, 16]
    assert example.crop(5, 17).targets["digits_sequence"].tolist() == [1, 2]


@pytest.mark.parametrize("height", [20, 32, 64, 100])
def test_labels_move_with_the_scale(tmp_path, height):
    lines = source(labelled(tmp_path / "c"), labels=("digits",), height=height)
    example = lines.split("train")[0]
    width = int(20 * height / 32 + 0.5)
    assert len(example.inputs) == width
    for column, label in enumerate(example.targets["digits"].tolist()):
        at = (column + 0.5) * 20 / width  # in the columns of the stored image
        expected = 1 if 5 <= at < 9 else 2 if 2 <= at < 6 or at >= 12 else -1
        assert label == expected
    middles = [int(middle * width / 20) for middle in (4, 7, 16)]
    assert example.middles["digits_sequence"].tolist() == middles


def test_lines_without_labels_and_text_without_letters_are_empty_targets(tmp_path):
    folder = corpus(
        tmp_path / "c", {"x.png": pixels(), "y.png": pixels()}, manifest=[{"text": ""}, {"text": "ab a"}]
    )
    examples = source(folder, labels=("digits",), text=True).split("train")
    assert examples[0].targets["text"].tolist() == []
    assert examples[1].targets["text"].tolist() == [1, 2, 0, 1]
    assert (examples[0].targets["digits"] == -1).all()
    batch = collate([examples[0], examples[1]])
    assert batch.targets["text"].lengths.tolist() == [0, 4]


def test_a_label_behind_the_image_and_a_missing_text_are_refused(tmp_path):
    folder = corpus(tmp_path / "c", {"x.png": pixels()}, table=[("x", 3, 21, "7")])
    assert "ends at column 21, but x.png has 20" in refusal(folder, labels=("digits",))
    assert "manifest.jsonl:1: x has no text" in refusal(folder, text=True)


def test_documents_are_numbered_over_the_training_split(tmp_path):
    fields = [
        {"split": "train", "document": "b"},
        {"split": "train", "document": 7},
        {"split": "train", "document": None},
        {"split": "test", "document": "c"},
    ]
    lines = source(corpus(tmp_path / "c", {f"{n}.png": pixels() for n in range(4)}, manifest=fields))
    assert lines.conditions == {"document": ("7", "b")}
    assert [lines.split("train")[n].conditions["document"] for n in range(3)] == [1, 0, -1]
    assert lines.split("test")[0].conditions["document"] == -1


def test_a_condition_that_no_line_has_gives_none(tmp_path):
    folder = corpus(tmp_path / "c", {"x.png": pixels()})
    for condition in ("writer", None):
        lines = source(folder, condition=condition)
        assert lines.conditions == lines.split("train")[0].conditions == {}


def test_an_unknown_split_names_the_known_ones(tmp_path):
    with pytest.raises(DataError, match=r"no split 'dev' \(accepted: train, test\)"):
        source(labelled(tmp_path / "c")).split("dev")


def test_an_imported_folder_is_read_like_its_source(tmp_path):
    folder, out = labelled(tmp_path / "c"), tmp_path / "out"
    out.mkdir()
    summary = Lines.import_folder(folder, out, ("digits",))
    assert summary == f"{folder}: 2 lines (1 train, 1 test), 28 columns, 32 pixels high"
    ours, theirs = source(out, labels=("digits",)), source(folder, labels=("digits",))
    assert torch.equal(ours.split("test")[0].inputs, theirs.split("test")[0].inputs)
    assert ours.checksum() == theirs.checksum()
    Lines.import_folder(folder, out, ())
    assert "imported without the labels 'digits' (with: none)" in refusal(out, labels=("digits",))
    (out / "lines.jsonl").write_text('{"id": 1}\n')
    assert "not a whole import" in refusal(out)
    line = {"id": "x", "path": "../x.png", "split": "train", "width": 1, "height": 1, "manifest_line": 1}
    (out / "lines.jsonl").write_text(json.dumps({**line, "labels": {}, "fields": {}}) + "\n")
    assert "leaves" in refusal(out)


def test_checksum_follows_content_and_parameters_but_not_the_place(tmp_path):
    first = source(labelled(tmp_path / "c")).checksum()
    assert source(labelled(tmp_path / "d")).checksum() == first
    assert source(labelled(tmp_path / "d"), height=16).checksum() != first
    assert source(labelled(tmp_path / "d"), labels=("digits",)).checksum() != first
    assert source(corpus(tmp_path / "d", {"x.png": pixels()})).checksum() != first


class Noise(Corpus):
    """Lines of noise; counts how often it is made."""

    made: list[int] = []  # noqa: RUF012

    def __init__(self, width):
        self.width = width

    def make(self, folder):
        self.made.append(self.width)
        corpus(folder, {"x.png": pixels(width=self.width)})


def test_a_corpus_is_made_once_for_each_of_its_parameters():
    for width in (5, 6, 5):
        lines = Lines(corpus=Noise(width))
        lines.prepare()
        assert list(lines.split("train").lengths) == [width]
    assert Noise.made == [5, 6]


def test_exactly_one_place_of_data_is_accepted(tmp_path):
    with pytest.raises(RecipeError, match="root and corpus are both given"):
        Lines(root=tmp_path, corpus=Noise(5))
    with pytest.raises(RecipeError, match="neither root nor corpus"):
        Lines().prepare()
    with pytest.raises(RecipeError, match="share a name"):
        Lines(root=tmp_path, labels=("text",), text=True)


def test_an_array_is_read_like_the_file_of_it(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (48, 30, 4), dtype=np.uint8)
    lines = source(corpus(tmp_path / "c", {"x.png": image}))
    assert torch.equal(lines.featurize(image), lines.split("train")[0].inputs)
    grey = pixels()
    for same in (grey, grey.astype(np.uint16) * 257, grey / 255, np.repeat(grey[:, :, None], 3, 2)):
        torch.testing.assert_close(lines.featurize(same), torch.from_numpy(1 - grey.T / np.float32(255)))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((0, 5), np.uint8),
        np.zeros(5),
        np.zeros((5, 5), np.int64),
        np.full((5, 5), np.nan),
        np.full((5, 5), 2.0),
    ],
)
def test_arrays_that_are_no_image_are_refused(image):
    with pytest.raises(DataError, match="accepted are uint8"):
        Lines().featurize(image)
    with pytest.raises(DataError, match="at most 20000"):
        Lines().featurize(np.zeros((32, 100_000), np.uint8))


def test_a_split_can_be_handed_to_worker_processes(tmp_path):
    split = source(labelled(tmp_path / "c"), labels=("digits",)).split("train")
    assert torch.equal(pickle.loads(pickle.dumps(split))[0].inputs, split[0].inputs)


@pytest.mark.skipif(not REAL.is_dir(), reason="needs shared/data/handwriting_lines")
def test_real_lines_are_read():
    lines = source(REAL, text=True)
    train, test = lines.split("train"), lines.split("test")
    assert (len(train), len(test)) == (1970, 468)
    assert len(lines.conditions["document"]) == 16
    for split, index in ((train, 0), (train, 1969), (test, 100)):
        example = split[index]
        assert len(example.inputs) == split.lengths[index]
        assert 0 < example.inputs.mean() < 0.5  # mostly paper
        assert 0 <= example.conditions["document"] < 16
        assert len(example.targets["text"]) >= 8
        stored = np.asarray(Image.open(REAL / f"png32/{example.key.rsplit('_', 2)[0]}/{example.key}.png"))
        assert (lines.picture(example) == stored).all()


def test_featurize_takes_a_pillow_image_as_it_takes_its_array():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 9), dtype=np.uint8)
    from_array, from_image = (Lines().featurize(image) for image in (pixels, Image.fromarray(pixels)))
    assert torch.equal(from_array, from_image)
