"""The optimiser and its learning rate, a pure function of the step."""

from __future__ import annotations

import bisect
import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from unitdisc.model import Model
    from unitdisc.settings import Train


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


def set_lr(optimizer: torch.optim.Optimizer, step: int, train: Train) -> None:
    """Give every group its rate for ``step``."""
    scale = schedule(step, train)
    for group in optimizer.param_groups:
        group["lr"] = train.lr * group.get("lr_scale", 1.0) * scale
