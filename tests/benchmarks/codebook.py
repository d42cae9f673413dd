"""A codebook's step as a multiple of one matrix product, beside vector-quantize-pytorch.

    python tests/benchmarks/codebook.py [--runs 30] [--shapes 4096,64,512 4096,256,8x128 ...] [--cases ema ...] [--json]

A step is the forward pass with its losses, the backward pass and, for moving averages, the update. The floor is one
float32 product (N, D) by (D, K) into a buffer that is there; of Q codebooks of K codewords, too: as many products of
numbers as theirs, in the shape that is fastest. Every case of every shape has a process of its own, in
which floor and step take turns (floor, step, floor, step, ..., floor); a ratio is a step over the mean of the floors
right before and after it. Memory is the peak of what the step's tensors hold beyond what stands before it. Codes that
are not the nearest, by distances in float64, void a timing. The peer needs ``pip install 'unitdisc[bench]'``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from measurement import alone, arguments, facts, show, spread, text
from torch import Tensor, nn

from unitdisc import plugins
from unitdisc.codebook import nearest, quantize
from unitdisc.parts import Padded

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPES = [
    "4096,64,512",
    "8192,128,4096",
    "8192,64,2048",
    "4096,256,8x128",
    "65536,64,1024",
    "16384,64,16384",
    "16384,64,65536",
]
PEER_BYTES = 8 * 4  # that the peer holds per latent and codeword; more than the machine has is not tried
CASES = {
    "ema": "unitdisc ema",
    "gradient": "unitdisc gradient",
    "quantize": "unitdisc quantize alone",
    "nearest": "unitdisc nearest alone",
    "peer_ema": "vector-quantize-pytorch, moving averages",
    "peer_gradient": "vector-quantize-pytorch, learnable",
}
CHECKED = 2 * 10**9  # numbers subtracted from others, at most, to check codes
BATCH = 16
WARM_UP = 3


@dataclass(frozen=True)
class Case:
    """One rule on given latents; ``step`` returns the codes (N,) that it chose."""

    step: Callable[[], Tensor]
    latents: Tensor
    codebook: Tensor


def main() -> None:
    """Measure, then print."""
    parser = arguments(__doc__, runs=30)
    parser.add_argument("--shapes", nargs="+", type=_shape, default=[_shape(shape) for shape in SHAPES])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    options = parser.parse_args()
    if find_spec("vector_quantize_pytorch") is None:
        options.cases = [case for case in options.cases if not case.startswith("peer")]
        print("vector-quantize-pytorch is not installed and left out", file=sys.stderr)
    measurements = [
        alone(measure, options, shape, case)
        for shape in options.shapes
        for case in options.cases
        if not (case.startswith("peer") and _is_too_large(shape))
    ]
    rows = [
        [
            "N, D, Q x K",
            "case",
            "ratio: median (p10 to p90)",
            "CPU ratio",
            "floor, ms",
            "peak, MB",
            "peak / 4NQK",
        ]
    ]
    rows += [_row(item) for item in measurements]
    show(measurements, rows, as_json=options.json)


def measure(options: argparse.Namespace, shape: tuple[int, int, int, int], name: str) -> dict[str, Any]:
    """Return the measurement of one case; the process should have done nothing else."""
    torch.set_num_threads(options.threads)
    case, floor = _case(name, shape, options.seed), _floor(shape, options.seed)
    wrong = _wrong(case)
    for _ in range(WARM_UP):
        floor()
        case.step()
    peak = _peak_bytes(case.step)
    floors, steps = [_seconds(floor)], []
    for _ in range(options.runs):
        steps.append(_seconds(case.step))
        floors.append(_seconds(floor))
    wall, cpu = (
        [
            2 * step[clock] / (before[clock] + after[clock])
            for step, (before, after) in zip(steps, pairwise(floors), strict=True)
        ]
        for clock in (0, 1)
    )
    return {
        "benchmark": "codebook",
        "case": name,
        "shape": list(shape),
        "ratio": spread(wall),
        "cpu_ratio": spread(cpu),
        "floor_seconds": spread([seconds for seconds, _ in floors]),
        "peak_bytes": peak,
        "wrong_codes": wrong,
        "peer": version("vector-quantize-pytorch") if name.startswith("peer") else None,
        **facts(options),
    }


def _case(name: str, shape: tuple[int, int, int, int], seed: int) -> Case:
    num_latents, dim, books, num_codes = shape
    draw = torch.Generator().manual_seed(seed)
    batch = BATCH if num_latents % BATCH == 0 else 1
    values = torch.randn(batch, num_latents // batch, dim, generator=draw, requires_grad=True)
    codebook = torch.randn(books, num_codes, dim // books, generator=draw)
    from_decoder = torch.randn(values.shape, generator=draw)
    engine = {"quantize": _quantize, "nearest": _nearest}
    build = engine.get(name) or (_peer if name.startswith("peer") else _rule)
    step = build(name, values, codebook, from_decoder)
    return Case(step, values.detach().flatten(0, 1), codebook)


def _quantize(name: str, values: Tensor, codebook: Tensor, from_decoder: Tensor) -> Callable[[], Tensor]:
    """The engine without what rules add: padding, statistics for the log, moving averages."""
    del name
    latents = values.detach().flatten(0, 1).requires_grad_()
    books = codebook.clone().requires_grad_()
    slope = from_decoder.flatten(0, 1)

    def step() -> Tensor:
        found = quantize(latents, books)
        loss = found.codebook_loss + 0.25 * found.commitment_loss
        torch.autograd.backward([found.values, loss], [slope, None])
        latents.grad = books.grad = None
        return found.codes

    return step


def _nearest(name: str, values: Tensor, codebook: Tensor, from_decoder: Tensor) -> Callable[[], Tensor]:
    """The search, and nothing backward."""
    del name, from_decoder
    latents = values.detach().flatten(0, 1)
    return lambda: nearest(latents, codebook)


def _rule(name: str, values: Tensor, codebook: Tensor, from_decoder: Tensor) -> Callable[[], Tensor]:
    rule = plugins.load("bottleneck", name)(
        values.shape[-1], num_codes=codebook.shape[1], num_codebooks=len(codebook)
    )
    rule.codebook.data.copy_(codebook)
    if name == "ema":
        rule.sums.copy_(codebook)  # counts begin at 1
    batch, steps, _ = values.shape
    latents = Padded(values, torch.full((batch,), steps))

    def step() -> Tensor:
        rule.before_step(0.0)
        found = rule(latents)
        torch.autograd.backward([found.values, found.loss], [from_decoder, None])
        with torch.no_grad():
            rule.after_step(0.0)
        rule.zero_grad()
        values.grad = None
        return found.codes.flatten(0, 1)

    return step


def _peer(name: str, values: Tensor, codebook: Tensor, from_decoder: Tensor) -> Callable[[], Tensor]:
    from vector_quantize_pytorch import VectorQuantize

    is_learnable = name == "peer_gradient"
    rule: nn.Module = VectorQuantize(
        values.shape[-1],
        codebook.shape[1],
        codebook_dim=codebook.shape[2],
        heads=len(codebook),
        separate_codebook_per_head=len(codebook) > 1,
        decay=0.99,
        learnable_codebook=is_learnable,
        ema_update=not is_learnable,
        commitment_weight=0.25,
        rotation_trick=False,  # the straight-through gradient, as ours
    )
    inner: Any = rule._codebook
    inner.embed.data.copy_(codebook)
    if not is_learnable:
        inner.embed_avg.copy_(codebook)
        inner.cluster_size.fill_(1)

    def step() -> Tensor:
        found, codes, loss = rule(values)
        torch.autograd.backward([found, loss.sum()], [from_decoder, None])
        rule.zero_grad()
        values.grad = None
        return codes.flatten(0, 1)

    return step


def _floor(shape: tuple[int, int, int, int], seed: int) -> Callable[[], object]:
    num_latents, dim, _, num_codes = shape
    draw = torch.Generator().manual_seed(seed)
    left, right = torch.randn(num_latents, dim, generator=draw), torch.randn(num_codes, dim, generator=draw)
    product = torch.empty(num_latents, num_codes)
    return lambda: torch.mm(left, right.T, out=product)


def _wrong(case: Case) -> float:
    """Return the share of latents whose code is further away than the nearest by more than rounding.

    Of the largest shapes latents in equal steps are checked, so that this takes seconds.
    """
    latents, codebook = case.latents.double(), case.codebook.double()  # before the step moves it
    codes = case.step().view(len(latents), len(codebook))
    step = -(-latents.numel() * codebook.shape[1] // CHECKED)
    latents, codes = latents[::step], codes[::step]
    wrong = torch.zeros(len(latents), dtype=torch.bool)
    for q, (book, block) in enumerate(zip(codebook, latents.chunk(len(codebook), 1), strict=True)):
        for part in torch.arange(len(latents)).split(256):
            distances = torch.cdist(block[part], book, compute_mode="donot_use_mm_for_euclid_dist")
            least = distances.min(1).values
            wrong[part] |= distances.gather(1, codes[part, q : q + 1])[:, 0] > least * (1 + 1e-5)
    return float(wrong.double().mean())


def _seconds(run: Callable[[], object]) -> tuple[float, float]:
    """Return wall and CPU seconds, the latter over all threads of the process."""
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def _peak_bytes(run: Callable[[], object]) -> int:
    """Return the most that the tensors made by ``run`` held at once."""
    cpu = torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[cpu], profile_memory=True, acc_events=True) as profile:
        run()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace.json")
        profile.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    held = peak = 0
    for event in sorted(
        (event for event in events if event["name"] == "[memory]"), key=lambda event: event["ts"]
    ):
        held += event["args"]["Bytes"]
        peak = max(peak, held)
    return peak


def _is_too_large(shape: tuple[int, int, int, int]) -> bool:
    num_latents, _, books, num_codes = shape
    needed, there = (
        PEER_BYTES * num_latents * books * num_codes,
        os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
    )
    if needed > there:
        print(
            f"vector-quantize-pytorch would need about {needed / 1e9:.0f} GB for {shape}: left out",
            file=sys.stderr,
        )
    return needed > there


def _shape(given: str) -> tuple[int, int, int, int]:
    num_latents, dim, codes = given.split(",")
    books, _, num_codes = codes.rpartition("x")
    return int(num_latents), int(dim), int(books or 1), int(num_codes)


def _row(item: dict[str, Any]) -> list[str]:
    num_latents, dim, books, num_codes = item["shape"]
    is_void = item["wrong_codes"] > 0
    return [
        f"{num_latents}, {dim}, {books} x {num_codes}" if books > 1 else f"{num_latents}, {dim}, {num_codes}",
        CASES[item["case"]],
        f"void: {item['wrong_codes']:.2%} wrong codes" if is_void else text(item["ratio"]),
        "" if is_void else text(item["cpu_ratio"]),
        f"{item['floor_seconds']['median'] * 1e3:.1f}",
        f"{item['peak_bytes'] / 1e6:.1f}",
        f"{item['peak_bytes'] / (4 * num_latents * books * num_codes):.2f}",
    ]


if __name__ == "__main__":
    main()
