"""What a person sees while training runs: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from rich.progress import Progress, TaskID

_MOST_EVENTS = 20


class Display:
    """Shows steps, loss, perplexity, frames per second and time left.

    Args:
        steps: Number of the last step.
        start: Steps that were done before.
        quiet: Shows nothing (ranks other than 0).
    """

    def __init__(self, *, steps: int, start: int = 0, quiet: bool = False) -> None:
        self.steps = steps
        self.start = start
        self.quiet = quiet
        self.progress: Progress | None = None
        self.task: TaskID | None = None
        self.began = time.monotonic()
        self.told: Counter[str] = Counter()

    def __enter__(self) -> Self:
        if not self.quiet and sys.stdout.isatty():
            self.progress = _progress()
            self.task = self.progress.add_task("training", total=self.steps, completed=self.start, numbers="")
            self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.progress is not None:
            self.progress.stop()

    def step(self, step: int) -> None:
        """Move the bar to ``step``."""
        if self.progress is not None and self.task is not None:
            self.progress.update(self.task, completed=step)

    def numbers(self, record: dict[str, Any]) -> None:
        """Show one record of the log."""
        if self.quiet:
            return
        text = f"loss {record['loss']:.4f}"
        if "perplexity" in record:
            text += f"  perplexity {record['perplexity']:.1f}"
        if "epoch_dead" in record:
            text += f" ({record['epoch_dead']:.0%} of codes dead over the epoch)"
        text += f"  {record['frames_per_second']:,.0f} frames/s"
        scores = {name.removeprefix("score."): record[name] for name in record if name.startswith("score.")}
        text += "".join(f"  {name} {value:.4g}" for name, value in scores.items())
        if self.progress is not None and self.task is not None:
            self.progress.update(self.task, numbers=text)
            return
        step = record["step"]
        left = (time.monotonic() - self.began) / max(1, step - self.start) * (self.steps - step)
        print(f"step {step}/{self.steps}  {text}  {_clock(left)} left", flush=True)

    def event(self, event: Mapping[str, Any]) -> None:
        """Show an event of the log; of those that come again and again the first ones."""
        name = str(event["event"])
        self.told[name] += 1
        if name == "alarm":
            told = f"warning: {event['kind']}: {event['says']}; change {event['change']}"
        else:
            rest = (
                f"{key.replace('_', ' ')} {value:.4g}"
                if isinstance(value, float)
                else f"{key.replace('_', ' ')} {value}"
                for key, value in event.items()
                if key not in {"step", "event"}
            )
            told = ", ".join([name.replace("_", " "), *rest])
        if name == "alarm" or self.told[name] <= _MOST_EVENTS:
            self.say(f"step {event['step']}: {told}")
        if name != "alarm" and self.told[name] == _MOST_EVENTS:
            self.say(f"more of these are in log.jsonl: {name.replace('_', ' ')}")

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self.quiet:
            return
        if self.progress is not None:
            self.progress.console.print(text, highlight=False, markup=False, soft_wrap=True)
        else:
            print(text, flush=True)


def _progress() -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[numbers]}"),
        TimeRemainingColumn(),
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
