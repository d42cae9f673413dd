"""How far a score would go with other speakers or writers."""

from __future__ import annotations

from math import isfinite, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from unitdisc.ablate.intervals import CONFIDENCE, t_quantile
from unitdisc.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from unitdisc.metric import Evaluated, Metric

MOST_BLOCKS = 50
"""Groups that are drawn by themselves; more are drawn in as many blocks of several."""
_MOST_LEFT_OUT = 20
"""Blocks of a score that cannot be merged: each is a whole score without it."""

_FEWEST = 3
"""Speakers or writers of which something can be said about others."""


def blocks(groups: Iterable[str], rng: np.random.Generator) -> dict[str, int]:
    """Return the number of its block for each group: its own, or where there are many a random one."""
    names = sorted(set(groups))
    numbers = np.arange(len(names)) % MOST_BLOCKS
    if len(names) > MOST_BLOCKS:
        numbers = rng.permutation(numbers)
    return dict(zip(names, numbers.tolist(), strict=True))


class Spread:
    """One score, and what it is made of, block by block.

    The interval is Student's: value +- t * error with one degree of freedom less than there are blocks. A metric that
    merges keeps an instance per block, and the error is the deviation of the bootstrap: blocks are drawn with
    replacement, as many as there are, and the score recomputed. (Quantiles of the bootstrap would lie off the value:
    with fewer different speakers, mutual information is higher.) What compares utterances with each other would take
    a block drawn twice for agreement of two; there each block is left out once, the jackknife. A metric that merges
    makes that of its blocks, too; of any other there is an instance without each block.

    Args:
        make: Returns the metric, new.
        num_blocks: Blocks; fewer than 2 give no interval.
        jackknife: Whether what cannot be drawn several times over has an interval, too.
    """

    def __init__(self, make: Callable[[], Metric], num_blocks: int, *, jackknife: bool = True) -> None:
        self.make, self.metric = make, make()
        self._draws = self.metric.merges and self.metric.bootstraps
        count = num_blocks if self._draws else min(num_blocks, _MOST_LEFT_OUT) * jackknife
        self.parts = [make() for _ in range(count)] if count > 1 else []

    def update(self, item: Evaluated, block: int) -> None:
        """Take in an utterance of a block."""
        self.metric.update(item)
        own = block % max(1, len(self.parts))
        for number, part in enumerate(self.parts):
            if (number == own) == self.metric.merges:
                part.update(item)
            elif not self.metric.merges:
                part.leave_out(item)

    def interval(self, samples: int, rng: np.random.Generator) -> dict[str, Any] | None:
        """Return "low" and "high", and the "method"; None where it cannot be told."""
        centre = _value(self.metric) if self.parts else None
        error = (
            None if centre is None else self._bootstrap(samples, rng) if self._draws else self._jackknife()
        )
        if centre is None or error is None:
            return None
        count = len(self.parts)
        half = t_quantile((1 + CONFIDENCE) / 2, count - 1) * error
        about = {"method": "bootstrap", "samples": samples} if self._draws else {"method": "jackknife"}
        return {"low": centre - half, "high": centre + half, **about, "blocks": count}

    def _bootstrap(self, samples: int, rng: np.random.Generator) -> float | None:
        """Return the standard error; None where more than a few samples cannot be scored."""
        found, count = [], len(self.parts)
        for _ in range(samples):
            drawn = np.bincount(rng.integers(count, size=count), minlength=count)
            metric = self.make()
            for part, times in zip(self.parts, drawn.tolist(), strict=True):
                if times:
                    metric.merge(part, times)
            found.append(_value(metric))
        known = [value for value in found if value is not None]
        if len(known) < max(2, samples * CONFIDENCE):
            return None
        # Drawing with replacement sees the deviation of `count` blocks around their own mean.
        return float(np.std(known) * sqrt(count / (count - 1)))

    def _jackknife(self) -> float | None:
        """Return the standard error; None where the score without a block cannot be made."""
        rests = map(self._without, range(len(self.parts))) if self.metric.merges else self.parts
        found = [value for rest in rests if (value := _value(rest)) is not None]
        count = len(found)
        return sqrt((count - 1) * float(np.var(found))) if count == len(self.parts) else None

    def _without(self, left_out: int) -> Metric:
        """Return the score of all blocks but one."""
        metric = self.make()
        for number, part in enumerate(self.parts):
            if number != left_out:
                metric.merge(part)
        return metric


def group_field(known: Mapping[str, Mapping[str, str]], asked: str | None) -> str | None:
    """Return the field whose values are drawn: ``asked``, else speaker, writer or document; None takes utterances.

    Raises `DataError` when some utterance does not say its ``asked`` field.
    """
    if asked is not None:
        lacking = [key for key, fields in known.items() if asked not in fields]
        if lacking or not known:
            names = sorted({name for fields in known.values() for name in fields})
            raise DataError(
                f"--group {asked}: {lacking[0] if lacking else 'no utterance'} says none; "
                f"accepted: {', '.join(names) or 'nothing, the labels say nothing of that kind'}"
            )
        return asked
    for name in ("speaker", "writer", "document"):
        if known and all(name in fields for fields in known.values()):
            return name
    return None


def drawn(known: Mapping[str, Mapping[str, str]], field: str | None, *, is_asked: bool) -> dict[str, str]:
    """Return what is drawn in place of each utterance: the value of its ``field``, or itself.

    Of less than three speakers utterances are drawn, unless speakers are asked for.
    """
    if field is None or (len({fields[field] for fields in known.values()}) < _FEWEST and not is_asked):
        return {key: key for key in known}
    return {key: fields[field] for key, fields in known.items()}


def _value(metric: Metric) -> float | None:
    """Return the main number; None where there is too little to score, or it is not finite."""
    try:
        value = metric.compute()["value"]
    except DataError:
        return None
    return value if isfinite(value) else None
