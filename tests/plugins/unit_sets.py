"""Random units of a split, with ids as odd as a format allows."""

from __future__ import annotations

import re

import numpy as np

from unitdisc.units import Units

NUM_CODES = 7
_PARTS = (
    *("a", "B", "0", "-", "_", "ä", "日", "😀", "\\", "'", '"', "%s", "{", ";;", "Class", "#", "~", "="),
    *(" ", "  ", "|", "/", ".", ",", "\u2028", "\u00a0", "\t", "\n", "&", "<", "*", "?", ":", "\ufeff"),
)
_STEPS = (0.005, 0.01, 0.0125, 0.02, 512 / 44100, 4.0)


def unit_set(seed: int, *, refused: str = "$^", num_codebooks: int = 3) -> list[Units]:
    """Return 0 to 5 sequences of up to ``num_codebooks``; no id is empty or matches the pattern ``refused``."""
    rng = np.random.default_rng(seed)
    count, step = int(rng.integers(1, num_codebooks + 1)), float(rng.choice(_STEPS))
    keys: dict[str, None] = {}
    for _ in range(int(rng.integers(0, 6))):
        key = ""
        while not key or re.search(refused, key) or key in keys:
            key = "".join(rng.choice(_PARTS, int(rng.integers(1, 5))))
        keys[key] = None
    items = []
    for key in keys:
        length = int(rng.choice([0, 1, 2, rng.integers(3, 12), rng.integers(100, 300)]))
        codes = rng.integers(0, NUM_CODES, (length, count))
        if rng.random() < 0.5:  # runs
            codes = np.repeat(codes, rng.integers(1, 5, length), axis=0)
        cut = float(rng.choice([0.0, rng.uniform(0, 0.9)]))
        end = (len(codes) - cut) * step if len(codes) else 0.0
        items.append(Units(key, codes.astype(np.int64), 0.0, step, end, "second"))
    return items
