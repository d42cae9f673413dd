"""A trained run opened from its folder: its model, its scores, its units."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unitdisc import checkpoint, recipe, state
from unitdisc.data import FeatureSpec, TargetSpec
from unitdisc.errors import DataError, StorageError
from unitdisc.infer import as_units, codes_of, units_of
from unitdisc.model import Model, build
from unitdisc.run_folder import RunFolder, read_json
from unitdisc.sentences import sentence_source
from unitdisc.text_lines import read_bytes
from unitdisc.translation import translate_texts, translator

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from unitdisc.checkpoint import Checkpoint
    from unitdisc.data import DataSource
    from unitdisc.recipe import Recipe
    from unitdisc.sentences import SentenceSource
    from unitdisc.units import Units


def load(path: str | Path) -> Run:
    """Open the run in ``path``. Raises `StorageError` when there is none or its checkpoints are damaged."""
    return Run(Path(path))


class Run:
    """A trained run. Opening it reads the recipe; the model and the data are read when first used.

    Args:
        path: The run's folder.
    """

    def __init__(self, path: Path) -> None:
        self.folder = RunFolder(path)
        if not self.folder.is_started():
            raise StorageError(f"{path}: no run is here (no recipe.yaml); give the folder of a run")
        if not self.folder.record.exists():
            raise StorageError(f"{path}: nothing is trained here yet; unitdisc run {path} begins")
        self.recipe: Recipe = recipe.read(self.folder.recipe)
        self.record: dict[str, Any] = self.folder.read_record()

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The newest undamaged checkpoint's weights."""
        found, complaints = checkpoint.newest(self.folder.checkpoints, files=("model", "average"))
        if found is None:
            detail = "; ".join(complaints) or "it has none yet"
            raise StorageError(f"{self.folder.path}: no checkpoint to read ({detail}); train it first")
        return found

    @cached_property
    def source(self) -> DataSource:
        """The run's data source, prepared. Raises `DataError` when its numbers mean other things by now."""
        source: DataSource = self.recipe.data.build()
        source.prepare()
        self._check_symbols(source)
        return source

    def _check_symbols(self, source: DataSource) -> None:
        targets = {name: [spec.kind, list(spec.vocab)] for name, spec in source.targets.items()}
        conditions = {name: list(values) for name, values in source.conditions.items()}
        if (targets, conditions) != (self.record["targets"], self.record["conditions"]):
            raise DataError(
                f"{self.folder.path}: the symbols or conditions of the data are not those of training; "
                "restore the data, or train anew with another --out"
            )

    @cached_property
    def features(self) -> FeatureSpec:
        """What an input frame is."""
        built: DataSource = self.recipe.data.build()
        return built.features

    @cached_property
    def model(self) -> Model:
        """The trained model in evaluation mode on the CPU, with averaged weights where the recipe averages."""
        targets = {
            name: TargetSpec(kind, tuple(vocab)) for name, (kind, vocab) in self.record["targets"].items()
        }
        model = build(self.recipe, self.features, targets, self.record["conditions"])
        # Parameters are replaced by their averages; buffers stay the model's own.
        state.load_model(
            model, {**self.checkpoint.tensors["model"], **self.checkpoint.tensors.get("average", {})}
        )
        return model.eval()

    @property
    def weights(self) -> str:
        """Which weights ``model`` has: "average" or "raw"."""
        return "average" if "average" in self.checkpoint.tensors else "raw"

    @property
    def metrics(self) -> dict[str, Any]:
        """The content of ``metrics.json``. Raises `StorageError` when the run has not been evaluated."""
        if not self.folder.metrics.exists():
            path = self.folder.path
            raise StorageError(f"{path}: has not been scored; do it with: unitdisc evaluate {path}")
        return read_json(self.folder.metrics)

    def units(self, split: str) -> Iterator[Units]:
        """Yield the units of every utterance or line of ``split``, in the order of the manifest."""
        examples = self.source.split(split)
        codes = codes_of(self.model, examples, batch_frames=self.recipe.evaluate.batch_frames)
        for key, length, sequence in zip(examples.keys, examples.lengths, codes, strict=True):
            yield as_units(key, sequence, length, self.model.stride, self.features)

    def encode(self, signal: np.ndarray, rate: float | None = None, *, key: str = "") -> Units:
        """Return the units of a recording (samples,) at ``rate`` Hz, or of a line image (height, width).

        Needs no data beside the run folder. Raises `DataError` for what is no recording or image.
        """
        source: DataSource = self.recipe.data.build()
        return units_of(self.model, key, source.featurize(signal, rate), self.features)

    def translate(
        self, texts: Sequence[str], *, batch_tokens: int | None = None, **options: Any
    ) -> list[str]:
        """Return the translation of each sentence, without units; an empty text gives an empty one.

        Raises `RecipeError` where the decoder does not translate.

        Args:
            texts: Sentences, of any length and in any letters.
            batch_tokens: Tokens of a batch at most, with padding; None takes what the recipe evaluates with.
            options: As in `unitdisc.translation.translate`: ``beam=4``, ``teacher="runs/teacher"``, and so on.
        """
        translator(self.model)
        batch_tokens = batch_tokens or self.recipe.evaluate.batch_frames
        return translate_texts(self.model, self._sentences, texts, batch_tokens=batch_tokens, **options)

    @cached_property
    def _sentences(self) -> SentenceSource:
        """What spells sentences: as the run keeps it, so that no data are read; else as the data have it."""
        source = sentence_source(self.recipe.data.build())
        if not self.folder.speller.exists():
            return sentence_source(self.source)
        source.spell_with(read_bytes(self.folder.speller), str(self.folder.speller))
        self._check_symbols(source)
        return source

    def meta(self, data_sha256: str | None = None) -> dict[str, Any]:
        """Return what a unit file must say about itself; ``data_sha256`` is of other data than the run's own."""
        features = self.features
        return {
            "recipe": self.recipe.name,
            "recipe_sha256": self.recipe.digest(),
            "checkpoint_sha256": self.checkpoint.digest,
            "checkpoint_step": self.checkpoint.step,
            "weights": self.weights,
            "num_codes": self.model.bottleneck.num_codes,
            "num_codebooks": self.model.bottleneck.num_codebooks,
            "unit_of_time": features.unit_of_time,
            "step": self.model.stride / features.frame_rate,
            "offset": 0.0,
            "data_sha256": data_sha256 or self.source.checksum(),
            "unitdisc": self.record["versions"]["unitdisc"],
        }

    def log(self) -> list[dict[str, Any]]:
        """Return the training log, one mapping per logged step."""
        with self.folder.log.open(encoding="utf-8") as file:
            return [json.loads(line) for line in file]
