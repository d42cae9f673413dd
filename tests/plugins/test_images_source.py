"""Pictures: each form gives the bytes that were written, damage is named in one line, nothing is unpickled."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from unitdisc.data import DataSource, collate
from unitdisc.errors import DataError, RecipeError
from unitdisc.testing import check_data
from unitdisc_images.source import Images
from unitdisc_images.split import to_inputs

BATCHES = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]


def pictures(count: int, seed: int = 0, size: tuple[int, int] = (32, 32), colours: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *size, colours), dtype=np.uint8)


def classes(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 10, count, dtype=np.uint8)


def bytes_of(inputs: torch.Tensor) -> np.ndarray:
    return (inputs * 256).floor().to(torch.uint8).numpy()


def write_cifar(folder: Path, *, before: int = 1) -> None:
    """Write two pictures per batch; of CIFAR-100 (``before`` 2) into two files."""
    folder.mkdir(exist_ok=True)
    for seed, name in enumerate(BATCHES if before == 1 else ["train.bin", "test.bin"]):
        with (folder / name).open("wb") as file:
            for label, picture in zip(classes(2, seed), pictures(2, seed), strict=True):
                file.write(bytes([7] * (before - 1) + [label]) + picture.transpose(2, 0, 1).tobytes())


def write_npz(folder: Path, **changes: object) -> Path:
    for seed, name in enumerate(("train", "test")):
        arrays = {"images": pictures(6, seed), "labels": classes(6, seed)} | (
            changes if name == "train" else {}
        )
        np.savez_compressed(folder / f"{name}.npz", **arrays)
    return folder


def prepared(root: Path, **parameters: object) -> Images:
    source = Images(root=root, **parameters)
    source.prepare()
    return source


def message(root: Path, split: str = "train", **parameters: object) -> str:
    with pytest.raises(DataError) as error:
        prepared(root, **parameters).split(split)
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(root), "ROOT")


@pytest.mark.parametrize("levels", [256, 4])
def test_every_byte_comes_back_from_its_value(levels):
    byte = torch.arange(256, dtype=torch.uint8)
    level = (to_inputs(byte) * levels).floor().clamp(max=levels - 1)
    assert torch.equal(level.long(), byte.long() * levels // 256)


def test_the_binary_version_of_cifar_10_is_read(tmp_path):
    write_cifar(tmp_path / "cifar-10-batches-bin")
    source = Images(root=tmp_path)
    check_data(source)
    train = source.split("train")
    assert len(train) == 10
    assert source.targets["label"].vocab[:2] == ("airplane", "automobile")
    for number in range(5):
        for inside in range(2):
            example = train[2 * number + inside]
            assert np.array_equal(bytes_of(example.inputs).reshape(32, 32, 3), pictures(2, number)[inside])
            assert example.targets["label"].tolist() == [classes(2, number)[inside]]
    assert np.array_equal(source.picture(source.split("test")[1]), pictures(2, 5)[1])


def test_of_cifar_100_the_finer_label_counts(tmp_path):
    write_cifar(tmp_path, before=2)
    source = prepared(tmp_path)
    assert [source.split("train")[i].targets["label"].item() for i in range(2)] == classes(2).tolist()
    assert len(source.targets["label"].vocab) == 100


def test_archives_are_splits_named_after_their_file(tmp_path):
    source = Images(root=write_npz(tmp_path))
    check_data(source)
    assert source.splits() == ("test", "train")
    assert np.array_equal(bytes_of(source.split("test")[3].inputs).reshape(32, 32, 3), pictures(6, 1)[3])


def test_one_archive_may_hold_all_splits_without_labels_and_in_grey(tmp_path):
    np.savez(
        tmp_path / "all.npz",
        train_images=pictures(3, 0, (4, 6), 1),
        val_images=pictures(2, 1, (4, 6), 1)[..., 0],
    )
    source = Images(root=tmp_path / "all.npz", size=(4, 6), colours=1)
    check_data(source, "val")
    assert source.splits() == ("train", "val")
    assert (source.targets, source.split("train")[0].targets) == ({}, {})
    assert np.array_equal(source.picture(source.split("val")[1]), pictures(2, 1, (4, 6), 1)[1, ..., 0])


def write_mat(folder: Path, **changes: object) -> None:
    io = pytest.importorskip("scipy.io")
    for seed, name in enumerate(("train", "test")):
        arrays = {
            "X": pictures(4, seed).transpose(1, 2, 3, 0),
            "y": np.array([[10], [1], [9], [10]], dtype=np.uint8),
        }
        io.savemat(folder / f"{name}_32x32.mat", {**arrays, **changes}, do_compression=True)


def test_svhn_is_read_and_its_label_10_is_the_digit_0(tmp_path):
    write_mat(tmp_path)
    source = Images(root=tmp_path)
    check_data(source)
    train = source.split("train")
    assert [train[index].targets["label"].item() for index in range(4)] == [0, 1, 9, 0]
    assert np.array_equal(source.picture(train[2]), pictures(4)[2])


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"y": np.full((4, 1), 11)}, "label 10, accepted are 0 to 9"),
        ({"y": np.full((4, 1), 0.5)}, "no whole numbers"),
        ({"y": np.ones((3, 1))}, "for 4 pictures"),
        ({"y": np.array([*"abcd"])}, "no whole numbers"),
        ({"X": np.zeros((4, 3), dtype=np.uint8)}, "X is uint8 of shape (4, 3)"),
    ],
)
def test_a_wrong_array_of_svhn_is_named(tmp_path, changes, found):
    write_mat(tmp_path, **changes)
    assert found in message(tmp_path)


def test_a_cut_mat_file_and_one_without_scipy_are_named(tmp_path, monkeypatch):
    write_mat(tmp_path)
    path = tmp_path / "train_32x32.mat"
    whole = path.read_bytes()
    for size in (10, 130, 140, 6000, len(whole) - 1000, len(whole) - 5):
        path.write_bytes(whole[:size])
        assert message(tmp_path).startswith("ROOT/train_32x32.mat: ")
    monkeypatch.setitem(__import__("sys").modules, "scipy", None)
    with pytest.raises(
        RecipeError, match=r"read by SciPy, which is not installed: pip install 'unitdisc\[images\]'"
    ):
        prepared(tmp_path).split("train")


def test_dev_is_held_out_of_train_and_moves_with_its_seed(tmp_path):
    source = prepared(write_npz(tmp_path), dev=2)
    assert source.splits() == ("test", "train", "dev")
    train, dev = source.split("train").keys, source.split("dev").keys
    assert sorted([*train, *dev]) == [f"train-{index:06d}" for index in range(6)]
    assert len(dev) == 2
    others = {tuple(prepared(tmp_path, dev=2, dev_seed=seed).split("dev").keys) for seed in range(8)}
    assert len(others) > 2
    assert len({prepared(tmp_path, dev=2, dev_seed=seed).checksum() for seed in range(3)}) == 3
    assert "data.dev is 6, but train has 6 pictures" in message(tmp_path, dev=6)


def test_limit_takes_the_first_and_refuses_other_splits(tmp_path):
    source = prepared(write_npz(tmp_path), limit={"test": 2})
    assert source.checksum() != prepared(tmp_path).checksum()
    assert source.split("test").keys == ["test-000000", "test-000001"]
    assert len(source.split("train")) == 6
    assert "data.limit names 'tset', which is no split (accepted: test, train)" in message(
        tmp_path, limit={"tset": 1}
    )


def test_a_batch_is_what_its_examples_collate_into_wherever_it_lies(tmp_path):
    split = prepared(write_npz(tmp_path)).split("train")
    found, expected = split.to(torch.device("cpu")).batch([4, 0, 4]), collate([split[4], split[0], split[4]])
    assert found.keys == expected.keys
    assert torch.equal(found.inputs.values, expected.inputs.values)
    assert torch.equal(found.targets["label"].values, expected.targets["label"].values)
    assert found.num_frames == expected.num_frames == 3 * 1024


def test_featurize_takes_a_picture_and_nothing_else(tmp_path):
    source = Images()
    assert np.array_equal(bytes_of(source.featurize(pictures(1)[0])).reshape(32, 32, 3), pictures(1)[0])
    for wrong in (np.zeros((32, 32, 3)), np.zeros(9, np.uint8), np.zeros((32, 31, 3), np.uint8)):
        with pytest.raises(DataError, match=r"accepted|expected"):
            source.featurize(wrong)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        (
            {"images": pictures(6, size=(32, 28))},
            "pictures of 32 x 28 pixels with 3 colours, expected 32 x 32 with 3",
        ),
        ({"images": pictures(6, colours=1)}, "set data.size to [32, 32] and data.colours to 1"),
        ({"images": pictures(6).astype(np.float32)}, "images are float32; accepted: uint8"),
        ({"images": pictures(6).reshape(6, -1)}, "pictures of shape (6, 3072)"),
        ({"labels": classes(5)}, "and shape (5,) for 6 pictures"),
        ({"labels": np.full(6, -1)}, "picture 0 has the label -1, accepted are 0 to 9999"),
        ({"labels": np.full(6, 0.5)}, "labels are float64 of shape (6,)"),
        ({"images": np.array([{}] * 6)}, "holds Python objects, which are never unpickled"),
    ],
)
def test_a_wrong_array_is_named(tmp_path, changes, found):
    assert found in message(write_npz(tmp_path, **changes))


def test_two_files_for_one_split_are_refused_and_foreign_members_passed_over(tmp_path):
    np.savez(tmp_path / "a.npz", train_images=pictures(2))
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr("images", b"a folder of its own kind")
    assert prepared(tmp_path).splits() == ("train",)
    np.savez(tmp_path / "train.npz", images=pictures(2))
    assert message(tmp_path).startswith("ROOT/train.npz: holds the split train, as another file does")


def test_all_pictures_of_a_split_are_in_memory_once(tmp_path):
    source = prepared(write_npz(tmp_path))
    assert np.shares_memory(source.split("train").pixels.numpy(), source.split("train").pixels.numpy())


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    header = np.lib.format.magic(1, 0)
    text = repr({"descr": "|u1", "fortran_order": False, "shape": (2**20, 32, 32, 3)}).encode()
    with zipfile.ZipFile(tmp_path / "train.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "images.npy", header + (len(text) + 1).to_bytes(2, "little") + text + b"\n" + bytes(2**20)
        )
    assert "unpacks to" in message(tmp_path)
    small = {"descr": "|u1", "fortran_order": False, "shape": (1, 32, 32, 3)}
    text = repr(small).encode()
    with zipfile.ZipFile(tmp_path / "train.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "images.npy", header + (len(text) + 1).to_bytes(2, "little") + text + b"\n" + bytes(2**24)
        )
    assert "unpacks to 16,777,2" in message(tmp_path)


@pytest.mark.parametrize("cut", [1, 100, 5000])
def test_a_cut_archive_is_named(tmp_path, cut):
    path = write_npz(tmp_path) / "train.npz"
    path.write_bytes(path.read_bytes()[:-cut])
    assert message(tmp_path).startswith("ROOT/train.npz: cannot be read (")


def test_damaged_bytes_inside_an_archive_are_named(tmp_path):
    path = write_npz(tmp_path) / "train.npz"
    content = bytearray(path.read_bytes())
    content[2000:2100] = bytes(100)
    path.write_bytes(content)
    assert message(tmp_path).startswith("ROOT/train.npz: cannot be read (")


def test_cifar_files_that_are_cut_missing_or_have_wrong_labels_are_named(tmp_path):
    write_cifar(tmp_path)
    first = tmp_path / BATCHES[0]
    whole = first.read_bytes()
    first.write_bytes(whole[:-1])
    assert message(tmp_path).startswith("ROOT/data_batch_1.bin: 6,145 bytes are not records of 3073")
    first.write_bytes(b"\x0a" + whole[1:])
    assert "data_batch_1.bin: picture 0 has the label 10, accepted are 0 to 9" in message(tmp_path)
    first.unlink()
    assert message(tmp_path) == "ROOT: data_batch_1.bin is missing; unpack the binary version again"


@pytest.mark.parametrize("place", ["data_batch_1", "cifar-10-batches-py/data_batch_1"])
def test_the_pickled_version_is_refused_by_name_and_never_opened(tmp_path, place):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_bytes(pickle.dumps({"data": 1}))
    assert message(tmp_path).startswith(f"ROOT/{place}: the Python version of CIFAR is pickled")


def test_archives_of_cifar_are_to_be_unpacked_and_only_the_python_version_is_called_pickled(tmp_path):
    for name, found in (
        ("cifar-10-python.tar.gz", "is pickled"),
        ("cifar-10-binary.tar.gz", "accepted: CIFAR's binary version"),
    ):
        (tmp_path / name).write_bytes(b"\x1f\x8b")
        assert found in message(tmp_path / name)


def test_what_is_no_collection_is_told_what_is(tmp_path):
    assert "holds no pictures in a known form; accepted: CIFAR's binary version" in message(tmp_path)
    assert "does not exist" in message(tmp_path / "nowhere")
    assert "no split 'dev' (accepted: test, train)" in message(write_npz(tmp_path), "dev")
    with pytest.raises(RecipeError, match=r"set data\.root to a folder of pictures"):
        Images().prepare()


def test_the_real_set_at_hand_is_read(shared_data):
    source: DataSource = Images(root=shared_data / "cifar10", limit={"train": 30})
    check_data(source)
    assert len(source.split("test")) == 2000
