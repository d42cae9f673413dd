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
    return {
        "nothing": "unitdisc_translation.encoder:Nothing",
        "compress": "unitdisc_translation.compress:Compress",
    }


@hookimpl
def unitdisc_decoders() -> dict[str, str]:
    """Name the decoders that write word after word, and all words at once."""
    return {
        "autoregressive": "unitdisc_translation.decoder:Autoregressive",
        "latent_transformer": "unitdisc_translation.latent_transformer:LatentTransformer",
        "nat": "unitdisc_translation.nat:NonAutoregressive",
    }


@hookimpl
def unitdisc_metrics() -> dict[str, str]:
    """Name the scores of translations."""
    return {
        "bleu": "unitdisc_translation.bleu:BLEU",
        "bleu_compound_split": "unitdisc_translation.compound_bleu:CompoundSplitBLEU",
    }
