"""The examples of a trained run as metrics see them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from unitdisc.view import items, shuffled_items

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import numpy as np

    from unitdisc.metric import Evaluated, Need
    from unitdisc.run import Run


class RunItems:
    """The examples of a split of a run.

    Args:
        run: The run, its model where it shall compute.
        split: Name of the split.
        seed: Of the order of shuffled units.
    """

    def __init__(self, run: Run, split: str, *, seed: int) -> None:
        self.run, self.seed = run, seed
        self.split = run.source.split(split)
        self.found: dict[int, np.ndarray] = {}
        self.kept: list[Evaluated] = []

    def real(self, needs: Collection[Need]) -> Iterator[Evaluated]:
        """Yield each, and keep its units, targets and fields for `bare`."""
        self.kept = []
        for item in items(self.run.model, self.split, self.run.recipe, needs, self.found):
            bare = dict.fromkeys(("inputs", "latents", "values", "translate"))
            self.kept.append(replace(item, predictions={}, nats={}, **bare))  # type: ignore[arg-type]
            yield item

    def shuffled(self, needs: Collection[Need], rng: np.random.Generator) -> Iterator[Evaluated]:
        """Yield each after the units have been shuffled, as the run does for the chance values of ``metrics.json``."""
        del rng
        return shuffled_items(self.run.model, self.split, self.run.recipe, needs, self.found, seed=self.seed)

    def bare(self) -> Iterator[Evaluated]:
        """Yield each without what only the model knows."""
        return iter(self.kept)

    def codes(self) -> list[np.ndarray]:
        """Return the units (S, Q) of each."""
        return [item.codes for item in self.kept]
