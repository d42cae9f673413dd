"""One codebook for several blocks of a latent."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_bottlenecks() -> dict[str, str]:
    """Name the bottleneck of this plugin."""
    return {"shared": "unitdisc_shared.rule:Shared"}
