"""Look up the vectors or units of an utterance that are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from unitdisc.named import codes

if TYPE_CHECKING:
    import numpy as np

    from unitdisc.metric import Evaluated


def carried(
    item: Evaluated, on: Literal["units", "latents", "values", "inputs"], book: int | None
) -> np.ndarray:
    """Return the units (S, Q), or (S, 1) of one codebook, or the vectors (S or T, D)."""
    if on == "units":
        return codes(item, book)
    vectors = {"latents": item.latents, "values": item.values, "inputs": item.inputs}[on]
    assert vectors is not None  # noqa: S101  (evaluation carries what a metric needs)
    return vectors.reshape(len(vectors), -1)
