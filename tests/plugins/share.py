"""One rank of two: learns EMA and batch statistics from its share of utterances and writes what it holds."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from unitdisc.layers.batch_norm import MaskedBatchNorm
from unitdisc.parts import Padded
from unitdisc_ema.rule import EMA

DIM = 6
LENGTHS = [[17, 2, 5], [1], [30, 4], [3, 3]]
"""Utterances of the micro-batches of one step; the first rank takes those at even places."""
STEPS = 3


def micro_batch(step: int, number: int) -> Padded:
    generator = torch.Generator().manual_seed(100 * step + number)
    lengths = torch.tensor(LENGTHS[number])
    return Padded(torch.randn(len(lengths), int(lengths.max()), DIM, generator=generator) + 5, lengths)


def learn(numbers: list[int]) -> dict[str, Tensor]:
    """Train on these micro-batches of each step and return the state."""
    torch.manual_seed(0)
    norm = MaskedBatchNorm(DIM)
    rule = EMA(DIM, num_codes=7, num_codebooks=2, decay=0.9)
    for step in range(STEPS):
        for part in (norm, rule):
            part.before_step(0.0)
        for number in numbers:
            batch = micro_batch(step, number)
            rule(Padded(norm(batch.values, batch.mask), batch.lengths))
        for part in (norm, rule):
            part.after_step(0.0)
    return {**rule.state_dict(), **{f"norm.{name}": value for name, value in norm.state_dict().items()}}


def main(rank: int, folder: Path) -> None:
    rendezvous = f"file://{folder / 'rendezvous'}"
    torch.distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=2)
    save_file(learn(list(range(len(LENGTHS)))[rank::2]), folder / f"{rank}.safetensors")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
