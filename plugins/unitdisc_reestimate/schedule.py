"""When a codebook is reestimated."""

from __future__ import annotations


def due_steps(*, warm_up: int, every: int, duration: int, expansion: float = 1.0) -> tuple[int, ...]:
    """Return the steps after which a codebook is reestimated (paper A, Algorithm 1), counted from 1.

    Args:
        warm_up: The first of them (M_init); 0 is before the first step, so that the second is the first.
        every: Steps from the first to the second (r_reestim).
        duration: All of them are less than ``warm_up + duration`` (M_reestim).
        expansion: Each interval over the one before; intervals are rounded to whole steps.
    """
    found, step, interval = [], warm_up, float(every)
    while step < warm_up + duration:
        if step > 0:
            found.append(step)
        step += round(interval)
        interval *= expansion
    return tuple(found)


def shown(steps: tuple[int, ...], *, most: int = 8) -> str:
    """Return steps as text, the middle left out where there are many: "500, 1000, 1500, ..., 9000 (18 times)"."""
    if len(steps) <= most:
        return ", ".join(map(str, steps))
    first = ", ".join(map(str, steps[:3]))
    return f"{first}, ..., {steps[-1]} ({len(steps)} times)"
