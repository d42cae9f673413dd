"""What settings must agree on with one another, and what they say before training."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from unitdisc import suggest
from unitdisc.problems import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unitdisc.problems import Place, Problems
    from unitdisc.sections import Sections
    from unitdisc.settings import Train


def check(sections: Sections, train: Train | None, problems: Problems) -> None:
    """Note what does not fit together; values with problems of their own are None and left out."""
    if train is None:
        return
    milestones = train.milestones or ()
    if train.schedule == "steps" and not milestones:
        text = "train.schedule: 'steps' needs train.milestones, the steps after which the rate falls, as in [500, 800]"
        problems.add(_place(sections, "schedule"), text)
    for before, after in pairwise(milestones):
        if after <= before:
            text = f"train.milestones must rise, found {after} behind {before}"
            problems.add(_place(sections, "milestones"), text)
    if train.schedule == "plateau" and train.score_every is None:
        text = (
            "train.schedule: 'plateau' needs train.score_every, the steps between the scores that it follows"
        )
        problems.add(_place(sections, "schedule"), text)
    _check_scores(sections, train, problems)


def announce(train: Train) -> Iterator[str]:
    """Yield what the settings of a recipe leave without effect."""
    if train.milestones and train.schedule != "steps":
        yield f"train.milestones: have no effect, as train.schedule is {train.schedule}"
    elif train.milestones and train.milestones[-1] >= train.steps:
        late = ", ".join(str(step) for step in train.milestones if step >= train.steps)
        yield f"train.milestones: {late} will not come, as training ends after step {train.steps}"
    if train.clip is not None and train.skip_norm is not None and train.skip_norm <= train.clip:
        yield "train.clip: has no effect, as train.skip_norm skips what it would clip"


def _check_scores(sections: Sections, train: Train, problems: Problems) -> None:
    node = sections.node("metrics")
    metrics = list(node.data) if node is not None and isinstance(node.data, dict) else []
    for name in train.score_metrics or ():
        if name not in metrics:
            accepted = ", ".join(metrics) or "none"
            text = (
                f"the recipe has no metric of that name{suggest.hint(name, metrics)} (accepted: {accepted})"
            )
            problems.add(_place(sections, "score_metrics"), f"train.score_metrics: {shown(name)}: {text}")
    if train.score_every is not None and not metrics:
        text = "train.score_every: the recipe has no metrics to score; add some, or set it to null"
        problems.add(_place(sections, "score_every"), text)


def _place(sections: Sections, key: str) -> Place:
    node = sections.node("train", key)
    assert node is not None  # noqa: S101  (defaults agree, so one that does not was written)
    return node.place
