"""Heads on the quantised latents: CTC on transcripts, labels of single frames, labels that units met."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_heads() -> dict[str, str]:
    """Name the components of this plugin."""
    return {
        "ctc": "unitdisc_heads.ctc:CTC",
        "framewise": "unitdisc_heads.framewise:Framewise",
        "mapping": "unitdisc_heads.mapping:Mapping",
    }
