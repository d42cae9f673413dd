"""What metrics see of a split: its examples as the trained model sees them, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from math import prod
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from unitdisc.infer import batches, passes
from unitdisc.likelihood import Likelihood
from unitdisc.metric import Evaluated
from unitdisc.parts import Batch, Padded, Place
from unitdisc.shuffle import shuffled_codes, shuffled_latents, shuffled_looks
from unitdisc.transcript import Translator
from unitdisc.translation import translate, translator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from unitdisc.data import Split
    from unitdisc.metric import Need
    from unitdisc.model import Model
    from unitdisc.recipe import Recipe

T = TypeVar("T")


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


@torch.inference_mode()
def items(
    model: Model, split: Split, recipe: Recipe, needs: Iterable[Need], codes: dict[int, np.ndarray]
) -> Iterator[Evaluated]:
    """Yield every example as metrics see it, with what they ``needs``, and keep its units in ``codes``."""
    for view in views(model, split, recipe.evaluate.batch_frames, codes):
        yield from evaluated(model, split, view, needs)


@torch.inference_mode()
def shuffled_items(
    model: Model,
    split: Split,
    recipe: Recipe,
    needs: Iterable[Need],
    codes: Mapping[int, np.ndarray],
    *,
    seed: int,
) -> Iterator[Evaluated]:
    """Yield every example after ``codes`` have been shuffled over the split, as `evaluate` does for chance."""
    rng = np.random.Generator(np.random.PCG64(seed))
    shuffled = shuffled_codes([codes[index] for index in range(len(split))], rng)
    for view in shuffled_views(model, split, recipe.evaluate.batch_frames, shuffled, rng):
        yield from evaluated(model, split, view, needs)


def views(model: Model, split: Split, batch_frames: int, codes: dict[int, np.ndarray]) -> Iterator[View]:
    """Yield the split as the model sees it, and keep the codes of each example in ``codes``."""
    for passed in passes(model, split, batch_frames=batch_frames):
        codes.update(passed.codes())
        found = [codes[index] for index in passed.indices]
        looks = model.views(passed.batch.inputs, passed.latents, passed.seen, passed.quantized.codes)
        yield View(passed.indices, passed.batch, passed.latents, passed.seen, looks, found)


def shuffled_views(
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


def evaluated(
    model: Model,
    split: Split,
    view: View,
    needs: Iterable[Need],
    nats: Callable[[str], Tensor] | None = None,
) -> Iterator[Evaluated]:
    """Yield every example of a batch as metrics see it.

    Args:
        model: In evaluation mode.
        split: Of the examples.
        view: The batch.
        needs: What metrics ask for beside the units.
        nats: -ln p (B,) under a part, by its name, where it is known already.
    """
    batch = view.batch
    nats = nats or cache(partial(nats_of, model, view))
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
            length=None,
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
def nats_of(model: Model, view: View, name: str) -> Tensor:
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
