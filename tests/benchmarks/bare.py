"""What the engine costs: steps of a recipe beside the same model in a bare PyTorch loop.

    python tests/benchmarks/bare.py [--runs 20] [--recipe handwriting/ema] [--preset P] [--json] [KEY=VALUE ...]

The bare loop has the same modules, optimiser, clipping and averaged weights, and batches that lie ready in memory: no
loading, log, counts of codes, churn, checks or checkpoints. Engine and bare loop take turns in one process, step by
step, on the same batch; "ratio" is the bare loop's time over ours. Peak memory is that of a process of its own for
each, less what it held before its first step. Pictures and lines are noise.
"""

from __future__ import annotations

import copy
import json
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from measurement import alone, arguments, facts, show, spread, text
from PIL import Image
from training import WARM_UP, WHOLE, Clock, attach

from unitdisc import device, model, optimizer, recipe
from unitdisc.display import Display
from unitdisc.parts import Padded
from unitdisc.run_folder import RunFolder
from unitdisc.train import Trainer

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from unitdisc.model import Model
    from unitdisc.parts import Batch
    from unitdisc.recipe import Recipe

BARE = "bare loop"


class Bare:
    """The training step that a person would write for this model alone.

    Args:
        built: The model; it is copied.
        asked: Its recipe.
    """

    def __init__(self, built: Model, asked: Recipe) -> None:
        self.model = copy.deepcopy(built).train()
        self.settings = asked.train
        self.optimizer = optimizer.build(self.model, asked.train)
        self.parameters = [*self.model.parameters()]
        self.averages = (
            [parameter.detach().clone() for parameter in self.parameters] if asked.train.average else []
        )

    def step(self, batch: Batch) -> None:
        """Take one step."""
        built = self.model
        self.optimizer.zero_grad(set_to_none=True)
        latents = built.project(built.encoder(batch.inputs))
        quantized = built.bottleneck(latents)
        seen = Padded(quantized.values, latents.lengths)
        looks = built.views(batch.inputs, latents, seen, quantized.codes)
        loss = quantized.loss + sum(part(looks[place], batch)[0] for _, part, place in built.explaining())
        loss.backward()
        if self.settings.clip:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.clip)
        self.optimizer.step()
        with torch.no_grad():
            for part in built.parts():
                part.after_step(0.0)
            if self.averages:
                torch._foreach_lerp_(self.averages, self.parameters, 1 - self.settings.average)


class Beside(Clock):
    """A clock that takes the bare loop's time on the same batch between two steps."""

    def __init__(self, bare: Bare) -> None:
        super().__init__()
        self.bare, self.batch = bare, None

    def batches(self, inner: Callable[[], Iterator[Batch]]) -> Iterator[Batch]:
        """Yield what ``inner`` yields."""
        for batch in super().batches(inner):
            self.batch = batch
            yield batch

    def finish(self) -> None:
        """End the step under way and take the bare loop's."""
        super().finish()
        if self.batch is not None:
            ready = self.bare.model.standardized(self.batch)
            began = time.perf_counter()
            self.bare.step(ready)
            self.steps[-1] |= {BARE: time.perf_counter() - began, "examples": len(ready.keys)}
        self.began = time.perf_counter()


