"""Units of what is not part of a run: another corpus, a folder of recordings or line images, a single file."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, TypeVar

from unitdisc import device, export
from unitdisc.data import DataSource, Example, Split
from unitdisc.errors import DataError, RecipeError, StorageError
from unitdisc.infer import as_units, passes
from unitdisc.manifest import MANIFEST
from unitdisc.run_folder import read_json
from unitdisc.spool import Spool
from unitdisc.storage import refuse_other_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from unitdisc.run import Run
    from unitdisc.use import Use

T = TypeVar("T")
PLAIN_SPLIT = "all"
"""Name of the split of files that no manifest names."""
_WINDOW = 8
"""Batches whose inputs are in memory at once, so that files of similar length meet."""


def encode(
    run: Run,
    corpus: Path,
    *,
    imported: Path | None = None,
    splits: Sequence[str] = (),
    formats: Sequence[str] = (),
    options: Sequence[str] = (),
    skip_bad: bool = False,
    folder: Path,
    about: Mapping[str, Any] | None = None,
) -> tuple[list[str], dict[str, str]]:
    """Write unit files of ``corpus`` into ``folder``; return their names, and why files were left out.

    Args:
        run: Whose model, and whose way from a recording or image to inputs.
        corpus: What the run's data source reads as its root, or a folder of recordings or images without
            a manifest, or one of them.
        imported: Where ``corpus`` was imported, when a reader did that.
        splits: Splits of the corpus; () takes all.
        formats: Exporter names; () takes the recipe's.
        options: Parameters of the exporters as ``key=value``.
        skip_bad: Leave out files without a manifest that cannot be read.
        folder: Where to, replaced as a whole.
        about: What else the sidecar says of the corpus.
    """
    uses = export.exporters(formats or run.recipe.export.formats, options)
    _refuse(run, uses, folder, corpus)
    run.model.to(device.choose(run.recipe.train))
    files = None if imported else plain_files(run.recipe.data.component, corpus)
    writers = {name: use.build() for name, use in uses.items()}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder.parent) as file:
            found = _found(run, imported or corpus, files, splits, file, skip_bad=skip_bad)
            meta = {
                **run.meta(found.checksum),
                "corpus": str(corpus.absolute()),
                **(about or {}),
                "formats": {name: use.plain() for name, use in uses.items()},
                "skipped": found.skipped,
            }
            return export.write(folder, found.units, exporters=writers, meta=meta), found.skipped
    except OSError as error:
        raise StorageError(
            f"{error.filename or folder}: {error.strerror or error}; nothing was written to {folder}"
        ) from error


def plain_files(component: type[DataSource], corpus: Path) -> dict[str, Path] | None:
    """Return recordings or images by id, sorted by id; None where ``corpus`` is for the data source to read."""
    if not corpus.exists():
        raise DataError(f"{corpus}: is not there; give a corpus, a folder of files, or a file")
    accepted = ", ".join(sorted(component.suffixes))
    if corpus.is_file() and accepted:
        if corpus.suffix.lower() not in component.suffixes:
            raise DataError(
                f"{corpus}: ends in {corpus.suffix or 'nothing'}, accepted are {accepted}; what a reader reads "
                "needs --from NAME"
            )
        return {_id(corpus.stem): corpus}
    if corpus.is_file() or any((corpus / name).is_file() for name in (MANIFEST, "import.json")):
        return None
    files: dict[str, Path] = {}
    for path in sorted(corpus.rglob("*")):
        if path.suffix.lower() not in component.suffixes or path.name.startswith(".") or not path.is_file():
            continue
        key = _id(path.relative_to(corpus).with_suffix("").as_posix())
        if key in files:
            raise DataError(f"{path}: would have the id {key!r} of {files[key]}; rename one of them")
        files[key] = path
    return dict(sorted(files.items())) or None


def _id(name: str) -> str:
    """Return the name without what unit files use between columns."""
    return re.sub(r"[\s|]", "_", "".join(letter if letter.isprintable() else "_" for letter in name))


@dataclass
class _Found:
    """What was encoded.

    Args:
        checksum: Of the corpus.
        units: By split.
        skipped: Why files were left out.
    """

    checksum: str
    units: dict[str, Spool]
    skipped: dict[str, str] = field(default_factory=dict)


def elsewhere(use: Use, root: Path) -> DataSource:
    """Return the data source of a recipe for another corpus, of which nothing but inputs is read."""
    if "root" not in use.arguments:
        raise RecipeError(f"data {use.name}: has no parameter root, so it reads no other corpus")
    off = {name: value for name, value in use.component.unlabelled.items() if name in use.arguments}
    source: DataSource = dataclasses.replace(use, arguments={**use.arguments, **off, "root": root}).build()
    return source


def _found(
    run: Run,
    root: Path,
    files: Mapping[str, Path] | None,
    splits: Sequence[str],
    file: IO[bytes],
    *,
    skip_bad: bool,
) -> _Found:
    """Encode the files, or the corpus ``root`` where there are none."""
    if files is None:
        if skip_bad:
            raise RecipeError(f"--skip-bad: is for files without {MANIFEST}; a corpus is checked as a whole")
        return _of_corpus(run, root, splits, file)
    if splits:
        raise RecipeError(f"--split: {root} has no {MANIFEST} and so no splits; leave --split out")
    return _of_files(run, files, file, skip_bad=skip_bad)


def _of_corpus(run: Run, root: Path, splits: Sequence[str], file: IO[bytes]) -> _Found:
    source = elsewhere(run.recipe.data, root)
    source.prepare()
    found = _Found(source.checksum(), {})
    for name in dict.fromkeys(splits or source.splits()):
        split = source.split(name)
        found.units[name] = _spool(run, file)
        _put(run, split, found.units[name], range(len(split)))
    return found


def _of_files(run: Run, files: Mapping[str, Path], file: IO[bytes], *, skip_bad: bool) -> _Found:
    source: DataSource = run.recipe.data.build()
    total = hashlib.sha256()
    units = _spool(run, file)
    found = _Found("", {PLAIN_SPLIT: units})

    def examples() -> Iterator[Example]:
        for key, path in files.items():
            try:
                inputs = source.load_file(path)
                total.update(f"{key} {export.sha256(path)}\n".encode())
            except DataError as error:
                if not skip_bad:
                    raise DataError(f"{error}, or leave such files out with --skip-bad") from error
                found.skipped[str(path)] = str(error)
                continue
            yield Example(key, inputs)

    for window in _ahead(_windows(examples(), _WINDOW * run.recipe.evaluate.batch_frames)):
        _put(run, window, units, range(len(units), len(units) + len(window)))
    if not units:
        raise DataError(
            f"{next(iter(found.skipped))}: like all {len(files)} files, cannot be read; give others"
        )
    found.checksum = total.hexdigest()
    return found


class _Window(Split):
    """Examples that are in memory."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.keys = [example.key for example in examples]
        self.lengths = [len(example.inputs) for example in examples]
        self._examples = examples

    def __getitem__(self, index: int) -> Example:
        return self._examples[index]


