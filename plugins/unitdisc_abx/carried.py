"""Look up what an utterance carries: its labels, its speaker, and the vectors or units that are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from unitdisc.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unitdisc.metric import Evaluated


def frame_target(item: Evaluated, name: str) -> np.ndarray:
    """Return the labels (T,) of a target of kind "frames". Raises `RecipeError` for any other."""
    if name not in item.targets:
        raise RecipeError(f"{item.key}: no target '{name}' to score (accepted: {_listed(item.targets)})")
    labels = item.targets[name]
    if len(labels) != item.num_frames:
        raise RecipeError(
            f"{item.key}: target '{name}' has {len(labels)} symbols for {item.num_frames} frames; "
            "this metric needs a target with one label per frame"
        )
    return labels


def field_value(item: Evaluated, name: str) -> str:
    """Return what the corpus says of the utterance. Raises `RecipeError` naming the fields that exist."""
    if name not in item.fields:
        raise RecipeError(f"{item.key}: no field '{name}' to score (accepted: {_listed(item.fields)})")
    return item.fields[name]


def carried(
    item: Evaluated, on: Literal["units", "latents", "values", "inputs"], book: int | None
) -> np.ndarray:
    """Return the units (S, Q), or (S, 1) of one codebook, or the vectors (S or T, D)."""
    if on != "units":
        vectors = {"latents": item.latents, "values": item.values, "inputs": item.inputs}[on]
        assert vectors is not None  # noqa: S101  (evaluation carries what a metric needs)
        return vectors.reshape(len(vectors), -1)
    num_codebooks = item.codes.shape[1]
    if num_codebooks == 0:
        raise RecipeError(
            f"{item.key}: the bottleneck quantises nothing, so there are no units; score on latents or values"
        )
    if book is None:
        return item.codes
    if book >= num_codebooks:
        raise RecipeError(f"{item.key}: codebook {book} does not exist (accepted: 0 to {num_codebooks - 1})")
    return item.codes[:, book : book + 1]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
