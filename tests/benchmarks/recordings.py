"""Recordings of noise with made-up phones, as a corpus folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import soundfile

if TYPE_CHECKING:
    from pathlib import Path

RATE = 16000
RECORDINGS = 64
PHONES = 40


def corpus(root: Path, seed: int, number: int = RECORDINGS) -> Path:
    """Write recordings of noise, 1.5 to 3.5 seconds long, whose phones change every 80 ms; return ``root``."""
    root.mkdir()
    rng = np.random.default_rng(seed)
    entries, rows = [], ["id\tstart_sample\tend_sample\tphone\n"]
    for place in range(number):
        length = int(rng.integers(RATE * 3 // 2, RATE * 7 // 2))
        key = f"u{place}"
        soundfile.write(root / f"{key}.flac", 0.1 * rng.standard_normal(length), RATE)
        entries.append({"id": key, "path": f"{key}.flac", "split": "train", "speaker": f"s{place % 8}"})
        for start in range(0, length, RATE * 8 // 100):
            end = min(start + RATE * 8 // 100, length)
            rows.append(f"{key}\t{start}\t{end}\tp{int(rng.integers(PHONES))}\n")
    (root / "manifest.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    (root / "phones.tsv").write_text("".join(rows))
    return root
