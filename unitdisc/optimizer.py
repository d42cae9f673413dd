"""The optimiser and its learning rate, a pure function of the step and of the scores so far."""

from __future__ import annotations

import bisect
import math
from typing import TYPE_CHECKING, Any

import torch

from unitdisc import distributed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unitdisc.model import Model
    from unitdisc.recipe import Recipe
    from unitdisc.settings import Train

_BETTER = 1e-4
"""Share of the best score by which one must be better to count, as in PyTorch's ReduceLROnPlateau."""


def build(model: Model, train: Train) -> torch.optim.Optimizer:
    """Return the recipe's optimiser over the model's parameter groups."""
    groups = [{**group, "lr": train.lr * group.get("lr_scale", 1.0)} for group in model.param_groups()]
    if train.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=train.lr, momentum=train.momentum, weight_decay=train.weight_decay)
    kind = torch.optim.AdamW if train.optimizer == "adamw" else torch.optim.Adam
    # One pass over all that is remembered of a weight, on the CPU a third of the time.
    return kind(groups, lr=train.lr, betas=train.betas, weight_decay=train.weight_decay, fused=True)


def schedule(step: int, train: Train) -> float:
    """Return what multiplies the learning rate at ``step`` (counted from 0)."""
    if step < train.warmup:
        return (step + 1) / train.warmup
    done = (step - train.warmup) / max(1, train.steps - train.warmup)
    scale = 1.0
    match train.schedule:
        case "cosine":
            scale = 0.5 * (1 + math.cos(math.pi * done))
        case "linear":
            scale = 1 - done
        case "rsqrt":
            scale = math.sqrt(max(1, train.warmup) / (step + 1))
        case "exponential":
            scale = math.pow(train.final_lr_scale, done)
        case "steps":
            scale = math.pow(train.milestone_scale, bisect.bisect_right(train.milestones, step))
    return scale


class Plateau:
    """What the schedule "plateau" multiplies the rate with: a pure function of the lines of the log.

    A line without the score, as where it was not finite, counts for nothing.

    Args:
        recipe: What is trained; the first of ``train.score_metrics`` counts.
        device: Where collectives take place: all ranks follow the scores of the first.

    Attributes:
        scale: What multiplies the rate now.
    """

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.train = recipe.train
        self.device = device
        name = next(iter(recipe.train.score_metrics or recipe.metrics), "")
        self.name = f"score.{name}"
        self.sign = 1.0 if name and recipe.metrics[name].component.higher_is_better else -1.0
        self.scale = 1.0
        self.best = -math.inf
        self.worse = 0

    def look(self, record: Mapping[str, Any]) -> None:
        """Take in the score of a line, if there is one."""
        if self.train.schedule != "plateau" or self.name not in record:
            return
        score = torch.tensor(self.sign * record[self.name], dtype=torch.float64, device=self.device)
        distributed.broadcast_([score])
        if self.best == -math.inf or score.item() > self.best + _BETTER * abs(self.best):
            self.best, self.worse = score.item(), 0
            return
        self.worse += 1
        if self.worse > self.train.patience:
            self.scale = max(self.scale * self.train.milestone_scale, self.train.final_lr_scale)
            self.worse = 0


def set_lr(optimizer: torch.optim.Optimizer, step: int, train: Train, *, plateau: float = 1.0) -> None:
    """Give every group its rate for ``step``; ``plateau`` is the scale of `Plateau`."""
    scale = schedule(step, train) * plateau
    for group in optimizer.param_groups:
        group["lr"] = train.lr * group.get("lr_scale", 1.0) * scale
