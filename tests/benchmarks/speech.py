"""How near training and export of speech recipes come to the encoder alone.

    python tests/benchmarks/speech.py [--runs 20] [--recipe speech/wsj/bn_ema] [--preset P] [--recordings 64] [--json]
        [KEY=VALUE ...]

The ceiling of training is the encoder's forward and backward pass over the batch of the step that just ended, with a
gradient of ones, and the step of its optimiser: no normalisation, projection, bottleneck, head, loop or data; "passes
alone" is the ratio to the two passes without the optimiser. The ceiling of export is the
encoder's forward pass over batches that are in memory; export itself begins with FLAC files and ends with unit files.
Both take turns with what they are compared with in one process: step, ceiling, step, ceiling; export, ceiling, export.
"Ratio" is the ceiling's time over ours, of export also in processor time of all threads, which others on the machine
disturb less. Export waits for its first batch: the more ``--recordings``, the less that counts. The rest of the rows
say where our time goes. Recordings are noise of 1.5 to 3.5 seconds with made-up phones.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from measurement import alone, arguments, facts, show, spread, text
from recordings import RECORDINGS, corpus
from training import PARTS, WARM_UP, WHOLE, Clock, attach

import unitdisc
from unitdisc import device, export, infer, model, recipe, standardize, steps
from unitdisc.display import Display
from unitdisc.run_folder import RunFolder
from unitdisc.train import Trainer

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from unitdisc.model import Model
    from unitdisc.parts import Batch
    from unitdisc.recipe import Recipe
    from unitdisc.run import Run

CEILING = "encoder alone"
PASSES = "passes alone"
CPU, CPU_CEILING = "processor time", "encoder's processor time"
EXPORT = ("loading", "standardize", "encoder", "project", "bottleneck", "writing", "rest")


class Seen(NamedTuple):
    """Seconds by piece and frames, of every step or export."""

    steps: list[dict[str, float]]
    frames: list[int]


def main() -> None:
    """Measure, then print."""
    parser = arguments(__doc__, runs=20)
    parser.add_argument("--recipe", default="speech/wsj/bn_ema", help="a speech recipe (speech/wsj/bn_ema)")
    parser.add_argument("--preset", help="a preset of it")
    parser.add_argument("--recordings", type=int, default=RECORDINGS, help=f"of noise ({RECORDINGS})")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["UNITDISC_CACHE"] = str(Path(folder, "cache"))
        found = alone(measure, options, Path(folder))
    measurements = [
        {
            "benchmark": "speech",
            "task": task,
            **_summed(seen, names),
            "recipe": options.recipe,
            **facts(options),
        }
        for task, (seen, names) in found.items()
    ]
    rows = [
        [
            "",
            "frames per second",
            CEILING,
            "ratio: median (p10 to p90)",
            "ratio of processor time",
            PASSES,
            "share of our time",
        ]
    ]
    for item in measurements:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in item["shares"].items())
        rates = [text(item[key], ",.0f") for key in ("frames_per_second", "ceiling_frames_per_second")]
        ratios = [text(item[key]) if item[key] else "" for key in ("ratio", "cpu_ratio", "passes_ratio")]
        rows.append([item["task"], *rates, *ratios, shares])
    show(measurements, rows, as_json=options.json)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, tuple[Seen, tuple[str, ...]]]:
    """Train for ``--runs`` steps, then export ``--runs`` times; return what was seen, and which pieces it has."""
    root = corpus(folder / "corpus", options.seed, options.recordings)
    return {
        "training": (_trained(_recipe(options, root, WARM_UP + options.runs), folder / "run"), PARTS),
        "export": (_exported(_recipe(options, root, 1), folder / "other", options.runs), EXPORT),
    }


def _recipe(options: argparse.Namespace, root: Path, num_steps: int) -> Recipe:
    return recipe.read(
        options.recipe,
        preset=options.preset,
        overrides=[
            f"data.root={root}",
            f"seed={options.seed}",
            f"train.threads={options.threads}",
            f"train.steps={num_steps}",
            f"train.checkpoint_every={num_steps}",
            "train.device=cpu",  # the clock does not wait for another device
            *options.overrides,
            "evaluate.split=train",
            "export.splits=[train]",
            "train.score_every=null",  # after the last step it would count as part of that
            "train.batches_per_step=1",  # the clock counts steps by batches
        ],
    )


def _trained(asked: Recipe, folder: Path) -> Seen:
    chosen = device.choose(asked.train)
    source = asked.data.build()
    source.prepare()
    split = source.split("train")
    built = model.build(asked, source.features, source.targets, source.conditions).to(chosen)
    if built.standardize is not None:
        standardize.measure_(built.standardize, split)
    run = RunFolder(folder)
    run.path.mkdir()
    trainer = Trainer(asked, model=built, split=split, folder=run)
    clock = Ceiled(built)
    attach(clock, trainer)
    trainer.run(Display(steps=asked.train.steps, quiet=True))
    return Seen(clock.steps[WARM_UP:], clock.frames[WARM_UP:])


class Ceiled(Clock):
    """A clock that measures the encoder alone between two steps."""

    def __init__(self, built: Model) -> None:
        super().__init__()
        self.model, self.batch = built, None
        self.encode = built.encoder.forward  # before anything is timed inside of it
        self.copies = [parameter.detach().clone() for parameter in built.encoder.parameters()]
        self.optimizer = torch.optim.Adam(self.copies, fused=True)

    def batches(self, inner: Callable[[], Iterator[Batch]]) -> Iterator[Batch]:
        """Yield what ``inner`` yields."""
        for batch in super().batches(inner):
            self.batch = batch
            yield batch

    def finish(self) -> None:
        """End the step under way and take the ceiling's time on its batch."""
        super().finish()
        if self.batch is not None:
            passes, update = self._passed(self.batch)
            self.steps[-1] |= {PASSES: passes, CEILING: passes + update}
        self.began = time.perf_counter()

    def _passed(self, batch: Batch) -> tuple[float, float]:
        """Return seconds of the two passes and of the optimiser's step, which moves copies."""
        encoder, batch = self.model.encoder, self.model.standardized(batch.to(self.model.device))
        state = {name: value.clone() for name, value in encoder.named_buffers()}
        began = time.perf_counter()
        latents = self.encode(batch.inputs).values
        gradients = torch.autograd.grad(latents, [*encoder.parameters()], torch.ones_like(latents))
        passed = time.perf_counter()
        for copy, gradient in zip(self.copies, gradients, strict=True):
            copy.grad = gradient
        self.optimizer.step()
        ended = time.perf_counter()
        for name, value in encoder.named_buffers():
            value.copy_(state[name])
        return passed - began, ended - passed


