"""Periodic reestimation of any codebook from a reservoir of its latents."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_bottlenecks() -> dict[str, str]:
    """Name the bottleneck of this plugin."""
    return {"reestimate": "unitdisc_reestimate.rule:Reestimate"}
