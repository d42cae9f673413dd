"""Batch normalisation against torch's own, against loops, and its promises on padding and steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.plugins import oracle
from unitdisc.layers.batch_norm import MaskedBatchNorm
from unitdisc.parts import Padded
from unitdisc.testing.laws import noise, spoil


def step(norm: MaskedBatchNorm, *batches: Padded) -> list[torch.Tensor]:
    norm.before_step(0.0)
    outputs = [norm(batch.values, batch.mask) for batch in batches]
    norm.after_step(0.0)
    return outputs


@pytest.mark.parametrize("shape", [(3,), (5, 3)])
def test_without_padding_it_is_torchs(shape):
    ours, theirs = MaskedBatchNorm(3), torch.nn.BatchNorm1d(3)
    batch = noise([8, 8], *shape)
    for _ in range(3):
        (found,) = step(ours, batch)
        expected = theirs(batch.values.reshape(-1, 3)).view_as(batch.values)
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    torch.testing.assert_close(
        ours.eval()(batch.values, batch.mask),
        theirs.eval()(batch.values.reshape(-1, 3)).view_as(batch.values),
    )


@pytest.mark.parametrize("filling", [1e6, float("inf"), float("nan")])
def test_padding_changes_neither_output_nor_gradient_nor_state(filling):
    batch = noise([6, 2], 3)
    spoiled = spoil(batch, filling, extra=2)
    norms = MaskedBatchNorm(3), MaskedBatchNorm(3)
    results = []
    for norm, inputs in zip(norms, (batch, spoiled), strict=True):
        values = inputs.values.clone().requires_grad_()
        norm.before_step(0.0)
        output = norm(values, inputs.mask)[inputs.mask]
        (gradient,) = torch.autograd.grad(output.square().mul(torch.arange(3.0)).sum(), values)
        norm.after_step(0.0)
        results.append((output, gradient[inputs.mask]))
    torch.testing.assert_close(results[1], results[0])
    torch.testing.assert_close(norms[1].state_dict(), norms[0].state_dict())


def test_micro_batches_move_the_running_statistics_once_by_the_whole_step():
    norm = MaskedBatchNorm(3, momentum=0.3)
    batches = [noise([5, 1], 3, seed=1, spare=2), noise([9], 3, seed=2)]
    frames = np.concatenate([batch.values[batch.mask].double().numpy() for batch in batches])
    mean, var = oracle.batch_norm_step(frames, np.zeros(3), np.ones(3), momentum=0.3)
    step(norm, *batches)
    assert np.allclose(norm.running_mean, mean, atol=1e-6)
    assert np.allclose(norm.running_var, var, atol=1e-6)


def test_skipped_step_leaves_no_trace():
    norms = MaskedBatchNorm(3), MaskedBatchNorm(3)
    norms[0].before_step(0.0)
    norms[0](noise([5], 3, seed=1).values, noise([5], 3, seed=1).mask)
    for norm in norms:
        step(norm, noise([4, 2], 3))
    assert torch.equal(norms[0].running_mean, norms[1].running_mean)


def test_batch_without_valid_frames_changes_nothing():
    norm, other = MaskedBatchNorm(3), MaskedBatchNorm(3)
    empty = Padded(torch.ones(2, 4, 3), torch.tensor([0, 0]))
    batch = noise([4, 2], 3)
    step(norm, empty, batch)
    step(norm, empty)
    step(other, batch)
    assert torch.equal(norm.running_mean, other.running_mean)
    assert torch.equal(norm.running_var, other.running_var)


def test_one_valid_frame_is_finite():
    norm = MaskedBatchNorm(3)
    (output,) = step(norm, noise([1], 3))
    assert torch.isfinite(output).all()
    assert torch.isfinite(norm.running_var).all()


def test_evaluation_changes_no_state_and_is_exact_far_from_the_origin():
    norm = MaskedBatchNorm(2)
    norm.running_mean += 1e4
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    values = 1e4 + noise([50], 2).values
    expected = functional.batch_norm(
        values.double().flatten(0, 1), norm.running_mean.double(), norm.running_var.double()
    )
    found = norm.eval()(values, torch.ones(1, 50, dtype=torch.bool))
    torch.testing.assert_close(found.flatten(0, 1).double(), expected, rtol=0, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


def test_runs_in_float32_under_mixed_precision():
    norm, other = MaskedBatchNorm(3), MaskedBatchNorm(3)
    batch = noise([6, 3], 3)
    with torch.autocast("cpu", torch.bfloat16):
        (found,) = step(norm, batch)
    assert torch.equal(found, step(other, batch)[0])


@pytest.mark.parametrize("filling", [0.0, float("inf"), float("nan")])
@pytest.mark.parametrize("lengths", [[6, 6], [6, 2], [1, 0]])
@pytest.mark.parametrize("shape", [(3,), (5, 3)])
def test_without_asking_the_device_for_sizes_it_is_the_same(filling, lengths, shape):
    """CUDA takes the masked form; it runs here on the CPU."""
    batch = spoil(noise(lengths, *shape), filling, extra=1)
    results = []
    for name in ("forward", "_normalize_masked"):
        norm = MaskedBatchNorm(3)
        torch.nn.init.normal_(norm.weight, generator=torch.Generator().manual_seed(1))
        values = batch.values.clone().requires_grad_()
        norm.before_step(0.0)
        output = getattr(norm, name)(values, batch.mask)
        output.square().mul(torch.arange(3.0)).sum().backward()
        norm.after_step(0.0)
        results.append((output, values.grad, norm.weight.grad, norm.bias.grad, dict(norm.state_dict())))
    torch.testing.assert_close(results[1], results[0], rtol=1e-4, atol=1e-5)


def test_gradient_of_the_masked_form_is_that_of_finite_differences():
    norm = MaskedBatchNorm(2).double()
    batch = noise([4, 2], 2)
    values = batch.values.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: norm._normalize_masked(x, batch.mask), (values,))
