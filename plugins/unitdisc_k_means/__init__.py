"""k-means on latents that do not learn: the baseline of discrete units."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_bottlenecks() -> dict[str, str]:
    """Name the bottleneck of this plugin."""
    return {"k_means": "unitdisc_k_means.rule:KMeans"}
