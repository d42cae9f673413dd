"""The codebook as a moving average of its latents."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_bottlenecks() -> dict[str, str]:
    """Name the bottleneck of this plugin."""
    return {"ema": "unitdisc_ema.rule:EMA"}
