"""The laws of data sources."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np
import torch

from unitdisc.data import DataSource, Example, FeatureSpec, HeldSplit, Split, collate
from unitdisc.errors import DataError
from unitdisc.parts import Padded
from unitdisc.testing.laws import require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_MOST = 20
"""Examples that are looked at."""
_RATE = 16000


def check_data(source: DataSource, split: str = "train") -> None:
    """Raise an AssertionError that names the first law of `DataSource` that a source breaks.

    Args:
        source: A source that has not been prepared.
        split: Name of a split with at least one example.
    """
    law = "features are known before prepare"
    features = getattr(source, "features", None)
    require(isinstance(features, FeatureSpec), law, f"found {features!r}")
    source.prepare()
    require(source.features == features, law, f"{features} became {source.features}")
    examples = source.split(split)
    _index(examples, split)
    for index in range(min(len(examples), _MOST)):
        _example(source, examples, index)
    _collates([examples[index] for index in range(min(len(examples), 3))])
    if isinstance(examples, HeldSplit):
        _holds(examples)
    _checksum(source)
    _unknown_split(source)
    _splits(source, split)
    if source.features.unit_of_time == "second":
        _featurizes(source)


def _index(examples: Split, split: str) -> None:
    law = "a split has one length for each of its unique keys"
    require(len(examples) > 0, law, f"split {split!r} is empty")
    counts = len(examples), len(examples.keys), len(examples.lengths)
    require(len(set(counts)) == 1, law, f"{counts[0]} examples, {counts[1]} keys and {counts[2]} lengths")
    repeated = len(examples.keys) - len(set(examples.keys))
    require(repeated == 0, law, f"{repeated} keys repeat")


def _example(source: DataSource, examples: Split, index: int) -> None:
    example = examples[index]
    key = examples.keys[index]
    require(example.key == key, "an example has the key of its index", f"{example.key!r} instead of {key!r}")
    _inputs(source, example, examples.lengths[index])
    _targets(source, example)
    _conditions(source, example)
    _pure(example, examples[index])
    _picture(source, example)


def _inputs(source: DataSource, example: Example, length: int) -> None:
    inputs = example.inputs
    size = source.features.vocab_size
    if size is not None:
        _tokens(f"inputs of {example.key!r}", inputs, size)
        require(len(inputs) == length, "inputs have the announced length", f"{len(inputs)} not {length}")
        return
    law = "inputs are finite float32 of the announced length and shape"
    expected = (length, *source.features.shape)
    found = f"{example.key!r} has {inputs.dtype} of shape {tuple(inputs.shape)} instead of {expected}"
    require(inputs.dtype == torch.float32 and tuple(inputs.shape) == expected, law, found)
    bad = int((~torch.isfinite(inputs)).sum())
    require(bad == 0, law, f"{example.key!r} has {bad} values that are not")


def _tokens(what: str, values: Tensor, size: int) -> None:
    law = "tokens are (T,) int64 in the vocabulary"
    require(
        values.dtype == torch.int64 and values.dim() == 1, law, f"{what} are {values.dtype}, {values.dim()}-d"
    )
    outside = int(((values < 0) | (values >= size)).sum())
    require(outside == 0, law, f"{what} have {outside} outside [0, {size})")


def _targets(source: DataSource, example: Example) -> None:
    law = "targets are int64 in the vocabulary, one per frame for kind 'frames'"
    require(
        set(example.targets) == set(source.targets),
        law,
        f"{example.key!r} has the targets {sorted(example.targets)} instead of {sorted(source.targets)}",
    )
    for name, spec in source.targets.items():
        target = example.targets[name]
        what = f"{name!r} of {example.key!r}"
        require(
            target.dtype == torch.int64 and target.dim() == 1,
            law,
            f"{what} is {target.dtype}, {target.dim()}-d",
        )
        is_frames = spec.kind == "frames"
        if is_frames:
            frames = len(example.inputs)
            require(len(target) == frames, law, f"{what} has {len(target)} labels for {frames} frames")
        lowest, size = (-1 if is_frames else 0), len(spec.vocab)
        outside = int(((target < lowest) | (target >= size)).sum())
        require(outside == 0, law, f"{what} has {outside} labels outside [{lowest}, {size})")
    for name, middles in example.middles.items():
        counts = len(middles), len(example.targets.get(name, ()))
        found = f"{name!r} of {example.key!r} has {counts[0]} middles for {counts[1]} symbols"
        require(counts[0] == counts[1], "every symbol of a sequence with times has one middle", found)


def _conditions(source: DataSource, example: Example) -> None:
    law = "conditions are numbers of announced values, or -1"
    names = sorted(example.conditions), sorted(source.conditions)
    require(names[0] == names[1], law, f"{example.key!r} has {names[0]} instead of {names[1]}")
    for name, value in example.conditions.items():
        count = len(source.conditions[name])
        if isinstance(value, torch.Tensor):
            _tokens(f"{name!r} of {example.key!r}", value, count)
            continue
        require(-1 <= value < count, law, f"{name!r} of {example.key!r} is {value} with {count} values")


def _pure(first: Example, second: Example) -> None:
    def same(one: Mapping[str, int | Tensor], other: Mapping[str, int | Tensor]) -> bool:
        return one.keys() == other.keys() and all(
            torch.equal(torch.as_tensor(one[name]), torch.as_tensor(other[name])) for name in one
        )

    equal = (
        torch.equal(first.inputs, second.inputs)
        and same(first.targets, second.targets)
        and same(first.middles, second.middles)
        and same(first.conditions, second.conditions)
    )
    require(equal, "an example is a pure function of its index", f"{first.key!r} was another the second time")


def _picture(source: DataSource, example: Example) -> None:
    law = "a picture is uint8 of shape (height, T), or (rows, columns) or (rows, columns, 3)"
    picture = source.picture(example)
    width, grid = len(example.inputs), source.features.grid
    shape = picture.shape
    fits = len(shape) == 2 and shape[1] == width if grid is None else shape in (grid, (*grid, 3))
    right = picture.dtype == np.uint8 and fits
    require(right, law, f"{example.key!r} of {width} frames gives {picture.dtype} of shape {picture.shape}")


def _collates(examples: list[Example]) -> None:
    law = "examples collate into a batch"
    batch = collate(examples)
    lengths = [len(example.inputs) for example in examples]
    require(
        batch.inputs.lengths.tolist() == lengths, law, f"{batch.inputs.lengths.tolist()} instead of {lengths}"
    )


def _holds(examples: HeldSplit) -> None:
    law = "a batch of a split in memory is what its examples collate into"
    chosen = [len(examples) - 1, 0]
    found = examples.to(torch.device("cpu")).batch(chosen)
    expected = collate([examples[index] for index in chosen])
    right = found.keys == expected.keys and found.num_frames == expected.num_frames
    for one, other in ((found.targets, expected.targets), (found.conditions, expected.conditions)):
        right = right and one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    right = right and _same(found.inputs, expected.inputs)
    require(right, law, f"that of {found.keys} is another")


def _same(one: Tensor | Padded, other: Tensor | Padded) -> bool:
    if isinstance(one, Padded) and isinstance(other, Padded):
        return torch.equal(one.values, other.values) and torch.equal(one.lengths, other.lengths)
    return isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor) and torch.equal(one, other)


def _checksum(source: DataSource) -> None:
    law = "the checksum is a SHA-256 that stays the same"
    first, second = source.checksum(), source.checksum()
    require(re.fullmatch("[0-9a-f]{64}", first) is not None, law, f"found {first!r}")
    require(first == second, law, f"{first} became {second}")


def _unknown_split(source: DataSource) -> None:
    law = "an unknown split is a DataError"
    try:
        source.split("no such split")
    except DataError:
        return
    require(holds=False, law=law, found="there was no error")


def _splits(source: DataSource, split: str) -> None:
    law = "what lists its splits lists this one, and gives each"
    if type(source).splits is DataSource.splits:
        return
    names = source.splits()
    require(split in names, law, f"{split!r} is not among {names}")
    require(all(len(source.split(name)) > 0 for name in names), law, f"one of {names} is empty")


def _featurizes(source: DataSource) -> None:
    """One second of noise at 16 kHz, give or take the frames that a window needs."""
    law = "featurize turns a recording into input frames"
    signal = np.random.default_rng(0).normal(0, 0.1, _RATE).astype(np.float32)
    inputs = source.featurize(signal, _RATE)
    shape, frames = tuple(inputs.shape), source.features.frame_rate
    near = math.isclose(len(inputs), frames, abs_tol=3)
    right = inputs.dtype == torch.float32 and shape[1:] == source.features.shape and near
    require(right, law, f"one second gives {inputs.dtype} of shape {shape}, with {frames} frames per second")
