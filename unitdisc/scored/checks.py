"""What is looked at before scoring, since most wrong scores begin here; each finding names its likely cause.

An error, as every score would be wrong: units whose length does not fit the recordings, ids that have nothing in
common, no label at all, seconds against columns, unknown length of a unit. A warning, as the scores are what they are:
ids on one side only, single utterances without labels or of another length, units that end early or late by one or
two, one unit everywhere, a number of codes that nobody told.
"""

from __future__ import annotations

from fractions import Fraction
from statistics import median
from typing import TYPE_CHECKING

from unitdisc.errors import DataError, RecipeError
from unitdisc.exporter import UNKNOWN
from unitdisc.reader import LONGEST
from unitdisc.scored.items import exact
from unitdisc.scored.label_files import BY_FRAME
from unitdisc.scored.labels import stem
from unitdisc.suggest import hint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from unitdisc.scored.asked import Asked
    from unitdisc.scored.labelled import Labels
    from unitdisc.units import Units

_NEAR = 2
"""Units by which lengths may differ as kinds of framing do."""
_SAME = Fraction(1, 100)
"""Share by which the length of all may differ."""
_SHORTEST, _LONGEST = 1e-6, 1e6
"""Seconds or columns that a unit or frame may last."""
_MOST_FRAMES = 1000
"""Frames of a unit where frames are asked for."""
_USUAL_STEPS = (0.005, 0.01, 0.0125, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.08)


def common(units: Sequence[Units], labels: Labels) -> tuple[list[Units], list[str]]:
    """Return the units that have labels, and warnings on ids of one side. Raises `DataError` when there is none.

    Where labels are of several splits, those without any of the units are passed over.
    """
    known = labels.keys()
    kept = [item for item in units if item.key in known]
    if not kept:
        theirs, ours = next(iter(known)), units[0].key
        stems = {stem(item.key) for item in units} & {stem(key) for key in known}
        cause = (
            "they differ by folder or ending: give --stem"
            if stems
            else f"are they of another corpus or split{hint(ours, list(known)[:1000])}"
        )
        raise DataError(
            f"no id of the units (such as {ours!r}) is one of the labels (such as {theirs!r}); {cause}"
        )
    splits = {labels.splits.get(item.key) for item in kept}
    there = {item.key for item in kept}
    lacking = [key for key in known if key not in there and labels.splits.get(key) in splits]
    extra = [item.key for item in units if item.key not in known]
    warnings = []
    if extra:
        warnings.append(
            f"{_some(extra)} of {len(units)} unit sequences have no labels and are not scored: labels of a part only, "
            "or ids that were changed"
        )
    if lacking:
        warnings.append(
            f"{_some(lacking)} of {len(lacking) + len(kept)} labelled ids have no units: an encoder that skipped "
            "files, or units of a part only; scores are those of the rest"
        )
    return kept, warnings


def same_time(unit_of_time: str, labels: Labels, where: str) -> None:
    """Raise `DataError` where units and labels do not measure time alike."""
    if unit_of_time == UNKNOWN:
        raise DataError(f"{where}: nothing says how long a unit lasts; give --step, as in --step 0.02")
    if unit_of_time != labels.unit_of_time:
        raise DataError(
            f"{where}: units last {unit_of_time}s, the times of {labels.form} are {labels.unit_of_time}s; give labels "
            "of the same recordings or lines"
        )


def same_rate(units: Sequence[Units], labels: Labels, step: Fraction, where: str) -> list[str]:
    """Return warnings on lengths. Raises `DataError` where units of this length do not fit the recordings at all."""
    exactly = {
        item.key: labels.lengths[item.key] - exact(item.start) for item in units if item.key in labels.lengths
    }
    wanted = exactly or {item.key: end - exact(item.start) for item in units if (end := labels.end(item.key))}
    counts = {item.key: len(item.codes) for item in units if item.key in wanted and len(item.codes)}
    if not counts:
        return []
    over = {key: counts[key] - wanted[key] / step for key in counts}
    share = sum(counts.values()) * step / max(sum(wanted[key] for key in counts), step)
    middle = median(over.values())
    if (middle < -_NEAR and share < 1 - _SAME) or (exactly and middle > _NEAR and share > 1 + _SAME):
        raise DataError(f"{where}: {_wrong_rate(units, labels, step, share)}")
    if not exactly and share > 1.5:
        return [
            f"units last {float(share):.2f} times as long as the labels reach: a wrong --step, or labels of a part only"
        ]
    far = [key for key, much in over.items() if (much < -_NEAR or (exactly and much > _NEAR))]
    near = [key for key, much in over.items() if exactly and 1 <= abs(much) <= _NEAR]
    warnings = []
    if far:
        warnings.append(
            f"{_some(far)} of {len(counts)} differ from their recordings by more than {_NEAR} units: cut or damaged "
            "files, or other recordings under the same id"
        )
    if near:
        warnings.append(
            f"{_some(near)} of {len(counts)} have a unit or two more or less than their recordings: convolutions "
            "without padding drop the edges; what has no unit is not scored"
        )
    return warnings


