"""Gathers the browser of units of a run, with another run's units beside them where wanted."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch

from unitdisc.errors import DataError
from unitdisc.infer import codes_of
from unitdisc.kinds import kind_of
from unitdisc.report import Inventory
from unitdisc.report.browse import Browser, UnitCard
from unitdisc.report.clips import Clips
from unitdisc.report.excerpts import chosen, excerpts
from unitdisc.report.nearness import nearest, on_map

if TYPE_CHECKING:
    from unitdisc.data import Split
    from unitdisc.kinds import Kind
    from unitdisc.report.browse import Clip
    from unitdisc.run import Run

_MOST_UNITS = 4096
_MOST_CLIPS = 400
_PER_UNIT = 6
_NEAREST = 5
_BESIDE = 4
_BYTES, _MORE_BYTES = 10_000_000, 4_000_000
"""Of sound and pictures that are needed, and until which others are added; as letters they take a third more."""
_LONGEST = {"sound": 20.0, "line": 4000.0, "tokens": 200.0, "picture": float("inf")}
"""Of a clip, in the unit of time."""


@dataclass(frozen=True)
class _Beside:
    """Units of another run over the same examples.

    Args:
        name: Of the run.
        names: By id, its units from the beginning of the example on.
        step: Time of one unit.
        grid: Rows and columns of units of a picture.
        counts: How often each code occurs.
    """

    name: str
    names: dict[str, list[str]]
    step: float
    grid: tuple[int, int] | None
    counts: list[int]


def browser(run: Run, split: Split, inventory: Inventory, beside: Run | None) -> Browser:
    """Return the browser of the units in ``inventory``, which are those of ``split``."""
    kind, target = kind_of(run.features), labelled(run)
    if target:
        for index in range(len(split)):
            inventory.meet(index, split[index].targets[target].numpy(), run.model.stride)
    other = _units_of(beside, run, split) if beside else None
    clips = Clips(
        run.source,
        split,
        inventory,
        stride=run.model.stride,
        target=target,
        shown=[*run.record["conditions"], "text"],
        beside={key: (names, other.step) for key, names in other.names.items()} if other else None,
    )
    drawn, examples = _drawn(clips, run.model.stride / run.features.frame_rate, kind)
    codewords = _codewords(run, inventory)
    met = _met(run, split, inventory, other) if other else {}
    cards = _cards(run, inventory, codewords, examples, met)
    return Browser(
        kind=kind,
        unit_of_time=run.features.unit_of_time,
        units=cards,
        clips=drawn,
        total=inventory.num_units,
        labels_name=target,
        beside=other.name if other else "",
        unused=codewords.unused,
        explained=codewords.explained,
        grid=run.model.encoder.grid,
        beside_grid=other.grid if other else None,
        beside_counts=other.counts if other else [],
        notes=_notes(cards, drawn, len(inventory.units), split, kind),
    )


@dataclass(frozen=True)
class _Codewords:
    """Where codewords are.

    Args:
        places: On the map, of the units that are shown.
        unused: On the map, of codewords that the split does not use.
        explained: Share of the variance that the map shows.
        near: For each unit the numbers of the nearest others and their distances.
    """

    places: list[tuple[float, float]]
    unused: list[tuple[float, float]]
    explained: float
    near: list[list[tuple[int, float]]]


def _cards(
    run: Run,
    inventory: Inventory,
    codewords: _Codewords,
    examples: dict[int, list[tuple[int, int]]],
    met: dict[int, Counter[str]],
) -> list[UnitCard]:
    target = labelled(run)
    vocab = run.record["targets"][target][1] if target else []
    step = run.model.stride / run.features.frame_rate
    return [
        UnitCard(
            name=inventory.names[unit],
            count=int(inventory.counts[unit]),
            occurrences=int(inventory.occurrences[unit]),
            duration=float(inventory.counts[unit] / inventory.occurrences[unit] * step),
            labels=[(name, round(share, 4)) for name, share in inventory.labels_of(unit, vocab)],
            place=place,
            nearest=[(inventory.names[number], float(f"{far:.3g}")) for number, far in codewords.near[unit]],
            beside=_shares(met.get(unit)),
            examples=examples.get(unit, []),
        )
        for unit, place in enumerate(codewords.places)
    ]


def labelled(run: Run) -> str:
    """Return the name of the first "frames" target, whose labels units are compared with; "" where there is none."""
    return next((name for name, (kind, _) in run.record["targets"].items() if kind == "frames"), "")


def _drawn(clips: Clips, step: float, kind: Kind) -> tuple[list[Clip], dict[int, list[tuple[int, int]]]]:
    """Return clips of all units, as many as fit, and the places of each unit's examples: (clip, occurrence)."""
    sequences = clips.inventory.sequences
    lengths = [len(sequence) for sequence in sequences]
    longest = int(min(max(_LONGEST[kind.name] / step, 1), max(lengths)))
    pieces = excerpts(lengths, longest)
    needed = list(chosen(pieces, sequences, per_unit=_PER_UNIT))
    rest = [piece for piece in pieces if piece not in set(needed)]
    drawn: list[Clip] = []
    places: defaultdict[int, list[list[int]]] = defaultdict(list)
    size = 0
    for number, piece in enumerate([*needed, *rest]):
        clip = clips.draw(piece)
        size += len(clip.image) + len(clip.sound)
        if size > (_BYTES if number < len(needed) else _MORE_BYTES) or len(drawn) == _MOST_CLIPS:
            break
        for unit, found in _occurrences(clips.runs(piece), turn=len(drawn)).items():
            places[unit].append([len(drawn), *found])
        drawn.append(clip)
    by = [clip.about[0][1] if clip.about else "" for clip in drawn]
    return drawn, {unit: _spread(_mixed(found, by)) for unit, found in places.items()}


