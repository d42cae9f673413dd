"""The comparison from start to end: read, run what is missing, tell, compare, write."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unitdisc.ablate import curves, outcome, sweep, table
from unitdisc.ablate.comparison import Comparison, compare
from unitdisc.ablate.hold import held
from unitdisc.ablate.plot import plot
from unitdisc.ablate.processes import Ended, run_cells, shares
from unitdisc.ablate.record import record
from unitdisc.ablate.variants import Cell, Variant, cells, find, read_seeds, read_variants
from unitdisc.errors import Interrupted, RecipeError
from unitdisc.report import png
from unitdisc.storage import write_bytes, write_text
from unitdisc.suggest import hint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from unitdisc.ablate.outcome import Outcome

_HEADLINE = 4
_CRASHED = 1


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the command line asks for.

    Args:
        arguments: Recipes, and overrides for all of them.
        seeds: "5" or "1,4,7".
        preset: Overlay of every recipe.
        folder: Where runs and results go.
        jobs: Runs side by side; None takes what fits.
        baseline: Name of a variant; None takes the first.
        metrics: Scores to show; () shows all.
        curves: Numbers of the log to draw; () draws scores in training, perplexity and loss.
        over: Number of the recipes or of the log that scores are also drawn over; None draws none.
        command: What to type to go on.
    """

    arguments: Sequence[str]
    seeds: str
    preset: str | None
    folder: Path
    jobs: int | None
    baseline: str | None
    metrics: Sequence[str]
    curves: Sequence[str]
    over: str | None
    command: str


