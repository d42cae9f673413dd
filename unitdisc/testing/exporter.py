"""The laws of exporters."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from unitdisc.errors import UnitdiscError
from unitdisc.testing.laws import require
from unitdisc.units import Units

if TYPE_CHECKING:
    from unitdisc.exporter import Exporter

_NUM_CODES = 6


def check_exporter(exporter: Exporter) -> None:
    """Raise an AssertionError that names the first law of `Exporter` that an exporter breaks."""
    units = _units(1)
    given = [item.codes.copy() for item in units]
    written = [_write(exporter, units) for _ in range(2)]
    names = sorted(written[0])
    require(bool(names), "write returns the files it wrote", "it returned none")
    empty = [name for name in names if not written[0][name]]
    require(not empty, "units are written", f"{', '.join(empty)} is empty")
    require(written[0] == written[1], "the same units give the same bytes", f"{', '.join(names)} differ")
    kept = all(np.array_equal(item.codes, codes) for item, codes in zip(units, given, strict=True))
    require(kept, "write does not change the units", "their codes changed")
    others = [*units[:-1], Units("u9", units[-1].codes[::-1], 0.0, 0.03, units[-1].end, "second")]
    changed = _write(exporter, others) != written[0]
    require(changed, "every utterance is written", "other units of the last one give the same files")
    _refuses(exporter)


def _write(exporter: Exporter, units: list[Units]) -> dict[str, bytes]:
    """Return what the exporter wrote into an empty folder, by file name."""
    law = "write returns the files it wrote"
    with TemporaryDirectory() as name:
        folder = Path(name).resolve()
        paths = exporter.write(units, split="test", num_codes=_NUM_CODES, folder=folder)
        outside = [str(path) for path in paths if folder not in path.resolve().parents]
        require(not outside, "files are written into the folder", f"{', '.join(outside)} lies outside")
        found = {path.resolve() for path in folder.rglob("*") if path.is_file()}
        returned = {path.resolve() for path in paths}
        require(returned == found, law, f"it returned {len(returned)} and wrote {len(found)}")
        return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def _refuses(exporter: Exporter) -> None:
    """Two codebooks are written, or refused in words for a user."""
    try:
        _write(exporter, _units(2))
    except UnitdiscError:
        return
    except Exception as error:  # noqa: BLE001  (whatever else it raises breaks the law)
        law = "what a format cannot hold is a RecipeError"
        require(holds=False, law=law, found=f"two codebooks give {type(error).__name__}: {error}")


def _units(num_codebooks: int) -> list[Units]:
    rng = np.random.default_rng(0)
    return [
        Units(
            f"u{number}",
            rng.integers(0, _NUM_CODES, (count, num_codebooks)),
            0.0,
            0.03,
            count * 0.03,
            "second",
        )
        for number, count in enumerate([7, 1, 12])
    ]
