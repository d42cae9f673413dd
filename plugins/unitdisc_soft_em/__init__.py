"""Soft expectation maximisation with Monte-Carlo samples."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_bottlenecks() -> dict[str, str]:
    """Name the bottleneck of this plugin."""
    return {"soft_em": "unitdisc_soft_em.rule:SoftEM"}
