"""Improved semantic hashing."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_bottlenecks() -> dict[str, str]:
    """Name the bottleneck of this plugin."""
    return {"semantic_hash": "unitdisc_semantic_hash.rule:SemanticHash"}
