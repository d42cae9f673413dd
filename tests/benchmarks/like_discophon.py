"""Units scored by our definitions "like discophon" and by discophon itself.

discophon needs Python 3.12, so this runs in an environment of its own, outside of the repository:

    uv venv --python 3.12 /tmp/discophon
    uv pip install --python /tmp/discophon torch==2.11.0 discophon==0.2.0 pluggy annotated-types pyyaml
    export PYTHONPATH=.:plugins OMP_NUM_THREADS=1
    /tmp/discophon/bin/python tests/benchmarks/like_discophon.py [DATA/speech_phones] [--runs 500]

``--runs`` unit sets are drawn at random: 3 to 8 utterances, 2 to 12 phonemes beside silence, every 10 ms a phone and
every 20 ms a unit, which follows the phone or not. For "one-to-one" there are as many units as phones and silence.
With a folder of speech its phones get units that are right half of the time, too.

A unit that meets two phonemes equally often may stand for either, and several one-to-one maps may be the best. Such
sets are counted apart, since there scores hang on ``ties``; many sets are short, so that there are some.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from discophon.evaluate import phoneme_discovery

from unitdisc.like import LIKE
from unitdisc.metric import Evaluated, Metric
from unitdisc_metrics import unitdisc_metrics

STEP = 160  # samples between phones: 10 ms
Set = dict[str, tuple[np.ndarray, np.ndarray]]
"""By utterance the phones (T,) every 10 ms and the units (S,) every 20 ms."""

ROWS = {
    "many-to-one": {
        "pnmi": "PNMI",
        "per": "PER",
        "f1": "boundary F1, R-value",
        "r_val": "boundary F1, R-value",
    },
    "one-to-one": {"pnmi": "PNMI", "per": "PER one-to-one"},
}
"""By map what discophon calls a score, and our row."""


def main() -> None:
    """Compare, then print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, help="folder speech_phones: phones.tsv")
    parser.add_argument("--runs", type=int, default=500, help="unit sets that are drawn (500)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (0)")
    options = parser.parse_args()
    draw = np.random.default_rng(options.seed)
    apart: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(options.runs):
        for kind in ROWS:
            units = _drawn(draw, kind)
            tied = "ties" if _has_ties(units, kind) else "no ties"
            for name, (ours, theirs) in _both(units, kind).items():
                apart[f"{kind} {name}", "any" if name == "pnmi" else tied].append(abs(ours - theirs))
    print("| map, score | sets | how many | largest difference |\n| --- | --- | --- | --- |")
    for (name, sets), found in sorted(apart.items()):
        print(f"| {name} | {sets} | {len(found)} | {max(found):.1e} |")
    if options.data is not None:
        speech = _speech(options.data, draw)
        print("\n| speech | ours | discophon | difference |\n| --- | --- | --- | --- |")
        for name, (ours, theirs) in _both(speech, "many-to-one").items():
            print(f"| {name} | {ours:.9f} | {theirs:.9f} | {abs(ours - theirs):.1e} |")


def _both(units: Set, kind: Any) -> dict[str, tuple[float, float]]:
    """Return our value and discophon's by the name of the score, as shares."""
    num_phones = len({phone for phones, _ in units.values() for phone in phones.tolist()})
    num_units = 1 + max(int(codes.max()) for _, codes in units.values())
    theirs = phoneme_discovery(
        {key: codes.tolist() for key, (_, codes) in units.items()},
        {key: [str(phone) for phone in phones.tolist()] for key, (phones, _) in units.items()},
        kind=kind,
        n_units=max(num_units, num_phones) if kind == "one-to-one" else num_units,
        n_phonemes=num_phones - 1,  # silence is one more
    )
    found = {}
    for name, row in ROWS[kind].items():
        scores = _scored(units, row, max(num_units, num_phones))
        value = scores["r_value"] if name == "r_val" else scores["value"]
        found[name] = (value / 100 if name == "per" else value, float(theirs[name]))
    return found


def _scored(units: Set, row: str, num_codes: int) -> dict[str, float]:
    section = dict(LIKE["discophon"][row])
    module, _, name = unitdisc_metrics()[section.pop("use")].partition(":")
    metric: Metric = getattr(import_module(module), name)(target="phones", **section)
    for key, (phones, codes) in units.items():
        targets = {"phones": phones}
        metric.update(Evaluated(key, codes[:, None], num_codes, len(phones), 2, targets, frame_rate=100.0))
    return metric.compute()


def _drawn(draw: np.random.Generator, kind: str) -> Set:
    num_phones = int(draw.integers(3, 14))
    num_units = num_phones if kind == "one-to-one" else int(draw.integers(2, 25))
    right, mean = draw.random(), draw.integers(12)
    found = {}
    for number in range(draw.integers(3, 9)):
        runs = draw.integers(num_phones, size=draw.integers(2, 40))
        if number == 0:
            runs = np.concatenate(
                [draw.permutation(num_phones), runs]
            )  # every phone, so that all are counted
        phones = np.repeat(runs, 1 + draw.poisson(mean, len(runs)))
        units = _units(draw, phones, num_units, right)
        units[:1] = num_units - 1  # so that their number is known
        found[f"u{number}"] = (phones, units)
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
    found = {}
    for key, own in rows.items():
        middles = STEP / 2 + STEP * np.arange(int(own[-1]["end_sample"]) // STEP)
        ends = np.array([int(row["end_sample"]) for row in own])
        labels = np.array([names.index(row["phone"]) for row in own])
        phones = labels[np.searchsorted(ends, middles, side="right")]
        found[key] = (phones, _units(draw, phones, 100, 0.5))
    return found


def _has_ties(units: Set, kind: str) -> bool:
    """Return whether more than one map is the best."""
    phones = np.concatenate([phones for phones, _ in units.values()])
    codes = np.concatenate([np.repeat(codes, 2)[: len(phones)] for phones, codes in units.values()])
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
