"""How fast scores take frames in and how much memory they keep, one pass over synthetic units and labels.

    python tests/benchmarks/scores.py [--frames 100000000] [--codes 500] [--only pnmi ami ...] [--intervals N] [--json]

Utterances of 10 s at 100 frames per second, a unit every 20 ms that leans on one of 40 labels; 2,000 of them are drawn,
and come again and again. Only what the metric does is timed, in CPU seconds of its one thread. Each metric runs in a
process of its own, whose peak memory is the program, the drawn utterances and all that the metric keeps. With
``--intervals`` it keeps what its interval needs too, over 100 speakers, and "compute" makes that from N samples (or
leaves each of 20 blocks out once).
"""

from __future__ import annotations

import resource
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from measurement import alone, arguments, facts, show

from unitdisc import plugins
from unitdisc.metric import Evaluated
from unitdisc.scored.intervals import Spread, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

METRICS = {
    "nmi": {},
    "pnmi": {},
    "ami": {},
    "ari": {},
    "v_measure": {},
    "purity": {},
    "unit_accuracy": {"map": "one-to-one", "fit": "halves"},
    "perplexity": {},
    "bitrate": {},
    "mapped_per": {},
    "term_discovery": {},
}
TARGET = 2048
"""MiB at 100 million frames."""
_LABELS = 40
_FRAMES = 1000
_STRIDE = 2
_SPEAKERS = 100
_DIFFERENT = 2000


def main() -> None:
    """Measure, then print."""
    parser = arguments(__doc__, runs=1)
    parser.add_argument("--frames", type=int, default=100_000_000, help="frames of the split (100000000)")
    parser.add_argument("--codes", type=int, default=500, help="K (500)")
    parser.add_argument("--intervals", type=int, default=0, metavar="N", help="samples (0: no interval)")
    parser.add_argument("--only", nargs="+", choices=METRICS, default=list(METRICS), metavar="NAME")
    options = parser.parse_args()
    measurements, rows = (
        [],
        [["metric", "frames", "frames per CPU second", "compute, CPU s", "peak, MiB", "target", "value"]],
    )
    for name in options.only:
        found = alone(measure, name, options.frames, options.codes, options.seed, options.intervals)
        measurements.append(
            {"benchmark": "scores", "metric": name, "target_mib": TARGET, **found, **facts(options)}
        )
        numbers = [
            f"{found['frames']:,}",
            f"{found['frames_per_cpu_second']:,.0f}",
            f"{found['compute_cpu_seconds']:.1f}",
        ]
        value = f"{found['value']:.4g}" + (f" ± {found['half']:.2g}" if options.intervals else "")
        rows.append([name, *numbers, f"{found['peak_mib']:.0f}", f"< {TARGET}", value])
    show(measurements, rows, as_json=options.json)


def measure(name: str, frames: int, num_codes: int, seed: int, samples: int = 0) -> dict[str, float]:
    """Return what one metric takes for about ``frames`` frames."""
    target = {} if name in ("perplexity", "bitrate") else {"target": "phones"}
    make = partial(plugins.load("metric", name), **target, **METRICS[name])
    block_of = blocks([f"s{speaker}" for speaker in range(_SPEAKERS)], np.random.default_rng(seed))
    spread = Spread(make, len(set(block_of.values())) if samples else 0)
    seconds = 0.0
    for item in utterances(frames // _FRAMES, num_codes, seed):
        start = time.process_time()
        spread.update(item, block_of[item.fields["speaker"]])
        seconds += time.process_time() - start
    start = time.process_time()
    value = spread.metric.compute()["value"]
    interval = spread.interval(samples, np.random.default_rng(seed)) if samples else None
    computed = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {
        "frames": frames // _FRAMES * _FRAMES,
        "codes": num_codes,
        "frames_per_cpu_second": frames // _FRAMES * _FRAMES / seconds,
        "compute_cpu_seconds": computed,
        "peak_mib": peak,
        "value": value,
        "samples": samples,
        "half": (interval["high"] - interval["low"]) / 2 if interval else 0.0,
    }


def utterances(number: int, num_codes: int, seed: int) -> Iterator[Evaluated]:
    """Yield utterances whose labels last 30 to 150 ms and share most of their units with few others."""
    draw = np.random.default_rng(seed)
    drawn = [_utterance(draw, index, num_codes) for index in range(min(number, _DIFFERENT))]
    for index in range(number):
        yield drawn[index % len(drawn)]


def _utterance(draw: np.random.Generator, index: int, num_codes: int) -> Evaluated:
    labels = np.repeat(draw.integers(0, _LABELS, 340), draw.integers(3, 16, 340))[:_FRAMES]
    near = (labels[::_STRIDE] * num_codes // _LABELS + draw.integers(0, 20, _FRAMES // _STRIDE)) % num_codes
    anywhere = draw.integers(0, num_codes, _FRAMES // _STRIDE)
    codes = np.where(draw.random(_FRAMES // _STRIDE) < 0.2, anywhere, near)
    return Evaluated(
        f"u{index}",
        codes[:, None],
        num_codes,
        _FRAMES,
        _STRIDE,
        {"phones": labels},
        fields={"speaker": f"s{index % _SPEAKERS}"},
        frame_rate=100.0,
    )


if __name__ == "__main__":
    main()
