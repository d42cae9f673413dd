"""The comparison: for each score and variant its summary over seeds and its difference to the baseline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unitdisc.ablate.intervals import Summary, paired, summarize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unitdisc.ablate.outcome import Outcome
    from unitdisc.paper import Paper


@dataclass(frozen=True)
class Line:
    """One score of one variant.

    Args:
        metric: Name of the score.
        better: "higher", "lower" or "".
        variant: Name of the variant.
        values: By seed, of the runs that finished.
        summary: Over the seeds; None when no run finished.
        difference: To the baseline, paired by seed; None for the baseline itself and without common seeds.
        paper: What a paper reports for the variant; None where it says nothing.
    """

    metric: str
    better: str
    variant: str
    values: dict[int, float]
    summary: Summary | None
    difference: Summary | None
    paper: float | None = None

    @property
    def verdict(self) -> str:
        """What the difference is when its interval leaves 0 out: "better" or "worse", "higher" or "lower"."""
        interval = self.difference.interval if self.difference else None
        if interval is None or interval[0] <= 0 <= interval[1]:
            return ""
        direction = "higher" if interval[0] > 0 else "lower"
        if not self.better:
            return direction
        return "better" if direction == self.better else "worse"


@dataclass(frozen=True)
class Comparison:
    """Everything that tables and pictures show.

    Args:
        variants: Names in the order of the command line.
        baseline: The variant that others are compared with.
        seeds: All seeds.
        outcomes: One per variant and seed, by variant, then seed.
        lines: By metric, then variant.
        papers: Which row of which table a variant is, of those that are one.
    """

    variants: list[str]
    baseline: str
    seeds: list[int]
    outcomes: list[Outcome]
    lines: list[Line]
    papers: Mapping[str, Paper] = field(default_factory=dict)

    @property
    def has_paper(self) -> bool:
        """Whether a paper says something about a score that is shown."""
        return any(line.paper is not None for line in self.lines)

    def of(self, variant: str) -> list[Outcome]:
        """Return the outcomes of a variant, by seed."""
        return [outcome for outcome in self.outcomes if outcome.cell.variant == variant]


def compare(
    outcomes: Sequence[Outcome],
    *,
    variants: Sequence[str],
    seeds: Sequence[int],
    baseline: str,
    metrics: Sequence[str] = (),
    papers: Mapping[str, Paper] | None = None,
) -> Comparison:
    """Compare ``variants`` score by score; ``metrics`` names the scores, () takes all in the runs' order."""
    papers = papers or {}
    ordered = sorted(
        outcomes, key=lambda item: (variants.index(item.cell.variant), seeds.index(item.cell.seed))
    )
    better = {score.name: score.better for item in ordered for score in item.scores.values()}
    lines = []
    for metric in metrics or better:
        values = {
            variant: {
                item.cell.seed: item.scores[metric].value
                for item in ordered
                if item.cell.variant == variant and metric in item.scores
            }
            for variant in variants
        }
        lines += [
            Line(
                metric,
                better.get(metric, ""),
                variant,
                found,
                summarize(list(found.values())),
                None if variant == baseline else paired(found, values[baseline]),
                papers[variant].values.get(metric) if variant in papers else None,
            )
            for variant, found in values.items()
        ]
    return Comparison(list(variants), baseline, list(seeds), ordered, lines, papers)
