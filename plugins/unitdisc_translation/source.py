"""Data source of parallel text."""

from __future__ import annotations

import functools
import hashlib
import json
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import torch
from annotated_types import Ge, Gt

from unitdisc import distributed
from unitdisc.cache import cache_root, once
from unitdisc.data import FeatureSpec, TargetSpec
from unitdisc.errors import DataError, RecipeError
from unitdisc.sentences import SentenceSource
from unitdisc.storage import write_bytes
from unitdisc.text_lines import read_bytes
from unitdisc_translation.alignment import VERSION, Aligner
from unitdisc_translation.pairs import Pair, ParallelSplit, read_lines
from unitdisc_translation.translated import placed, write_translated
from unitdisc_translation.vocabulary import SMALLEST, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

_TRAIN = "train"
_MODEL = "sentencepiece.model"
_TABLE = "alignment.npz"


class Parallel(SentenceSource):
    """Sentences in two languages, one per line, line n of both files belonging together (as WMT gives them).

    The inputs are the subwords of the target sentence and </s>; those of the source stand in the condition
    "source". Both languages share a vocabulary, which is learnt once from the training pairs and kept in the
    cache; what it has no letter for is spelled in bytes.

    Of "train", pairs with an empty side and those longer than ``max_tokens`` are left out, and counted on the
    screen. Other splits are scored and keep every pair, however long; there an empty line is an error.

    Args:
        root: Folder with the files, NAME.SOURCE and NAME.TARGET for each split.
        source: Ending of the files to translate from.
        target: Ending of the files to translate into.
        files: NAME by split; null takes every NAME that has both files, as a split of that name.
        vocab_size: Pieces of the vocabulary, with 4 marks and 256 bytes.
        vocabulary: A vocabulary that was made before, to go on with what others were trained with; null makes one.
        max_tokens: Tokens of the longest sentence of "train", on either side.
        pad: Lengthens each target with <pad> to max(|y|, 2 |x|) tokens, rounded up to a multiple of this: what models
            with latents of so many tokens need, which at translation know |x| alone. So their last latents stand for
            nothing (paper B, Table 5). Other decoders explain <pad> like a word, so theirs is null, which pads none.
        limit: By split, how many of its pairs are used at most: the first.
        fertilities: Most target tokens for which a source token stands in the target "fertility", which this adds:
            one number for each source token, found by word alignment, whose sum is the length of the target
            (Gu et al. 2018, who allow 50). Null aligns nothing.
    """

    def __init__(
        self,
        *,
        root: Path | None = None,
        source: str = "en",
        target: str = "de",
        files: dict[str, str] | None = None,
        vocab_size: Annotated[int, Ge(SMALLEST)] = 8000,
        vocabulary: Path | None = None,
        max_tokens: Annotated[int, Gt(1)] = 256,
        pad: Annotated[int, Gt(0)] | None = None,
        limit: dict[str, Annotated[int, Gt(0)]] | None = None,
        fertilities: Annotated[int, Gt(0)] | None = None,
    ) -> None:
        self.root = root
        self.languages = source, target
        self.files = files
        self.vocab_size = vocab_size
        self._given = vocabulary
        self.max_tokens = max_tokens
        self.pad = pad
        self.limit = limit or {}
        self.fertilities = fertilities
        self.features = FeatureSpec((), 1.0, "token", standardize=False, vocab_size=vocab_size)
        self.targets = {}
        if fertilities is not None:
            numbers = tuple(str(number) for number in range(fertilities + 1))
            self.targets["fertility"] = TargetSpec("sequence", numbers)

    def prepare(self) -> None:
        """Find the files, and learn the vocabulary where the cache has none of these."""
        if self.root is None:
            raise RecipeError("data: root is not given; set data.root to a folder of parallel text")
        self._pairs = self._found(self.root)
        if unknown := set(self.limit) - set(self._pairs):
            raise DataError(
                f"{self.root}: data.limit names {min(unknown)!r}, which is no split (accepted: "
                f"{', '.join(self._pairs)})"
            )
        self._take(self._vocabulary())
        self._aligner = None if self.fertilities is None else self._learnt_aligner()

    def splits(self) -> tuple[str, ...]:
        """Return the names of the splits."""
        return tuple(self._pairs)

    def split(self, name: str) -> ParallelSplit:
        """Return the pairs of a split, in the order of the files."""
        pair = self._pair(name)
        if name not in self._kept:
            split = self._read(name, self._aligner)
            _tell(pair, split)
            self._kept[name] = split
        return self._kept[name]

    def featurize(self, signal: np.ndarray | str, rate: float | None = None) -> torch.Tensor:
        """Return the tokens (T,) of a target sentence."""
        del rate
        if not isinstance(signal, str):
            raise DataError(f"found {type(signal).__name__} where a sentence belongs; give a str")
        if not hasattr(self, "vocabulary"):
            self.prepare()
        return self.sentence(signal)

    def sentence(self, text: str) -> torch.Tensor:
        """Return the tokens (U,) of a source sentence; both languages share the vocabulary."""
        return torch.from_numpy(self.vocabulary.encode([text.strip()])[0]).long()

    def spelled(self, tokens: torch.Tensor) -> str:
        """Return the sentence that tokens (T,) spell."""
        return self.vocabulary.decode(tokens.tolist())

    def speller(self) -> bytes:
        """Return the vocabulary in the form of sentencepiece."""
        return self.vocabulary.model

    def spell_with(self, speller: bytes, name: str) -> None:
        """Take this vocabulary; no file of the corpus is read."""
        self._take(Vocabulary(speller, name=name))

    def check_translated(self, split: str) -> None:
        """Raise `DataError` where files lie elsewhere or would be lost; see `SentenceSource`."""
        assert self.root is not None  # noqa: S101  (`prepare` saw to that)
        placed(Path(), root=self.root, pairs=self._pairs, name=split)

    def write_translated(self, folder: Path, split: str, translations: Iterable[str]) -> str:
        """Write parallel text whose targets of ``split`` are translations, and the vocabulary; see `SentenceSource`."""
        assert self.root is not None  # noqa: S101  (`prepare` saw to that)
        summary = write_translated(
            folder,
            root=self.root,
            pairs=self._pairs,
            name=split,
            split=self.split(split),
            translations=translations,
        )
        write_bytes(folder / _MODEL, self.vocabulary.model)
        return summary

    def checksum(self) -> str:
        """Return the SHA-256 over files, vocabulary and the parameters that choose pairs."""
        parameters = [self.languages, self.max_tokens, sorted(self.limit.items())]
        added = {"fertilities": self.fertilities, "pad": self.pad}
        chosen = json.dumps(
            [*parameters, {name: value for name, value in added.items() if value is not None}]
        )
        vocabulary = hashlib.sha256(self.vocabulary.model).hexdigest()
        return hashlib.sha256(f"{self._digest} {vocabulary} {chosen}".encode()).hexdigest()

    @functools.cached_property
    def _digest(self) -> str:
        whole = hashlib.sha256()
        for name, pair in sorted(self._pairs.items()):
            sums = [hashlib.sha256(content).hexdigest() for content in pair.contents()]
            whole.update(f"{name} {sums}\n".encode())
        return whole.hexdigest()

    @functools.cached_property
    def _kept(self) -> dict[str, ParallelSplit]:
        return {}

    def _found(self, root: Path) -> dict[str, Pair]:
        """Return the pairs of files by split. Raises `DataError` for one that is not there."""
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; set data.root to a folder of parallel text")
        source, target = self.languages
        if self.files is None:
            names = sorted(path.name.removesuffix(f".{source}") for path in root.glob(f"*.{source}"))
            named = {name: name for name in names if (root / f"{name}.{target}").is_file()}
        else:
            named = self.files
        pairs = {
            split: Pair(root / f"{name}.{source}", root / f"{name}.{target}") for split, name in named.items()
        }
        for split, pair in pairs.items():
            for path in (pair.source, pair.target):
                if not path.is_file():
                    raise DataError(
                        f"{path}: is not there; the split {split} needs both languages, so add it, or change data.files"
                    )
        if _TRAIN not in pairs:
            raise DataError(
                f"{root}: no split train (found: {', '.join(pairs) or 'none'}); give train.{source} and "
                f"train.{target}, or say with data.files which files it is"
            )
        return pairs

    def _pair(self, name: str) -> Pair:
        if name in self._pairs:
            return self._pairs[name]
        source, target = self.languages
        raise DataError(
            f"{self.root}: no split {name!r} (accepted: {', '.join(self._pairs)}); name one of those, or add "
            f"{name}.{source} and {name}.{target}"
        )

    def _read(self, name: str, aligner: Aligner | None) -> ParallelSplit:
        return ParallelSplit(
            self._pair(name),
            self.vocabulary,
            name=name,
            limit=self.limit.get(name),
            max_tokens=self.max_tokens if name == _TRAIN else None,
            pad=self.pad,
            aligner=aligner,
            most=self.fertilities or 0,
        )

    def _take(self, vocabulary: Vocabulary) -> None:
        vocabulary.check(self.vocab_size)
        self.vocabulary = vocabulary
        self.conditions = {"source": vocabulary.pieces}

    def _vocabulary(self) -> Vocabulary:
        """Return the vocabulary that is given, else that of the training text."""
        if self._given is not None:
            return Vocabulary(read_bytes(self._given), name=str(self._given))
        pair = self._pairs[_TRAIN]
        sums = [hashlib.sha256(content).hexdigest() for content in pair.contents()]
        parameters = [sums, self.vocab_size, self.limit.get(_TRAIN), _version()]
        name = hashlib.sha256(json.dumps(parameters).encode()).hexdigest()[:16]
        folder = once(cache_root() / "vocabularies" / name, self._make_vocabulary)
        return Vocabulary(read_bytes(folder / _MODEL), name=str(folder / _MODEL))

    def _make_vocabulary(self, folder: Path) -> None:
        limit, pair = self.limit.get(_TRAIN), self._pairs[_TRAIN]
        texts = [text for path in (pair.source, pair.target) for text in read_lines(path)[:limit] if text]
        if not texts:
            raise DataError(f"{pair.source}: holds no sentence to learn from; give a larger text")
        write_bytes(folder / _MODEL, Vocabulary.train(texts, size=self.vocab_size).model)

    def _learnt_aligner(self) -> Aligner:
        """Return what aligns words, learnt from the training text."""
        pair, model = self._pairs[_TRAIN], self.vocabulary.model
        sums = [hashlib.sha256(content).hexdigest() for content in (*pair.contents(), model)]
        parameters = [sums, self.max_tokens, self.limit.get(_TRAIN), VERSION]
        name = hashlib.sha256(json.dumps(parameters).encode()).hexdigest()[:16]
        folder = once(cache_root() / "alignments" / name, self._make_aligner)
        return Aligner.from_bytes(read_bytes(folder / _TABLE), name=str(folder / _TABLE))

    def _make_aligner(self, folder: Path) -> None:
        write_bytes(folder / _TABLE, self._read(_TRAIN, None).aligner().to_bytes())


def _version() -> str:
    try:
        return metadata.version("sentencepiece")
    except metadata.PackageNotFoundError:
        return ""  # what needs it says so


def _tell(pair: Pair, split: ParallelSplit) -> None:
    """Say on the screen what is left out."""
    if split.chosen.left_out and distributed.rank() == 0:
        reasons = "; ".join(
            f"{count:,} {reason}, the first on line {first:,}"
            for reason, (count, first) in split.chosen.left_out.items()
        )
        click.echo(f"unitdisc: {pair.source}: left out of training: {reasons}", err=True)
