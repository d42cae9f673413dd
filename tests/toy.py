"""A toy world for engine tests: noisy states as data, and parts of a few lines each."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unitdisc import settings, steps
from unitdisc.data import DataSource, Example, FeatureSpec, Split, TargetSpec
from unitdisc.errors import DataError
from unitdisc.parts import Batch, Decoder, Encoder, Head, Padded
from unitdisc.recipe import Recipe, Use
from unitdisc.train import Trainer

NUM_STATES = 4
SIZE = 6


class ToySplit(Split):
    """Utterances that dwell in each state for a few frames and show its corner with noise."""

    def __init__(self, count: int, seed: int, spoiled: str | None = None) -> None:
        self.seed = seed
        rng = np.random.Generator(np.random.PCG64(seed))
        self.lengths = [int(length) for length in rng.integers(9, 30, count)]
        self.keys = [f"u{seed}_{number}" for number in range(count)]
        self.spoiled = spoiled

    def __getitem__(self, index: int) -> Example:
        rng = np.random.Generator(np.random.PCG64([self.seed, index]))
        length = self.lengths[index]
        states = np.repeat(rng.integers(0, NUM_STATES, length), 3)[:length]
        inputs = torch.from_numpy(
            np.eye(NUM_STATES, SIZE)[states] * 3 + rng.normal(0, 0.2, (length, SIZE)) + 5
        )
        starts = np.flatnonzero(np.diff(states, prepend=-1))
        ends = np.append(starts[1:], length)
        inputs = inputs.float()
        if self.spoiled is not None and self.keys[index].startswith(self.spoiled):
            inputs = torch.full_like(inputs, float("nan"))
        return Example(
            self.keys[index],
            inputs,
            {"states": torch.from_numpy(states), "states_sequence": torch.from_numpy(states[starts])},
            {"speaker": index % 2},
            {"states_sequence": torch.from_numpy((starts + ends) // 2)},
        )


class ToySource(DataSource):
    """Splits train and test of toy utterances; those whose key starts with ``spoiled`` are NaN."""

    def __init__(self, *, spoiled: str | None = None, count: int = 12) -> None:
        self.features = FeatureSpec((SIZE,), 100.0, "second", standardize=True)
        vocab = tuple(f"s{number}" for number in range(NUM_STATES))
        self.targets = {
            "states": TargetSpec("frames", vocab),
            "states_sequence": TargetSpec("sequence", vocab),
        }
        self.conditions = {"speaker": ("even", "odd")}
        self.spoiled = spoiled
        self.count = count

    def prepare(self) -> None:
        """Nothing is missing."""

    def split(self, name: str) -> Split:
        if name not in {"train", "test"}:
            raise DataError(f"data: there is no split {name!r} (existing: train, test)")
        return ToySplit(self.count, seed=1 if name == "train" else 2, spoiled=self.spoiled)

    def featurize(self, signal: np.ndarray, rate: float | None = None) -> Tensor:
        del rate
        return torch.from_numpy(signal).float()

    def checksum(self) -> str:
        return hashlib.sha256(b"toy").hexdigest()


class ToyEncoder(Encoder):
    """Averages pairs of frames and maps them linearly."""

    def __init__(self, *, features: FeatureSpec, dim: int = 8, dropout: float = 0.0) -> None:
        super().__init__()
        self.dim = dim
        self.stride = 2
        self.linear = nn.Linear(features.shape[0], dim, bias=False)  # batch norm follows
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Padded) -> Padded:
        values = inputs.values * inputs.mask[..., None]
        if values.shape[1] % 2:
            values = nn.functional.pad(values, (0, 0, 0, 1))
        pairs = values.unflatten(1, (-1, 2)).sum(2) / 2
        return Padded(self.dropout(self.linear(pairs)), (inputs.lengths + 1) // 2)


class ToyDecoder(Decoder):
    """Repeats latents and maps them linearly to the inputs."""

    def __init__(self, *, dim: int, features: FeatureSpec, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.linear = nn.Linear(dim, features.shape[0])

    def forward(self, latents: Padded, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        frames = self.linear(latents.values).repeat_interleave(self.stride, 1)[
            :, : batch.inputs.values.shape[1]
        ]
        error = (frames - batch.inputs.values).square().mean(-1) * batch.inputs.mask
        loss = error.sum() / batch.num_frames
        return loss, {"mse": loss.detach()}


class ToyProbe(Head):
    """Predicts the state of each frame without gradient."""

    def __init__(self, *, dim: int, targets: dict[str, TargetSpec], stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.linear = nn.Linear(dim, len(targets["states"].vocab))

    def forward(self, latents: Padded, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        target = batch.targets["states"].values
        logits = self._logits(latents)[:, : target.shape[1]]
        loss = nn.functional.cross_entropy(logits.transpose(1, 2), target, ignore_index=-1, reduction="sum")
        return loss / batch.num_frames, {}

    def predict(self, latents: Padded, lengths: Tensor) -> list[Tensor]:
        best = self._logits(latents).argmax(-1)
        return [row[:length] for row, length in zip(best, lengths.tolist(), strict=True)]

    def _logits(self, latents: Padded) -> Tensor:
        return self.linear(latents.values.detach()).repeat_interleave(self.stride, 1)


def toy_recipe(
    *,
    rule: tuple[type, dict[str, Any]] | None = None,
    data: dict[str, Any] | None = None,
    encoder: dict[str, Any] | None = None,
    latents: settings.Latents | None = None,
    metrics: dict[str, Use] | None = None,
    **train: Any,
) -> Recipe:
    """Return a recipe over the toy world; ``train`` overrides its training section."""
    from unitdisc_ema.rule import EMA

    use = partial(Use, where="test")
    kind, arguments = rule or (EMA, {"num_codes": 8, "decay": 0.9})
    section = {
        "steps": 12,
        "batch_frames": 100,
        "batches_per_step": 2,
        "checkpoint_every": 4,
        "log_every": 4,
        **train,
    }
    return Recipe(
        name="toy",
        seed=3,
        data=use(kind="data", name="toy", component=ToySource, arguments=data or {}),
        encoder=use(kind="encoder", name="toy", component=ToyEncoder, arguments=encoder or {}),
        latents=latents or settings.Latents(norm="batch", dim=4),
        bottleneck=use(kind="bottleneck", name="rule", component=kind, arguments=arguments),
        decoder=use(kind="decoder", name="toy", component=ToyDecoder, arguments={}),
        heads={"probe": use(kind="head", name="toy", component=ToyProbe, arguments={})},
        metrics=metrics or {},
        train=settings.Train(**section),
        evaluate=settings.Evaluate(),
        export=settings.Export(),
    )


def train_in_two(recipe: Recipe, folder: Path, monkeypatch: pytest.MonkeyPatch, *, killed_after: int) -> None:
    """Train with a process that dies after a step, then go on to the end."""
    take = Trainer._take_step

    def dies(self: Trainer, *arguments: Any, **more: Any) -> Any:
        if self.step == killed_after:
            raise MemoryError("killed")
        return take(self, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_take_step", dies)
        with pytest.raises(MemoryError):
            steps.train(recipe, folder)
    steps.train(recipe, folder)
