"""The batch plan: pure, complete, bounded, and resumable anywhere."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from unitdisc.plan import Position, Stream, plan

LENGTHS = np.random.default_rng(0).integers(1, 200, 500).tolist()


def test_every_example_stands_in_exactly_one_batch():
    batches = plan(LENGTHS, batch_frames=400, seed=1, epoch=0)
    assert sorted(index for batch in batches for index in batch) == list(range(len(LENGTHS)))


def test_no_batch_exceeds_its_padded_size():
    for batch in plan(LENGTHS, batch_frames=400, seed=1, epoch=0):
        assert max(LENGTHS[index] for index in batch) * len(batch) <= 400


def test_a_longer_example_is_a_batch_by_itself():
    batches = plan([10, 999, 10], batch_frames=50, seed=1, epoch=0)
    assert [1] in batches


def test_similar_lengths_go_together():
    batches = plan(LENGTHS, batch_frames=2000, seed=1, epoch=0)
    padded = sum(max(LENGTHS[index] for index in batch) * len(batch) for batch in batches)
    assert padded < 1.15 * sum(LENGTHS)


def test_the_plan_depends_on_seed_and_epoch_alone():
    assert plan(LENGTHS, batch_frames=400, seed=1, epoch=2) == plan(
        LENGTHS, batch_frames=400, seed=1, epoch=2
    )
    assert plan(LENGTHS, batch_frames=400, seed=1, epoch=2) != plan(
        LENGTHS, batch_frames=400, seed=1, epoch=3
    )
    assert plan(LENGTHS, batch_frames=400, seed=1, epoch=2) != plan(
        LENGTHS, batch_frames=400, seed=2, epoch=2
    )


@pytest.mark.parametrize("done", [0, 1, 57, 200])
def test_the_stream_goes_on_where_it_was(done: int):
    stream = Stream(LENGTHS, 2000, seed=5)
    whole = list(islice(stream.batches(Position()), done + 60))
    position = whole[done - 1][1] if done else Position()
    assert list(islice(stream.batches(position), 60)) == whole[done:]


def test_one_short_example_is_enough_for_a_stream():
    items = [batch for batch, _ in islice(Stream([1], 10, seed=0).batches(Position()), 3)]
    assert [(batch[0].epoch, batch[0].index) for batch in items] == [(0, 0), (1, 0), (2, 0)]