def _windows(examples: Iterator[Example], num_frames: int) -> Iterator[_Window]:
    """Yield windows of ``num_frames`` frames or a little more."""
    window: list[Example] = []
    held = 0
    for example in examples:
        window.append(example)
        held += len(example.inputs)
        if held >= num_frames:
            yield _Window(window)
            window, held = [], 0
    if window:
        yield _Window(window)


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield the items; a thread gets each while its predecessor is worked on."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


def _spool(run: Run, file: IO[bytes]) -> Spool:
    features = run.features
    return Spool(file, step=run.model.stride / features.frame_rate, unit_of_time=features.unit_of_time)


def _put(run: Run, split: Split, units: Spool, numbers: Sequence[int]) -> None:
    """Encode a split; its examples get these numbers."""
    for passed in passes(run.model, split, batch_frames=run.recipe.evaluate.batch_frames):
        for index, codes in passed.codes():
            length = split.lengths[index]
            units.put(
                numbers[index], as_units(split.keys[index], codes, length, run.model.stride, run.features)
            )


def _refuse(run: Run, uses: Mapping[str, Use], folder: Path, corpus: Path) -> None:
    """Refuse what would fail, or lose files, after the corpus has been encoded."""
    if not uses:
        raise RecipeError("--format: the recipe exports no format; name one, such as --format jsonl")
    if run.model.bottleneck.num_codes == 0:
        raise RecipeError(
            f"bottleneck {run.recipe.bottleneck.name}: quantises nothing, so there are no units to write"
        )
    refuse_other_files(folder, export.META)
    if (folder / export.META).is_file():
        there = read_json(folder / export.META).get("corpus")
        if there != str(corpus.absolute()):
            whose = there or "the run's own data"
            raise StorageError(f"{folder}: holds units of {whose}; give another folder with --out")
