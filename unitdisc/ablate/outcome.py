"""What became of one run: its scores, how it failed, whether its codebook collapsed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from unitdisc import steps
from unitdisc.errors import StorageError, UnitdiscError
from unitdisc.run import Run
from unitdisc.run_folder import RunFolder
from unitdisc.scores import scores

if TYPE_CHECKING:
    from unitdisc.ablate.processes import Ended
    from unitdisc.ablate.variants import Cell
    from unitdisc.report import Score

LEAST_PERPLEXITY, LEAST_SHARE, LEAST_OF_FEW = 2.0, 0.01, 1.1


@dataclass(frozen=True)
class Outcome:
    """A cell after it was run.

    Args:
        cell: Which.
        ended: How it failed; None for a finished run.
        scores: By name, in the order of the run; empty where it failed.
        perplexity: Of its codes, the mean over codebooks; None where it failed or quantises nothing.
        num_codes: K.
        record: Its ``run.json``; empty where it failed before there was one.
        log: Its training log.
    """

    cell: Cell
    ended: Ended | None
    scores: dict[str, Score] = field(default_factory=dict)
    perplexity: float | None = None
    num_codes: int = 0
    record: dict[str, Any] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_finished(self) -> bool:
        """Whether it has scores."""
        return self.ended is None

    @property
    def is_collapsed(self) -> bool:
        """Whether hardly any of its codes is used."""
        return self.perplexity is not None and not self.perplexity >= least_perplexity(self.num_codes)


def least_perplexity(num_codes: int) -> float:
    """Return the perplexity under which a codebook counts as collapsed.

    2, or 1 % of its codes where that is more; 1.1 for one of fewer than 4 codes.
    """
    return max(LEAST_PERPLEXITY, LEAST_SHARE * num_codes) if num_codes > 3 else LEAST_OF_FEW


def is_finished(cell: Cell) -> bool:
    """Whether nothing is left to do. Raises `RecipeError` when the folder holds another recipe's run."""
    RunFolder(cell.folder).claim(cell.recipe)
    try:
        return steps.is_finished(cell.recipe, cell.folder, only_train=False)
    except UnitdiscError:  # something there is damaged; the run itself will say what
        return False


def record_of(folder: RunFolder) -> dict[str, Any]:
    """Return the run's ``run.json``; {} where it has none that can be read."""
    try:
        return folder.read_record()
    except StorageError:
        return {}


def read(cell: Cell, ended: Ended | None, num_codes: int | None = None) -> Outcome:
    """Return the outcome of a cell.

    Args:
        cell: Which.
        ended: How it failed; None for a finished run.
        num_codes: K where another seed has told it, which saves opening the model.
    """
    folder = RunFolder(cell.folder)
    if ended is not None:
        return Outcome(cell, ended, record=record_of(folder))
    run = Run(cell.folder)
    size = run.model.bottleneck.num_codes if num_codes is None else num_codes
    log = run.log()
    return Outcome(
        cell,
        None,
        {score.name: score for score in scores(run)},
        _perplexity(run, log) if size else None,
        size,
        run.record,
        log,
    )


def _perplexity(run: Run, log: list[dict[str, Any]]) -> float | None:
    """Return that of the scored split, else the last one of training."""
    for found in run.metrics["metrics"].values():
        if found["use"] == "perplexity":
            return float(found["values"]["value"])
    return next((float(line["perplexity"]) for line in reversed(log) if "perplexity" in line), None)
