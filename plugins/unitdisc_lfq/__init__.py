"""Lookup-free quantisation."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_bottlenecks() -> dict[str, str]:
    """Name the bottleneck of this plugin."""
    return {"lfq": "unitdisc_lfq.rule:LFQ"}
