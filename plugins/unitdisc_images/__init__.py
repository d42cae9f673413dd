"""Units of small pictures: CIFAR, SVHN and arrays, a convolutional encoder, a likelihood over colour levels."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_data() -> dict[str, str]:
    """Name the data source of pictures."""
    return {"images": "unitdisc_images.source:Images"}


@hookimpl
def unitdisc_encoders() -> dict[str, str]:
    """Name the encoder of pictures."""
    return {"residual_conv": "unitdisc_images.encoder:ResidualConv"}


@hookimpl
def unitdisc_decoders() -> dict[str, str]:
    """Name the decoder into colour levels."""
    return {"deconv_levels": "unitdisc_images.decoder:DeconvLevels"}
