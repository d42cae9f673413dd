"""What is to be scored, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = 200
"""Samples of the bootstrap."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be scored, and how.

    Args:
        form: Format of unit files; None asks the sidecar and the file's name.
        step: Length of one unit; None asks the sidecar and the file.
        unit_of_time: Of the step; None asks the sidecar, else takes seconds.
        num_codes: K; None asks the sidecar, else takes the largest code + 1.
        against: Labels; None scores a run by its own, and a unit file without.
        target: Which of the labels; None takes the phones or characters, else the first.
        fold: Table of symbols and their classes.
        label_step: Seconds of a frame, of labels by frame; None takes 10 ms.
        frame: Seconds of a frame at which units and labels meet; None takes 10 ms, or a column.
        stem: Whether ids are compared without folders and endings.
        speakers: Table of ids and their speakers, for unit files whose labels do not say them.
        fit_on: What maps from units to labels are learnt on: a split of the run, or another unit file; None learns
            them on what is scored.
        group: Field whose values are drawn for intervals; None takes speaker, writer or document.
        like: System whose definitions are taken.
        metrics: Metrics as the command line writes them.
        samples: Of the bootstrap; 0 gives no interval.
        jackknife: Whether scores that cannot be merged have intervals, too, each of which takes as long as 20 scores.
        seed: Of everything random; None takes that of a run's recipe, and 0 for unit files.
    """

    form: str | None = None
    step: float | None = None
    unit_of_time: str | None = None
    num_codes: int | None = None
    against: Path | None = None
    target: str | None = None
    fold: Path | None = None
    label_step: float | None = None
    frame: float | None = None
    stem: bool = False
    speakers: Path | None = None
    fit_on: str | None = None
    group: str | None = None
    like: str | None = None
    metrics: tuple[str, ...] = ()
    samples: int = SAMPLES
    jackknife: bool = True
    seed: int | None = None