def _exported(asked: Recipe, folder: Path, runs: int) -> Seen:
    """Export the units of the training split again and again, each time from files to files."""
    with redirect_stdout(sys.stderr):  # standard output is for what is measured
        steps.train(asked, folder)
    run = unitdisc.load(folder)
    split = run.source.split("train")
    with torch.inference_mode():
        ready = list(infer.batches(run.model, split, batch_frames=asked.evaluate.batch_frames))
    encode = run.model.encoder.forward
    clock = Clock()
    _attach(clock, run)
    for number in range(runs + 1):
        clock.steps.append(defaultdict(float))
        began, used = time.perf_counter(), time.process_time()
        steps.export_units(run, splits=["train"], formats=["jsonl"], folder=folder.parent / f"units{number}")
        step = clock.steps[-1]
        step[WHOLE], step[CPU] = time.perf_counter() - began, time.process_time() - used
        step["rest"] = step[WHOLE] - sum(step[name] for name in EXPORT if name != "rest")
        clock.frames.append(sum(split.lengths))
        with torch.inference_mode():
            began, used = time.perf_counter(), time.process_time()
            for _, batch in ready:
                encode(batch.inputs)
            step[CEILING], step[CPU_CEILING] = time.perf_counter() - began, time.process_time() - used
    return Seen(clock.steps[1:], clock.frames[1:])  # the first uses everything for the first time


def _attach(clock: Clock, run: Run) -> None:
    for name in ("standardize", "encoder", "project", "bottleneck"):
        part = getattr(run.model, name)
        part.forward = clock.timed(name, part.forward)
    kind = type(run.source.split("train"))
    kind.__getitem__ = clock.timed("loading", kind.__getitem__)
    export.write = clock.timed("writing", export.write)


def _summed(seen: Seen, names: tuple[str, ...]) -> dict[str, Any]:
    whole = sum(step[WHOLE] for step in seen.steps)
    pairs = list(zip(seen.frames, seen.steps, strict=True))
    return {
        "frames_per_second": spread([frames / step[WHOLE] for frames, step in pairs]),
        "ceiling_frames_per_second": spread([frames / step[CEILING] for frames, step in pairs]),
        "ratio": spread([step[CEILING] / step[WHOLE] for step in seen.steps]),
        "cpu_ratio": spread([step[CPU_CEILING] / step[CPU] for step in seen.steps])
        if CPU in seen.steps[0]
        else None,
        "passes_ratio": spread([step.get(PASSES, step[CEILING]) / step[WHOLE] for step in seen.steps]),
        "shares": {name: sum(step[name] for step in seen.steps) / whole for name in names},
    }


if __name__ == "__main__":
    main()
