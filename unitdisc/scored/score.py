"""Makes the scores: each beside chance, ceiling and interval."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from unitdisc.errors import DataError, RecipeError
from unitdisc.scored import controls
from unitdisc.scored.intervals import Spread, blocks
from unitdisc.scores import first_sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from unitdisc.errors import UnitdiscError
    from unitdisc.metric import Evaluated, Metric, Need
    from unitdisc.scored.items import Items
    from unitdisc.scored.rows import Row


def score(
    items: Items,
    rows: Sequence[Row],
    *,
    other: Items | None = None,
    group: Callable[[Evaluated], str],
    groups: Iterable[str],
    samples: int,
    jackknife: bool = True,
    seed: int,
    targets: Mapping[str, int],
    main: str | None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the scores by row, and why other rows have none.

    Args:
        items: What is scored.
        rows: The scores to make. One that was asked for by name and cannot be made raises `RecipeError`.
        other: What scores learn from that learn something; None lets them learn from ``items``.
        group: Returns what an utterance is drawn with: its speaker, or its id.
        groups: What ``group`` can return.
        samples: Of the bootstrap; 0 gives no interval.
        jackknife: Whether scores that cannot be merged have intervals, too.
        seed: Of shuffles, random segments, blocks and samples.
        targets: Number of labels of each target of frames, which are taken for units: those that a score looks at.
        main: The one for scores that look at none; None where there are none.
    """
    block_of = blocks(groups, _rng(seed, 0)) if samples else {}
    num_blocks = len(set(block_of.values()))
    left_out: dict[str, str] = {}
    gaps: set[str] = set()
    teachers = _teachers(rows) if other is not None else {}
    if other is not None:
        takers = {name: teacher.update for name, teacher in teachers.items()}
        _feed(rows, takers, _noting(other.real(_needs(teachers.values())), gaps), left_out)
    spreads: dict[str, Spread] = {}
    for row in rows:
        if row.name not in left_out:
            try:
                spreads[row.name] = Spread(partial(_made, row, teachers), num_blocks, jackknife=jackknife)
            except RecipeError as error:
                _give_up(row, error, left_out)
    real = _noting(items.real(_needs(spread.metric for spread in spreads.values())), gaps)
    _feed(
        rows,
        {name: partial(_take, spread, block_of, group) for name, spread in spreads.items()},
        real,
        left_out,
    )
    found = {}
    for row in rows:
        if row.name in left_out:
            continue
        spread = spreads[row.name]
        try:
            values = spread.metric.compute()
        except DataError as error:
            _give_up(row, error, left_out)
            continue
        metric = spread.metric
        found[row.name] = {
            **row.use.plain(),
            "definition": first_sentence(row.use.component),
            **({"signature": signature} if (signature := metric.signature()) else {}),
            "values": values,
            "higher_is_better": metric.higher_is_better,
            "interval": spread.interval(samples, _rng(seed, 1)) if samples else None,
        }
        spread.parts.clear()  # they may hold as much as the score itself
    kept = {row.name: (row, spreads[row.name].metric) for row in rows if row.name in found}
    named = {row.name: str(row.use.arguments.get("target") or main) for row in rows}
    golden = {name: (target, targets[target]) for name, target in named.items() if target in targets}
    for name, beside in _controls(items, other, kept, seed=seed, golden=golden, gaps=gaps).items():
        for row_name, entry in found.items():
            entry[name] = beside.get(row_name)
    return found, left_out


def _feed(
    rows: Sequence[Row],
    takers: Mapping[str, Callable[[Evaluated], None]],
    items: Iterable[Evaluated],
    left_out: dict[str, str],
) -> None:
    """Give every item to every score, and note why some take none."""
    for item in items:
        for row in rows:
            if row.name in left_out or row.name not in takers:
                continue
            try:
                takers[row.name](item)
            except (RecipeError, DataError) as error:
                _give_up(row, error, left_out)


def _take(
    spread: Spread, block_of: Mapping[str, int], group: Callable[[Evaluated], str], item: Evaluated
) -> None:
    spread.update(item, block_of.get(group(item), 0))


