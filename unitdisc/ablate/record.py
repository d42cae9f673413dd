"""``ablation.json``: every number of the comparison, run by run, and what it was made with."""

from __future__ import annotations

import math
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import unitdisc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unitdisc.ablate.comparison import Comparison, Line
    from unitdisc.ablate.intervals import Summary
    from unitdisc.ablate.outcome import Outcome
    from unitdisc.ablate.variants import Variant


def record(
    comparison: Comparison, variants: Sequence[Variant], *, folder: Path, preset: str | None, command: str
) -> dict[str, Any]:
    """Return the content of the file; a number that is not finite is null.

    Args:
        comparison: What is written.
        variants: The compared recipes.
        folder: Where their runs are; paths are relative to it.
        preset: The preset of all.
        command: What makes it again.
    """
    content = {
        "command": command,
        "preset": preset,
        "seeds": comparison.seeds,
        "baseline": comparison.baseline,
        "interval": "95 % t interval of the mean; differences are paired by seed",
        "unitdisc": unitdisc.__version__,
        "commit": _commit(),
        "recipes": [
            {
                "name": item.name,
                "given": item.given,
                "bottleneck": item.recipe.bottleneck.plain(),
                "paper": item.recipe.paper.plain() if item.recipe.paper else None,
            }
            for item in variants
        ],
        "scores": [_line(line) for line in comparison.lines],
        "runs": [_run(outcome, folder) for outcome in comparison.outcomes],
    }
    finite: dict[str, Any] = _finite(content)
    return finite


def _line(line: Line) -> dict[str, Any]:
    return {
        "score": line.metric,
        "better": line.better,
        "recipe": line.variant,
        "values": {str(seed): value for seed, value in line.values.items()},
        **_summary(line.summary),
        "paper": line.paper,
        "difference": _summary(line.difference) if line.difference else None,
        "verdict": line.verdict,
    }


def _summary(summary: Summary | None) -> dict[str, Any]:
    return asdict(summary) if summary else {"n": 0, "median": None, "mean": None, "interval": None}


def _run(outcome: Outcome, folder: Path) -> dict[str, Any]:
    kept = ("device", "processes", "threads", "python", "versions", "plugins")
    return {
        "recipe": outcome.cell.variant,
        "seed": outcome.cell.seed,
        "folder": str(outcome.cell.folder.relative_to(folder)),
        "recipe_sha256": outcome.cell.recipe.digest(),
        "finished": outcome.is_finished,
        "collapsed": outcome.is_collapsed,
        "exit_code": outcome.ended.code if outcome.ended else 0,
        "message": outcome.ended.message if outcome.ended else "",
        "perplexity": outcome.perplexity,
        "num_codes": outcome.num_codes,
        "scores": {
            name: {"value": score.value, "chance": score.chance} for name, score in outcome.scores.items()
        },
        **{name: outcome.record[name] for name in kept if name in outcome.record},
        "data_sha256": outcome.record.get("data", {}).get("sha256"),
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _commit() -> str | None:
    """Return the commit of the source checkout that this runs from, "-dirty" behind it where files changed."""
    checkout = Path(unitdisc.__file__).parent.parent
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
