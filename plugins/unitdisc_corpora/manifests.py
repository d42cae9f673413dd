"""lhotse's manifests, read as plain JSON: what lhotse would run, fetch or unpickle is refused."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unitdisc.errors import DataError
from unitdisc.reader import Reader, Recorded, Timed
from unitdisc_corpora.audio import header
from unitdisc_corpora.parts import require_folder, split_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = re.compile(
    r"(?:(?P<corpus>.+?)[_-])?(?P<kind>recordings|supervisions|cuts)(?:[_-](?P<part>.+))?\.jsonl(?:\.gz)?"
)
_TABLES = {"phone": "phones", "phones": "phones", "word": "words", "words": "words"}
_LAYOUT = (
    "no recordings_PART.jsonl.gz with supervisions_PART.jsonl.gz, and no cuts_PART.jsonl.gz in there; give the "
    "folder of lhotse's manifests"
)


class Lhotse(Reader):
    """Manifests of lhotse, as its recipes write them (also without .gz).

    FOLDER holds
      CORPUS_recordings_PART.jsonl.gz    with
      CORPUS_supervisions_PART.jsonl.gz  one utterance per supervision; or
      CORPUS_cuts_PART.jsonl.gz          one utterance per cut (MonoCut)
    Recordings are one file each with one channel; relative paths are relative to FOLDER. Commands, addresses
    and data inside of manifests are refused, never run. Alignments "phone" and "word" give labels. PART names
    the split: train..., ...dev..., test...; any other is a split of that name, none at all is train.
    """

    def read(self, folder: Path) -> Iterator[Recorded]:
        """Yield the utterances of all manifests."""
        folder = require_folder(folder)
        found: dict[tuple[str, str], dict[str, Path]] = {}
        for path in sorted(folder.iterdir()):
            if name := _NAME.fullmatch(path.name):
                found.setdefault((name["corpus"] or "", name["part"] or ""), {})[name["kind"]] = path
        if not found:
            raise DataError(f"{folder}: {_LAYOUT}")
        for (corpus, part), kinds in found.items():
            split = split_of(part or corpus) or part or "train"
            if "cuts" in kinds:
                yield from _cuts(kinds["cuts"], split)
            else:
                yield from _supervisions(kinds, split, folder)


def _cuts(path: Path, split: str) -> Iterator[Recorded]:
    for data, where in _objects(path):
        with _named(where):
            if data["type"] != "MonoCut":
                raise ValueError(f"a cut of the type {data['type']!r}; accepted is MonoCut")
            recording = _recording(data["recording"], path.parent)
            found = _utterance(data, recording, data.get("supervisions", []), split=split, where=where)
        yield found


def _supervisions(kinds: dict[str, Path], split: str, folder: Path) -> Iterator[Recorded]:
    for kind in ("recordings", "supervisions"):
        if kind not in kinds:
            (other,) = kinds.values()
            raise DataError(f"{folder}: {other.name} has no {kind} beside it; put them there")
    recordings = {}
    for data, where in _objects(kinds["recordings"]):
        with _named(where):
            recordings[data["id"]] = _recording(data, folder)
    for data, where in _objects(kinds["supervisions"]):
        with _named(where):
            if data["recording_id"] not in recordings:
                raise ValueError(f"the recording {data['recording_id']!r}, which is not in the recordings")
            recording = recordings[data["recording_id"]]
            found = _utterance(data, recording, [data], split=split, where=where)
        yield found


def _recording(data: dict[str, Any], folder: Path) -> tuple[Path, int, int]:
    """Return path, samples and rate of a recording that is a plain file."""
    if data.get("transforms"):
        raise ValueError("a recording with transforms; write the recordings as they shall be heard")
    (source,) = data["sources"]
    if source["type"] != "file":
        raise ValueError(
            f"an audio source of the type {source['type']!r}, which is never opened; accepted is file"
        )
    if source["channels"] != [0]:
        raise ValueError(f"the channels {source['channels']}; accepted is one, [0]")
    path = folder / source["source"]
    if not path.is_file():
        raise ValueError(f"the recording {path}, which does not exist")
    return path, data["num_samples"], data["sampling_rate"]


def _utterance(
    data: dict[str, Any],
    recording: tuple[Path, int, int],
    supervisions: list[dict[str, Any]],
    *,
    split: str,
    where: str,
) -> Recorded:
    """Return the cut or supervision ``data`` with what is said in it, with times from its beginning."""
    path, num_samples, rate = recording
    if header(path, where) != (num_samples, rate):
        raise ValueError(
            f"{num_samples} samples at {rate} Hz, which {path} does not have; prepare the corpus again"
        )
    start, duration = float(data["start"]), float(data["duration"])
    is_whole = start == 0 and abs(duration * rate - num_samples) < 1
    tables: dict[str, list[Timed]] = {}
    for item in supervisions:
        for name, rows in (item.get("alignment") or {}).items():
            if name in _TABLES:
                tables.setdefault(_TABLES[name], []).extend(_timed(row, start) for row in rows)
    fields = {}
    if texts := [item["text"] for item in supervisions if item.get("text")]:
        fields["text"] = " ".join(texts)
    for name, field in (("speaker", "speaker"), ("gender", "sex"), ("language", "language")):
        values = {str(item[name]) for item in supervisions if item.get(name)}
        if len(values) > 1:
            raise ValueError(f"several values of {name} in one cut; trim the cuts to their supervisions")
        fields.update(dict.fromkeys([field], *values) if values else {})
    span = None if is_whole else (start, start + duration)
    return Recorded(str(data["id"]), path, split, where, span, fields, tables)


def _timed(row: list[Any], beginning: float) -> Timed:
    """Return a label with times from the beginning of its utterance; lhotse counts from the recording's."""
    symbol, start, duration = row[:3]
    # The difference may miss zero by a rounding.
    left = round(float(start) - beginning, 9)
    return Timed(left, round(left + float(duration), 9), str(symbol))


def _objects(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    line = 0
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8") as file
        ):
            for line, text in enumerate(file, 1):
                yield json.loads(text), f"{path}:{line}"
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise DataError(
            f"{path}: line {line or 1} or after: {' '.join(str(error).split())}; write the manifests again"
        ) from None


@contextlib.contextmanager
def _named(where: str) -> Iterator[None]:
    """Name the line whose content is not what lhotse writes or what is accepted of it."""
    try:
        yield
    except KeyError as error:
        raise DataError(f"{where}: {error} is missing; write the manifests again") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{where}: found {' '.join(str(error).split())}") from None
