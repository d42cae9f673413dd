"""The laws of exporters."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from unitdisc.errors import UnitdiscError
from unitdisc.exporter import Format, Told
from unitdisc.repeats import without_repeats
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
    if isinstance(exporter, Format):
        _reads(exporter, units)


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


def _reads(exporter: Format, units: list[Units]) -> None:
    """Units that were written are read, and a file that was cut is refused in words for a user."""
    law = "what is written is read"
    with TemporaryDirectory() as name:
        folder = Path(name)
        exporter.write(units, split="test", num_codes=_NUM_CODES, folder=folder)
        place = folder / exporter.place("test")
        found = {item.key: item.codes for _, item in exporter.read(place, Told(0.03, "second"))}
        require(set(found) == {item.key for item in units}, law, f"the ids are {sorted(found)}")
        for item in units:
            same = np.array_equal(without_repeats(found[item.key]), without_repeats(item.codes))
            require(same, law, f"the units of {item.key} became {found[item.key].tolist()}")
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        for path in files:
            _refuses_cut(exporter, path, place)


def _refuses_cut(exporter: Format, path: Path, place: Path) -> None:
    """Reading does not fail with anything but a `UnitdiscError` when ``path`` was cut."""
    content = path.read_bytes()
    for size in (0, 1, len(content) // 3, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        try:
            list(exporter.read(place, Told(0.03, "second")))
        except UnitdiscError:
            continue
        except Exception as error:  # noqa: BLE001  (whatever else it raises breaks the law)
            found = f"{path.name} cut to {size} bytes gives {type(error).__name__}: {error}"
            require(holds=False, law="what cannot be read is a DataError", found=found)
        finally:
            path.write_bytes(content)


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
