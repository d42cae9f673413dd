"""Warping of many pairs at once against one at a time, and distances between frames."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch

from tests.plugins import abx_oracle as oracle
from tests.plugins.metric_oracles import score
from tests.plugins.test_abx import speech
from unitdisc_abx import alignment, blocks
from unitdisc_abx.abx import ABX
from unitdisc_abx.alignment import Packing, Pairs
from unitdisc_abx.frame_distances import frame_distance

NAMES = {
    "angular": lambda p, q: math.pi * oracle.angular(p, q),
    "euclidean": oracle.euclidean,
    "kl": oracle.kl,
}


def table(costs: list[np.ndarray]) -> tuple[np.ndarray, Pairs]:
    """Return matrices of distances side by side in one flat array."""
    sizes = np.cumsum([0, *(each.size for each in costs)])
    shapes = np.array([each.shape for each in costs], np.int32)
    flat = np.concatenate([each.ravel() for each in costs]).astype(np.float64)
    return flat, Pairs(sizes[:-1], shapes[:, 1].astype(np.int64), shapes[:, 0], shapes[:, 1])


def align(flat: np.ndarray, pairs: Pairs) -> np.ndarray:
    packing = Packing(float(flat.max()), int(max(pairs.rows.max(), pairs.columns.max())))
    packed = torch.empty(len(flat), dtype=torch.int64)
    packing.pack(torch.from_numpy(flat.copy()), out=packed)
    return alignment.align(packed.numpy(), pairs, packing)


@pytest.mark.parametrize("kind", ["units", "vectors"])
@pytest.mark.parametrize(("cells", "waste"), [(8, 0), (8, 2**14), (2**17, 0), (2**17, 2**14)])
def test_pairs_together_are_pairs_alone(kind: str, cells: int, waste: int, monkeypatch) -> None:
    monkeypatch.setattr(alignment, "_CELLS", cells)
    monkeypatch.setattr(alignment, "_WASTE", waste)
    draw = np.random.default_rng(0)
    costs = []
    for _ in range(400):
        shape = draw.integers(1, 12, 2)
        costs.append(draw.integers(0, 2, shape) * 1.0 if kind == "units" else draw.random(shape))
    expected = [oracle.warp(each.tolist()) for each in costs]
    assert align(*table(costs)) == pytest.approx(expected, abs=2e-9)


@pytest.mark.parametrize(
    ("rows", "columns"), [(1, 1), (1, 300), (300, 1), (256, 300), (300, 256), (300, 255)]
)
def test_long_sequences_keep_count_of_their_steps(rows: int, columns: int) -> None:
    # All distances are 1, so that the diagonal is taken as far as it goes and the mean is 1.
    assert align(*table([np.ones((rows, columns))])) == pytest.approx([1])


def test_ties_go_over_both_then_over_the_second_then_over_the_first() -> None:
    zeros = np.zeros((2, 2))
    zeros[1, 1] = 1
    assert align(*table([zeros])) == pytest.approx([1 / 2])  # over the diagonal: two frames
    # To the end over the second from (2, 1) or over the first from (1, 2), both with the sum 0: the path through
    # (2, 1) is one longer here, and with both sequences exchanged the shorter one is taken.
    costs = np.array([[0, 0, 1], [0, 1, 0], [0, 0, 1.0]])
    for each in (costs, costs.T.copy()):
        assert align(*table([each])) == pytest.approx([oracle.warp(each.tolist())])


def test_exchanging_both_sequences_can_change_the_length_of_tied_paths() -> None:
    draw = np.random.default_rng(1)
    costs = [draw.integers(0, 2, (4, 6)) * 1.0 for _ in range(100)]
    forth, back = align(*table(costs)), align(*table([each.T.copy() for each in costs]))
    assert 0 < (forth != back).sum() < 50


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dim", [1, 3, 40])
def test_frame_distances_are_those_of_the_formulas(name: str, dim: int) -> None:
    draw = torch.Generator().manual_seed(dim)
    frames = torch.randn(12, dim, generator=draw)
    frames[3] = frames[7]
    if name == "kl":
        frames = frames.softmax(1)
    distance = frame_distance(name, "far")
    found = distance.between(distance.left(frames), distance.right(frames))
    rows = frames.double().numpy()
    expected = [[NAMES[name](p, q) for q in rows] for p in rows]
    assert found.numpy() == pytest.approx(np.array(expected), abs=3e-7)
    assert (found.diagonal() == 0).all()
    assert found[3, 7] == 0


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_equal_frames_are_at_distance_zero_at_any_scale(scale: float) -> None:
    frames = scale * (torch.randn(50, 256, generator=torch.Generator().manual_seed(0)) + 3)
    for name in ("angular", "euclidean"):
        distance = frame_distance(name, "far")
        found = distance.between(distance.left(frames), distance.right(frames.flip(0))).flip(1)
        assert (found.diagonal() == 0).all()
        assert (found + torch.eye(50) > 0).all()


def test_frames_of_zeros_are_far_or_on_the_diagonal() -> None:
    frames = torch.tensor([[0.0, 0, 0, 0], [1, 2, 3, 4], [-1, -2, -3, -4], [0, 0, 0, 0]])
    far, diagonal = frame_distance("angular", "far"), frame_distance("angular", "diagonal")
    assert far.between(far.left(frames), far.right(frames))[0].tolist() == [0, math.pi, math.pi, 0]
    angle = math.acos(5 / math.sqrt(30))
    found = diagonal.between(diagonal.left(frames), diagonal.right(frames))[0].tolist()
    assert found == pytest.approx([0, angle, math.pi - angle, 0], abs=1e-6)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("limits", [(1, 1, 1), (20, 7, 300), (2**21, 20, 1000), (2**21, 2**16, 2**23)])
def test_sizes_of_blocks_and_threads_change_nothing(
    threads: int, limits: tuple[int, ...], monkeypatch
) -> None:
    split = speech(5, stride=1)
    for speaker in ("within", "across"):
        options = {
            "target": "phones",
            "on": "latents",
            "context": "any",
            "field": "writer",
            "speaker": speaker,
        }
        make = partial(ABX, **options, max_size_group=None)
        expected = score(make(), split)
        before = torch.get_num_threads()
        with monkeypatch.context() as patch:
            for name, limit in zip(("_BLOCK", "_TILE", "_BATCH"), limits, strict=True):
                patch.setattr(blocks, name, limit)
            torch.set_num_threads(threads)
            assert score(make(), split) == expected
            assert torch.get_num_threads() == threads
            torch.set_num_threads(before)
