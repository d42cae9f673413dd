"""How well the speaker can be told from what the model carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from unitdisc.errors import DataError
from unitdisc.metric import Metric
from unitdisc.named import codes, field_value
from unitdisc_metrics.linear_discriminants import discriminants

if TYPE_CHECKING:
    from unitdisc.metric import Evaluated, Need

_NEEDS: dict[str, tuple[Need, ...]] = {
    "input": ("inputs",),
    "encoder": ("latents",),
    "bottleneck": ("values",),
    "units": (),
}


class SpeakerProbe(Metric):
    """Percent of utterances whose speaker a linear probe names; lower is better.

    Asks, as the probing experiments of van Niekerk et al. 2020 (VQ-VAE and VQ-CPC for ZeroSpeech 2020), how much
    of the speaker is left before and after quantisation. The protocol is our own, so numbers do not compare with
    theirs: an utterance is one vector, the mean and the deviation of each dimension over its frames (for "units"
    the share of each code), and the classifier is linear discriminant analysis with a shrunk covariance. It has
    a closed form, so that the number hangs on no training of a probe; a stronger probe may find more.

    Learnt and scored within the split by cross-validation over utterances: each fold's utterances are named by a
    probe that heard the other folds, every speaker being in both. Speakers with a single utterance are left out
    ("left_out" utterances). Speakers need not be known to training. "chance" is the share of the most frequent
    speaker, 100 / "speakers" where all speak equally often.

    Args:
        on: "input": the features as the encoder sees them. "encoder": latents before the bottleneck.
            "bottleneck": what decoder and heads see. "units": the codes.
        field: Manifest field that names the speaker (or the writer).
        folds: Parts of the cross-validation, each with as many utterances of one speaker as of another; as many
            as a speaker has utterances, or more, leave one of each speaker out at a time.
        shrinkage: Weight of the sphere in the covariance; 1 compares distances to the speakers' means.
        seed: Of the division into folds.
    """

    has_chance: ClassVar[bool] = False
    higher_is_better: ClassVar[bool] = False

    def __init__(
        self,
        *,
        on: Literal["input", "encoder", "bottleneck", "units"] = "bottleneck",
        field: str = "speaker",
        folds: Annotated[int, Ge(2)] = 5,
        shrinkage: Annotated[float, Gt(0), Le(1)] = 0.5,
        seed: Annotated[int, Ge(0)] = 0,
    ) -> None:
        self.needs = _NEEDS[on]
        self._on, self._field = on, field
        self._folds, self._shrinkage, self._seed = folds, shrinkage, seed
        self._heard: list[tuple[str, str, np.ndarray]] = []

    def update(self, item: Evaluated) -> None:
        """Take one utterance in as a vector."""
        speaker = field_value(item, self._field)
        vector = _histogram(item) if self._on == "units" else _moments(_carried(item, self.needs[0]))
        if item.num_frames:
            self._heard.append((item.key, speaker, vector))

    def compute(self) -> dict[str, float]:
        """Return the accuracy and the counts. Raises `DataError` with fewer than two speakers to tell apart."""
        vectors, speakers = self._probed()
        order = np.random.Generator(np.random.PCG64(self._seed)).permutation(len(speakers))
        order = order[np.argsort(speakers[order], kind="stable")]
        # Each fold takes one utterance of every speaker. Had it more of one than of another, its probe would have
        # heard less of just those that it is asked for, and one that knows nothing would fall below chance.
        alike = speakers[order]
        folds = np.empty(len(order), np.int64)
        folds[order] = (np.arange(len(order)) - np.searchsorted(alike, alike)) % self._folds
        found = np.empty_like(speakers)
        for fold in np.unique(folds):
            known, asked = folds != fold, folds == fold
            scores = discriminants(vectors[known], speakers[known], vectors[asked], shrinkage=self._shrinkage)
            found[asked] = scores.argmax(axis=1)
        return {
            "value": 100 * float((found == speakers).mean()),
            "chance": _majority(speakers),
            "speakers": float(len(np.unique(speakers))),
            "utterances": float(len(speakers)),
            "left_out": float(len(self._heard) - len(speakers)),
        }

    def chance(self) -> dict[str, float]:
        """Return the share of the most frequent speaker."""
        return {"value": _majority(self._probed()[1])}

    def _probed(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the vectors (N, D) and the speakers' numbers (N,) of speakers with several utterances."""
        heard = sorted(self._heard, key=lambda one: one[0])
        names, numbers, counts = np.unique(
            [speaker for _, speaker, _ in heard], return_inverse=True, return_counts=True
        )
        several = np.flatnonzero(counts[numbers] > 1)
        speakers = np.unique(numbers[several], return_inverse=True)[1]
        if len(np.unique(speakers)) < 2:
            raise DataError(
                f"found {len(names)} values of '{self._field}', fewer than two of them with two utterances; "
                "score a split with more, or drop this metric"
            )
        return np.stack([heard[index][2] for index in several]), speakers


def _majority(speakers: np.ndarray) -> float:
    return 100 * float(np.bincount(speakers).max() / len(speakers))


def _carried(item: Evaluated, need: Need) -> np.ndarray:
    array = {"inputs": item.inputs, "latents": item.latents, "values": item.values}[need]
    assert array is not None  # noqa: S101  (evaluation carries what a metric needs)
    return array


def _moments(frames: np.ndarray) -> np.ndarray:
    """Return mean and deviation over the frames (T, ...) of each dimension."""
    flat = frames.reshape(len(frames), -1).astype(np.float64)
    return np.concatenate([flat.mean(axis=0), flat.std(axis=0)]) if len(flat) else flat


def _histogram(item: Evaluated) -> np.ndarray:
    """Return the share of each code among the units, (Q * K,)."""
    units = codes(item)
    counts = [np.bincount(column, minlength=item.num_codes) for column in units.T]
    return np.concatenate(counts) / max(len(units), 1)
