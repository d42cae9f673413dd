"""Unit sequences with what their numbers mean, from a run or from an exported file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unitdisc.errors import DataError, RecipeError, StorageError
from unitdisc.unit_lines import read_units

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class PseudoText:
    """The unit sequences of a split.

    Args:
        codes: (S, Q) int64 by id of the utterance or line, each in [0, K), repeats not merged.
        num_codes: K.
        num_codebooks: Q.
        step: Length of one unit, in ``unit_of_time``.
        unit_of_time: "second" or "column".
        checkpoint: SHA-256 of the weights that chose the codes: under others they mean something else.
    """

    codes: dict[str, np.ndarray]
    num_codes: int
    num_codebooks: int
    step: float
    unit_of_time: str
    checkpoint: str


def of_run(folder: Path, split: str) -> PseudoText:
    """Return the units of a trained run. Raises `StorageError` when there is none in ``folder``."""
    from unitdisc import device  # noqa: PLC0415  (a file of units needs no torch)
    from unitdisc.run import load  # noqa: PLC0415

    run = load(folder)
    if run.model.bottleneck.num_codes == 0:
        raise RecipeError(
            f"{folder}: bottleneck {run.recipe.bottleneck.name} quantises nothing; there are no units"
        )
    run.model.to(device.choose(run.recipe.train))
    return _explained({item.key: item.codes for item in run.units(split)}, run.meta())


def of_file(path: Path) -> PseudoText:
    """Return the units of ``path``, which ``unitdisc export --format jsonl`` wrote, with its sidecar beside it."""
    from unitdisc.export import META  # noqa: PLC0415
    from unitdisc.run_folder import read_json  # noqa: PLC0415

    if not path.with_name(META).is_file():
        raise DataError(
            f"{path}: {META} is not beside it, which says how many codes there are; "
            "give a file as unitdisc export RUN --format jsonl wrote it, or the run's folder"
        )
    try:
        meta = read_json(path.with_name(META))
        return _explained(_arrays(path, meta["num_codes"], meta["num_codebooks"]), meta)
    except KeyError as error:
        raise StorageError(f"{path.with_name(META)}: {error} is missing; export the units anew") from error


def _arrays(path: Path, num_codes: int, num_codebooks: int) -> dict[str, np.ndarray]:
    found = {}
    for key, units in read_units(path).items():
        codes = np.array(units, np.int64).reshape(len(units), -1 if units else num_codebooks)
        if codes.shape[1] != num_codebooks:
            raise DataError(
                f"{path}: {key}: units have {codes.shape[1]} codes, not the {num_codebooks} of the sidecar beside it"
            )
        if codes.max(initial=0) >= num_codes:
            raise DataError(
                f"{path}: {key}: found code {codes.max()}; the sidecar beside it knows 0 to {num_codes - 1}"
            )
        found[key] = codes
    return found


def _explained(codes: dict[str, np.ndarray], meta: dict[str, Any]) -> PseudoText:
    return PseudoText(
        codes,
        num_codes=meta["num_codes"],
        num_codebooks=meta["num_codebooks"],
        step=meta["step"],
        unit_of_time=meta["unit_of_time"],
        checkpoint=meta["checkpoint_sha256"],
    )
