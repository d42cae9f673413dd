"""ABX beside fastabx: both values on the same item files and features, their difference, and both times.

fastabx needs Python 3.12, so this runs in an environment of its own, outside of the repository:

    uv venv --python 3.12 /tmp/fastabx
    uv pip install --python /tmp/fastabx torch==2.11.0 fastabx==0.9.0 pluggy annotated-types pyyaml soundfile
    export PYTHONPATH=.:plugins OMP_NUM_THREADS=2
    /tmp/fastabx/bin/python tests/benchmarks/abx_fastabx.py values DATA/speech_phones
    /tmp/fastabx/bin/python tests/benchmarks/abx_fastabx.py speed DATA/speech_phones [--runs 5] [--dims 13 64 256]

`oracles.py` beside this makes such an environment by itself, and runs "values" in it.

"values" takes every slicing, speaker and context condition, on speech and on noise, on units (0 dimensions) and on
vectors. Speech is the phones of the first ``--speakers`` speakers: the first cepstra of the logarithm of a spectrum of
256 bins, less their mean; units are the nearest of 50 frames. Nothing is sampled, since draws differ. fastabx counts
in float32: between noisy frames of many dimensions, which are all about a right angle apart, it takes a triplet or two
for the other side, up to 4e-6 of the error; there ours are the values of plain loops in float64. More than 1e-5 there,
and more than 1e-6 anywhere else, is an error.

"speed" times one call of each in turns: reading the item file and the features, then scoring. Items are the phones
within and across speakers in the same and in any context, 600 noisy tokens of ten labels in any, and 12,000 noisy ones
in groups of twenty by one speaker in one context. Where others use
the machine, read the ratio of processors' times; fastabx's waiting threads count there, so the ratio of the times is
the careful one when nobody else does. "Ratio" is fastabx's time over ours.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from measurement import alone, arguments, facts, show, spread, text

from unitdisc.metric import Evaluated
from unitdisc_abx.abx import ABX

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

HEADER = "#file onset offset #phone prev-phone next-phone speaker"
RATE, WINDOW, HOP, BINS = 16_000, 400, 160, 256
SIZES = {"noise": (3, 80, 4, 3), "tokens": (1, 600, 10, 1), "groups": (4, 3000, 10, 150)}
"""Speakers, tokens of each, labels and contexts."""
SLICINGS, SPEAKERS, CONTEXTS = ("standard", "librilight"), ("within", "across"), ("within", "any")


@dataclass(frozen=True)
class Items:
    """An item file and a folder of features by file id, as both read them."""

    item_file: Path
    features: Path
    frequency: int
    is_units: bool


def main() -> None:
    """Measure, then print."""
    parser = arguments(__doc__, runs=5)
    parser.add_argument("what", choices=["values", "speed"])
    parser.add_argument(
        "data", type=Path, help="folder speech_phones: manifest.jsonl, phones.tsv and its recordings"
    )
    parser.add_argument("--dims", nargs="+", type=int, help="of a frame; 0 for units")
    parser.add_argument("--speakers", type=int, default=4, help="of the speech (4)")
    options = parser.parse_args()
    (_values if options.what == "values" else _speed)(options)


def _values(options: argparse.Namespace) -> None:
    measurements, rows = (
        [],
        [["items", "dimensions", "slicing", "speaker", "context", "ours", "fastabx", "difference"]],
    )
    for slicing in SLICINGS:
        os.environ["FASTABX_WITH_LIBRILIGHT_BUG"] = str(
            int(slicing == "librilight")
        )  # read when it is imported
        for item in alone(_compare, options, slicing):
            measurements.append({**item, **facts(options)})
            values = [f"{item['ours']:.6f}", f"{item['fastabx']:.6f}", f"{item['difference']:.1e}"]
            conditions = [slicing, item["speaker"], item["context"]]
            rows.append([item["items"], str(item["dim"] or "units"), *conditions, *values])
    show(measurements, rows, as_json=options.json)
    if wrong := [item for item in measurements if not item["difference"] <= _most(item)]:
        words = ("items", "dim", "slicing", "speaker", "context")
        cases = "; ".join(" ".join(str(item[word]) for word in words) for item in wrong)
        sys.exit(f"errors that differ by more than 1e-6, of vectors of noise by more than 1e-5: {cases}")


def _most(item: dict[str, Any]) -> float:
    return 1e-5 if item["items"] == "noise" and item["dim"] else 1e-6


def _compare(options: argparse.Namespace, slicing: str) -> list[dict[str, Any]]:
    torch.set_num_threads(options.threads)
    found = []
    for name, dim in product(("speech", "noise"), options.dims or (0, 13, 64, 256)):
        with tempfile.TemporaryDirectory() as folder:
            items = _items(Path(folder), options, name, dim)
            for speaker, context in product(SPEAKERS, CONTEXTS):
                ours = _ours(items, speaker, context, slicing)
                theirs = _theirs(items, speaker, context)
                case = {"items": name, "dim": dim, "slicing": slicing, "speaker": speaker, "context": context}
                values = {"ours": ours, "fastabx": theirs, "difference": abs(ours - theirs)}
                found.append({"benchmark": "abx_fastabx values", **case, **values})
    return found


def _speed(options: argparse.Namespace) -> None:
    measurements, rows = [], []
    rows.append(
        [
            "items",
            "speaker",
            "context",
            "dimensions",
            "seconds",
            "fastabx's seconds",
            "ratio: median (p10 to p90)",
            "of processors",
        ]
    )
    cases = [
        *product(["speech"], SPEAKERS, CONTEXTS),
        ("tokens", "within", "any"),
        ("groups", "within", "within"),
    ]
    for (name, speaker, context), dim in product(cases, options.dims or (13, 64, 256)):
        item = {**alone(_time, options, name, speaker, context, dim), **facts(options)}
        measurements.append(item)
        figures = [text(item[key]) for key in ("seconds", "peer_seconds", "ratio", "cpu_ratio")]
        rows.append([name, speaker, context, str(dim or "units"), *figures])
    show(measurements, rows, as_json=options.json)


def _time(options: argparse.Namespace, name: str, speaker: str, context: str, dim: int) -> dict[str, Any]:
    torch.set_num_threads(options.threads)
    timed = []
    with tempfile.TemporaryDirectory() as folder:
        items = _items(Path(folder), options, name, dim)
        for _ in range(options.runs + 1):
            marks = [(time.perf_counter(), time.process_time())]
            values = []
            for score in (
                lambda: _ours(items, speaker, context, "standard"),
                lambda: _theirs(items, speaker, context),
            ):
                values.append(score())
                marks.append((time.perf_counter(), time.process_time()))
            timed.append(
                [now - then for one, two in pairwise(marks) for then, now in zip(one, two, strict=True)]
            )
    del timed[0]  # first use of everything
    return {
        "benchmark": "abx_fastabx speed",
        "items": name,
        "speaker": speaker,
        "context": context,
        "dim": dim,
        "difference": abs(values[0] - values[1]),
        "seconds": spread([ours for ours, *_ in timed]),
        "peer_seconds": spread([peer for _, _, peer, _ in timed]),
        "ratio": spread([peer / ours for ours, _, peer, _ in timed]),
        "cpu_ratio": spread([peer / ours for _, ours, _, peer in timed]),
    }


def _ours(items: Items, speaker: Any, context: Any, slicing: Any) -> float:
    metric = ABX(
        item_file=items.item_file,
        on="units" if items.is_units else "latents",
        speaker=speaker,
        context=context,
        slicing=slicing,
        max_size_group=None,
        max_x_across=None,
    )
    for path in sorted(items.features.iterdir()):
        frames = torch.load(path, weights_only=True).numpy()
        codes = frames if items.is_units else np.zeros((len(frames), 1), np.int64)
        rate = float(items.frequency)
        metric.update(Evaluated(path.stem, codes, 50, len(frames), 1, frame_rate=rate, latents=frames))
    return metric.compute()["value"] / 100


def _theirs(items: Items, speaker: Any, context: Any) -> float:
    from fastabx import zerospeech_abx  # after its environment variable is set

    return zerospeech_abx(
        items.item_file,
        items.features,
        max_size_group=None,
        max_x_across=None,
        speaker=speaker,
        context=context,
        distance="identical" if items.is_units else "angular",
        frequency=items.frequency,
        device="cpu",
        progress=False,
    )


def _items(folder: Path, options: argparse.Namespace, name: str, dim: int) -> Items:
    """Write an item file and features of so many dimensions, 0 for units."""
    draw = np.random.default_rng(options.seed)
    if name == "speech":
        lines, frames = _speech(options.data, options.speakers, dim or 13)
    else:
        lines, frames = _noise(draw, SIZES[name], dim or 13)
    features = folder / "features"
    features.mkdir()
    centres = draw.permutation(np.concatenate(list(frames.values())))[:50]
    for key, values in frames.items():
        codes = np.linalg.norm(values[:, None] - centres, axis=2).argmin(1)[:, None]
        torch.save(torch.from_numpy(values if dim else codes), features / f"{key}.pt")
    item_file = folder / "items.item"
    item_file.write_text("\n".join([HEADER, *lines]), encoding="utf-8")
    return Items(item_file, features, RATE // HOP, not dim)


def _speech(data: Path, speakers: int, dim: int) -> tuple[list[str], dict[str, np.ndarray]]:
    """Return the items of all phones but the silences at the ends, and cepstra by file."""
    import soundfile

    manifest = [json.loads(line) for line in (data / "manifest.jsonl").open(encoding="utf-8")]
    chosen = sorted({item["speaker"] for item in manifest})[:speakers]
    phones: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader((data / "phones.tsv").open(encoding="utf-8"), delimiter="\t"):
        phones.setdefault(row["id"], []).append(row)
    lines, frames = [], {}
    for item in manifest:
        if item["speaker"] in chosen:
            lines += _phone_lines(item["id"], item["speaker"], phones[item["id"]])
            frames[item["id"]] = _cepstra(soundfile.read(data / item["path"], dtype="float32")[0], dim)
    return lines, frames


def _phone_lines(key: str, speaker: str, rows: list[dict[str, str]]) -> Iterable[str]:
    names = ["SIL", *(row["phone"] for row in rows), "SIL"]
    for number, row in enumerate(rows):
        start, stop = int(row["start_sample"]), int(row["end_sample"])
        if (
            row["phone"] != "h#" and stop - start >= 3 * HOP
        ):  # so that each has a frame, cut by librilight, too
            times = f"{start / RATE:.7f} {stop / RATE:.7f}"
            yield f"{key} {times} {row['phone']} {names[number]} {names[number + 2]} {speaker}"


def _cepstra(samples: np.ndarray, dim: int) -> np.ndarray:
    padded = np.pad(samples, (WINDOW // 2, WINDOW + 2 * HOP))  # two frames more than needed
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP] * np.hanning(WINDOW)
    spectrum = np.log(np.abs(np.fft.rfft(windows, 2 * BINS)[:, :BINS]) ** 2 + 1e-8)
    cosines = np.cos(np.pi / BINS * (np.arange(BINS)[:, None] + 0.5) * np.arange(dim))
    found = spectrum @ cosines * (2 / BINS) ** 0.5
    return np.asarray(found - found.mean(0), np.float32)


def _noise(
    draw: np.random.Generator, sizes: tuple[int, int, int, int], dim: int
) -> tuple[list[str], dict[str, np.ndarray]]:
    """Return items of 3 to 15 frames, and normal numbers by file, one for each speaker."""
    speakers, tokens, labels, contexts = sizes
    lines, frames = [], {}
    for speaker in range(speakers):
        edges = np.cumsum([0, *draw.integers(3, 16, tokens)]) * HOP / RATE
        for start, stop in pairwise(edges):
            label, context = draw.integers(labels), draw.integers(contexts)
            lines.append(f"f{speaker} {start:.2f} {stop:.2f} p{label} c{context} c s{speaker}")
        frames[f"f{speaker}"] = draw.normal(size=(round(edges[-1] * RATE / HOP) + 1, dim)).astype(np.float32)
    return lines, frames


if __name__ == "__main__":
    main()
