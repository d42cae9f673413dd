"""The continuous baseline: no quantisation."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_bottlenecks() -> dict[str, str]:
    """Name the bottleneck of this plugin."""
    return {"none": "unitdisc_none.rule:Identity"}
