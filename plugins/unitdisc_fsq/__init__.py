"""Finite scalar quantisation."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_bottlenecks() -> dict[str, str]:
    """Name the bottleneck of this plugin."""
    return {"fsq": "unitdisc_fsq.rule:FSQ"}
