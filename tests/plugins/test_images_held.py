"""Splits in memory: the loader and evaluation take their batches at once, and nothing else changes."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from unitdisc import loader
from unitdisc.plan import Position, Stream
from unitdisc_images.split import PictureSplit


class OneByOne(PictureSplit):
    """The same pictures behind the path that every other split takes."""


def split() -> PictureSplit:
    torch.manual_seed(0)
    pixels = torch.randint(256, (10, 16, 3), dtype=torch.uint8)
    return PictureSplit([f"p{number}" for number in range(10)], pixels, torch.arange(10) % 4)


def drawn(monkeypatch, *, is_held: bool, rank: int = 0, ranks: int = 1):
    if not is_held:
        monkeypatch.setattr(loader, "HeldSplit", OneByOne)
    stream = Stream([16] * 10, 3 * 16, seed=4)
    found = loader.batches(
        split(), stream, Position(), crop=None, rank=rank, ranks=ranks, workers=0, device=torch.device("cpu")
    )
    return list(islice(found, 6))


@pytest.mark.parametrize("rank", [0, 1])
def test_the_loader_gives_the_same_batches_at_once_and_one_by_one(monkeypatch, rank):
    at_once = drawn(monkeypatch, is_held=True, rank=rank, ranks=2)
    for one, other in zip(at_once, drawn(monkeypatch, is_held=False, rank=rank, ranks=2), strict=True):
        assert one.keys == other.keys
        assert torch.equal(one.inputs.values, other.inputs.values)
        assert torch.equal(one.inputs.lengths, other.inputs.lengths)
        assert torch.equal(one.targets["label"].values, other.targets["label"].values)
        assert one.num_frames == other.num_frames


def test_batches_of_a_split_in_memory_are_never_loaded_one_by_one(monkeypatch):
    monkeypatch.setattr(PictureSplit, "__getitem__", lambda *_: pytest.fail("loaded one"))
    assert len(drawn(monkeypatch, is_held=True)) == 6
