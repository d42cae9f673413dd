"""Distributions over the codes, learned beside the model: honest code lengths, and codes to draw."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_heads() -> dict[str, str]:
    """Name the components of this plugin."""
    return {
        "code_lstm": "unitdisc_prior.code_lstm:CodeLSTM",
        "code_pixel_cnn": "unitdisc_prior.code_pixel_cnn:CodePixelCNN",
    }