def ablate(wanted: Wanted, *, say: Callable[[str], None]) -> int:
    """Run what is missing, write and print the comparison; return the exit code. Raises `Interrupted` (saved)."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise RecipeError("ablate starts a process per run by itself; start it without torchrun")
    seeds = read_seeds(wanted.seeds)
    variants = read_variants(wanted.arguments, preset=wanted.preset)
    baseline = find(wanted.baseline, variants) if wanted.baseline else variants[0]
    _check_metrics(wanted.metrics, variants)
    if wanted.over is not None:
        sweep.check(wanted.over, [variant.recipe for variant in variants])
    with held(wanted.folder) as lock:
        outcomes = _outcomes(wanted, variants, cells(variants, seeds, wanted.folder), lock, say)
        comparison = compare(
            outcomes,
            variants=[variant.name for variant in variants],
            seeds=seeds,
            baseline=baseline.name,
            metrics=wanted.metrics,
            papers={item.name: item.recipe.paper for item in variants if item.recipe.paper is not None},
        )
        _write(wanted, comparison, variants)
    say(table.text(comparison).rstrip("\n"))
    say(
        "".join(f"\n{wanted.folder / f'ablation.{end}'}" for end in ("txt", "md", "json", "png")).lstrip("\n")
    )
    _tell_unlogged(wanted.curves, outcomes, say)
    if wanted.over is not None and len(found := set(sweep.places(comparison, wanted.over).values())) < 2:
        reason = "has one value alone" if found else "is no number of a recipe, and no run logged it"
        say(f"warning: --over: {wanted.over!r} {reason}; nothing is drawn over it")
    failed = [item.ended.code for item in outcomes if item.ended is not None]
    return next((code if code > 0 else _CRASHED for code in failed), 0)


def _check_metrics(names: Sequence[str], variants: Sequence[Variant]) -> None:
    """Raise `RecipeError` for a score that no run will have; what a decoder reports only training tells."""
    existing = list(dict.fromkeys(name for variant in variants for name in variant.recipe.metrics))
    for name in names:
        if name not in existing and not name.startswith("decoder."):
            accepted = ", ".join([*existing, "decoder.NAME"])
            raise RecipeError(
                f"--metric: no recipe scores {name!r}{hint(name, existing)} (accepted: {accepted})"
            )


def _outcomes(
    wanted: Wanted,
    variants: Sequence[Variant],
    wanted_cells: Sequence[Cell],
    lock: int,
    say: Callable[[str], None],
) -> list[Outcome]:
    """Run the cells that are not finished and return what became of all."""
    missing = [cell for cell in wanted_cells if not outcome.is_finished(cell)]
    share = shares([variant.recipe for variant in variants], wanted.jobs)
    progress = _Progress(len(wanted_cells), len(wanted_cells) - len(missing), say)
    if missing:
        progress.begin(wanted.folder, share.jobs)
        if not run_cells(missing, share, lock=lock, started=progress.started, ended=progress.ended):
            raise Interrupted(
                f"stopped; {progress.done} of {len(wanted_cells)} runs are done, what the others learnt is saved; "
                f"go on with: {wanted.command}"
            )
    sizes: dict[str, int] = {}
    found = []
    for cell in wanted_cells:
        item = outcome.read(cell, progress.failed.get(cell.folder), sizes.get(cell.variant))
        if item.is_finished:
            sizes[cell.variant] = item.num_codes
        found.append(item)
    return found


class _Progress:
    """Tells when a run begins and ends.

    Args:
        total: Number of runs.
        done: Those that are finished.
        say: Prints a line.
    """

    def __init__(self, total: int, done: int, say: Callable[[str], None]) -> None:
        self.total = total
        self.done = done
        self.say = say
        self.failed: dict[Path, Ended] = {}

    def begin(self, folder: Path, jobs: int) -> None:
        """Say what is to be done."""
        before = f", {self.done} finished before" if self.done else ""
        self.say(f"{self.total} runs{before}, {jobs} at a time; each prints into {folder}/RECIPE/seed-N.txt")

    def started(self, cell: Cell) -> None:
        """Say which run begins."""
        is_begun = any((cell.folder / "checkpoints").glob("step-*"))
        self.say(f"{cell}: {'goes on' if is_begun else 'begins'}")

    def ended(self, cell: Cell, ended: Ended) -> None:
        """Say how a run ended."""
        self.done += 1
        if ended.code == 0:
            scores = outcome.read(cell, None, num_codes=0).scores
            shown = [f"{score.name} {table.number(score.value)}" for score in scores.values()][:_HEADLINE]
        else:
            self.failed[cell.folder] = ended
            shown = [f"FAILED, {ended}"]
        self.say(f"{cell}: {', '.join(shown)}  ({self.done}/{self.total}, {_clock(ended.seconds)})")


def _write(wanted: Wanted, comparison: Comparison, variants: Sequence[Variant]) -> None:
    content = record(comparison, variants, folder=wanted.folder, preset=wanted.preset, command=wanted.command)
    names = wanted.curves or curves.chosen(comparison.outcomes, wanted.metrics)
    picture = plot(comparison, title=_title(wanted, comparison), names=names, over=wanted.over)
    if wanted.over is not None:
        content["over"] = {"number": wanted.over, "recipes": sweep.places(comparison, wanted.over)}
    write_text(wanted.folder / "ablation.txt", table.text(comparison))
    write_text(wanted.folder / "ablation.md", table.markdown(comparison))
    write_text(wanted.folder / "ablation.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    write_bytes(wanted.folder / "ablation.png", png(picture))


def _title(wanted: Wanted, comparison: Comparison) -> str:
    many = len(comparison.seeds)
    seeds = f"{many} seeds" if many > 1 else f"seed {comparison.seeds[0]}"
    recipes = f"{len(comparison.variants)} recipes, " if len(comparison.variants) > 1 else ""
    return f"{recipes}{seeds}" + (f", preset {wanted.preset}" if wanted.preset else "")


def _tell_unlogged(names: Sequence[str], outcomes: Sequence[Outcome], say: Callable[[str], None]) -> None:
    known = curves.logged(outcomes)
    for name in names:
        if known and name not in known:
            say(f"warning: --curve: no run logged {name!r}{hint(name, known)} (logged: {', '.join(known)})")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes else f"{rest} s"
