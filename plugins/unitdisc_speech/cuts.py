"""A corpus folder as lhotse cuts: written once by the import, checked when read back.

lhotse runs shell commands, opens addresses and unpickles arrays when a manifest says so. Therefore each cut
is read as plain JSON and compared with the one form that the import writes before lhotse sees it.
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.audio import AudioSource
from lhotse.supervision import AlignmentItem

from unitdisc.errors import DataError
from unitdisc.manifest import MANIFEST, Label, digest, read_folder
from unitdisc_speech.audio import header

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from unitdisc.manifest import Entry, Folder

CUTS = "cuts.jsonl.gz"
IMPORT = "import.json"
_ACCEPTED = {
    "cut": {"type", "id", "start", "duration", "channel", "supervisions", "recording", "custom"},
    "recording": {"id", "sources", "sampling_rate", "num_samples", "duration", "channel_ids"},
    "source": {"type", "channels", "source"},
    "supervision": {"id", "recording_id", "start", "duration", "channel", "text", "speaker", "alignment"},
}
_ELSEWHERE = {"id", "path", "split", "n_samples", "sample_rate", "duration", "text", "speaker"}
"""Manifest fields that have a place of their own in a cut; the others become custom fields."""


@dataclass(frozen=True)
class Utterance:
    """One recording.

    Args:
        key: Id.
        path: Absolute path.
        split: Name of its split.
        num_samples: Its length.
        rate: Its sample rate in Hz.
        fields: What the manifest says of it in single values, as text; the speaker among them.
        tables: Labels by table, in samples at ``rate``.
    """

    key: str
    path: Path
    split: str
    num_samples: int
    rate: int
    fields: dict[str, str]
    tables: dict[str, list[Label]]


def import_cuts(root: Path, out: Path, tables: Sequence[str]) -> str:
    """Write the corpus folder ``root`` with the named label tables into ``out``; say in a line what it is."""
    folder = read_folder(root, tables=tables, unit="sample")
    cuts = [_cut(entry, folder) for entry in folder.entries]
    CutSet.from_cuts(cuts).to_file(out / CUTS)
    source = {"root": str(folder.root), "digest": digest(folder.root, tables=tables), "labels": list(tables)}
    (out / IMPORT).write_text(json.dumps(source, indent=2), encoding="utf-8")
    speakers = {cut.supervisions[0].speaker for cut in cuts} - {None}
    hours = sum(cut.duration for cut in cuts) / 3600
    return (
        f"{len(cuts)} utterances, {len(speakers)} speakers, splits {', '.join(folder.splits())}, "
        f"{hours:.2f} hours, label tables: {', '.join(tables) or 'none'}"
    )


def read_cuts(folder: Path) -> tuple[list[Utterance], str]:
    """Return the utterances of an imported folder and the digest of what was imported."""
    try:
        source = json.loads((folder / IMPORT).read_text(encoding="utf-8"))
        root, content = Path(source["root"]), str(source["digest"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / IMPORT}: {_reason(error)}; import the corpus again") from None
    if not root.is_dir():
        raise DataError(
            f"{folder / IMPORT}: the corpus folder {root} is gone; put it back or import it again"
        )
    return [_utterance(data, root.resolve(), where) for data, where in _read_json(folder / CUTS)], content


def _cut(entry: Entry, folder: Folder) -> MonoCut:
    num_samples, rate = _measured(entry, folder)
    seconds = num_samples / rate
    source = AudioSource(type="file", channels=[0], source=str(entry.path))
    simple = {
        name: value
        for name, value in entry.fields.items()
        if name not in _ELSEWHERE and isinstance(value, str | int | float)
    }
    speaker, text = entry.fields.get("speaker"), entry.fields.get("text")
    supervision = SupervisionSegment(
        entry.key,
        entry.key,
        0.0,
        seconds,
        speaker=str(speaker) if isinstance(speaker, str | int) else None,
        text=text if isinstance(text, str) else None,
        alignment=_alignment(entry, folder, num_samples, rate),
    )
    return MonoCut(
        entry.key,
        0.0,
        seconds,
        0,
        supervisions=[supervision],
        recording=Recording(entry.key, [source], rate, num_samples, seconds),
        custom={**simple, "split": entry.split},
    )


def _measured(entry: Entry, folder: Folder) -> tuple[int, int]:
    """Return samples and rate of the file, which the manifest may not contradict."""
    num_samples, rate = header(entry.path, entry.key)
    said = entry.fields
    seconds = said.get("duration", num_samples / rate)
    if (
        said.get("n_samples", num_samples) != num_samples
        or said.get("sample_rate", rate) != rate
        or abs(seconds * rate - num_samples) > 1
    ):
        found = {name: said[name] for name in ("n_samples", "sample_rate", "duration") if name in said}
        raise DataError(
            f"{folder.root / MANIFEST}:{entry.line}: {entry.key} has {num_samples} samples at {rate} Hz, "
            f"the manifest says {found}; correct it or leave these fields out"
        )
    return num_samples, rate


def _alignment(entry: Entry, folder: Folder, num_samples: int, rate: int) -> dict[str, list[AlignmentItem]]:
    for name, table in folder.tables.items():
        last = max((label.end for label in table.get(entry.key, ())), default=0)
        if last > num_samples:
            raise DataError(
                f"{folder.root / name}.tsv: a label of {entry.key} ends at sample {last}, but there are "
                f"{num_samples}; correct the table"
            )
    return {
        name: [
            AlignmentItem(label.symbol, label.start / rate, (label.end - label.start) / rate)
            for label in table.get(entry.key, ())
        ]
        for name, table in folder.tables.items()
    }


def _read_json(path: Path) -> Iterator[tuple[Any, str]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line, text in enumerate(file, 1):
                yield json.loads(text), f"{path}:{line}"
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise DataError(f"{path}: {_reason(error)}; import the corpus again") from None


def _utterance(data: Any, root: Path, where: str) -> Utterance:
    try:
        _check_form(data)
        path = _inside(data["recording"]["sources"][0]["source"], root)
        cut = MonoCut.from_dict(data)
        (supervision,) = cut.supervisions
        rate = cut.recording.sampling_rate
        custom = dict(cut.custom)
        split = custom.pop("split")
        if supervision.speaker is not None:
            custom["speaker"] = supervision.speaker
        tables = {
            name: [_label(item, rate) for item in items] for name, items in supervision.alignment.items()
        }
        fields = {name: str(value) for name, value in custom.items()}
        return Utterance(cut.id, path, split, cut.recording.num_samples, rate, fields, tables)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(
            f"{where}: {_reason(error)}; accepted is what `unitdisc data import` writes, import again"
        ) from None


def _check_form(data: dict[str, Any]) -> None:
    """Raise `ValueError` unless ``data`` is a whole recording from one file with plain labels and fields."""
    _check_keys("cut", data)
    recording = data["recording"]
    _check_keys("recording", recording)
    (source,) = recording["sources"]
    _check_keys("source", source)
    for supervision in data["supervisions"]:
        _check_keys("supervision", supervision)
    numbers = recording["num_samples"], recording["sampling_rate"]
    if not all(isinstance(number, int) and number > 0 for number in numbers):
        raise ValueError(f"{numbers[0]!r} samples at {numbers[1]!r} Hz")
    if not all(isinstance(text, str) for text in (data["id"], data["custom"]["split"])):
        raise ValueError("an id or split that is not text")
    if source["type"] != "file":
        raise ValueError(f"an audio source of the type {source['type']!r}")
    if (
        data["type"] != "MonoCut"
        or data["start"] != 0
        or abs(data["duration"] - recording["duration"]) > 1e-6
    ):
        raise ValueError("a cut that is not a whole recording")
    if not all(isinstance(value, str | int | float) for value in data["custom"].values()):
        raise ValueError("a custom field that is not a single value")


def _check_keys(kind: str, data: dict[str, Any]) -> None:
    if unknown := sorted(set(data) - _ACCEPTED[kind]):
        raise ValueError(f"a {kind} with {', '.join(unknown)}")


def _inside(source: str, root: Path) -> Path:
    path = Path(source).resolve()
    if not path.is_relative_to(root):
        raise ValueError(f"{source} lies outside of {root}")
    return path


def _label(item: AlignmentItem, rate: int) -> Label:
    # Seconds are floats in a cut; rounding gives back the samples they were made of.
    start = round(item.start * rate)
    return Label(start, start + round(item.duration * rate), item.symbol)


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
