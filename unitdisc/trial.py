"""What a recipe would take: time and memory of a few steps on made-up data, on the device at hand."""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from unitdisc import device, model
from unitdisc.data import Example, Split, TargetSpec
from unitdisc.display import Display
from unitdisc.run_folder import RunFolder
from unitdisc.summary import AnyKind, Asked, skeleton
from unitdisc.train import Trainer

if TYPE_CHECKING:
    from unitdisc.data import DataSource, FeatureSpec
    from unitdisc.recipe import Recipe
    from unitdisc.settings import Train

STEPS = 6
_WARM_UP = 2
LENGTH = 500
"""Frames of an example where the recipe takes examples whole."""
_SENTENCE = 25
"""Tokens of a sentence."""
_SYMBOL = 8
"""Frames per symbol of a sequence."""
NUMBER = 40
"""Symbols of each target, values of each condition."""


def estimate(recipe: Recipe) -> dict[str, str]:
    """Train for `STEPS` steps on random inputs that are in memory; return time and memory in words.

    Differs from training in what is known only from data: the inputs are noise, targets have `NUMBER` symbols,
    and nothing is read from files.
    """
    chosen = device.choose(recipe.train)
    source: DataSource = recipe.data.build()
    targets, conditions = asked_for(recipe)
    built = model.build(recipe, source.features, targets, conditions).to(chosen)
    split = _Noise(source.features, targets, conditions, recipe.train)
    few = replace(recipe.train, steps=STEPS, checkpoint_every=STEPS, score_every=None, tensorboard=False)
    with tempfile.TemporaryDirectory() as folder:
        watch = _Watch(steps=STEPS, quiet=True)
        asked = replace(recipe, train=replace(few, alarms="off", workers=0))
        Trainer(asked, model=built, split=split, folder=RunFolder(Path(folder))).run(watch)
    return _told(recipe, chosen, watch.seconds())


class _Watch(Display):
    """Takes the time of each step; a step ends when its gradient norm has come from the device."""

    def __init__(self, *, steps: int, quiet: bool) -> None:
        super().__init__(steps=steps, quiet=quiet)
        self.times: list[float] = []

    def step(self, step: int) -> None:
        """Note the time."""
        del step
        self.times.append(time.perf_counter())

    def seconds(self) -> float:
        """Return the median time of a step behind the first ones."""
        times = self.times[_WARM_UP - 1 :]
        return statistics.median(end - start for start, end in pairwise(times))


class _Noise(Split):
    """Examples of noise, as many as the steps need, each of the length that training sees."""

    def __init__(
        self,
        features: FeatureSpec,
        targets: dict[str, TargetSpec],
        conditions: dict[str, tuple[str, ...]],
        train: Train,
    ) -> None:
        usual = LENGTH if features.vocab_size is None else _SENTENCE
        self.length = prod(features.grid) if features.grid else train.crop or min(usual, train.batch_frames)
        number = STEPS * train.batches_per_step * max(1, train.batch_frames // self.length)
        self.keys = [str(index) for index in range(number)]
        self.lengths = [self.length] * number
        self.features, self.targets, self.conditions = features, targets, conditions

    def __getitem__(self, index: int) -> Example:
        draw = torch.Generator().manual_seed(index)
        labels: dict[str, torch.Tensor] = {}
        middles: dict[str, torch.Tensor] = {}
        for name, spec in self.targets.items():
            every = _SYMBOL if spec.kind == "sequence" else 1
            labels[name] = torch.randint(NUMBER, (self.length // every,), generator=draw)
            if spec.kind == "sequence":
                middles[name] = torch.arange(len(labels[name])) * every
        conditions: dict[str, int | torch.Tensor] = dict.fromkeys(self.conditions, index % NUMBER)
        if self.features.vocab_size is None:
            inputs = torch.randn(self.length, *self.features.shape, generator=draw)
        else:
            inputs = torch.randint(self.features.vocab_size, (self.length,), generator=draw)
            conditions = dict.fromkeys(self.conditions, inputs)
        return Example(self.keys[index], inputs, labels, conditions, middles)


def asked_for(recipe: Recipe) -> tuple[dict[str, TargetSpec], dict[str, tuple[str, ...]]]:
    """Return targets and conditions with the names and kinds that the recipe's parts look up when built."""
    symbols = tuple(str(number) for number in range(NUMBER))
    targets = Asked(lambda: TargetSpec(AnyKind("frames"), symbols))  # type: ignore[arg-type]
    conditions = Asked(lambda: NUMBER)
    with torch.device("meta"):
        parts = skeleton(recipe)
        for use in recipe.explaining():
            parts.completed(use, targets=targets, conditions=conditions)
    heard = {
        name: TargetSpec(getattr(spec.kind, "heard", "frames"), symbols) for name, spec in targets.items()
    }
    return heard, dict.fromkeys(conditions, symbols)


def _resident() -> int:
    """Return the most memory that the process ever held, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def _told(recipe: Recipe, chosen: torch.device, seconds: float) -> dict[str, str]:
    if chosen.type == "cuda":
        name, most = torch.cuda.get_device_name(chosen), torch.cuda.max_memory_allocated(chosen)
    else:
        name, most = f"CPU, {torch.get_num_threads()} threads", _resident()
    return {
        "device": name,
        "time of a step": f"{seconds:.3g} s of random inputs in memory",
        "time of all steps": f"{_duration(recipe.train.steps * seconds)} for {recipe.train.steps:,} steps",
        "peak memory": f"{most / 2**20:,.0f} MiB{'' if chosen.type == 'cuda' else ' of the process'}",
    }


def _duration(seconds: float) -> str:
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"
