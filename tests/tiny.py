"""Tiny corpora and recipes that train in a second or two, and the command line in this process or one of its own."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image, ImageDraw

from unitdisc import cli

REPOSITORY = Path(__file__).resolve().parent.parent
STEPS = 24
_RATE = 16000
_LINES = """
extends: {repository}/recipes/handwriting/base.yaml
data: {{use: lines, root: lines, labels: [strokes]}}
encoder: {{use: line_conv, channels: [4, 4, 4, 4, 4, 4, 4], hidden: 4, projection: 8, layers: 1}}
latents: {{norm: batch, dim: 8}}
bottleneck: {{use: ema, num_codes: 8}}
decoder: {{use: grey_levels, channels: 8}}
heads:
  probe: {{use: framewise, target: strokes, detach: true}}
metrics:
  pnmi: {{use: pnmi, target: strokes}}
  accuracy: {{use: frame_accuracy, head: probe, target: strokes}}
"""
_SPEECH = """
extends: {repository}/recipes/speech/base.yaml
data: {{use: speech, root: speech, num_mels: 20}}
encoder:
  {{use: deep_speech, channels: [4, 4], hidden: 8, layers: 1, time_strides: [2, 1], freq_strides: [2, 2]}}
latents: {{norm: batch, dim: 8}}
bottleneck: {{use: ema, num_codes: 8}}
decoder: {{use: frames, hidden: 8, layers: 1}}
"""
_TRAINING = """
train:
  {{steps: {steps}, batch_frames: 256, crop: 32, lr: 2.0e-2, warmup: 0, average: 0.9, threads: 1,
    device: cpu, checkpoint_every: 3, keep: 2, log_every: 4}}
"""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Ran:
    """A run that was left alone from start to end."""

    recipe: Path
    folder: Path
    done: Done
    seconds: float


def command(*arguments: str | Path) -> Done:
    """Run the command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([str(argument) for argument in arguments])
    return Done(code, out.getvalue(), err.getvalue())


def start(
    *arguments: str | Path, module: tuple[str, ...] = ("unitdisc",), **more: Any
) -> subprocess.Popen[str]:
    """Start the command in a process and a group of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    # Compiling torch anew in each process would take longer than everything that is tested.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.Popen(
        [sys.executable, "-m", *module, *map(str, arguments)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **more,
    )


def finish(process: subprocess.Popen[str], timeout: float = 100) -> Done:
    """Wait for a started command."""
    with process:
        out, err = process.communicate(timeout=timeout)
    return Done(process.returncode, out, err)


def write_corpora(folder: Path) -> None:
    """Write the corpus folders ``lines`` and ``speech`` and a recipe for each into ``folder``."""
    _write_lines(folder / "lines")
    write_speech(folder / "speech")
    for name, text in (("lines", _LINES), ("speech", _SPEECH)):
        recipe = (text + _TRAINING).format(repository=REPOSITORY, steps=STEPS)
        (folder / f"{name}.yaml").write_text(recipe, encoding="utf-8")


@functools.cache
def undisturbed(folder: Path, kind: str) -> Ran:
    """Run the recipe ``kind`` of the corpora in ``folder`` once, in a process of its own."""
    began = time.monotonic()
    recipe, target = folder / f"{kind}.yaml", folder / f"{kind}-run"
    done = finish(start("run", recipe, "--out", target))
    assert done.code == 0, done.err
    return Ran(recipe, target, done, time.monotonic() - began)


@functools.cache
def corpora(base: Path) -> Path:
    """Write the corpora below ``base`` once, with the cache that they are imported into."""
    folder = base / "tiny"
    folder.mkdir()
    write_corpora(folder)
    return folder


def results(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of everything that must not depend on how often a run was interrupted."""
    checkpoints = sorted((folder / "checkpoints").iterdir())
    paths = [
        folder / "recipe.yaml",
        folder / "metrics.json",
        *sorted(checkpoints[-1].iterdir()),
        *sorted((folder / "units").iterdir()),
    ]
    return {str(path.relative_to(folder)): _sha256(path) for path in paths}


def leftovers(folder: Path) -> list[Path]:
    """Return what a killed process left half-written."""
    return [path for path in folder.rglob("*") if ".partial-" in path.name]


def logged_steps(folder: Path) -> list[int]:
    """Return the steps of the log, in the order of its lines."""
    return [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]


def _write_lines(folder: Path, num_lines: int = 16) -> None:
    """Write lines of strokes of three kinds, 32 pixels high, 40 to 120 wide, with their columns."""
    rng = np.random.Generator(np.random.PCG64(1))
    folder.mkdir()
    manifest, table = [], ["id\tstart_column\tend_column\tsymbol"]
    for number in range(num_lines):
        key, width = f"line{number:02d}", 0
        strokes = []
        for kind in rng.integers(0, 3, rng.integers(4, 9)):
            strokes.append((width, width + int(rng.integers(10, 14)), int(kind)))
            width = strokes[-1][1]
        image = Image.new("L", (width, 32), 255)
        for left, right, kind in strokes:
            ends = [(left + 5, 4, left + 5, 28), (left + 1, 28, right - 2, 4), (left + 1, 16, right - 2, 16)][
                kind
            ]
            ImageDraw.Draw(image).line(ends, fill=int(rng.integers(0, 60)), width=2)
            table.append(f"{key}\t{left}\t{right}\t{('bar', 'slash', 'dash')[kind]}")
        image.save(folder / f"{key}.png")
        manifest.append(
            {"id": key, "path": f"{key}.png", "split": _split(number), "width": width, "height": 32}
        )
        manifest[-1]["document"] = f"hand{number % 2}"
    _write_folder(folder, manifest, table, "strokes")


def write_speech(folder: Path, num_utterances: int = 16) -> None:
    """Write utterances of tones and noise, 0.4 to 0.9 s long, by two speakers, with their phones."""
    rng = np.random.Generator(np.random.PCG64(2))
    folder.mkdir()
    manifest, table = [], ["id\tstart_sample\tend_sample\tphone"]
    for number in range(num_utterances):
        key, pieces, end = f"utt{number:02d}", [], 0
        for kind in rng.integers(0, 3, rng.integers(4, 7)):
            length = int(rng.integers(1600, 2400))
            time_axis = np.arange(length) / _RATE
            tone = np.sin(2 * np.pi * (300, 1500, 0)[kind] * (1 + 0.2 * (number % 2)) * time_axis)
            pieces.append(0.3 * tone + rng.normal(0, 0.2 if kind == 2 else 0.01, length))
            table.append(f"{key}\t{end}\t{end + length}\t{('low', 'high', 'noise')[kind]}")
            end += length
        soundfile.write(folder / f"{key}.flac", np.concatenate(pieces).clip(-1, 1), _RATE)
        manifest.append({"id": key, "path": f"{key}.flac", "split": _split(number), "n_samples": end})
        manifest[-1] |= {"sample_rate": _RATE, "duration": end / _RATE, "speaker": f"voice{number % 2}"}
    _write_folder(folder, manifest, table, "phones")


def _write_folder(folder: Path, manifest: list[dict[str, Any]], table: list[str], name: str) -> None:
    (folder / "manifest.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in manifest))
    (folder / f"{name}.tsv").write_text("".join(f"{line}\n" for line in table))


def _split(number: int) -> str:
    return "test" if number % 4 == 3 else "train"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
