"""How long a code lasts."""

from __future__ import annotations

import numpy as np

from unitdisc.metric import Evaluated, Metric


class MeanRun(Metric):
    """Mean number of consecutive units that are equal; 1 when a code never repeats."""

    def __init__(self) -> None:
        self.units = 0
        self.runs = 0

    def update(self, item: Evaluated) -> None:
        """Count the runs of one utterance."""
        if len(item.codes):
            changes = (item.codes[1:] != item.codes[:-1]).any(axis=1)
            self.runs += 1 + int(np.count_nonzero(changes))
            self.units += len(item.codes)

    def compute(self) -> dict[str, float]:
        """Return units per run, and the number of runs."""
        return {"value": self.units / max(self.runs, 1), "runs": self.runs}