def _mixed(found: list[list[int]], by: list[str]) -> list[list[int]]:
    """Return places with one clip of every speaker or writer before the second one of any; ``by`` is of each clip."""
    before: Counter[str] = Counter()
    turns = []
    for clip, *_ in found:
        turns.append(before[by[clip]])
        before[by[clip]] += 1
    return [found[number] for number in sorted(range(len(found)), key=turns.__getitem__)]


def _occurrences(runs: np.ndarray, *, turn: int) -> dict[int, list[int]]:
    """Return the occurrences of each unit, long ones first; equally long ones from another one on in every clip.

    So not all examples stand at the beginning, and what is an instant too short to hear comes last.
    """
    found: defaultdict[int, list[int]] = defaultdict(list)
    for place, unit in enumerate(runs[:, 0].tolist()):
        found[unit].append(place)
    lasts = (runs[:, 2] - runs[:, 1]).tolist()
    return {
        unit: sorted(_turned(places, turn), key=lambda place: -lasts[place]) for unit, places in found.items()
    }


def _turned(places: list[int], turn: int) -> list[int]:
    first = turn % len(places)
    return places[first:] + places[:first]


def _spread(found: list[list[int]]) -> list[tuple[int, int]]:
    """Return one occurrence of every clip, then another one, until there are enough."""
    deepest = max(map(len, found))
    turns = ((clip, rest[turn]) for turn in range(deepest - 1) for clip, *rest in found if turn < len(rest))
    return list(islice(turns, _PER_UNIT))


@torch.inference_mode()
def _codewords(run: Run, inventory: Inventory) -> _Codewords:
    bottleneck = run.model.bottleneck
    units = inventory.units[:_MOST_UNITS]
    idle = np.zeros((0, units.shape[1]), dtype=np.int64)
    if bottleneck.num_codebooks == 1 and bottleneck.num_codes <= _MOST_UNITS:
        idle = np.setdiff1d(np.arange(bottleneck.num_codes), inventory.units)[:, None]
    codes = torch.from_numpy(np.concatenate([units, idle])).to(run.model.device)
    vectors = bottleneck.lookup(codes).float().cpu().double().numpy()
    used, unused = np.split(vectors, [len(units)])
    places, others, explained = on_map(used, unused)
    return _Codewords(_pairs(places), _pairs(others), explained, nearest(used, _NEAREST))


def _pairs(places: np.ndarray) -> list[tuple[float, float]]:
    return [(round(x, 3), round(y, 3)) for x, y in places.tolist()]


def _units_of(beside: Run, run: Run, split: Split) -> _Beside:
    """Return the other run's units of the examples of ``split``."""
    name = f"{beside.recipe.name} ({beside.folder.path.name})"
    if beside.model.bottleneck.num_codes == 0:
        raise DataError(
            f"{beside.folder.path}: quantises nothing, so it has no units to show; give another run"
        )
    if beside.features.unit_of_time != run.features.unit_of_time:
        raise DataError(
            f"{beside.folder.path}: its units last {beside.features.unit_of_time}s, those of {run.folder.path} "
            f"{run.features.unit_of_time}s; give a run over the same data"
        )
    others = beside.source.split(beside.recipe.evaluate.split)
    if not set(others.keys) & set(split.keys):
        raise DataError(
            f"{beside.folder.path}: its split {beside.recipe.evaluate.split!r} has none of the examples of "
            f"{run.folder.path}, such as {split.keys[0]!r}; give a run over the same data"
        )
    codes = codes_of(beside.model, others, batch_frames=beside.recipe.evaluate.batch_frames)
    names = {
        key: [".".join(map(str, unit)) for unit in sequence.tolist()]
        for key, sequence in zip(others.keys, codes, strict=True)
    }
    step = beside.model.stride / beside.features.frame_rate
    counts = Inventory(codes, num_codes=beside.model.bottleneck.num_codes).code_counts
    return _Beside(name, names, step, beside.model.encoder.grid, counts)


def _met(run: Run, split: Split, inventory: Inventory, other: _Beside) -> dict[int, Counter[str]]:
    """Count which units of the other run stand in the middle of each unit's steps."""
    met: defaultdict[int, Counter[str]] = defaultdict(Counter)
    if other.grid != run.model.encoder.grid:
        return met  # cells of pictures that do not lie on one another
    step = run.model.stride / run.features.frame_rate
    for key, sequence in zip(split.keys, inventory.sequences, strict=True):
        names = other.names.get(key, [])
        for number, unit in enumerate(sequence.tolist()):
            place = int((number + 0.5) * step / other.step)
            if place < len(names):
                met[unit][names[place]] += 1
    return met


def _shares(met: Counter[str] | None) -> list[tuple[str, float]]:
    if not met:
        return []
    return [(name, round(count / met.total(), 4)) for name, count in met.most_common(_BESIDE)]


def _notes(cards: list[UnitCard], drawn: list[Clip], num_units: int, split: Split, kind: Kind) -> list[str]:
    """Say what is left out."""
    here = len({clip.key for clip in drawn})
    notes = [f"Examples are taken from {here:,} of {len(split):,} {kind.many}."]
    if here < len(split):
        notes[0] += (
            " The rest is left out to keep the page small; counts and shares are those of the whole split."
        )
    if without := sum(not card.examples for card in cards):
        notes.append(f"{without:,} rare units have no example here.")
    if num_units > len(cards):
        notes.append(f"Of {num_units:,} units the {len(cards):,} most frequent are shown.")
    return notes