def labelled(units: Sequence[Units], labels: Labels, target: str, where: str) -> list[str]:
    """Return a warning on utterances without labels. Raises `DataError` when none has any."""
    spans = labels.tables[target].spans
    empty = [item.key for item in units if item.key not in spans or not (spans[item.key].numbers >= 0).any()]
    if len(empty) == len(units):
        raise DataError(
            f"{where}: no scored utterance has a label of {target!r}: an empty tier or table, or a fold that leaves "
            "out all of them"
        )
    if not empty:
        return []
    return [
        f"{_some(empty)} of {len(units)} have no label of {target!r}: an alignment that failed, or silence"
    ]


def varied(units: Iterable[Units]) -> list[str]:
    """Return a warning where one unit stands everywhere."""
    arrays = [item.codes for item in units if len(item.codes)]
    if not arrays:
        raise DataError("no utterance has a unit; export the units anew")
    first = arrays[0][0]
    if any((codes != first).any() for codes in arrays):
        return []
    shown = "-".join(map(str, first.tolist()))
    return [f"the unit {shown} stands everywhere: a collapsed codebook, or the wrong column of a file"]


def from_zero(units: Iterable[Units]) -> list[str]:
    """Return a warning where units begin later than the times of an item file."""
    late = [item for item in units if item.start != 0]
    if not late:
        return []
    line = f"units of {_some([item.key for item in late])} begin at {late[0].start:.6g}, the times of ABX items at 0"
    return [f"{line}: an offset in the sidecar or the file; tokens are cut that much too late"]


def told(*, num_codes: int, is_told: bool, unit_of_time: str) -> list[str]:
    """Return warnings where the number of codes or the length of a unit is a guess."""
    warnings = []
    if not is_told:
        line = f"number of codes: {num_codes}, the largest code + 1; if there are more, give --num-codes"
        warnings.append(line)
    if unit_of_time == UNKNOWN:
        warnings.append(
            "nothing says how long a unit lasts, so rates are per unit; give --step for those per second"
        )
    return warnings


def meant(asked: Asked) -> None:
    """Raise `RecipeError` for a length that nothing has."""
    for name in ("step", "frame", "label_step"):
        value = getattr(asked, name)
        if value is not None and not _SHORTEST <= value <= _LONGEST:
            raise RecipeError(
                f"--{name.replace('_', '-')} {value:g}: nothing lasts so; give seconds or columns from "
                f"{_SHORTEST:g} to {_LONGEST:g}"
            )


def coarse_enough(frame: float, step: Fraction, unit_of_time: str) -> None:
    """Raise `RecipeError` for frames of which a unit has so many that nothing is gained."""
    if step / exact(frame) > _MOST_FRAMES:
        raise RecipeError(
            f"--frame {frame:g}: a unit of {float(step):.6g} {unit_of_time}s would be "
            f"{round(step / exact(frame)):,} frames; give {float(step) / _MOST_FRAMES:g} or more"
        )


def plausible(units: Iterable[Units], where: str) -> None:
    """Raise `DataError` for times that no recording or line has."""
    for item in units:
        if not (_SHORTEST <= item.step <= _LONGEST and max(abs(item.start), abs(item.end)) < LONGEST):
            raise DataError(
                f"{where}: {item.key}: units of {item.step:g} {item.unit_of_time}s from {item.start:g} to {item.end:g} "
                "cannot be; the file is damaged, or its times are in other units"
            )


def _wrong_rate(units: Sequence[Units], labels: Labels, step: Fraction, share: Fraction) -> str:
    length = "columns" if labels.unit_of_time == "column" else "s"
    found = (
        f"a unit does not last {float(step):.6g} {length}: all last {float(share):.3g} times what is labelled"
    )
    if share < 1 and not _repeats(units):
        return f"{found}, and none is like the one before: repeats were merged; score the file that has them"
    fit = float(step / share)
    usual = next((each for each in _USUAL_STEPS if abs(each / fit - 1) < 0.05), round(fit, 4))
    asked = f"{round(fit)}" if labels.unit_of_time == "column" else f"{usual:g}"
    by_frame = ", or --label-step if it is that of the labels" if labels.form == BY_FRAME else ""
    return f"{found}; --step {asked} would fit{by_frame}, unless they are of other recordings"


def _repeats(units: Iterable[Units]) -> bool:
    return any((item.codes[1:] == item.codes[:-1]).all(axis=1).any() for item in units)


def _some(keys: Sequence[str]) -> str:
    return f"{len(keys)} (such as {keys[0]!r})"
