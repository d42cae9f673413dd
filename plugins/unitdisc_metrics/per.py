"""Phoneme error rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from unitdisc.edit_distance import edit_distance
from unitdisc.named import frame_target, prediction, target
from unitdisc_metrics.error_rate import error_rate
from unitdisc_metrics.mergeable import Mergeable
from unitdisc_metrics.symbols import merged

if TYPE_CHECKING:
    from unitdisc.metric import Evaluated


class PER(Mergeable):
    """Phoneme error rate in percent: 100 * sum_u edits_u / sum_u N_u over the utterances u of the split.

    edits_u are the substitutions, deletions and insertions between prediction and reference (Levenshtein),
    N_u is the length of the reference. Paper A, Table I, reports it on WSJ dev93 without a language model.

    "edits" and "reference_length" are the two sums, "utterances" the number of utterances with a reference.
    An empty reference adds its insertions to the corpus sums; the mean over utterances leaves it out.

    Args:
        head: Name of the head whose predicted sequences are scored.
        target: Name of the target that is the reference.
        reference: "transcript": a target of kind "sequence" as it stands. "dedup-alignment": a target of kind
            "frames" with equal neighbours merged and unlabelled frames dropped, as in DistSup; there two
            equal phones in a row count as one.
        average: "corpus": the ratio of the two sums. "utterance": the mean of the utterances' own rates.
    """

    higher_is_better: ClassVar[bool] = False
    taken: ClassVar[tuple[str, ...]] = ("_edits", "_lengths")

    def __init__(
        self,
        *,
        head: str,
        target: str,
        reference: Literal["transcript", "dedup-alignment"] = "transcript",
        average: Literal["corpus", "utterance"] = "corpus",
    ) -> None:
        self._head = head
        self._target = target
        self._reference = reference
        self._average = average
        self._edits: list[int] = []
        self._lengths: list[int] = []

    def update(self, item: Evaluated) -> None:
        """Compare one utterance."""
        if self._reference == "transcript":
            symbols = target(item, self._target)
        else:
            symbols = merged(frame_target(item, self._target))
        self._edits.append(edit_distance(prediction(item, self._head), symbols))
        self._lengths.append(len(symbols))

    def compute(self) -> dict[str, float]:
        """Return the rate and the sums. Raises `DataError` when all references are empty."""
        return error_rate(self._edits, self._lengths, self._average, self._target)
