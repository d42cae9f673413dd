"""The same unit file scored by ``unitdisc evaluate --like discophon`` and by discophon itself.

discophon needs Python 3.12: `oracles.py` beside this makes such an environment and runs this in it. The differences
of all scores are printed; one above 1e-6 is an error.

``--runs`` unit sets are drawn at random: 3 to 8 utterances, 2 to 12 phonemes beside silence, every 10 ms a phone and
every 20 ms a unit, which follows the phone or not. For "one-to-one" there are as many units as phones and silence.
A unit that meets two phonemes equally often may stand for either, and several one-to-one maps may be the best. Such
sets are counted apart, since there scores hang on ``ties``; many sets are short, so that there are some.

For ABX a fifth as many are drawn, whose phones last 30 ms or more and are spoken by 2 to 6 speakers: of more, both draw
five at random, each their own. discophon reads an item file, we both that and the phones that it was made from.

With a folder of speech its phones get units that are right half of the time; ABX is then of six of its speakers.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner

os.environ["TQDM_DISABLE"] = "1"  # read when discophon is imported

from discophon.abx import discrete_abx
from discophon.data import read_submitted_units
from discophon.evaluate import phoneme_discovery
from fastabx import EmptyTaskError

from unitdisc.cli.evaluate import command

LARGEST = 1e-6
STEP = 160  # samples between phones: 10 ms
HEADER = "#file onset offset #phone prev-phone next-phone speaker"

DISCOVERY = {
    "many-to-one": {
        "pnmi": "PNMI",
        "per": "PER",
        "f1": "boundary F1, R-value",
        "r_val": "boundary F1, R-value",
    },
    "one-to-one": {
        "pnmi": "PNMI",
        "per": "PER one-to-one",
        "f1": "boundary F1, R-value one-to-one",
        "r_val": "boundary F1, R-value one-to-one",
    },
}
"""By map what discophon calls a score, and our row."""

ABX = {
    "within_speaker_within_context": "ABX within speaker",
    "across_speaker_within_context": "ABX across speakers",
    "within_speaker_any_context": "ABX within speaker, any context",
    "across_speaker_any_context": "ABX across speakers, any context",
}
"""What discophon calls an error, and our row."""


@dataclass(frozen=True)
class Utterance:
    """Phones (T,) every 10 ms, units (S,) every 20 ms, and who speaks."""

    phones: np.ndarray
    units: np.ndarray
    speaker: str = "s0"


Set = dict[str, Utterance]


def main() -> None:
    """Compare, print, and leave with 1 where a score differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, help="folder speech_phones: manifest.jsonl, phones.tsv")
    parser.add_argument("--runs", type=int, default=500, help="unit sets that are drawn (500)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (0)")
    options = parser.parse_args()
    draw = np.random.default_rng(options.seed)
    apart: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(options.runs):
        for kind in DISCOVERY:
            units = _drawn(draw, kind)
            tied = "ties" if _has_ties(units, kind) else "no ties"
            for name, (ours, theirs) in _discovery(units, kind).items():
                apart[f"{kind} {name}", "any" if name == "pnmi" else tied].append(abs(ours - theirs))
    for _ in range(options.runs // 5):
        scores: dict[str, tuple[float, float]] = {}
        while not scores:
            scores = _abx(_spoken(draw))
        for name, (ours, theirs) in scores.items():
            apart[f"ABX {name}", "any"].append(abs(ours - theirs))
    print("| score | sets | how many | largest difference |\n| --- | --- | --- | --- |")
    for (name, sets), found in sorted(apart.items()):
        print(f"| {name} | {sets} | {len(found)} | {np.max(found):.1e} |")
    largest = np.max([np.max(found) for found in apart.values()])  # NaN where one is
    if options.data is not None:
        largest = np.max([largest, _on_speech(options.data, draw)])
    if not largest <= LARGEST:
        sys.exit(f"a score differs by {largest:.1e}, more than {LARGEST:.0e}")


def _on_speech(data: Path, draw: np.random.Generator) -> float:
    """Print a table of the scores of speech, and return the largest difference."""
    speech = _speech(data, draw)
    speakers = sorted({item.speaker for item in speech.values()})[:6]
    few = {key: item for key, item in speech.items() if item.speaker in speakers}
    found = {**_discovery(speech, "many-to-one"), **_abx(few)}
    print("\n| speech | ours | discophon | difference |\n| --- | --- | --- | --- |")
    for name, (ours, theirs) in found.items():
        print(f"| {name} | {ours:.9f} | {theirs:.9f} | {abs(ours - theirs):.1e} |")
    return float(np.max([abs(ours - theirs) for ours, theirs in found.values()]))


def _discovery(units: Set, kind: Any) -> dict[str, tuple[float, float]]:
    """Return our value and discophon's by the name of the score, as shares."""
    num_phones = len({phone for item in units.values() for phone in item.phones.tolist()})
    num_units = 1 + max(int(item.units.max()) for item in units.values())
    num_codes = max(num_units, num_phones) if kind == "one-to-one" else num_units
    with tempfile.TemporaryDirectory() as folder:
        files = _written(Path(folder), units)
        ours = _evaluated(files["units"], files["phones"], num_codes)
        theirs = phoneme_discovery(
            read_submitted_units(files["units"]),
            {key: [f"p{phone}" for phone in item.phones] for key, item in units.items()},
            kind=kind,
            n_units=num_codes,
            n_phonemes=num_phones - 1,  # silence is one more
        )
    found = {}
    for name, row in DISCOVERY[kind].items():
        value = ours[row]["r_value" if name == "r_val" else "value"]
        found[name] = (value / 100 if name == "per" else value, float(theirs[name]))
    return found


def _abx(units: Set) -> dict[str, tuple[float, float]]:
    """Return our error and discophon's by the name of the condition, ours from items and from phones.

    Nothing where discophon finds a condition in which there is nothing to compare, which is an error to it.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = _written(Path(folder), units)
        try:
            theirs = discrete_abx(files["items"], files["units"], frequency=50, kind="phoneme")
        except EmptyTaskError:
            return {}
        ours = {name: _evaluated(files["units"], files[name], 100) for name in ("items", "phones")}
    return {
        f"{name}, from {source}": (rows[row]["value"] / 100, float(theirs[name]))
        for name, row in ABX.items()
        for source, rows in ours.items()
    }


def _evaluated(units: Path, against: Path, num_codes: int) -> dict[str, dict[str, float]]:
    """Return what ``unitdisc evaluate`` says, by row."""
    options = [
        "--step",
        "0.02",
        "--num-codes",
        str(num_codes),
        "--like",
        "discophon",
        "--intervals",
        "0",
        "--json",
    ]
    result = CliRunner().invoke(
        command, [str(units), "--against", str(against), *options], catch_exceptions=False
    )
    return {row: about["values"] for row, about in json.loads(result.stdout)["scores"].items()}


def _written(folder: Path, units: Set) -> dict[str, Path]:
    """Write the units, their phones by frame, and the item file of these."""
    items = [
        f"{key} {start / 100:.2f} {stop / 100:.2f} {line} {item.speaker}"
        for key, item in units.items()
        for start, stop, line in _runs(item.phones)
    ]
    codes = [{"file": key, "units": item.units.tolist()} for key, item in units.items()]
    phones = [
        {"file": key, "phones": [f"p{phone}" for phone in item.phones], "speaker": item.speaker}
        for key, item in units.items()
    ]
    lines = {
        "units": ("units-test.jsonl", map(json.dumps, codes)),
        "phones": ("phones.jsonl", map(json.dumps, phones)),
        "items": ("phones.item", [HEADER, *items]),
    }
    for name, content in lines.values():
        (folder / name).write_text("".join(f"{line}\n" for line in content), encoding="utf-8")
    return {kind: folder / name for kind, (name, _) in lines.items()}


def _runs(phones: np.ndarray) -> list[tuple[int, int, str]]:
    """Return the first frame of each run of a phone, that behind its last, and the phone with its neighbours."""
    edges = [0, *(np.flatnonzero(np.diff(phones)) + 1).tolist(), len(phones)]
    names = ["edge", *(f"p{phones[start]}" for start in edges[:-1]), "edge"]
    return [
        (start, stop, f"{names[n + 1]} {names[n]} {names[n + 2]}")
        for n, (start, stop) in enumerate(pairwise(edges))
    ]


def _drawn(draw: np.random.Generator, kind: str) -> Set:
    num_phones = int(draw.integers(3, 14))
    num_units = num_phones if kind == "one-to-one" else int(draw.integers(2, 25))
    right, mean = draw.random(), draw.integers(12)
    found = {}
    for number in range(draw.integers(3, 9)):
        runs = draw.integers(num_phones, size=draw.integers(2, 40))
        if number == 0:
            runs = np.concatenate([draw.permutation(num_phones), runs])  # all phones, to be counted
        phones = np.repeat(runs, 1 + draw.poisson(mean, len(runs)))
        units = _units(draw, phones, num_units, right)
        units[:1] = num_units - 1  # so that their number is known
        found[f"u{number}"] = Utterance(phones, units)
    return found


def _spoken(draw: np.random.Generator) -> Set:
    """Return utterances of a few phones by several speakers, so that there is something to compare."""
    num_phones, num_speakers = int(draw.integers(3, 6)), int(draw.integers(2, 7))
    right = draw.random()
    found = {}
    for number in range(2 * num_speakers):
        runs = draw.integers(num_phones, size=draw.integers(20, 40))
        phones = np.repeat(runs, draw.integers(3, 20, len(runs)))
        units = _units(draw, phones, int(draw.integers(2, 25)), right)
        found[f"u{number}"] = Utterance(phones, units, f"s{number % num_speakers}")
    return found


def _units(draw: np.random.Generator, phones: np.ndarray, num_units: int, right: float) -> np.ndarray:
    """Return units (S,) that follow from the phones with probability ``right``."""
    own = phones[::2] % num_units
    return np.where(draw.random(len(own)) < right, own, draw.integers(num_units, size=len(own)))


def _speech(data: Path, draw: np.random.Generator) -> Set:
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in csv.DictReader((data / "phones.tsv").open(encoding="utf-8"), delimiter="\t"):
        rows[row["id"]].append(row)
    names = sorted({row["phone"] for own in rows.values() for row in own})
    manifest = map(json.loads, (data / "manifest.jsonl").open(encoding="utf-8"))
    speakers = {item["id"]: item["speaker"] for item in manifest}
    found = {}
    for key, own in rows.items():
        middles = STEP / 2 + STEP * np.arange(int(own[-1]["end_sample"]) // STEP)
        ends = np.array([int(row["end_sample"]) for row in own])
        labels = np.array([names.index(row["phone"]) for row in own])
        phones = labels[np.searchsorted(ends, middles, side="right")]
        found[key] = Utterance(phones, _units(draw, phones, 100, 0.5), speakers[key])
    return found


def _has_ties(units: Set, kind: str) -> bool:
    """Return whether more than one map is the best."""
    phones = np.concatenate([item.phones for item in units.values()])
    codes = np.concatenate([np.repeat(item.units, 2)[: len(item.phones)] for item in units.values()])
    counts = np.zeros((codes.max() + 1, phones.max() + 1))
    np.add.at(counts, (codes, phones), 1)
    if kind == "many-to-one":
        best = np.sort(counts, axis=1)[:, ::-1]
        return bool(((best[:, 0] == best[:, 1]) & (best[:, 0] > 0)).any())
    return _best_is_shared(counts)


def _best_is_shared(counts: np.ndarray) -> bool:
    """Return whether the best one-to-one map can be had in two ways: one of its pairs is not needed."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(counts, maximize=True)
    most = counts[rows, columns].sum()
    for row, column in zip(rows, columns, strict=True):
        without = counts.copy()
        without[row, column] = -1
        others = linear_sum_assignment(without, maximize=True)
        if without[others].sum() == most:
            return True
    return False


if __name__ == "__main__":
    main()
