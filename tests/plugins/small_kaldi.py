"""Kaldi data directories of a few short utterances, with the phone of every frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE, SHIFT, WINDOW = 16000, 160, 400
PHONES = ["SIL", "AH0_B", "T_E", "S_S"]


def frames_of(num_samples: int, *, snip_edges: bool = True) -> int:
    return 1 + (num_samples - WINDOW) // SHIFT if snip_edges else (num_samples + SHIFT // 2) // SHIFT


def phones_of(key: str, count: int) -> list[str]:
    rng = np.random.default_rng(sum(map(ord, key)))
    runs = rng.integers(1, 9, count)
    return [PHONES[n % 4] for n, run in enumerate(runs) for _ in range(run)][:count]


def part(folder: Path, keys: str, *, alignment: str = "text_ali", snip_edges: bool = True) -> Path:
    """A data directory with one recording per utterance; lengths differ."""
    folder.mkdir(parents=True)
    lengths = {key: 8000 + 1111 * n for n, key in enumerate(keys.split())}
    for n, (key, length) in enumerate(lengths.items()):
        soundfile.write(folder / f"{key}.wav", 0.1 * np.random.default_rng(n).standard_normal(length), RATE)
    rows = {key: phones_of(key, frames_of(length, snip_edges=snip_edges)) for key, length in lengths.items()}
    write(folder, "wav.scp", {key: f"{key}.wav" for key in lengths})
    write(folder, "utt2spk", {key: key[:3] for key in lengths})
    write(folder, "spk2gender", {key[:3]: "f" for key in lengths})
    write(folder, "text", dict.fromkeys(lengths, "A TEST"))
    write(folder, alignment, {key: " ".join(row) for key, row in rows.items()})
    return folder


def write(folder: Path, name: str, rows: dict[str, str]) -> None:
    (folder / name).write_text("".join(f"{key} {text}\n" for key, text in rows.items()))


def wsj(root: Path) -> Path:
    for name, keys in (
        ("train_si284", "011a 011b 012a"),
        ("train_si84", "011a"),
        ("test_dev93", "4k0a"),
        ("test_eval92", "440a"),
    ):
        part(root / name, keys)
    return root
