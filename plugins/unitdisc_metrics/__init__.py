"""Scores of units (how many, how often, where, whose), predictions (error rate, accuracy) and likelihoods."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_metrics() -> dict[str, str]:
    """Name the components of this plugin."""
    return {
        "perplexity": "unitdisc_metrics.perplexity:Perplexity",
        "usage": "unitdisc_metrics.usage:Usage",
        "nmi": "unitdisc_metrics.nmi:NMI",
        "pnmi": "unitdisc_metrics.pnmi:PNMI",
        "ami": "unitdisc_metrics.ami:AMI",
        "ari": "unitdisc_metrics.ari:ARI",
        "v_measure": "unitdisc_metrics.v_measure:VMeasure",
        "purity": "unitdisc_metrics.purity:Purity",
        "unit_accuracy": "unitdisc_metrics.unit_accuracy:UnitAccuracy",
        "mapped_per": "unitdisc_metrics.mapped_per:MappedPER",
        "tokens": "unitdisc_metrics.tokens:Tokens",
        "term_discovery": "unitdisc_metrics.term_discovery:TermDiscovery",
        "per": "unitdisc_metrics.per:PER",
        "frame_accuracy": "unitdisc_metrics.frame_accuracy:FrameAccuracy",
        "boundaries": "unitdisc_metrics.boundaries:Boundaries",
        "bitrate": "unitdisc_metrics.bitrate:Bitrate",
        "bpd": "unitdisc_metrics.bpd:BPD",
        "nelbo": "unitdisc_metrics.nelbo:NELBO",
        "speaker_probe": "unitdisc_metrics.speaker_probe:SpeakerProbe",
    }
