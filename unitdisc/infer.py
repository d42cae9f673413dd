"""Passes over a split with a trained model: latents, codes, losses and predictions, batch by batch."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from unitdisc.data import HeldSplit, collate
from unitdisc.errors import DataError
from unitdisc.model import NonFiniteLatentsError
from unitdisc.parts import Batch, Padded, Quantized
from unitdisc.plan import fill
from unitdisc.units import Units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from unitdisc.data import FeatureSpec, Split
    from unitdisc.model import Model

    Wanted = Callable[[int, list[int]], bool]


@dataclass(frozen=True)
class Passed:
    """One batch after the bottleneck.

    Args:
        indices: Place of each example in the split.
        batch: As encoder and decoder see it (standardised).
        latents: Before the bottleneck.
        quantized: After it.
    """

    indices: list[int]
    batch: Batch
    latents: Padded
    quantized: Quantized

    @property
    def seen(self) -> Padded:
        """What decoder and heads see."""
        return Padded(self.quantized.values, self.latents.lengths)

    def codes(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield ``(index, codes (S, Q))`` of each example without padding."""
        for row, index in enumerate(self.indices):
            yield index, self.quantized.codes[row, : int(self.latents.lengths[row])].cpu().numpy()


def batches(
    model: Model, split: Split, *, batch_frames: int, wanted: Wanted | None = None
) -> Iterator[tuple[list[int], Batch]]:
    """Yield standardised batches of examples of similar length, every example once.

    ``wanted`` says of a batch, by its number and the places of its examples, whether to make it; None takes all.
    """
    device = model.device
    order = np.argsort(np.asarray(split.lengths), kind="stable").tolist()
    planned = fill(order, split.lengths, batch_frames=batch_frames)
    if wanted is not None:
        planned = [indices for number, indices in enumerate(planned) if wanted(number, indices)]
    if isinstance(split, HeldSplit):
        held = split.to(device)
        yield from ((indices, model.standardized(held.batch(indices))) for indices in planned)
        return
    for indices, batch in _loaded(split, planned):
        yield indices, model.standardized(batch.to(device))


def _loaded(split: Split, planned: Iterable[list[int]]) -> Iterator[tuple[list[int], Batch]]:
    """Yield the planned batches; a thread loads each while its predecessor is worked on."""

    def load(indices: list[int]) -> tuple[list[int], Batch]:
        return indices, collate([split[index] for index in indices])

    with ThreadPoolExecutor(1) as pool:
        ahead: Future[tuple[list[int], Batch]] | None = None
        for indices in planned:
            ready, ahead = ahead, pool.submit(load, indices)
            if ready is not None:
                yield ready.result()
        if ahead is not None:
            yield ahead.result()


@torch.inference_mode()
def passes(
    model: Model, split: Split, *, batch_frames: int, wanted: Wanted | None = None
) -> Iterator[Passed]:
    """Yield every ``wanted`` batch of the split after the bottleneck; the model is in evaluation mode.

    Raises `DataError` when the model's latents are not finite.
    """
    model.eval()
    for indices, batch in batches(model, split, batch_frames=batch_frames, wanted=wanted):
        latents = _encode(model, batch)
        yield Passed(indices, batch, latents, model.quantize(latents))


@torch.inference_mode()
def codes_of(model: Model, split: Split, *, batch_frames: int) -> list[np.ndarray]:
    """Return the codes (S, Q) of every example, in the split's order."""
    found: dict[int, np.ndarray] = {}
    for passed in passes(model, split, batch_frames=batch_frames):
        found.update(passed.codes())
    return [found[index] for index in range(len(split))]


@torch.inference_mode()
def units_of(model: Model, key: str, inputs: Tensor, features: FeatureSpec) -> Units:
    """Return the units of one recording's raw inputs (T, *shape)."""
    model.eval()
    device = model.device
    batch = Batch([key], Padded(inputs[None], torch.tensor([len(inputs)])))
    latents = _encode(model, model.standardized(batch.to(device)))
    return as_units(key, model.quantize(latents).codes[0].cpu().numpy(), len(inputs), model.stride, features)


def as_units(key: str, codes: np.ndarray, num_frames: int, stride: int, features: FeatureSpec) -> Units:
    """Return codes (S, Q) over ``num_frames`` frames as `Units` in the features' unit of time."""
    return Units(
        key=key,
        codes=codes,
        start=0.0,
        step=stride / features.frame_rate,
        end=num_frames / features.frame_rate,
        unit_of_time=features.unit_of_time,
    )


def _encode(model: Model, batch: Batch) -> Padded:
    try:
        return model.encode(batch)
    except NonFiniteLatentsError as error:
        raise DataError(
            f"{', '.join(batch.keys[:3])}: the encoder returned NaN or infinity; look at these inputs"
        ) from error
