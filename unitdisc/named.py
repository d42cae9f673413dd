"""Look up what a recipe names in an utterance: its targets, predictions, likelihoods, fields and codebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitdisc.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeVar

    import numpy as np

    from unitdisc.metric import Evaluated

    T = TypeVar("T")


def target(item: Evaluated, name: str) -> np.ndarray:
    """Return a target. Raises `RecipeError` naming those that exist."""
    return _entry(item, "target", name, item.targets)


def frame_target(item: Evaluated, name: str) -> np.ndarray:
    """Return the labels (T,) of a target of kind "frames". Raises `RecipeError` for any other."""
    labels = target(item, name)
    if len(labels) != item.num_frames:
        raise RecipeError(
            f"{item.key}: target '{name}' has {len(labels)} symbols for {item.num_frames} frames; "
            "this metric needs a target with one label per frame"
        )
    return labels


def prediction(item: Evaluated, name: str) -> np.ndarray:
    """Return what a head predicted. Raises `RecipeError` naming the heads that exist."""
    return _entry(item, "head", name, item.predictions)


def nats(item: Evaluated, name: str) -> float:
    """Return -ln p of the utterance under a part. Raises `RecipeError` naming the parts that give one."""
    return float(_entry(item, "likelihood", name, item.nats))


def field_value(item: Evaluated, name: str) -> str:
    """Return what the corpus says of the utterance. Raises `RecipeError` naming the fields that exist."""
    if name not in item.fields:
        accepted = ", ".join(sorted(item.fields)) or "none, the corpus says nothing of it"
        raise RecipeError(f"{item.key}: no field '{name}' to score (accepted: {accepted})")
    return item.fields[name]


def codes(item: Evaluated, book: int | None = None) -> np.ndarray:
    """Return the codes (S, Q) of all books, or (S, 1) of one. Raises `RecipeError` when there is none."""
    num_codebooks = item.codes.shape[1]
    if num_codebooks == 0:
        raise RecipeError(
            f"{item.key}: the bottleneck quantises nothing, so there are no units; drop this metric, or score latents"
        )
    if book is None:
        return item.codes
    if book >= num_codebooks:
        raise RecipeError(f"{item.key}: codebook {book} does not exist (accepted: 0 to {num_codebooks - 1})")
    return item.codes[:, book : book + 1]


def _entry(item: Evaluated, what: str, name: str, entries: Mapping[str, T]) -> T:
    if name not in entries:
        accepted = ", ".join(sorted(entries)) or f"none, the run has no {what}"
        raise RecipeError(f"{item.key}: no {what} '{name}' to score (accepted: {accepted})")
    return entries[name]
