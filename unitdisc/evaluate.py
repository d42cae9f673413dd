"""Scores of a trained model over a split, each beside its chance value from shuffled units."""

from __future__ import annotations

from contextlib import suppress
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unitdisc.data import Example, Split
from unitdisc.errors import DataError, RecipeError
from unitdisc.likelihood import Likelihood
from unitdisc.missing import without_missing
from unitdisc.shuffle import shuffled_codes
from unitdisc.view import View, evaluated, nats_of, shuffled_views, views

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from torch import Tensor

    from unitdisc.metric import Metric
    from unitdisc.model import Model
    from unitdisc.recipe import Recipe


def evaluate(model: Model, split: Split, recipe: Recipe) -> dict[str, Any]:
    """Return losses per frame and ``{metric: {use, arguments, values, chance}}``, each with its chance value.

    Chance: the same metric over the same references after all units of the split have been shuffled
    (seed ``evaluate.seed``) and the heads have predicted from the shuffled units. Without units the latents are
    shuffled within each batch instead, and so is what heads see before the bottleneck.
    """
    recipe = _served(recipe, split)
    frames = recipe.evaluate.batch_frames
    metrics: dict[str, Metric] = {name: use.build() for name, use in recipe.metrics.items()}
    codes: dict[int, np.ndarray] = {}
    losses = _score(model, split, views(model, split, frames, codes), metrics)
    chance: dict[str, Metric] = {
        name: use.build() for name, use in recipe.metrics.items() if metrics[name].has_chance
    }
    rng = np.random.Generator(np.random.PCG64(recipe.evaluate.seed))
    shuffled = shuffled_codes([codes[index] for index in range(len(split))], rng)
    losses_chance = _score(model, split, shuffled_views(model, split, frames, shuffled, rng), chance)
    found = {}
    for name, metric in metrics.items():
        with _passing_over(recipe):
            found[name] = {
                **recipe.metrics[name].plain(),
                "values": metric.compute(),
                "chance": chance[name].compute() if name in chance else metric.chance(),
                "higher_is_better": metric.higher_is_better,
                **({"signature": signature} if (signature := metric.signature()) else {}),
            }
    return {"losses": losses, "losses_chance": losses_chance, "metrics": found}


@torch.inference_mode()
def values(model: Model, split: Split, recipe: Recipe, names: Iterable[str]) -> dict[str, float]:
    """Return the main numbers of the metrics ``names`` as `evaluate` finds them, without losses and chance."""
    served = _served(recipe, split).metrics
    metrics: dict[str, Metric] = {name: served[name].build() for name in names if name in served}
    for view in views(model, split, recipe.evaluate.batch_frames, {}):
        _update(model, split, view, metrics)
    found = {}
    for name, metric in metrics.items():
        with _passing_over(recipe):
            found[name] = metric.compute()["value"]
    return found


@torch.inference_mode()
def rehearse(model: Model, split: Split, recipe: Recipe) -> None:
    """Hand the first example of ``split`` to every metric, so that a wrong name is found before training.

    Raises `RecipeError` that names the metric.
    """
    first = First(split)
    for view in views(model, first, recipe.evaluate.batch_frames, {}):
        for name, use in _served(recipe, split).metrics.items():
            try:
                _update(model, first, view, {name: use.build()})
            except RecipeError as error:
                raise RecipeError(f"metrics.{name}: {error}") from error


class First(Split):
    """The first example of a split."""

    def __init__(self, split: Split) -> None:
        self.split = split
        self.keys = split.keys[:1]
        self.lengths = split.lengths[:1]

    def __getitem__(self, index: int) -> Example:
        return self.split[index]

    def fields(self, index: int) -> Mapping[str, str]:
        """Return what the corpus says of the example."""
        return self.split.fields(index)

    def text(self, tokens: Tensor) -> str:
        """Return what tokens spell."""
        return self.split.text(tokens)


def _served(recipe: Recipe, split: Split) -> Recipe:
    """Return the recipe with the metrics that the split can serve."""
    return without_missing(recipe, targets=split[0].targets, fields=split.fields(0))


def _passing_over(recipe: Recipe) -> AbstractContextManager[None]:
    """Leave out a score of which the split has nothing, such as one speaker to tell apart, where wanted."""
    return suppress(*([DataError] if recipe.evaluate.missing == "skip" else []))


@torch.inference_mode()
def _score(model: Model, split: Split, views: Iterator[View], metrics: dict[str, Metric]) -> dict[str, float]:
    """Update the metrics; return losses and numbers of decoder and heads, means over all valid frames."""
    sums: dict[str, float] = {}
    total = 0
    for view in views:
        num_frames = view.batch.num_frames
        total += num_frames
        nats = cache(partial(nats_of, model, view))
        for name, value in _losses(model, view, nats).items():
            sums[name] = sums.get(name, 0.0) + float(value) * num_frames
        _update(model, split, view, metrics, nats)
    return {name: value / total for name, value in sums.items()}


def _update(
    model: Model,
    split: Split,
    view: View,
    metrics: dict[str, Metric],
    nats: Callable[[str], Tensor] | None = None,
) -> None:
    needs = {need for metric in metrics.values() for need in metric.needs}
    for item in evaluated(model, split, view, needs, nats):
        for metric in metrics.values():
            metric.update(item)


def _losses(model: Model, view: View, nats: Callable[[str], Tensor]) -> dict[str, Tensor]:
    """Return the losses and numbers of decoder and heads, each per frame of this batch."""
    found: dict[str, Tensor] = {}
    for name, part, place in model.explaining():
        if isinstance(part, Likelihood):
            loss, numbers = part.explained(nats(name), view.batch)
        else:
            loss, numbers = part(view.looks[place], view.batch)
        found[name] = loss
        found |= {f"{name}.{key}": value for key, value in numbers.items()}
    return found
