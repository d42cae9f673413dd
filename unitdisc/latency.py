"""How long translations take, one sentence at a time: several models in one process, in turns.

Taken is the time from the tokens of a sentence to those of its translation, on the device; spelling sentences in
tokens and tokens in text is left out, as it is the same for all. Every row writes a sentence before the next
sentence comes, beginning with another row each time, so that a machine that others use disturbs all rows alike.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unitdisc import __version__
from unitdisc.translation import translate, translator
from unitdisc.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from unitdisc.contenders import Contender

_RESAMPLES = 2000
_INTERVAL = (2.5, 97.5)


@dataclass
class Timer(Watch):
    """Takes the time of each piece of work of one translation.

    Args:
        device: Is waited for before the clock is read.
    """

    device: torch.device
    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.began = self.last = self._now()

    def done(self, work: str) -> None:
        """Add the time since the last call to ``work``."""
        now = self._now()
        self.seconds[work] = self.seconds.get(work, 0.0) + now - self.last
        self.last = now

    def count(self, what: str, number: int, of: int) -> None:
        """Add to the numbers of ``what``."""
        before = self.counts.get(what, (0, 0))
        self.counts[what] = before[0] + number, before[1] + of

    def total(self) -> float:
        """Return the seconds since the beginning."""
        return self._now() - self.began

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


@dataclass
class Row:
    """A contender with one way to write, and what its translations took.

    Args:
        contender: Who writes.
        options: Of `translate`.
    """

    contender: Contender
    options: dict[str, Any]
    seconds: list[float] = field(default_factory=list)
    parts: list[dict[str, float]] = field(default_factory=list)
    counts: list[dict[str, tuple[int, int]]] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    def write(self, place: int) -> None:
        """Translate a sentence and take note of the time."""
        model = self.contender.model
        timer = Timer(model.device)
        (found,) = translate(model, self.contender.sources[place], watch=timer, **self.options)
        self.seconds.append(timer.total())
        self.parts.append(timer.seconds)
        self.counts.append(timer.counts)
        self.tokens.append(len(found))

    def forget(self) -> None:
        """Begin again after the warm-up."""
        for kept in (self.seconds, self.parts, self.counts, self.tokens):
            kept.clear()

    def numbers(self, first: Row) -> dict[str, Any]:
        """Return what it took in milliseconds, beside the first row."""
        works = list(dict.fromkeys(work for parts in self.parts for work in parts))
        counted = list(dict.fromkeys(what for counts in self.counts for what in counts))
        return {
            "name": self.contender.name,
            **self.contender.about,
            **{name: str(value) if name == "teacher" else value for name, value in self.options.items()},
            "milliseconds": spread(self.seconds),
            "parts": {work: spread([parts.get(work, 0.0) for parts in self.parts]) for work in works},
            "counts": {
                what: [
                    statistics.fmean(counts.get(what, (0, 0))[side] for counts in self.counts)
                    for side in (0, 1)
                ]
                for what in counted
            },
            "tokens": statistics.fmean(self.tokens),
            "speed_up": speed_up(first.seconds, self.seconds),
            "each_milliseconds": [round(1000 * seconds, 4) for seconds in self.seconds],
        }


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Return median, mean, 95th percentile and standard deviation (0 of a single one), in milliseconds."""
    taken = 1000 * np.asarray(seconds)
    return {
        "median": float(np.median(taken)),
        "mean": float(taken.mean()),
        "p95": float(np.percentile(taken, 95)),
        "std": float(taken.std(ddof=1)) if len(taken) > 1 else 0.0,
    }


def speed_up(first: Sequence[float], taken: Sequence[float]) -> dict[str, float]:
    """Return the median over sentences of ``first / taken``, with its 95 % bootstrap interval (percentiles)."""
    ratios = np.asarray(first) / np.asarray(taken)
    rng = np.random.Generator(np.random.PCG64(0))
    drawn = np.median(ratios[rng.integers(len(ratios), size=(_RESAMPLES, len(ratios)))], axis=1)
    low, high = np.percentile(drawn, _INTERVAL)
    return {"median": float(np.median(ratios)), "low": float(low), "high": float(high)}


def measure(
    contenders: Sequence[Contender],
    *,
    beams: Sequence[int],
    warm_up: int = 10,
    with_whole: bool = False,
    teacher: Path | None = None,
) -> dict[str, Any]:
    """Return what each contender takes with each beam; the first row is what speed-ups are against.

    Args:
        contenders: All with equally many sentences.
        beams: Partial translations, latent sentences or guesses kept.
        warm_up: Sentences that each row translates before the clock counts.
        with_whole: Also let decoders that predict latents predict all, without stopping early.
        teacher: Run that chooses where a decoder gives several candidates, in further rows.
    """
    rows = [
        Row(contender, options)
        for contender in contenders
        for beam in beams
        for options in _ways(contender, beam, with_whole=with_whole, teacher=teacher)
    ]
    total = len(contenders[0].sources)
    for place in range(warm_up):
        for row in rows:
            row.write(place % total)
    for row in rows:
        row.forget()
    for place in range(total):
        turn = place % len(rows)
        for row in [*rows[turn:], *rows[:turn]]:
            row.write(place)
    return {
        **facts(contenders[0].model.device),
        "sentences": total,
        "warm_up": warm_up,
        "source_tokens": statistics.fmean(int(source.lengths) for source in contenders[0].sources),
        "left_out": "tokenisation",
        "rows": [row.numbers(rows[0]) for row in rows],
    }


def _ways(contender: Contender, beam: int, *, with_whole: bool, teacher: Path | None) -> list[dict[str, Any]]:
    """Return options of `translate`: one way, and further ones that this decoder knows."""
    timer = Timer(contender.model.device)
    with torch.inference_mode():
        (found,) = translator(contender.model).candidates(
            contender.sources[0],
            lookup=contender.model.bottleneck.lookup,
            beam=beam,
            max_length=contender.max_length,
            watch=timer,
        )
    usual: dict[str, Any] = {"beam": beam, "max_length": contender.max_length}
    ways = [usual]
    if timer.counts and with_whole:
        ways.append({**usual, "early_stop": False})
    if len(found) > 1 and teacher is not None:
        ways.append({**usual, "teacher": teacher})
    return ways


def facts(device: torch.device) -> dict[str, Any]:
    """Return what makes times comparable."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),  # of the last minute: others were at work, too
        "torch": torch.__version__,
        "unitdisc": __version__,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return f"CPU ({names[0] if names else platform.machine()})"
