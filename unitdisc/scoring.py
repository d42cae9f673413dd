"""Scores in the middle of training, which leave it as they found it."""

from __future__ import annotations

from contextlib import contextmanager
from math import isfinite
from typing import TYPE_CHECKING

import torch

from unitdisc.errors import DataError
from unitdisc.evaluate import values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unitdisc.average import Average
    from unitdisc.data import Split
    from unitdisc.display import Display
    from unitdisc.model import Model
    from unitdisc.recipe import Recipe


def split_name(recipe: Recipe) -> str:
    """Return the split that is scored in training, or that of evaluation where none is."""
    chosen = recipe.train.score_split if recipe.train.score_every else None
    return chosen or recipe.evaluate.split


def score(
    model: Model, average: Average | None, split: Split, recipe: Recipe, display: Display
) -> dict[str, float]:
    """Return "score.NAME" of the metrics ``train.score_metrics``, with the weights that evaluation would use.

    Every rank scores everything, so that none waits for another longer than collectives allow. What is not
    finite is left out; ``display`` is told what cannot be scored, which training may recover from.
    """
    with _left_alone(model):
        if average is not None:
            _take_average_(model, average)
        try:
            found = values(model, split, recipe, recipe.train.score_metrics or tuple(recipe.metrics))
        except DataError as error:
            display.say(f"warning: not scored: {error}")
            return {}
    return {f"score.{name}": value for name, value in found.items() if isfinite(value)}


@contextmanager
def _left_alone(model: Model) -> Iterator[None]:
    """Put back at the end: generator states, every tensor of the model, and training mode."""
    kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    device = model.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            model.train()
            for name, tensor in model.state_dict().items():
                tensor.copy_(kept[name])


@torch.no_grad()
def _take_average_(model: Model, average: Average) -> None:
    """Give the parameters their averages; buffers stay the model's own."""
    for name, parameter in model.named_parameters():
        parameter.copy_(average.values[name])
