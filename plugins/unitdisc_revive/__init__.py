"""New codewords in the place of codes that nothing chooses any more."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_bottlenecks() -> dict[str, str]:
    """Name the bottleneck of this plugin."""
    return {"revive": "unitdisc_revive.rule:Revive"}
