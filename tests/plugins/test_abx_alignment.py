"""Warping of many pairs at once against one at a time, and distances between frames."""

from __future__ import annotations

import math
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch

from tests.plugins import abx_oracle as oracle
from tests.plugins.metric_oracles import score
from tests.plugins.test_abx import speech
from unitdisc_abx import blocks, scoring, small_blocks
from unitdisc_abx.abx import ABX
from unitdisc_abx.alignment import Packing, Steps, align, align_table
from unitdisc_abx.cells import Limits, groups
from unitdisc_abx.frame_distances import frame_distance
from unitdisc_abx.means import Score
from unitdisc_abx.tokens import Token

NAMES = {
    "angular": lambda p, q: math.pi * oracle.angular(p, q),
    "euclidean": oracle.euclidean,
    "kl": oracle.kl,
}


def aligned(costs: np.ndarray) -> np.ndarray:
    """Return the distance of each of the pairs whose frame distances are (P, N, M)."""
    is_binary = costs.dtype == bool
    packing = Packing(float(costs.max()), max(costs.shape[1:]), is_binary=is_binary)
    packed = packing.whole(torch.from_numpy(costs.copy())) + packing.ranks(np.arange(costs.shape[1]))
    lengths = (np.full(len(costs), length) for length in costs.shape[1:])
    return align(packed.numpy().transpose(1, 2, 0), packing, *lengths)


@pytest.mark.parametrize("kind", ["units", "vectors"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (5, 5), (3, 8), (9, 4)])
def test_pairs_together_are_pairs_alone(kind: str, shape: tuple[int, int]) -> None:
    draw = np.random.default_rng(shape)
    costs = draw.random((60, *shape))
    if kind == "units":
        costs = costs < 0.5
    expected = [float(oracle.warp(each.tolist())) for each in costs]
    assert aligned(costs) == pytest.approx(expected, abs=2e-9)


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (1, 300), (300, 1), (256, 300), (3000, 20), (20_000, 3)],
    ids=lambda shape: f"{shape[0]}",
)
def test_long_sequences_keep_count_of_their_steps(shape: tuple[int, int]) -> None:
    # All distances are equal, so that the diagonal is taken as far as it goes and the mean is that distance.
    assert aligned(np.full((1, *shape), 3.0)) == pytest.approx([3])
    assert aligned(np.ones((1, *shape), bool)) == [1]


def test_sequences_too_long_for_small_numbers_get_large_ones() -> None:
    assert Packing(1, 511, is_binary=True).kind == np.int32
    assert Packing(1, 512, is_binary=True).kind == np.int64


def test_ties_go_over_both_then_over_the_second_then_over_the_first() -> None:
    draw = np.random.default_rng(1)
    costs = draw.random((300, 4, 6)) < 0.5
    forth, back = aligned(costs), aligned(costs.transpose(0, 2, 1))
    assert 0 < (forth != back).sum() < 150  # the order of two sequences of units matters
    for each, own in zip(costs, forth, strict=True):
        assert own == float(oracle.warp(each.tolist()))


def test_order_of_equal_distances_does_not_break_a_tie() -> None:
    # In floating point 0.1 + 0.2 + 0.3 is not 0.3 + 0.2 + 0.1.
    costs = np.array([[[0.1, 0.2, 0.3]], [[0.3, 0.2, 0.1]]])
    first, second = aligned(costs)
    assert first == second


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


