"""Gumbel-softmax over codes."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_bottlenecks() -> dict[str, str]:
    """Name the bottleneck of this plugin."""
    return {"gumbel": "unitdisc_gumbel.rule:Gumbel"}
