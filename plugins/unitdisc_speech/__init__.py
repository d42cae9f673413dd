"""Speech: recordings as frames of features, encoders of them and a decoder of feature frames."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_data() -> dict[str, str]:
    """Name the data sources of this plugin and the vocoder of the first."""
    return {
        "speech": "unitdisc_speech.source:Speech",
        "griffin_lim": "unitdisc_speech.griffin_lim:GriffinLim",
    }


@hookimpl
def unitdisc_encoders() -> dict[str, str]:
    """Name the encoders of this plugin."""
    return {
        "deep_speech": "unitdisc_speech.encoder:DeepSpeech",
        "convolutions": "unitdisc_speech.convolutions:Convolutions",
        "identity": "unitdisc_speech.identity:Identity",
        "hubert": "unitdisc_speech.hubert:HuBERT",
    }


@hookimpl
def unitdisc_decoders() -> dict[str, str]:
    """Name the decoders of this plugin."""
    return {"frames": "unitdisc_speech.decoder:Frames"}
