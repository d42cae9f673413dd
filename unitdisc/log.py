"""The training log: one JSON object per line, sums over all ranks since the line before."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from unitdisc import distributed
from unitdisc.codebook import perplexity
from unitdisc.storage import append_text, write_text

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class Log:
    """Gathers what the steps saw and writes a line when asked.

    A line averages the steps since the line before; the first one after a resume those since the checkpoint.

    Args:
        path: ``log.jsonl``; lines after step ``after`` (of a killed process) are removed.
        after: Steps done.
        tensorboard: A SummaryWriter or None.
    """

    def __init__(self, path: Path, *, after: int, tensorboard: Any = None) -> None:
        self.path = path
        self.tensorboard = tensorboard
        if distributed.rank() == 0:
            kept = [line for line in _lines(path) if json.loads(line)["step"] <= after]
            write_text(path, "".join(f"{line}\n" for line in kept))
        self.numbers: dict[str, Tensor] = {}
        self.counts: Tensor | None = None
        self.frames = 0
        self.began = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.tensorboard is not None:
            self.tensorboard.close()

    def add(self, numbers: dict[str, Tensor], counts: Tensor | None, frames: int) -> None:
        """Take in one step of this rank: sums over frames, and code counts (Q, K)."""
        self.frames += frames
        for name, value in numbers.items():
            add(self.numbers, name, value)
        if counts is not None:
            self.counts = counts if self.counts is None else self.counts + counts

    def write(self, step: int, facts: dict[str, Any]) -> dict[str, Any]:
        """Write and return the line for ``step``; all ranks call it."""
        names = sorted(self.numbers)
        sums = torch.stack(
            [torch.tensor(float(self.frames)).double(), *(self.numbers[name].cpu() for name in names)]
        )
        frames, *values = _summed(sums).tolist()
        record: dict[str, Any] = {"step": step, **facts}
        record |= {name: value / max(frames, 1) for name, value in zip(names, values, strict=True)}
        if self.counts is not None:
            counts = distributed.all_sum_(self.counts.clone())
            record["perplexity"] = float(perplexity(counts).mean())  # over codebooks
        record["frames_per_second"] = frames / max(time.monotonic() - self.began, 1e-9)
        if distributed.rank() == 0:
            append_text(self.path, json.dumps(record) + "\n")
            if self.tensorboard is not None:
                for name, value in record.items():
                    self.tensorboard.add_scalar(name, value, step)
        self._forget()
        return record

    def _forget(self) -> None:
        self.numbers, self.counts, self.frames = {}, None, 0
        self.began = time.monotonic()


def add(sums: dict[str, Tensor], name: str, value: Tensor) -> None:
    """Add ``value`` to the sum of that name; on its own device, so that nothing waits."""
    sums[name] = sums[name] + value if name in sums else value


def _lines(path: Path) -> list[str]:
    """Return the complete lines; a kill may have cut the last one."""
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8").split("\n")[:-1] if line]


def _summed(sums: Tensor) -> Tensor:
    if distributed.world_size() == 1:
        return sums
    device = torch.device("cuda") if torch.distributed.get_backend() == "nccl" else torch.device("cpu")
    return distributed.all_sum_(sums.to(device)).cpu()