@pytest.mark.parametrize("kind", ["units", "vectors"])
def test_a_table_of_pairs_holds_the_distances_both_ways(kind: str) -> None:
    draw = np.random.default_rng(0)
    down, along = [6] * 8 + [5] * 8 + [3, 1], [7] * 6 + [4] * 6 + [2, 1]
    costs = draw.random((sum(down), sum(along)))
    if kind == "units":
        costs = costs < 0.5
    packing = Packing(1, 7, is_binary=kind == "units")
    rows, columns = steps(down), steps(along)
    packed = packing.whole(torch.from_numpy(costs.copy())) + packing.ranks(rows[1])
    tables = {
        way: align_table(packed.numpy(), rows[0], columns[0], packing, columns_first=way)
        for way in (False, True)
    }
    for (i, n), (j, m) in product(enumerate(down), enumerate(along)):
        own = costs[np.ix_(frames_of(rows[0], i, n), frames_of(columns[0], j, m))]
        assert tables[False][i, j] == pytest.approx(float(oracle.warp(own.tolist())), abs=2e-9)
        assert tables[True][i, j] == pytest.approx(float(oracle.warp(own.T.tolist())), abs=2e-9)
    assert kind == "vectors" or (tables[False] != tables[True]).any()


def steps(lengths: list[int]) -> tuple[Steps, np.ndarray]:
    """Return where the frames of sequences lie, longest first, and the place of each frame in its sequence."""
    counts = [sum(length > n for length in lengths) for n in range(lengths[0])]
    return Steps([0, *np.cumsum(counts)[:-1].tolist()], counts), np.repeat(np.arange(len(counts)), counts)


def frames_of(where: Steps, sequence: int, length: int) -> list[int]:
    """Return where the frames of one sequence lie."""
    return [start + sequence for start in where.starts[:length]]


@pytest.mark.parametrize("on", ["units", "latents"])
@pytest.mark.parametrize(
    "limits",
    [
        (1, 1, 1, 1, 1, 1, 0),
        (300, 7, 1, 30, 300, 10, 100),
        (2**12, 2**8, 20, 2**5, 2**10, 2**15, 2**12),
        (2**22, 2**8, 2**20, 1, 2**22, 1, 0),
        (2**22, 2**8, 1, 1, 1, 1, 2**12),
    ],
)
@pytest.mark.parametrize("threads", [1, 3])
def test_sizes_of_blocks_and_threads_change_nothing(
    threads: int, limits: tuple[int, ...], on: str, monkeypatch
) -> None:
    split = speech(5, stride=1)
    names = ("_BATCH", "_TILE", "_FEW", "_ROWS", "_SMALL")
    sizes = [*((blocks, name) for name in names), (small_blocks, "_TOGETHER"), (blocks, "_SQUARE")]
    for speaker in ("within", "across"):
        options = {
            "target": "phones",
            "on": on,
            "context": "any",
            "field": "writer",
            "speaker": speaker,
        }
        make = partial(ABX, **options, max_size_group=None)
        expected = score(make(), split)
        before = torch.get_num_threads()
        with monkeypatch.context() as patch:
            for (module, name), limit in zip(sizes, limits, strict=True):
                patch.setattr(module, name, limit)
            torch.set_num_threads(threads)
            found = score(make(), split)
            assert torch.get_num_threads() == threads
            torch.set_num_threads(before)
        assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dim", [40, 256])
def test_ties_between_equal_tokens_are_kept_in_blocks_of_any_size(name: str, dim: int, monkeypatch) -> None:
    # Quantised vectors are few, so that many tokens are equal.
    draw = np.random.default_rng(dim)
    codewords = torch.from_numpy(draw.normal(size=(4, dim)).astype(np.float32)).softmax(1)
    lengths = draw.integers(1, 4, 150)
    frames = blocks.Frames(
        codewords[draw.integers(0, 4, lengths.sum())], np.cumsum(lengths) - lengths, lengths
    )
    tokens = [Token(0, 1, str(draw.integers(4)), ("", ""), "s") for _ in lengths]
    found = []
    for few, square in ((2**20, 0), (1, 2**12), (1, 0)):
        monkeypatch.setattr(blocks, "_FEW", few)
        monkeypatch.setattr(blocks, "_SQUARE", square)
        total = Score(4, 1)
        chosen = groups(tokens, speaker="within", context="any", limits=Limits(None, None, 0))
        scoring.score(chosen, frames, frame_distance(name, "far"), total)
        found.append(total.mean())
    assert found[0] == found[1] == found[2]
