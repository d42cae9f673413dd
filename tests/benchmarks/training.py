"""Where the time of a training step goes, and how many frames per second remain.

    python tests/benchmarks/training.py [--runs 40] [--recipe speech/demo] [--json] [KEY=VALUE ...]

Trains the model of a speech recipe with the engine's own loop on recordings of noise with made-up phones, about as
long as the demo's sentences, read from files as always. ``--runs`` steps are timed after 5 that are not. With
``train.workers=1`` loading is what the step waits for.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import defaultdict
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from measurement import alone, arguments, facts, show, spread, text
from recordings import corpus

from unitdisc import device, model, recipe, standardize
from unitdisc.display import Display
from unitdisc.parts import Part
from unitdisc.run_folder import RunFolder
from unitdisc.train import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from unitdisc.parts import Batch

WARM_UP = 5
PARTS = ("loading", "forward", "backward", "optimiser", "after_step", "rest")
WHOLE = "step"


class Clock:
    """Seconds of each named piece, step by step."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self.frames: list[int] = []
        self.began = time.perf_counter()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function`` with its seconds added to ``name`` of the step under way."""

        @wraps(function)
        def run(*positional: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*positional, **named)
            finally:
                self.steps[-1][name] += time.perf_counter() - start

        return run

    def batches(self, inner: Callable[[], Iterator[Batch]]) -> Iterator[Batch]:
        """Yield what ``inner`` yields; a step lasts from one request to the next (one micro-batch per step)."""
        batches = inner()
        while True:
            self.finish()
            self.steps.append(defaultdict(float))
            batch = self.timed("loading", next)(batches)
            self.frames.append(batch.num_frames)
            yield batch

    def finish(self) -> None:
        """End the step under way, if there is one."""
        now = time.perf_counter()
        if self.steps:
            step = self.steps[-1]
            step[WHOLE] = now - self.began
            step["rest"] = step[WHOLE] - sum(step[part] for part in PARTS if part != "rest")
        self.began = now


def main() -> None:
    """Measure, then print."""
    parser = arguments(__doc__, runs=40)
    parser.add_argument("--recipe", default="speech/demo", help="a speech recipe (speech/demo)")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["UNITDISC_CACHE"] = str(Path(folder, "cache"))
        clock = alone(train, options, Path(folder))
    clock.steps, clock.frames = clock.steps[WARM_UP:], clock.frames[WARM_UP:]
    shared = {"recipe": options.recipe, **facts(options)}
    rates = [frames / step[WHOLE] for frames, step in zip(clock.frames, clock.steps, strict=True)]
    whole = sum(step[WHOLE] for step in clock.steps)
    seen = {name for step in clock.steps for name in step}
    names = [WHOLE, *(name for part in PARTS for name in (part, *sorted(_inside(part, seen))))]
    measurements = [
        {
            "benchmark": "training",
            "part": name,
            "seconds": spread([step[name] for step in clock.steps]),
            "share": sum(step[name] for step in clock.steps) / whole,
            "frames_per_second": spread(rates) if name == WHOLE else None,
            **shared,
        }
        for name in names
    ]
    rows = [["part of a step", "ms: median (p10 to p90)", "share", "frames per second"]]
    for item in measurements:
        taken = {key: 1000 * seconds for key, seconds in item["seconds"].items()}
        rate = text(item["frames_per_second"], ",.0f") if item["frames_per_second"] else ""
        rows.append([_label(item["part"]), text(taken, ".1f"), f"{item['share']:.0%}", rate])
    show(measurements, rows, as_json=options.json)


def train(options: Any, folder: Path) -> Clock:
    """Train for a few steps as ``unitdisc train`` does; return what the clock saw."""
    steps = WARM_UP + options.runs
    asked = recipe.read(
        options.recipe,
        overrides=[
            f"data={json.dumps({'use': 'speech', 'root': str(corpus(folder / 'corpus', options.seed))})}",
            f"seed={options.seed}",
            f"train.threads={options.threads}",
            f"train.steps={steps}",
            f"train.checkpoint_every={steps}",
            "train.device=cpu",
            *options.overrides,
            "train.score_every=null",  # after the last step it would count as part of that
            "train.batches_per_step=1",  # the clock counts steps by batches
        ],
    )
    chosen = device.choose(asked.train)
    source = asked.data.build()
    source.prepare()
    split = source.split("train")
    built = model.build(asked, source.features, source.targets, source.conditions).to(chosen)
    standardize.measure_(built.standardize, split)
    run = RunFolder(folder / "run")
    run.path.mkdir()
    trainer = Trainer(asked, model=built, split=split, folder=run)
    clock = Clock()
    attach(clock, trainer)
    trainer.run(Display(steps=steps, quiet=True))
    return clock


def attach(clock: Clock, trainer: Trainer) -> None:
    """Let the clock see the trainer's pieces. The final save is no part of a step."""
    inner, backward, save = trainer._batches, torch.Tensor.backward, trainer._save
    trainer._batches = lambda: clock.batches(inner)
    trainer._forward = clock.timed("forward", trainer._forward)
    trainer._apply_gradient = clock.timed("optimiser", trainer._apply_gradient)
    torch.Tensor.backward = clock.timed("backward", backward)
    for part in trainer.model.parts():
        part.after_step = clock.timed("after_step", part.after_step)
    named = {name: part for name, part in trainer.model.named_children() if isinstance(part, Part)}
    for name, part in [*named.items(), *trainer.model.heads.items()]:
        part.forward = clock.timed(f"forward.{name}", part.forward)
    source = getattr(trainer.split, "source", None)
    if trainer.settings.workers == 0 and hasattr(source, "frames"):  # else it happens in other processes
        source.frames = clock.timed("loading.features", source.frames)

    def finish_and_save() -> None:
        clock.finish()
        torch.Tensor.backward = backward  # what another trainer does is no part of this one's last step
        save()

    trainer._save = finish_and_save


def _inside(part: str, names: set[str]) -> list[str]:
    return [name for name in names if name.startswith(f"{part}.")]


def _label(part: str) -> str:
    return f"of that, {part.partition('.')[2]}" if "." in part else part.replace("_", " ")


if __name__ == "__main__":
    main()
