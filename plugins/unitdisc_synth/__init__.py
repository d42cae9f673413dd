"""Corpora with exactly known units, made on the spot: synthetic speech, lines of real handwritten digits."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_data() -> dict[str, str]:
    """Name the corpora of this plugin."""
    return {
        "synth_speech": "unitdisc_synth.speech:SynthSpeech",
        "digit_lines": "unitdisc_synth.digits:DigitLines",
    }
