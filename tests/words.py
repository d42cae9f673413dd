"""Parallel text of a few words, and a tiny run that has learnt to translate it."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path

from tests.tiny import REPOSITORY, command

_WORDS = {
    "a": "ein",
    "man": "Mann",
    "dog": "Hund",
    "sees": "sieht",
    "runs": "läuft",
    "and": "und",
    "two": "zwei",
}
_RECIPE = """
extends: {repository}/recipes/translation/autoregressive.yaml
data: {{root: {root}, vocab_size: 330}}
decoder: {{hidden: 32, layers: 1, heads: 2, inner: 64, dropout: 0.0}}
train: {{steps: 150, batch_frames: 512, batches_per_step: 1, lr: 1.0e-2, warmup: 20, average: null, threads: 1,
         device: cpu, checkpoint_every: 150}}
"""


def translated(sentence: str) -> str:
    """Return what the corpus has in place of an English sentence."""
    return " ".join(_WORDS[word] for word in sentence.split())


def sentences(count: int) -> list[str]:
    """Return English sentences of one to four words, in an order that repeats."""
    every = [" ".join(words) for length in (1, 2, 3, 4) for words in itertools.product(_WORDS, repeat=length)]
    return [every[place * 37 % len(every)] for place in range(count)]


def write(root: Path, split: str, english: list[str], german: list[str] | None = None) -> None:
    """Write a split of parallel text."""
    root.mkdir(exist_ok=True)
    german = german or [translated(sentence) for sentence in english]
    for language, lines in (("en", english), ("de", german)):
        (root / f"{split}.{language}").write_bytes("".join(f"{line}\n" for line in lines).encode())


def train(folder: Path, *options: str) -> Path:
    """Train a run on the text in ``folder / "text"``, and return its folder."""
    recipe, run = folder / "words.yaml", folder / "run"
    recipe.write_text(_RECIPE.format(repository=REPOSITORY, root=folder / "text"), encoding="utf-8")
    done = command("train", recipe, "--out", run, *options)
    assert done.code == 0, done.err
    return run


@functools.cache
def trained(base: Path) -> Path:
    """Return the folder with "text" and "run", made once below ``base``."""
    folder = base / "words"
    folder.mkdir()
    write(folder / "text", "train", sentences(1300))
    write(folder / "text", "dev", sentences(5))
    write(folder / "text", "test", sentences(40))
    train(folder)
    return folder
