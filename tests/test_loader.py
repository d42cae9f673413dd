"""Loading: crops are pure, workers and memory change nothing."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from tests.toy import ToySplit
from unitdisc.loader import Cropped, batches
from unitdisc.plan import Item, Position, Stream


class Counted(ToySplit):
    loads = 0

    def __getitem__(self, index):
        self.loads += 1
        return super().__getitem__(index)


def drawn(*, workers=0, memory=0, rank=0, ranks=1, count=8):
    split = ToySplit(10, seed=1)
    stream = Stream([min(length, 8) for length in split.lengths], 32, seed=4)
    found = batches(split, stream, Position(), crop=8, rank=rank, ranks=ranks, workers=workers, memory=memory)
    return list(islice(found, count))


@pytest.mark.parametrize("other", [{"workers": 2}, {"memory": 10**6}, {"memory": 500}])
def test_workers_and_memory_do_not_change_the_batches(other):
    for one, two in zip(drawn(), drawn(**other), strict=True):
        assert one.keys == two.keys
        assert torch.equal(one.inputs.values, two.inputs.values)
        assert torch.equal(one.targets["states_sequence"].values, two.targets["states_sequence"].values)


def test_ranks_share_the_batches_of_one():
    whole = [batch.keys for batch in drawn()]
    shares = [[batch.keys for batch in drawn(rank=rank, ranks=2, count=4)] for rank in (0, 1)]
    assert [keys for pair in zip(*shares, strict=True) for keys in pair] == whole


def test_crops_move_with_the_epoch_and_stay_inside():
    cropped = Cropped(ToySplit(10, seed=1), crop=8, seed=0)
    crops = [cropped[Item(epoch, 3)].inputs for epoch in range(20)]
    assert all(len(crop) == 8 for crop in crops)
    assert len({tuple(crop[0].tolist()) for crop in crops}) > 5


def test_memory_is_bounded_and_saves_loading():
    split = Counted(10, seed=1)
    size = split[0].inputs.nbytes
    split.loads = 0
    kept, plain = Cropped(split, crop=None, seed=0, memory=size), Cropped(split, crop=None, seed=0)
    for _ in range(3):
        kept[Item(0, 0)]
    assert split.loads == 1
    kept[Item(0, 1)], kept[Item(0, 1)]
    assert split.loads == 3
    plain[Item(0, 0)], plain[Item(0, 0)]
    assert split.loads == 5


def test_a_sequence_without_times_is_not_cut():
    from dataclasses import replace

    from unitdisc.errors import DataError

    example = replace(ToySplit(1, seed=1)[0], middles={})
    with pytest.raises(DataError, match=r"states_sequence has no times.*train\.crop"):
        example.crop(0, 5)
