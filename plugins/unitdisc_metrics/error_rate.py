"""Error rates from the edits of utterances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from unitdisc.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence


def error_rate(
    edits: Sequence[int], lengths: Sequence[int], average: Literal["corpus", "utterance"], target: str
) -> dict[str, float]:
    """Return the rate in percent under "value", and the sums. Raises `DataError` when all references are empty.

    Args:
        edits: Of each utterance.
        lengths: Of each utterance's reference.
        average: "corpus": the ratio of the two sums. "utterance": the mean of the utterances' own rates.
        target: Name of the reference, for the error.
    """
    edited, spoken = np.array(edits), np.array(lengths)
    heard = spoken > 0
    if not heard.any():
        raise DataError(f"no reference symbol of target '{target}' in the split; score one that has labels")
    rates = {"corpus": edited.sum() / spoken.sum(), "utterance": (edited[heard] / spoken[heard]).mean()}
    return {
        "value": float(100 * rates[average]),
        "edits": float(edited.sum()),
        "reference_length": float(spoken.sum()),
        "utterances": float(heard.sum()),
    }
