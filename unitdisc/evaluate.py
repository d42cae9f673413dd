"""Scores of a trained model over a split, each beside its chance value from shuffled units."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from math import prod
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from unitdisc.data import Example, Split
from unitdisc.errors import DataError, RecipeError
from unitdisc.infer import batches, passes
from unitdisc.likelihood import Likelihood
from unitdisc.metric import Evaluated, Metric
from unitdisc.missing import without_missing
from unitdisc.parts import Batch, Padded, Place
from unitdisc.shuffle import shuffled_codes, shuffled_latents, shuffled_looks
from unitdisc.transcript import Translator
from unitdisc.translation import translate, translator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from unitdisc.metric import Need
    from unitdisc.model import Model
    from unitdisc.recipe import Recipe

T = TypeVar("T")


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
    losses = _score(model, split, _views(model, split, frames, codes), metrics)
    chance: dict[str, Metric] = {
        name: use.build() for name, use in recipe.metrics.items() if metrics[name].has_chance
    }
    rng = np.random.Generator(np.random.PCG64(recipe.evaluate.seed))
    shuffled = shuffled_codes([codes[index] for index in range(len(split))], rng)
    losses_chance = _score(model, split, _shuffled_views(model, split, frames, shuffled, rng), chance)
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
    for view in _views(model, split, recipe.evaluate.batch_frames, {}):
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
    for view in _views(model, first, recipe.evaluate.batch_frames, {}):
        for name, use in _served(recipe, split).metrics.items():
            try:
                _update(model, first, view, {name: use.build()})
            except RecipeError as error:
                raise RecipeError(f"metrics.{name}: {error}") from error


@torch.inference_mode()
def items(
    model: Model, split: Split, recipe: Recipe, needs: Iterable[Need], codes: dict[int, np.ndarray]
) -> Iterator[Evaluated]:
    """Yield every example as metrics see it, with what they ``needs``, and keep its units in ``codes``."""
    for view in _views(model, split, recipe.evaluate.batch_frames, codes):
        yield from _items(model, split, view, needs)


@torch.inference_mode()
def shuffled_items(
    model: Model, split: Split, recipe: Recipe, needs: Iterable[Need], codes: Mapping[int, np.ndarray]
) -> Iterator[Evaluated]:
    """Yield every example after ``codes`` have been shuffled over the split, as `evaluate` does for chance."""
    rng = np.random.Generator(np.random.PCG64(recipe.evaluate.seed))
    shuffled = shuffled_codes([codes[index] for index in range(len(split))], rng)
    for view in _shuffled_views(model, split, recipe.evaluate.batch_frames, shuffled, rng):
        yield from _items(model, split, view, needs)


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


@dataclass(frozen=True)
class View:
    """A batch as decoder, heads and metrics see it.

    Args:
        indices: Place of each example in the split.
        batch: The inputs (standardised) and references.
        latents: Before the bottleneck.
        seen: After it.
        looks: What the heads look at, by place.
        codes: (S, Q) of each example.
    """

    indices: list[int]
    batch: Batch
    latents: Padded
    seen: Padded
    looks: dict[Place, Padded]
    codes: list[np.ndarray]


def _served(recipe: Recipe, split: Split) -> Recipe:
    """Return the recipe with the metrics that the split can serve."""
    return without_missing(recipe, targets=split[0].targets, fields=split.fields(0))


def _passing_over(recipe: Recipe) -> AbstractContextManager[None]:
    """Leave out a score of which the split has nothing, such as one speaker to tell apart, where wanted."""
    return suppress(*([DataError] if recipe.evaluate.missing == "skip" else []))


def _views(model: Model, split: Split, batch_frames: int, codes: dict[int, np.ndarray]) -> Iterator[View]:
    """Yield the split as the model sees it, and keep the codes of each example in ``codes``."""
    for passed in passes(model, split, batch_frames=batch_frames):
        codes.update(passed.codes())
        found = [codes[index] for index in passed.indices]
        looks = model.views(passed.batch.inputs, passed.latents, passed.seen, passed.quantized.codes)
        yield View(passed.indices, passed.batch, passed.latents, passed.seen, looks, found)


def _shuffled_views(
    model: Model, split: Split, batch_frames: int, codes: list[np.ndarray], rng: np.random.Generator
) -> Iterator[View]:
    """Yield the split with ``codes`` in place of its own; without codes, with the latents of a batch shuffled."""
    if model.bottleneck.num_codes == 0:
        for passed in passes(model, split, batch_frames=batch_frames):
            seen = shuffled_latents(passed.seen, rng)
            looks = model.views(passed.batch.inputs, passed.latents, seen, passed.quantized.codes)
            found = [codes[index] for index in passed.indices]
            yield View(passed.indices, passed.batch, seen, seen, shuffled_looks(looks, rng), found)
        return
    for indices, batch in batches(model, split, batch_frames=batch_frames):
        rows = [torch.from_numpy(codes[index]) for index in indices]
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)
        device = batch.inputs.values.device
        lengths = torch.tensor([len(row) for row in rows], device=device)
        seen = Padded(model.bottleneck.lookup(padded.to(device)), lengths)
        latents = model.encode(batch) if "encoder" in model.places.values() else None
        looks = shuffled_looks(model.views(batch.inputs, latents, seen, padded.to(device)), rng)
        yield View(indices, batch, seen, seen, looks, [codes[index] for index in indices])


@torch.inference_mode()
def _score(model: Model, split: Split, views: Iterator[View], metrics: dict[str, Metric]) -> dict[str, float]:
    """Update the metrics; return losses and numbers of decoder and heads, means over all valid frames."""
    sums: dict[str, float] = {}
    total = 0
    for view in views:
        num_frames = view.batch.num_frames
        total += num_frames
        nats = cache(partial(_nats, model, view))
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
    for item in _items(model, split, view, needs, nats):
        for metric in metrics.values():
            metric.update(item)


def _items(
    model: Model,
    split: Split,
    view: View,
    needs: Iterable[Need],
    nats: Callable[[str], Tensor] | None = None,
) -> Iterator[Evaluated]:
    batch = view.batch
    nats = nats or cache(partial(_nats, model, view))
    heads = tuple(model.heads)
    likelihoods = tuple(name for name, part, _ in model.explaining() if isinstance(part, Likelihood))
    predicted = cache(partial(_predicted, model, view))
    translated = cache(partial(_translated, model, view))
    translates = isinstance(model.decoder, Translator)
    carried = {"inputs": batch.inputs, "latents": view.latents, "values": view.seen}
    for row, key in enumerate(batch.keys):
        yield Evaluated(
            key=key,
            codes=view.codes[row],
            num_codes=model.bottleneck.num_codes,
            num_frames=int(batch.inputs.lengths[row]),
            stride=model.stride,
            targets={name: _row(target, row) for name, target in batch.targets.items()},
            predictions=_Found(heads, partial(_predicted_row, predicted, row)),
            nats=_Found(likelihoods, partial(_nats_row, nats, row)),
            fields=split.fields(view.indices[row]),
            translate=partial(_translated_row, translated, split, row) if translates else None,
            frame_rate=model.features.frame_rate,
            frame_size=prod(model.features.shape),
            **{need: _row(carried[need], row) for need in needs},
        )


@torch.inference_mode()
def _predicted(model: Model, view: View, name: str) -> list[Tensor]:
    """Return what a head predicts for each example of a batch."""
    return model.heads[name].predict(view.looks[model.places[name]], view.batch.inputs.lengths)


def _translated(model: Model, view: View, *, forced: bool = False, **options: Any) -> list[Tensor]:
    """Return what the decoder writes for each example of a batch, with ``forced`` where it is shown the truth."""
    if forced:
        return translator(model).forced(view.looks["bottleneck"], view.batch)
    source = view.batch.conditions[translator(model).source]
    assert isinstance(source, Padded)  # noqa: S101  (a translator is only made for data of sentences)
    return translate(model, source, **options)


@torch.inference_mode()
def _nats(model: Model, view: View, name: str) -> Tensor:
    """Return -ln p (B,) of each example of a batch under the decoder or a head."""
    for found, part, place in model.explaining():
        if found == name and isinstance(part, Likelihood):
            return part.nats(view.looks[place], view.batch)
    raise KeyError(name)


def _predicted_row(predicted: Callable[[str], list[Tensor]], row: int, name: str) -> np.ndarray:
    return predicted(name)[row].cpu().numpy()


def _translated_row(translated: Callable[..., list[Tensor]], split: Split, row: int, **options: Any) -> str:
    return split.text(translated(**options)[row].cpu())


def _nats_row(nats: Callable[[str], Tensor], row: int, name: str) -> float:
    return float(nats(name)[row])


class _Found(Mapping[str, T]):
    """What parts say of one example, by name; no part runs before a metric asks for it."""

    def __init__(self, names: Sequence[str], find: Callable[[str], T]) -> None:
        self.names, self.find = names, find

    def __getitem__(self, name: str) -> T:
        if name not in self.names:
            raise KeyError(name)
        return self.find(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def _row(padded: Padded, row: int) -> np.ndarray:
    return padded.values[row, : int(padded.lengths[row])].cpu().numpy()


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
