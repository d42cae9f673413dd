"""The scores that the report shows: those of the recipe, with what ``scores.json`` adds to them."""

from __future__ import annotations

from dataclasses import replace
from math import isclose
from typing import TYPE_CHECKING, Any

from unitdisc.errors import DataError
from unitdisc.report.data import Score
from unitdisc.run_folder import read_json
from unitdisc.scores import scores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unitdisc.run import Run

SCORES = "scores.json"
"""Where ``unitdisc evaluate RUN --out RUN/scores.json`` puts intervals, chance and ceiling."""


def rows(run: Run, beside: Run | None) -> list[Score]:
    """Return the scores of ``run``, each with that of ``beside`` where both have it.

    A row of ``scores.json`` with the name and value of a score of the recipe adds to it; any other is a row of its
    own. What another checkpoint scored is left out.
    """
    own = {score.name: score for score in scores(run)}
    for name, row in _found(run).items():
        known = own.get(name)
        if known is not None and isclose(known.value, row.value, rel_tol=1e-6):
            own[name] = replace(
                known, interval=row.interval, chance=row.chance, random=row.random, ceiling=row.ceiling
            )
        else:
            own[f"{name}, {SCORES}" if known else name] = replace(
                row, name=f"{name}, {SCORES}" if known else name
            )
    others = {score.name: score.value for score in scores(beside)} if beside else {}
    return [replace(score, beside=others.get(score.name)) for score in own.values()]


def _found(run: Run) -> dict[str, Score]:
    """Return the rows of ``scores.json``. Raises `DataError` where ``unitdisc evaluate`` did not write it."""
    path = run.folder.path / SCORES
    if not path.exists():
        return {}
    content = read_json(path)
    try:
        scored = content["run"] if "run" in content else content["sidecar"]  # of a run, or of its unit file
        if scored["checkpoint_sha256"] != run.checkpoint.digest:
            return {}
        return {name: _row(name, found) for name, found in content["scores"].items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DataError(
            f"{path}: is not what unitdisc evaluate writes; move it away, or write it anew with: unitdisc evaluate "
            f"{run.folder.path} --out {path}"
        ) from None


def _row(name: str, found: Mapping[str, Any]) -> Score:
    spread = found["interval"]
    return Score(
        name,
        float(found["values"]["value"]),
        _value(found["shuffled"]),
        str(found["definition"]),
        better="higher" if found["higher_is_better"] else "lower",
        interval=(float(spread["low"]), float(spread["high"])) if spread else None,
        random=_value(found["random_segments"]),
        ceiling=_value(found["gold"]),
    )


def _value(values: Mapping[str, float] | None) -> float | None:
    return float(values["value"]) if values else None
