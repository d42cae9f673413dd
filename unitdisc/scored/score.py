"""Makes the scores: each beside chance, ceiling and interval."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from unitdisc.errors import DataError, RecipeError
from unitdisc.scored import controls
from unitdisc.scored.intervals import Spread, blocks
from unitdisc.scores import first_sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from unitdisc.metric import Evaluated, Metric, Need
    from unitdisc.scored.items import Items
    from unitdisc.scored.rows import Row


def score(
    items: Items,
    rows: Sequence[Row],
    *,
    group: Callable[[Evaluated], str],
    groups: Iterable[str],
    samples: int,
    seed: int,
    targets: Mapping[str, int],
    main: str | None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the scores by row, and why other rows have none.

    Args:
        items: What is scored.
        rows: The scores to make. One that was asked for by name and cannot be made raises `RecipeError`.
        group: Returns what an utterance is drawn with: its speaker, or its id.
        groups: What ``group`` can return.
        samples: Of the bootstrap; 0 gives no interval.
        seed: Of shuffles, random segments, blocks and samples.
        targets: Number of labels of each target of frames, which are taken for units: those that a score looks at.
        main: The one for scores that look at none; None where there are none.
    """
    block_of = blocks(groups, _rng(seed, 0)) if samples else {}
    num_blocks = len(set(block_of.values()))
    spreads = {row.name: Spread(row.use.build, num_blocks) for row in rows}
    left_out = _feed(
        {row.name: row for row in rows},
        spreads,
        items.real(_needs(spread.metric for spread in spreads.values())),
        lambda item: block_of.get(group(item), 0),
    )
    found = {}
    for row in rows:
        if row.name in left_out:
            continue
        spread = spreads[row.name]
        try:
            values = spread.metric.compute()
        except DataError as error:
            if row.is_wanted:
                raise
            left_out[row.name] = str(error)
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
    named = {row.name: str(row.use.arguments.get("target") or main) for row in rows}
    golden = {name: target for name, target in named.items() if target in targets}
    kept = {row.name: (row, spreads[row.name].metric) for row in rows if row.name in found}
    for name, beside in _controls(items, kept, seed, golden, targets).items():
        for row_name, entry in found.items():
            entry[name] = beside.get(row_name)
    return found, left_out


def _feed(
    rows: dict[str, Row],
    spreads: dict[str, Spread],
    items: Iterable[Evaluated],
    block: Callable[[Evaluated], int],
) -> dict[str, str]:
    """Give every item to every score; return why some take none."""
    left_out: dict[str, str] = {}
    for item in items:
        for name, row in rows.items():
            if name in left_out:
                continue
            try:
                spreads[name].update(item, block(item))
            except (RecipeError, DataError) as error:
                if row.is_wanted:
                    raise type(error)(f"{name}: {error}") from error
                left_out[name] = str(error)
    return left_out


def _controls(
    items: Items,
    rows: dict[str, tuple[Row, Metric]],
    seed: int,
    golden: Mapping[str, str],
    targets: Mapping[str, int],
) -> dict[str, dict[str, Any]]:
    """Return by control, then by row, the values of units that know nothing, or everything."""
    chance = [name for name, (_, metric) in rows.items() if metric.has_chance]
    units_alone = [name for name, (_, metric) in rows.items() if not metric.needs]
    known = {name: value for name, (_, metric) in rows.items() if (value := metric.chance()) is not None}

    def values(names: Collection[str], given: Iterable[Evaluated]) -> dict[str, Any]:
        return _values({name: rows[name][0].use.build() for name in names}, given) if names else {}

    needs = _needs(rows[name][1] for name in chance)
    shuffled = values(chance, items.shuffled(needs, _rng(seed, 2)))
    segments = values([name for name in chance if name in units_alone], _segments(items, _rng(seed, 3)))
    ceiling: dict[str, Any] = {}
    for target in sorted(set(golden.values())):
        names = [name for name in units_alone if golden.get(name) == target]
        ceiling |= values(names, (controls.gold(item, target, targets[target]) for item in items.bare()))
    return {"shuffled": known | shuffled, "random_segments": segments, "gold": ceiling}


def _segments(items: Items, rng: np.random.Generator) -> Iterable[Evaluated]:
    sequences = items.codes()
    if not sequences or not sequences[0].shape[1]:
        return  # nothing is quantised
    codes = controls.random_segments(sequences, rng)
    for item, drawn in zip(items.bare(), codes, strict=True):
        yield replace(item, codes=drawn)


def _values(metrics: dict[str, Metric], items: Iterable[Evaluated]) -> dict[str, Any]:
    """Return what metrics make of items; without those that ask for more than they have."""
    for item in items:
        for name in list(metrics):
            try:
                metrics[name].update(item)
            except (RecipeError, DataError):
                del metrics[name]
    found = {}
    for name, metric in metrics.items():
        try:
            found[name] = metric.compute()
        except DataError:
            continue
    return found


def _needs(metrics: Iterable[Metric]) -> set[Need]:
    return {need for metric in metrics for need in metric.needs}


def _rng(seed: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, purpose]))
