"""Units of what is not part of a run: another corpus, a folder of recordings or line images, a single file."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from typing import TYPE_CHECKING, Any

from unitdisc import device, distributed, export
from unitdisc.data import DataSource
from unitdisc.errors import DataError, RecipeError, StorageError
from unitdisc.manifest import MANIFEST
from unitdisc.progress import Progress
from unitdisc.run_folder import read_json
from unitdisc.shares import OfCorpus, OfFiles
from unitdisc.storage import explained, refuse_other_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from unitdisc.progress import Spool
    from unitdisc.run import Run
    from unitdisc.shares import Task
    from unitdisc.use import Use


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

    Under torchrun every process calls it and does its share; the first writes, the others return nothing. What
    was done when all were killed is not done again.

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
    task = _task(run, imported or corpus, files, splits, skip_bad=skip_bad)
    with _done(run, task, folder) as progress:
        if progress is None:
            return [], {}
        found = task.found(progress)
        meta = {
            **run.meta(found.checksum),
            "corpus": str(corpus.absolute()),
            **(about or {}),
            "formats": {name: use.plain() for name, use in uses.items()},
            "skipped": found.skipped,
        }
        return export.write(folder, found.units, exporters=writers, meta=meta), found.skipped


@contextlib.contextmanager
def units_of(run: Run, splits: Sequence[str], folder: Path) -> Iterator[dict[str, Spool]]:
    """Give the units of the run's own splits, to write into ``folder``; what a killed process did is not done again."""
    task = OfCorpus(run, run.source, splits)
    with _done(run, task, folder) as progress:
        yield task.found(progress).units if progress is not None else {}


@contextlib.contextmanager
def _done(run: Run, task: Task, folder: Path) -> Iterator[Progress | None]:
    """Do what is left of the task, and give it to the first process; None to the others."""
    refuse_other_files(folder, export.META)
    features = run.features
    batch = run.recipe.evaluate.batch_frames
    progress = Progress(
        folder.with_name(f".progress-{folder.name}"),
        about={"run": run.recipe.digest(), "checkpoint": run.checkpoint.digest, "batch": batch, **task.about},
        step=run.model.stride / features.frame_rate,
        unit_of_time=features.unit_of_time,
    )
    try:
        with progress.opened():
            task.do(progress)
            distributed.barrier()
            if distributed.rank() > 0:
                yield None
                return
            progress.look()
            yield progress
            progress.close()
    except OSError as error:
        raise explained(folder, error) from error


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


def elsewhere(use: Use, root: Path) -> DataSource:
    """Return the data source of a recipe for another corpus, of which nothing but inputs is read."""
    if "root" not in use.arguments:
        raise RecipeError(f"data {use.name}: has no parameter root, so it reads no other corpus")
    off = {name: value for name, value in use.component.unlabelled.items() if name in use.arguments}
    source: DataSource = dataclasses.replace(use, arguments={**use.arguments, **off, "root": root}).build()
    return source


def _task(
    run: Run, root: Path, files: Mapping[str, Path] | None, splits: Sequence[str], *, skip_bad: bool
) -> Task:
    """Return what to encode: the files, or the corpus ``root`` where there are none."""
    if files is None:
        if skip_bad:
            raise RecipeError(f"--skip-bad: is for files without {MANIFEST}; a corpus is checked as a whole")
        source = elsewhere(run.recipe.data, root)
        distributed.in_turn(source.prepare)
        return OfCorpus(run, source, splits or source.splits())
    if splits:
        raise RecipeError(f"--split: {root} has no {MANIFEST} and so no splits; leave --split out")
    return OfFiles(run, files, skip_bad=skip_bad)


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