def main() -> None:
    """Measure, then print."""
    parser = arguments(__doc__, runs=20)
    parser.add_argument(
        "--recipe", default="handwriting/ema", help="a recipe of lines or images (handwriting/ema)"
    )
    parser.add_argument("--preset", help="a preset of it")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["UNITDISC_CACHE"] = str(Path(folder, "cache"))
        root = Path(folder, "data")
        kind = _recipe(options, root, 1).data.name
        if kind not in MAKERS:
            parser.error(f"--recipe: {options.recipe} reads {kind}, accepted are {' and '.join(MAKERS)}")
        MAKERS[kind](root, np.random.default_rng(options.seed))
        steps = alone(timed, options, root, Path(folder, "timed"))
        peaks = {name: alone(peak, options, root, Path(folder, name), name) for name in ("engine", BARE)}
    measurement = {
        "benchmark": "bare",
        "seconds": spread([step[WHOLE] for step in steps]),
        "bare_seconds": spread([step[BARE] for step in steps]),
        "ratio": spread([step[BARE] / step[WHOLE] for step in steps]),
        "examples_per_second": spread([step["examples"] / step[WHOLE] for step in steps]),
        "peak_bytes": peaks["engine"],
        "bare_peak_bytes": peaks[BARE],
        "recipe": options.recipe,
        "preset": options.preset,
        **facts(options),
    }
    rows = [
        [
            "recipe",
            "ms a step",
            "bare loop",
            "ratio: median (p10 to p90)",
            "examples per second",
            "peak MB",
            "bare",
        ],
        [
            f"{options.recipe} {options.preset or ''}".strip(),
            *(
                text({k: 1000 * v for k, v in measurement[key].items()}, ".0f")
                for key in ("seconds", "bare_seconds")
            ),
            text(measurement["ratio"]),
            text(measurement["examples_per_second"], ",.0f"),
            *(f"{peaks[name] / 1e6:.0f}" for name in ("engine", BARE)),
        ],
    ]
    show([measurement], rows, as_json=options.json)


def timed(options: argparse.Namespace, root: Path, folder: Path) -> list[dict[str, float]]:
    """Train for ``--runs`` steps with a bare step after each; return what each piece took."""
    trainer = _trainer(options, root, folder)
    clock = Beside(Bare(trainer.model, trainer.recipe))
    attach(clock, trainer)
    trainer.run(Display(steps=trainer.settings.steps, quiet=True))
    return clock.steps[WARM_UP:]


def peak(options: argparse.Namespace, root: Path, folder: Path, kind: str) -> int:
    """Return the bytes by which ``WARM_UP`` steps raise the peak of this process."""
    trainer = _trainer(options, root, folder, num_steps=WARM_UP)
    if kind == BARE:
        bare, batches = Bare(trainer.model, trainer.recipe), trainer._batches()
        ready = [bare.model.standardized(next(batches)) for _ in range(WARM_UP)]
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for batch in ready:
            bare.step(batch)
    else:
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        trainer.run(Display(steps=WARM_UP, quiet=True))
    return 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held)


def _trainer(options: argparse.Namespace, root: Path, folder: Path, num_steps: int | None = None) -> Trainer:
    asked = _recipe(options, root, num_steps or WARM_UP + options.runs)
    chosen = device.choose(asked.train)
    source = asked.data.build()
    source.prepare()
    built = model.build(asked, source.features, source.targets, source.conditions).to(chosen)
    run = RunFolder(folder)
    run.path.mkdir()
    return Trainer(asked, model=built, split=source.split("train"), folder=run)


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
            "train.score_every=null",  # after the last step it would count as part of that
            "train.batches_per_step=1",  # the clock counts steps by batches
        ],
    )


def _lines(root: Path, rng: np.random.Generator) -> None:
    root.mkdir()
    entries = []
    for number in range(96):
        width = int(rng.integers(200, 700))
        Image.fromarray(rng.integers(0, 256, (32, width), dtype=np.uint8)).save(root / f"l{number}.png")
        split = "test" if number % 8 == 0 else "train"
        entries.append(
            {"id": f"l{number}", "path": f"l{number}.png", "split": split, "document": f"d{number % 4}"}
        )
    (root / "manifest.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def _images(root: Path, rng: np.random.Generator) -> None:
    root.mkdir()
    for name, count in (("train", 2048), ("test", 64)):
        pixels = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        np.savez(root / f"{name}.npz", images=pixels, labels=rng.integers(0, 10, count).astype(np.uint8))


MAKERS = {"lines": _lines, "images": _images}


if __name__ == "__main__":
    main()
