"""How fast the PixelCNN of line images draws and learns, beside the naive loop and beside plain convolutions.

    python tests/benchmarks/pixel_cnn.py [--runs 5] [--sizes 16,3 32,3 32,5 64,7] [--tasks sampling training] [--json]

Sizes are hidden channels and gated layers; images are noise with latents of noise, one per four columns.

"sampling" draws ``--lines`` lines of ``--columns`` columns with cached activations, and takes turns with the loop that
computes the whole image for every pixel. That loop is timed on ``--naive`` pixels, which all cost the same, and its
seconds are multiplied up. "training" is a forward and backward pass of the decoder over ``--batch`` lines, in turns
with that of a stack of 3 x 3 convolutions of as many channels with ReLU. As these come in whole layers, their seconds
are scaled to the same number of multiplications; what the PixelCNN does beside them (gates, shifts, the sums of both
stacks and of the condition, the loss) is in its time alone. "Ratio" is the other's time over ours.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch
from measurement import alone, arguments, facts, show, spread, text
from torch import nn

from unitdisc.data import FeatureSpec
from unitdisc.parts import Batch, Padded
from unitdisc_handwriting.pixel_cnn import PixelCNN

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

DIM, STRIDE, HEIGHT = 128, 4, 32
TASKS = ("sampling", "training")


def main() -> None:
    """Measure, then print."""
    parser = arguments(__doc__, runs=5)
    parser.add_argument("--sizes", nargs="+", type=_size, default=[(16, 3), (32, 3), (32, 5), (64, 7)])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--columns", type=int, default=128, help="columns of a line (128)")
    parser.add_argument("--lines", type=int, default=1, help="lines that are drawn at once (1)")
    parser.add_argument("--batch", type=int, default=8, help="lines of a training step (8)")
    parser.add_argument("--naive", type=int, default=4, help="pixels of the naive loop that are timed (4)")
    options = parser.parse_args()
    found = alone(measure, options)
    measurements = [{**item, **facts(options)} for item in found]
    rows = [["", "hidden, layers", "ms", "pixels per second", "other's ms", "ratio: median (p10 to p90)"]]
    for item in measurements:
        times = [
            {key: 1000 * value for key, value in item[name].items()} for name in ("seconds", "peer_seconds")
        ]
        rate = text(item["pixels_per_second"], ",.0f")
        size = ", ".join(str(number) for number in item["size"])
        ours, other = (text(taken, ",.0f") for taken in times)
        rows.append([item["task"], size, ours, rate, other, text(item["ratio"], ",.2f")])
    show(measurements, rows, as_json=options.json)


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return what every task and size took."""
    torch.set_num_threads(options.threads)
    measurements = []
    for task in options.tasks:
        for size in options.sizes:
            torch.manual_seed(options.seed)
            lines = options.lines if task == "sampling" else options.batch
            part, batch = _decoder(*size), _batch(lines, options.columns)
            ours, other, factor = (_drawing if task == "sampling" else _training)(part, *batch, options)
            pairs = [(_seconds(ours), factor * _seconds(other)) for _ in range(options.runs + 1)][1:]
            pixels = lines * options.columns * HEIGHT
            measurements.append(
                {
                    "benchmark": "pixel_cnn",
                    "task": task,
                    "size": list(size),
                    "lines": lines,
                    "columns": options.columns,
                    "seconds": spread([own for own, _ in pairs]),
                    "pixels_per_second": spread([pixels / own for own, _ in pairs]),
                    "peer_seconds": spread([peer for _, peer in pairs]),
                    "ratio": spread([peer / own for own, peer in pairs]),
                }
            )
    return measurements


def _size(words: str) -> tuple[int, int]:
    hidden, layers = words.split(",")
    return int(hidden), int(layers)


def _decoder(hidden: int, layers: int) -> PixelCNN:
    spec = FeatureSpec((HEIGHT,), 1.0, "column", standardize=False)
    return PixelCNN(DIM, spec, stride=STRIDE, conditions={}, hidden=hidden, layers=layers)


def _batch(lines: int, columns: int) -> tuple[Padded, Batch]:
    lengths = torch.full((lines,), columns)
    latents = Padded(torch.randn(lines, -(-columns // STRIDE), DIM), (lengths + STRIDE - 1) // STRIDE)
    return latents, Batch(["x"] * lines, Padded(torch.rand(lines, columns, HEIGHT), lengths))


def _drawing(
    part: PixelCNN, latents: Padded, batch: Batch, options: argparse.Namespace
) -> tuple[Callable[[], Any], Callable[[], Any], float]:
    """Return both ways to draw, and by what the seconds of the naive one are multiplied."""
    columns = part._columns(latents, batch.inputs.lengths, {})[:, : options.columns].detach()
    maps = torch.rand(options.lines, options.columns, HEIGHT, 1)

    @torch.no_grad()
    def naive() -> None:
        for pixel in range(options.naive):
            shares = part.pixels(maps, columns)[:, 0, pixel % HEIGHT].softmax(-1)
            maps[:, 0, pixel % HEIGHT] = part._shades(torch.multinomial(shares, 1))

    return (
        lambda: part.sample(latents, batch.inputs.lengths),
        naive,
        options.columns * HEIGHT / options.naive,
    )


def _training(
    part: PixelCNN, latents: Padded, batch: Batch, options: argparse.Namespace
) -> tuple[Callable[[], Any], Callable[[], Any], float]:
    """Return both training steps, and by what the seconds of the plain convolutions are multiplied."""
    del options
    weights = [weight for name, weight in part.pixels.named_parameters() if "condition" not in name]
    own = sum(weight.numel() for weight in weights if weight.dim() in {2, 4})
    hidden = part.context.out_channels
    layers = max(1, round(own / (9 * hidden**2)))
    stack = nn.Sequential(
        *(
            layer
            for _ in range(layers)
            for layer in (nn.Conv2d(hidden, hidden, 3, padding=1, bias=False), nn.ReLU())
        )
    ).to(memory_format=torch.channels_last)
    lines, columns = batch.inputs.values.shape[:2]
    maps = torch.rand(lines, hidden, columns, HEIGHT).to(memory_format=torch.channels_last)

    def step(loss: Callable[[], torch.Tensor], module: nn.Module) -> None:
        module.zero_grad()
        loss().backward()

    return (
        lambda: step(lambda: part(latents, batch)[0], part),
        lambda: step(lambda: stack(maps).mean(), stack),
        own / (9 * hidden**2 * layers),
    )


def _seconds(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
