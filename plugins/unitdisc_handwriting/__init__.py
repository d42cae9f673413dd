"""Units of handwriting: line images with writers and labels, an encoder, a likelihood over grey levels."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_data() -> dict[str, str]:
    """Name the data source of line images."""
    return {"lines": "unitdisc_handwriting.source:Lines"}


@hookimpl
def unitdisc_encoders() -> dict[str, str]:
    """Name the encoder of line images."""
    return {"line_conv": "unitdisc_handwriting.encoder:LineConv"}


@hookimpl
def unitdisc_decoders() -> dict[str, str]:
    """Name the decoders into grey levels."""
    return {
        "grey_levels": "unitdisc_handwriting.decoder:GreyLevels",
        "pixel_cnn": "unitdisc_handwriting.pixel_cnn:PixelCNN",
    }
