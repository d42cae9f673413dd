"""A codebook from a file: every form it is read from, every reason to refuse it, and that nothing moves it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.plugins import oracle
from tests.test_train import final
from tests.toy import toy_recipe
from unitdisc import steps
from unitdisc.codebook.files import read_codebook
from unitdisc.errors import RecipeError
from unitdisc.parts import Padded
from unitdisc.recipe import Use
from unitdisc.testing import check_bottleneck
from unitdisc_frozen.rule import Frozen
from unitdisc_gradient.rule import Gradient
from unitdisc_reestimate.rule import Reestimate

NUMBERS = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)
"""Q = 2 codebooks of 5 codewords for latents of size 8."""


def array(path: Path, numbers: np.ndarray = NUMBERS) -> Path:
    np.save(path / "codebook.npy", numbers)
    return path / "codebook.npy"


def tensors(path: Path, **named: torch.Tensor) -> Path:
    save_file(named, path / "some.safetensors")
    return path / "some.safetensors"


def test_frozen_keeps_the_contract(tmp_path: Path):
    check_bottleneck(partial(Frozen, codebook=array(tmp_path)))
    check_bottleneck(partial(Frozen, codebook=array(tmp_path), distance="cosine", commitment=0.0))


def test_frozen_matches_loop_oracle(tmp_path: Path):
    rule = Frozen(8, codebook=array(tmp_path), commitment=0.4)
    latents = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    task = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(1))
    expected = oracle.gradient_step(
        latents[0].detach().double().numpy(),
        NUMBERS.astype(float),
        task[0].double().numpy(),
        commitment=0.4,
        codebook_weight=0.0,
    )

    output = rule(Padded(latents, torch.tensor([6])))
    ((output.values * task).sum() + output.loss).backward()

    assert (rule.num_codebooks, rule.num_codes) == (2, 5)
    assert np.array_equal(output.codes[0].numpy(), expected.codes)
    assert output.loss.item() == pytest.approx(expected.loss, abs=1e-6)
    assert np.allclose(latents.grad[0].numpy(), expected.latent_gradient, atol=1e-6)


def test_training_leaves_it_as_it_is(tmp_path: Path):
    path = array(tmp_path, NUMBERS[0])
    steps.train(toy_recipe(rule=(Frozen, {"codebook": path})), tmp_path / "run")
    assert torch.equal(
        final(tmp_path / "run")["model"]["bottleneck.codebook"][0], torch.from_numpy(NUMBERS[0])
    )


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2"])
def test_arrays_of_every_precision_and_byte_order_are_read(tmp_path: Path, dtype):
    found = read_codebook(array(tmp_path, NUMBERS.astype(dtype)))
    assert found.dtype == torch.float32
    assert torch.equal(found, torch.from_numpy(NUMBERS.astype(dtype).astype(np.float32)))


def test_one_codebook_gets_the_dimension_of_codebooks(tmp_path: Path):
    assert read_codebook(array(tmp_path, NUMBERS[0])).shape == (1, 5, 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["codebook", "bottleneck.codebook", "bottleneck.rule.rule.codebook"])
def test_tensor_is_found_by_its_name(tmp_path: Path, name, dtype):
    numbers = torch.from_numpy(NUMBERS).to(dtype)
    path = tensors(tmp_path, **{name: numbers, "encoder.weight": torch.ones(2)})
    assert torch.equal(read_codebook(path), numbers.float())


def test_codebook_of_a_run_is_the_one_it_is_scored_with(tmp_path: Path):
    inner = Use("bottleneck", "gradient", Gradient, {"num_codes": 5}, where="test")
    rule = Reestimate, {"rule": inner, "warm_up": 2}
    for average in (None, 0.9):
        run = tmp_path / f"run-{average}"
        steps.train(toy_recipe(rule=rule, average=average), run)
        expected = final(run)["average" if average else "model"]["bottleneck.rule.codebook"]
        newest = max((run / "checkpoints").iterdir())
        assert torch.equal(read_codebook(run), expected)
        assert torch.equal(read_codebook(newest), expected)
        raw = final(run)["model"]["bottleneck.rule.codebook"]
        assert torch.equal(read_codebook(newest / "model.safetensors"), raw)


def test_file_is_read_where_models_are_built_without_memory(tmp_path: Path):
    for path in (array(tmp_path), tensors(tmp_path, codebook=torch.from_numpy(NUMBERS))):
        with torch.device("meta"):
            found = Frozen(8, codebook=path)
        assert found.num_codes == 5


def refused(path: Path) -> str:
    with pytest.raises(RecipeError) as caught:
        read_codebook(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return text


def test_missing_and_unknown_files_are_refused(tmp_path: Path):
    assert "there is no such file; accepted: a .npy file" in refused(tmp_path / "none.npy")
    (tmp_path / "codebook.pt").write_bytes(b"anything")
    assert "is no file that a codebook is read from; accepted: " in refused(tmp_path / "codebook.pt")
    assert "this folder holds no checkpoint to read; accepted: " in refused(tmp_path)


def test_files_that_are_not_what_their_name_says_are_refused(tmp_path: Path):
    for name in ("a.npy", "b.npy", "c.safetensors", "d.safetensors"):
        (tmp_path / name).write_bytes(b"\x00" * 40 if name < "c" else b"")
        assert "cannot be read as" in refused(tmp_path / name)
    whole = array(tmp_path)
    whole.write_bytes(whole.read_bytes()[:-9])
    assert "cannot be read as an array of numbers" in refused(whole)


def test_objects_are_not_unpickled(tmp_path: Path):
    np.save(tmp_path / "o.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "cannot be read as an array of numbers" in refused(tmp_path / "o.npy")


def test_damaged_checkpoint_is_refused(tmp_path: Path):
    steps.train(toy_recipe(), tmp_path)
    newest = max((tmp_path / "checkpoints").iterdir())
    content = (newest / "model.safetensors").read_bytes()
    (newest / "model.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "damaged" in refused(newest)


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        (NUMBERS[0, 0], "float32 of shape (4,); accepted"),
        (NUMBERS[None], "float32 of shape (1, 2, 5, 4); accepted"),
        (NUMBERS[:, :0], "float32 of shape (2, 0, 4); accepted"),
        (np.ones((3, 4), dtype=np.int64), "holds int64; accepted: one array of floating-point numbers"),
        (np.where(NUMBERS < -1, np.nan, NUMBERS), "of 10 codewords are not finite"),
        (np.where(NUMBERS > 1, np.inf, NUMBERS), "of 10 codewords are not finite"),
    ],
)
def test_wrong_numbers_are_refused(tmp_path: Path, numbers, found):
    assert found in refused(array(tmp_path, numbers))


def test_wrong_names_are_refused(tmp_path: Path):
    path = tensors(tmp_path, weight=torch.ones(3, 4), bias=torch.ones(3))
    assert (
        "no tensors are named as a codebook (it holds bias, weight); accepted: one, named codebook"
        in refused(path)
    )
    path = tensors(tmp_path, codebook=torch.ones(3, 4), **{"bottleneck.codebook": torch.ones(3, 4)})
    assert "2 tensors are named as a codebook" in refused(path)
    assert "int64 of shape (3, 4)" in refused(tensors(tmp_path, codebook=torch.ones(3, 4, dtype=torch.int64)))


def test_size_that_does_not_fit_the_latents_says_what_does(tmp_path: Path):
    with pytest.raises(
        RecipeError, match=r"2 x 5 codewords of size 4 .* these have size 6; set latents.dim to 8"
    ):
        Frozen(6, codebook=array(tmp_path))
