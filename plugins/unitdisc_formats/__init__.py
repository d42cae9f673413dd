"""Files of unit sequences: JSON lines, fairseq's labels, and CTM."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_exporters() -> dict[str, str]:
    """Name the components of this plugin."""
    return {
        "jsonl": "unitdisc_formats.jsonl:JSONL",
        "km": "unitdisc_formats.km:KM",
        "ctm": "unitdisc_formats.ctm:CTM",
    }
