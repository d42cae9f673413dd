"""A codebook from a file, which nothing moves."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_bottlenecks() -> dict[str, str]:
    """Name the bottleneck of this plugin."""
    return {"frozen": "unitdisc_frozen.rule:Frozen"}
