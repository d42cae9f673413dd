"""Translation: parallel text in subwords, the autoregressive Transformer with greedy and beam search, BLEU."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_data() -> dict[str, str]:
    """Name the data source of parallel text."""
    return {"parallel": "unitdisc_translation.source:Parallel"}


@hookimpl
def unitdisc_encoders() -> dict[str, str]:
    """Name the encoder that tells nothing."""
    return {"nothing": "unitdisc_translation.encoder:Nothing"}


@hookimpl
def unitdisc_decoders() -> dict[str, str]:
    """Name the decoder that writes word after word."""
    return {"autoregressive": "unitdisc_translation.decoder:Autoregressive"}


@hookimpl
def unitdisc_metrics() -> dict[str, str]:
    """Name the score of translations."""
    return {"bleu": "unitdisc_translation.bleu:BLEU"}
