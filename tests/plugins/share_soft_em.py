"""One rank of two: soft EM learns from its share of micro-batches, seeded by place as the engine does."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from unitdisc.parts import Padded
from unitdisc_soft_em.rule import SoftEM

DIM = 6
LENGTHS = [[17, 2, 5], [1], [30, 4], [3, 3]]
"""Utterances of the micro-batches of one step; the first rank takes those at even places."""
STEPS = 3


def learn(numbers: list[int]) -> dict[str, Tensor]:
    """Train on these micro-batches of each step and return the state."""
    torch.manual_seed(0)
    rule = SoftEM(DIM, num_codes=7, num_codebooks=2, decay=0.9, num_samples=4)
    for step in range(STEPS):
        rule.before_step(0.0)
        for number in numbers:
            torch.manual_seed(100 * step + number)
            lengths = torch.tensor(LENGTHS[number])
            rule(Padded(torch.randn(len(lengths), int(lengths.max()), DIM) + 5, lengths))
        rule.after_step(0.0)
    return rule.state_dict()


def main(rank: int, folder: Path) -> None:
    """Learn as one of two ranks and write the state."""
    rendezvous = f"file://{folder / 'rendezvous'}"
    torch.distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=2)
    save_file(learn(list(range(len(LENGTHS)))[rank::2]), folder / f"{rank}.safetensors")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
