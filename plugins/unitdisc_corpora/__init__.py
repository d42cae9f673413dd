"""Readers of corpora as their owners distribute them."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_readers() -> dict[str, str]:
    """Name the readers of this plugin."""
    return {
        "kaldi": "unitdisc_corpora.kaldi:Kaldi",
        "lhotse": "unitdisc_corpora.manifests:Lhotse",
        "timit": "unitdisc_corpora.timit:TIMIT",
        "librispeech": "unitdisc_corpora.librispeech:LibriSpeech",
        "aligned": "unitdisc_corpora.aligned:Aligned",
    }
