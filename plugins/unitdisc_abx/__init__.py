"""ABX discriminability of units and of vectors, for phones and characters, within and across speakers or writers."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_metrics() -> dict[str, str]:
    """Name the components of this plugin."""
    return {"abx": "unitdisc_abx.abx:ABX"}
