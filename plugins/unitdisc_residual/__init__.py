"""A stack of codebooks, each for what the ones before leave over."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_bottlenecks() -> dict[str, str]:
    """Name the bottleneck of this plugin."""
    return {"residual": "unitdisc_residual.rule:Residual"}
