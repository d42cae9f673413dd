"""One code for each run of similar latents."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_bottlenecks() -> dict[str, str]:
    """Name the bottleneck of this plugin."""
    return {"segmental": "unitdisc_segmental.rule:Segmental"}
