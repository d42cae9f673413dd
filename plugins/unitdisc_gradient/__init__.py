"""The codebook learned by gradient descent."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_bottlenecks() -> dict[str, str]:
    """Name the bottleneck of this plugin."""
    return {"gradient": "unitdisc_gradient.rule:Gradient"}
