"""Contrastive prediction: quantised latents explained by what follows them, in place of the inputs."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_decoders() -> dict[str, str]:
    """Name the decoder of this plugin."""
    return {"cpc": "unitdisc_cpc.decoder:CPC"}