def _give_up(row: Row, error: UnitdiscError, left_out: dict[str, str]) -> None:
    """Note why a row has no score. Raises an error that names the row where it was asked for."""
    if row.is_wanted:
        raise type(error)(f"{row.name}: {error}") from error
    left_out[row.name] = str(error)


def _noting(items: Iterable[Evaluated], gaps: set[str]) -> Iterator[Evaluated]:
    """Yield each item, and note in ``gaps`` the targets that leave some frame unlabelled."""
    for item in items:
        gaps.update(name for name, labels in item.targets.items() if name not in gaps and (labels < 0).any())
        yield item


def _teachers(rows: Iterable[Row]) -> dict[str, Metric]:
    """Return a metric for each row that can learn from one."""
    return {row.name: row.use.build() for row in rows if row.use.component.learns}


def _made(row: Row, teachers: Mapping[str, Metric]) -> Metric:
    metric: Metric = row.use.build()
    if row.name in teachers:
        metric.learn_from(teachers[row.name])
    return metric


def _controls(
    items: Items,
    other: Items | None,
    rows: dict[str, tuple[Row, Metric]],
    *,
    seed: int,
    golden: Mapping[str, tuple[str, int]],
    gaps: Collection[str],
) -> dict[str, dict[str, Any]]:
    """Return by control, then by row, the values of units that know nothing, or everything.

    What scores learn from is made to know as little or as much.
    """
    chance = [name for name, (_, metric) in rows.items() if metric.has_chance]
    units_alone = [name for name, (_, metric) in rows.items() if not metric.needs]
    known = {name: value for name, (_, metric) in rows.items() if (value := metric.chance()) is not None}

    def values(names: Iterable[str], given: Callable[[Items], Iterable[Evaluated]]) -> dict[str, Any]:
        return _values([rows[name][0] for name in names], items, other, given)

    needs = _needs(rows[name][1] for name in chance)
    shuffled = values(chance, lambda each: each.shuffled(needs, _rng(seed, 2)))
    segments = values(
        [name for name in chance if name in units_alone], lambda each: _segments(each, _rng(seed, 3))
    )
    ceiling: dict[str, Any] = {}
    for target, size in sorted(set(golden.values())):
        gold = partial(controls.gold, target=target, num_labels=size, has_gaps=target in gaps)
        names = [name for name in units_alone if golden.get(name) == (target, size)]
        ceiling |= values(names, lambda each, gold=gold: map(gold, each.bare()))  # type: ignore[misc]
    return {"shuffled": known | shuffled, "random_segments": segments, "gold": ceiling}


def _segments(items: Items, rng: np.random.Generator) -> Iterable[Evaluated]:
    sequences = items.codes()
    if not sequences or not sequences[0].shape[1]:
        return  # nothing is quantised
    codes = controls.random_segments(sequences, rng)
    for item, drawn in zip(items.bare(), codes, strict=True):
        yield replace(item, codes=drawn)


def _values(
    rows: Sequence[Row],
    items: Items,
    other: Items | None,
    given: Callable[[Items], Iterable[Evaluated]],
) -> dict[str, Any]:
    """Return what rows make of items; without those that ask for more than these have."""
    if not rows:
        return {}
    teachers = _teachers(rows) if other is not None else {}
    failed = _fed(teachers, given(other)) if other is not None and teachers else set()
    metrics = {row.name: _made(row, teachers) for row in rows if row.name not in failed}
    failed = _fed(metrics, given(items))
    found = {}
    for name, metric in metrics.items():
        with suppress(DataError):
            if name not in failed:
                found[name] = metric.compute()
    return found


def _fed(metrics: Mapping[str, Metric], items: Iterable[Evaluated]) -> set[str]:
    """Give every item to every metric; return the names of those that cannot take one."""
    failed: set[str] = set()
    for item in items:
        for name, metric in metrics.items():
            if name in failed:
                continue
            try:
                metric.update(item)
            except (RecipeError, DataError):
                failed.add(name)
    return failed


def _needs(metrics: Iterable[Metric]) -> set[Need]:
    return {need for metric in metrics for need in metric.needs}


def _rng(seed: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, purpose]))
