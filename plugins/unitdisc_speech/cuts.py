"""Recordings, or parts of them, as lhotse cuts: written once by the import, checked when read back.

lhotse runs shell commands, opens addresses and unpickles arrays when a manifest says so. Therefore each cut
is read as plain JSON and compared with the one form that the import writes before lhotse sees it.
"""

from __future__ import annotations

import gzip
import hashlib
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
from unitdisc_speech.audio import header, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from unitdisc.manifest import Entry, Folder

CUTS = "cuts.jsonl.gz"
IMPORT = "import.json"
_ROUNDING = 1e-6
"""Seconds by which the sum of two times may miss the third; a sample is longer."""
_ACCEPTED = {
    "cut": {"type", "id", "start", "duration", "channel", "supervisions", "recording", "custom"},
    "recording": {"id", "sources", "sampling_rate", "num_samples", "duration", "channel_ids"},
    "source": {"type", "channels", "source"},
    "supervision": {"id", "recording_id", "start", "duration", "channel", "text", "speaker", "alignment"},
}
_ELSEWHERE = {"id", "path", "split", "n_samples", "sample_rate", "duration"}
"""Manifest fields that have a place of their own in an utterance."""


@dataclass(frozen=True)
class Utterance:
    """One recording or a part of one.

    Args:
        key: Id.
        path: Absolute path.
        split: Name of its split.
        num_samples: Its length.
        rate: Its sample rate in Hz.
        fields: What is known of it in single values, as text; "speaker" and "text" among them.
        tables: Labels by table, in samples at ``rate`` from its beginning.
        start: Its first sample in the recording.
        recorded: Samples of the whole recording; None where it is the whole.
    """

    key: str
    path: Path
    split: str
    num_samples: int
    rate: int
    fields: dict[str, str]
    tables: dict[str, list[Label]]
    start: int = 0
    recorded: int | None = None

    def read(self) -> np.ndarray:
        """Return (num_samples,) float32, or raise where the file is not what was imported."""
        whole = self.num_samples if self.recorded is None else self.recorded
        return read(self.path, self.key, whole, self.rate, part=(self.start, self.num_samples))


def import_cuts(root: Path, out: Path, tables: Sequence[str]) -> str:
    """Write the corpus folder ``root`` with the named label tables into ``out``; say in a line what it is."""
    folder = read_folder(root, tables=tables, unit="sample")
    utterances = [_of_entry(entry, folder) for entry in folder.entries]
    content = digest(folder.root, tables=tables)
    return write_cuts(utterances, out, root=folder.root, content=content, tables=tables)


def write_cuts(
    utterances: Sequence[Utterance],
    out: Path,
    *,
    root: Path,
    content: str | None = None,
    tables: Sequence[str] = (),
) -> str:
    """Write what `read_cuts` reads into the folder ``out``; return a line on what it holds.

    Args:
        utterances: In the order of the corpus.
        out: A folder that exists.
        root: A folder that all recordings lie in.
        content: The digest of what they were made of; of the utterances themselves where it is left out.
        tables: The names of all label tables.
    """
    CutSet.from_cuts(map(_cut, utterances)).to_file(out / CUTS)
    source = {"root": str(root), "digest": content or _digest(utterances, root), "labels": list(tables)}
    (out / IMPORT).write_text(json.dumps(source, indent=2), encoding="utf-8")
    speakers = {utterance.fields.get("speaker") for utterance in utterances} - {None}
    splits = dict.fromkeys(utterance.split for utterance in utterances)
    hours = sum(utterance.num_samples / utterance.rate for utterance in utterances) / 3600
    return (
        f"{len(utterances)} utterances, {len(speakers)} speakers, splits {', '.join(splits)}, "
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


def _digest(utterances: Sequence[Utterance], root: Path) -> str:
    """Return the SHA-256 of all that is known of the utterances; where the corpus lies does not count."""
    total = hashlib.sha256()
    for utterance in utterances:
        known = {**vars(utterance), "path": str(utterance.path.relative_to(root))}
        total.update(json.dumps(known, sort_keys=True, default=vars).encode() + b"\n")
    return total.hexdigest()


def _cut(utterance: Utterance) -> MonoCut:
    key, rate = utterance.key, utterance.rate
    seconds = utterance.num_samples / rate
    whole = utterance.num_samples if utterance.recorded is None else utterance.recorded
    source = AudioSource(type="file", channels=[0], source=str(utterance.path))
    fields = dict(utterance.fields)
    supervision = SupervisionSegment(
        key,
        key,
        0.0,
        seconds,
        speaker=fields.pop("speaker", None),
        text=fields.pop("text", None),
        alignment={
            name: [
                # lhotse counts from the beginning of the recording.
                AlignmentItem(
                    label.symbol, (utterance.start + label.start) / rate, (label.end - label.start) / rate
                )
                for label in labels
            ]
            for name, labels in utterance.tables.items()
        },
    )
    return MonoCut(
        key,
        utterance.start / rate,
        seconds,
        0,
        supervisions=[supervision],
        recording=Recording(key, [source], rate, whole, whole / rate),
        custom={**fields, "split": utterance.split},
    )


def _of_entry(entry: Entry, folder: Folder) -> Utterance:
    num_samples, rate = _measured(entry, folder)
    fields = {
        name: str(value)
        for name, value in entry.fields.items()
        if name not in _ELSEWHERE and isinstance(value, str | int | float)
    }
    tables = {name: table.get(entry.key, []) for name, table in folder.tables.items()}
    for name, labels in tables.items():
        last = max((label.end for label in labels), default=0)
        if last > num_samples:
            raise DataError(
                f"{folder.root / name}.tsv: a label of {entry.key} ends at sample {last}, but there are "
                f"{num_samples}; correct the table"
            )
    return Utterance(entry.key, entry.path, entry.split, num_samples, rate, fields, tables)


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
        known = {"speaker": supervision.speaker, "text": supervision.text}
        custom |= {name: value for name, value in known.items() if value is not None}
        fields = {name: str(value) for name, value in custom.items()}
        start, length = round(cut.start * rate), round(cut.duration * rate)
        tables = {
            name: [_label(item, rate, start) for item in items]
            for name, items in supervision.alignment.items()
        }
        whole = cut.recording.num_samples
        part = {} if length == whole else {"start": start, "recorded": whole}
        return Utterance(cut.id, path, split, length, rate, fields, tables, **part)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(
            f"{where}: {_reason(error)}; accepted is what `unitdisc data import` writes, import again"
        ) from None


def _check_form(data: dict[str, Any]) -> None:
    """Raise `ValueError` unless ``data`` is (a part of) a recording from one file with plain labels and fields."""
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
        or not 0 <= data["start"] < data["start"] + data["duration"] <= recording["duration"] + _ROUNDING
    ):
        raise ValueError("a cut that is not a whole recording or a part of one")
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


def _label(item: AlignmentItem, rate: int, beginning: int) -> Label:
    # Seconds are floats in a cut; rounding gives back the samples they were made of.
    start = round(item.start * rate) - beginning
    return Label(start, start + round(item.duration * rate), item.symbol)


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
