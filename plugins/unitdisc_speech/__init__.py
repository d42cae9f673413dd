"""Speech: recordings as log-mel features, the Deep Speech 2 encoder and a decoder of feature frames."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_data() -> dict[str, str]:
    """Name the data sources of this plugin."""
    return {"speech": "unitdisc_speech.source:Speech"}


@hookimpl
def unitdisc_encoders() -> dict[str, str]:
    """Name the encoders of this plugin."""
    return {"deep_speech": "unitdisc_speech.encoder:DeepSpeech"}


@hookimpl
def unitdisc_decoders() -> dict[str, str]:
    """Name the decoders of this plugin."""
    return {"frames": "unitdisc_speech.decoder:Frames"}
