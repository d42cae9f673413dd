"""One rank of two: reestimates, revives and clusters from its share of micro-batches and writes what it holds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from unitdisc.parts import Bottleneck, Padded
from unitdisc_ema.rule import EMA
from unitdisc_gradient.rule import Gradient
from unitdisc_k_means.rule import KMeans
from unitdisc_reestimate.rule import Reestimate
from unitdisc_revive.rule import Revive

DIM = 6
LENGTHS = [[17, 2, 5], [1], [30, 4], [3, 3]]
"""Sequences of the micro-batches of one step; the first rank takes those at even places."""
STEPS = 6


def rules() -> dict[str, Bottleneck]:
    """Small enough that reservoirs overflow, and with codes that die."""
    torch.manual_seed(0)
    ema = EMA(DIM, num_codes=30, num_codebooks=2, decay=0.9, init="normal")
    gradient = Gradient(DIM, num_codes=9, num_codebooks=3)
    schedule = {"warm_up": 2, "every": 2, "duration": 3, "capacity": 100}
    return {
        "reestimate": Reestimate(DIM, rule=gradient, lloyd=2, reset_reservoir="reestimation", **schedule),
        "revive": Revive(DIM, rule=ema, patience=1, every=1, threshold=0.5),
        "both": Reestimate(DIM, rule=Revive(DIM, rule=EMA(DIM, num_codes=20), patience=2), **schedule),
        "many": Revive(DIM, rule=EMA(DIM, num_codes=200, distance="cosine"), patience=1, every=2),
        "k_means": KMeans(DIM, num_codes=7, num_codebooks=2, collect=3, capacity=64, iterations=3),
    }


def micro_batch(step: int, number: int) -> Padded:
    generator = torch.Generator().manual_seed(100 * step + number)
    lengths = torch.tensor(LENGTHS[number])
    return Padded(torch.randn(len(lengths), int(lengths.max()), DIM, generator=generator) + 5, lengths)


def learn(numbers: list[int]) -> dict[str, Tensor]:
    """Train on these micro-batches of each step and return the state of all rules."""
    found = rules()
    for step in range(STEPS):
        for rule in found.values():
            parts = [part for part in rule.modules() if hasattr(part, "after_step")]
            for part in parts:
                part.before_step(0.0)
            for number in numbers:
                rule(micro_batch(step, number))
            torch.manual_seed(step)  # as the engine: the same on every rank
            for part in parts:
                part.after_step(0.0)
    return {
        f"{kind}.{name}": value for kind, rule in found.items() for name, value in rule.state_dict().items()
    }


def learn_with_two_ranks(folder: Path) -> list[dict[str, Tensor]]:
    """Return what each of two processes holds in the end."""
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__]
    ranks = [subprocess.Popen([*command, str(rank), str(folder)], env=environment) for rank in (0, 1)]
    assert [rank.wait(timeout=100) for rank in ranks] == [0, 0]
    return [load_file(folder / f"{rank}.safetensors") for rank in (0, 1)]


def main(rank: int, folder: Path) -> None:
    rendezvous = f"file://{folder / 'rendezvous'}"
    torch.distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=2)
    save_file(learn(list(range(len(LENGTHS)))[rank::2]), folder / f"{rank}.safetensors")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
