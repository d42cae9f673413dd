"""Scores of a trained model over a split, each beside its chance value from shuffled units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from unitdisc.data import Example, Split
from unitdisc.errors import RecipeError
from unitdisc.infer import batches, passes
from unitdisc.metric import Evaluated, Metric
from unitdisc.parts import Batch, Padded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unitdisc.model import Model
    from unitdisc.recipe import Recipe


def evaluate(model: Model, split: Split, recipe: Recipe) -> dict[str, Any]:
    """Return losses per frame and ``{metric: {use, arguments, values, chance}}``, each with its chance value.

    Chance: the same metric over the same references after all units of the split have been shuffled
    (seed ``evaluate.seed``) and the heads have predicted from the shuffled units. Without units the latents are
    shuffled within each batch instead.
    """
    frames = recipe.evaluate.batch_frames
    metrics: dict[str, Metric] = {name: use.build() for name, use in recipe.metrics.items()}
    codes: dict[int, np.ndarray] = {}
    losses = _score(model, _views(model, split, frames, codes), metrics)
    chance: dict[str, Metric] = {
        name: use.build() for name, use in recipe.metrics.items() if metrics[name].has_chance
    }
    rng = np.random.Generator(np.random.PCG64(recipe.evaluate.seed))
    shuffled = _shuffled([codes[index] for index in range(len(split))], rng)
    losses_chance = _score(model, _shuffled_views(model, split, frames, shuffled, rng), chance)
    return {
        "losses": losses,
        "losses_chance": losses_chance,
        "metrics": {
            name: {
                **recipe.metrics[name].plain(),
                "values": metric.compute(),
                "chance": chance[name].compute() if name in chance else None,
                "higher_is_better": metric.higher_is_better,
            }
            for name, metric in metrics.items()
        },
    }


def rehearse(model: Model, split: Split, recipe: Recipe) -> None:
    """Hand the first example of ``split`` to every metric, so that a wrong name is found before training.

    Raises `RecipeError` that names the metric.
    """
    for passed in passes(model, First(split), batch_frames=recipe.evaluate.batch_frames):
        codes = [sequence for _, sequence in passed.codes()]
        for name, use in recipe.metrics.items():
            try:
                _update(model, {name: use.build()}, passed.batch, passed.seen, codes)
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


View = tuple[Batch, Padded, list[np.ndarray]]
"""A batch, the quantised latents that decoder and heads see, and the codes (S, Q) of each example."""


def _views(model: Model, split: Split, batch_frames: int, codes: dict[int, np.ndarray]) -> Iterator[View]:
    """Yield the split as the model sees it, and keep the codes of each example in ``codes``."""
    for passed in passes(model, split, batch_frames=batch_frames):
        codes.update(passed.codes())
        yield passed.batch, passed.seen, [codes[index] for index in passed.indices]


def _shuffled_views(
    model: Model, split: Split, batch_frames: int, codes: list[np.ndarray], rng: np.random.Generator
) -> Iterator[View]:
    """Yield the split with ``codes`` in place of its own; without codes, with the latents of a batch shuffled."""
    if model.bottleneck.num_codes == 0:
        for passed in passes(model, split, batch_frames=batch_frames):
            shuffled = _shuffled_latents(passed.seen, rng)
            yield passed.batch, shuffled, [codes[index] for index in passed.indices]
        return
    for indices, batch in batches(model, split, batch_frames=batch_frames):
        rows = [torch.from_numpy(codes[index]) for index in indices]
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)
        device = batch.inputs.values.device
        lengths = torch.tensor([len(row) for row in rows], device=device)
        seen = Padded(model.bottleneck.lookup(padded.to(device)), lengths)
        yield batch, seen, [codes[index] for index in indices]


@torch.inference_mode()
def _score(model: Model, views: Iterator[View], metrics: dict[str, Metric]) -> dict[str, float]:
    """Update the metrics; return losses and numbers of decoder and heads, means over all valid frames."""
    sums: dict[str, float] = {}
    total = 0
    for batch, seen, codes in views:
        total += batch.num_frames
        for name, value in _losses(model, batch, seen).items():
            sums[name] = sums.get(name, 0.0) + float(value) * batch.num_frames
        _update(model, metrics, batch, seen, codes)
    return {name: value / total for name, value in sums.items()}


def _update(
    model: Model, metrics: dict[str, Metric], batch: Batch, seen: Padded, codes: list[np.ndarray]
) -> None:
    predictions = {name: head.predict(seen, batch.inputs.lengths) for name, head in model.heads.items()}
    for row, key in enumerate(batch.keys):
        item = Evaluated(
            key=key,
            codes=codes[row],
            num_codes=model.bottleneck.num_codes,
            num_frames=int(batch.inputs.lengths[row]),
            stride=model.stride,
            targets={
                name: target.values[row, : int(target.lengths[row])].cpu().numpy()
                for name, target in batch.targets.items()
            },
            predictions={name: rows[row].cpu().numpy() for name, rows in predictions.items()},
        )
        for metric in metrics.values():
            metric.update(item)


def _losses(model: Model, batch: Batch, seen: Padded) -> dict[str, Tensor]:
    """Return the losses and numbers of decoder and heads, each per frame of this batch."""
    found: dict[str, Tensor] = {}
    named = {"decoder": model.decoder} if model.decoder is not None else {}
    for name, part in {**named, **model.heads}.items():
        loss, numbers = part(seen, batch)
        found[name] = loss
        found |= {f"{name}.{key}": value for key, value in numbers.items()}
    return found


def _shuffled(codes: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Return the same units in random order over the whole split, in sequences of the same lengths."""
    if not codes:
        return []
    pooled = np.concatenate(codes)
    edges = np.cumsum([len(sequence) for sequence in codes])[:-1]
    return np.split(pooled[rng.permutation(len(pooled))], edges)


def _shuffled_latents(latents: Padded, rng: np.random.Generator) -> Padded:
    values = latents.values.clone()
    valid = values[latents.mask]
    values[latents.mask] = valid[torch.from_numpy(rng.permutation(len(valid))).to(valid.device)]
    return Padded(values, latents.lengths)
