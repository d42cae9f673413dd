"""Mean over a split of what is counted per dimension of its examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from unitdisc.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

Average = Literal["pixel", "item"]


def per_dimension(amounts: np.ndarray, dims: Sequence[int], average: Average) -> float:
    """Return the mean of ``amounts`` (N,) per dimension. Raises `DataError` when there is none.

    Args:
        amounts: Of each example, such as its bits.
        dims: Numbers that the input frames of each example consist of; examples without any do not count.
        average: "pixel": all amounts over all dimensions. "item": the mean over examples of their own ratios.
    """
    sizes = np.array(dims, np.int64)
    filled = sizes > 0
    if not filled.any():
        raise DataError(
            "the split has no frame to explain; score a split with examples of at least one frame"
        )
    if average == "pixel":
        return float(amounts.sum() / sizes.sum())
    return float((amounts[filled] / sizes[filled]).mean())
