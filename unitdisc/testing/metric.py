"""The laws of metrics."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from unitdisc.errors import RecipeError
from unitdisc.metric import Evaluated
from unitdisc.testing.laws import require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from unitdisc.data import TargetSpec
    from unitdisc.metric import Metric, Need

_NUM_CODES = 6
_STRIDE = 3
_FRAME_SIZE = 6
_SHAPES = {"inputs": (2, 3), "latents": (4,), "values": (4,)}


def check_metric(
    make: Callable[[], Metric],
    *,
    targets: Mapping[str, TargetSpec] | None = None,
    heads: Mapping[str, TargetSpec] | None = None,
    likelihoods: Sequence[str] = ("decoder",),
    num_codebooks: int = 1,
) -> None:
    """Raise an AssertionError that names the first law of `Metric` that a metric breaks.

    Args:
        make: Builds the metric: ``partial(PER, head="ctc", target="phones_sequence")``.
        targets: The references that the utterances have, which are drawn at random.
        heads: What each head predicts, which is drawn at random too.
        likelihoods: The parts that give nats, which are drawn at random too.
        num_codebooks: Q of the units.
    """
    items = _utterances(dict(targets or {}), dict(heads or {}), num_codebooks)
    items = [_carrying(item, make().needs, likelihoods) for item in items]
    result = _score(make(), items)
    law = "compute returns finite numbers, the main one under 'value'"
    require("value" in result, law, f"found the keys {sorted(result)}")
    for name, value in result.items():
        right = isinstance(value, float | int) and math.isfinite(value)
        require(right, law, f"{name!r} is {value!r}")
    _order(make, items, result)
    _fresh(make, items, result)
    _merges(make, items)
    _learns(make, items)
    _leaves_items_alone(make, items)
    _names(make, items)


def _score(metric: Metric, items: list[Evaluated]) -> dict[str, float]:
    for item in items:
        metric.update(item)
    return metric.compute()


def _order(make: Callable[[], Metric], items: list[Evaluated], expected: dict[str, float]) -> None:
    law = "the order of utterances does not matter"
    for name, value in _score(make(), items[::-1]).items():
        same = math.isclose(value, expected[name], rel_tol=1e-9, abs_tol=1e-12)
        require(same, law, f"{name!r} is {value} backwards and {expected[name]} forwards")


def _fresh(make: Callable[[], Metric], items: list[Evaluated], expected: dict[str, float]) -> None:
    law = "instances share no state and compute changes none"
    metric, other = make(), make()
    other.update(items[0])
    found = _score(metric, items)
    require(found == expected, law, f"{found} instead of {expected} beside another instance")
    again = metric.compute()
    require(again == expected, law, f"{again} instead of {expected} the second time")


def _merges(make: Callable[[], Metric], items: list[Evaluated]) -> None:
    law = "merging instances is taking in their items, times over, and leaves the merged ones alone"
    parts = [make() for _ in items]
    if not parts[0].merges:
        return
    for part, item in zip(parts, items, strict=True):
        part.update(item)
    for times in (1, 2, 1):
        whole = make()
        for part in parts:
            whole.merge(part, times)
        found, expected = whole.compute(), _score(make(), items * times)
        same = found.keys() == expected.keys() and all(
            math.isclose(found[name], expected[name], rel_tol=1e-9, abs_tol=1e-12) for name in expected
        )
        require(same, law, f"{found} instead of {expected} when merged {times} times")


def _learns(make: Callable[[], Metric], items: list[Evaluated]) -> None:
    law = "a metric that learns from another one leaves it alone, and keeps the other laws"
    teacher = make()
    if not teacher.learns:
        return
    before = _score(teacher, items)

    def taught() -> Metric:
        metric = make()
        metric.learn_from(teacher)
        return metric

    try:
        expected = _score(taught(), items)
    except RecipeError:  # its parameters say from what it learns
        return
    require(all(map(math.isfinite, expected.values())), law, f"found {expected}")
    _fresh(taught, items, expected)
    _merges(taught, items)
    require(teacher.compute() == before, law, "the other one changed")


def _leaves_items_alone(make: Callable[[], Metric], items: list[Evaluated]) -> None:
    given = copy.deepcopy(items)
    _score(make(), given)
    for item, before in zip(given, items, strict=True):
        pairs = zip(_arrays(item), _arrays(before), strict=True)
        changed = sum(not np.array_equal(one, other) for one, other in pairs)
        require(
            changed == 0,
            "update does not change what it is given",
            f"{changed} arrays of {item.key!r} changed",
        )


def _names(make: Callable[[], Metric], items: list[Evaluated]) -> None:
    law = "a target, head or field that does not exist is a RecipeError"
    item = items[0]
    bare = Evaluated(item.key, item.codes, item.num_codes, item.num_frames, item.stride)
    try:
        make().update(bare)
    except RecipeError:
        return
    except Exception as error:  # noqa: BLE001  (whatever else it raises breaks the law)
        require(holds=False, law=law, found=f"{type(error).__name__}: {error}")


def _arrays(item: Evaluated) -> list[np.ndarray]:
    carried = [array for array in (item.inputs, item.latents, item.values) if array is not None]
    return [item.codes, *item.targets.values(), *item.predictions.values(), *carried]


def _carrying(item: Evaluated, needs: Sequence[Need], likelihoods: Sequence[str]) -> Evaluated:
    """Return the utterance with what a metric says that it needs, and nothing more, and with nats."""
    rng = np.random.default_rng(item.num_frames)
    lengths = {"inputs": item.num_frames, "latents": len(item.codes), "values": len(item.codes)}
    drawn: dict[str, Any] = {
        need: rng.normal(size=(lengths[need], *_SHAPES[need])).astype(np.float32) for need in needs
    }
    nats = {name: float(rng.exponential(item.num_frames)) for name in likelihoods}
    return replace(item, nats=nats, frame_size=_FRAME_SIZE, translate=partial(_written, item.key), **drawn)


def _written(key: str, **options: object) -> str:
    del options
    return f"a man and {key} are here"


def _utterances(
    targets: dict[str, TargetSpec], heads: dict[str, TargetSpec], num_codebooks: int
) -> list[Evaluated]:
    rng = np.random.default_rng(0)
    items = []
    for number, num_frames in enumerate([40, 1, 23, 12]):
        num_units = -(-num_frames // _STRIDE)
        sizes = {"frames": num_frames, "sequence": max(1, num_units // 2)}
        references, predictions = (
            {name: rng.integers(0, len(spec.vocab), sizes[spec.kind]) for name, spec in group.items()}
            for group in (targets, heads)
        )
        for name, spec in targets.items():
            if spec.kind == "frames":
                references[name][1::5] = -1
        codes = rng.integers(0, _NUM_CODES, (num_units, num_codebooks))
        fields = {"speaker": "ab"[number % 2], "target": f"a man or u{number} is here"}
        items.append(
            Evaluated(
                f"u{number}", codes, _NUM_CODES, num_frames, _STRIDE, references, predictions, fields, 100.0
            )
        )
    return items
