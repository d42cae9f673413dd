"""The training log: one JSON object per line, sums over all ranks since the line before."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from unitdisc import distributed
from unitdisc.codebook import code_counts, perplexity
from unitdisc.errors import RecipeError
from unitdisc.storage import append_text, write_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from unitdisc.model import Losses

Event = dict[str, Any]
"""Something that happened after a step: "step", "event" (its name), and flat numbers or text."""


@dataclass
class Taken:
    """What one rank saw in one step; sums, so that they can be added over steps and ranks."""

    frames: int
    is_bad: bool = False
    is_skipped: bool = False
    stop: bool = False
    numbers: dict[str, Tensor] = field(default_factory=dict)
    counts: Tensor | None = None
    events: list[Event] = field(default_factory=list)

    def add(self, losses: Losses, num_codes: int) -> None:
        """Add a micro-batch."""
        named = {"loss": losses.total / max(1, losses.num_frames), **losses.parts, **losses.stats}
        for name, value in named.items():
            add(self.numbers, name, value.detach().double() * losses.num_frames)
        if num_codes:
            counts = code_counts(losses.codes, num_codes)
            self.counts = counts if self.counts is None else self.counts + counts


class Log:
    """Gathers what the steps saw and writes a line when asked.

    A line averages the steps since the line before; the first one after a resume those since the checkpoint.
    Events that no line holds yet are the trainer's to save, so that none is lost or told twice.

    Args:
        path: ``log.jsonl``; lines after step ``after`` (of a killed process) are removed.
        after: Steps done.
        events: Events that happened before the checkpoint and stand in no line.
        tensorboard: A SummaryWriter or None.

    Attributes:
        before: The lines that are kept.
    """

    def __init__(
        self, path: Path, *, after: int, events: Sequence[Event] = (), tensorboard: Any = None
    ) -> None:
        self.path = path
        self.tensorboard = tensorboard
        lines = _lines(path)
        self.before: list[dict[str, Any]] = [
            record for record in map(json.loads, lines) if record["step"] <= after
        ]
        if distributed.rank() == 0:
            write_text(path, "".join(f"{line}\n" for line in lines[: len(self.before)]))
        self.events = list(events)
        self.numbers: dict[str, Tensor] = {}
        self.counts: Tensor | None = None
        self.frames = self.steps = self.skipped = 0
        self.began = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.tensorboard is not None:
            self.tensorboard.close()

    def add(self, taken: Taken) -> None:
        """Take in one step of this rank; of a skipped one nothing but that it was skipped, as on all ranks."""
        self.steps += 1
        self.events += taken.events
        if taken.is_skipped:
            self.skipped += 1
            return
        self.frames += taken.frames
        for name, value in taken.numbers.items():
            add(self.numbers, name, value)
        if taken.counts is not None:
            self.counts = taken.counts if self.counts is None else self.counts + taken.counts

    def line(self, step: int, facts: dict[str, Any]) -> dict[str, Any]:
        """Return what ``write`` is to write for ``step``, the same on all ranks, and start anew; all call it."""
        names = sorted(self.numbers)
        sums = torch.stack(
            [torch.tensor(float(self.frames)).double(), *(self.numbers[name].cpu() for name in names)]
        )
        frames, *values = _summed(sums).tolist()
        record: dict[str, Any] = {"step": step, **facts}
        record["skipped_share"] = self.skipped / max(self.steps, 1)
        record |= {name: value / max(frames, 1) for name, value in zip(names, values, strict=True)}
        if self.counts is not None:
            counts = distributed.all_sum_(self.counts.clone())
            record["perplexity"] = float(perplexity(counts).mean())  # over codebooks
            record["latents"] = int(counts[0].sum())
        record["frames_per_second"] = frames / max(time.monotonic() - self.began, 1e-9)
        if self.events:
            record["events"] = self.events
        self._forget()
        return record

    def write(self, record: dict[str, Any]) -> None:
        """Write a line; the time since ``line`` (of scoring) counts to no speed."""
        self.began = time.monotonic()
        if distributed.rank() != 0:
            return
        append_text(self.path, json.dumps(record) + "\n")
        if self.tensorboard is not None:
            for name, value in record.items():
                if name != "events":
                    self.tensorboard.add_scalar(name, value, record["step"])

    def _forget(self) -> None:
        self.numbers, self.counts, self.events = {}, None, []
        self.frames = self.steps = self.skipped = 0


def add(sums: dict[str, Tensor], name: str, value: Tensor) -> None:
    """Add ``value`` to the sum of that name; on its own device, so that nothing waits."""
    sums[name] = sums[name] + value if name in sums else value


def tensorboard(folder: Path, *, after: int) -> Any:
    """Return a writer into ``folder`` that goes on after a step, None but on rank 0.

    Raises `RecipeError` without the extra.
    """
    if distributed.rank() != 0:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise RecipeError(
            "train.tensorboard: needs the extra: pip install 'unitdisc[tensorboard]', or set it to false"
        ) from error
    return SummaryWriter(str(folder / "tensorboard"), purge_step=after + 1)


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
