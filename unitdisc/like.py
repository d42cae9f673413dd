"""The scores that other systems report, each by that system's own definition.

``unitdisc evaluate --like NAME`` computes them. A row is a metric with its arguments; ``target`` and ``item_file``,
which depend on the labels at hand, are added there. Values stay shares where a system prints percent. Tolerances are
in seconds, for speech.

Shown by running the system itself on the same unit files (``tests/benchmarks/oracles.py``), to 1e-6: all rows of
discophon, those of ABX where nothing is drawn at random. Shown by the library that the system itself calls, on random
cases (``tests/plugins``): NMI, AMI and ARI of distsup and V-measure of vqwordseg are scikit-learn's, one-to-one
accuracies scipy's assignment. All else follows the text of the definition, or what is known of the released code, and
is checked against plain loops: that we read it rightly is not shown for beer, zrc2019, fairseq, and for boundaries,
purity and tokens of distsup and vqwordseg.
"""

from __future__ import annotations

from typing import Any

LIKE: dict[str, dict[str, dict[str, Any]]] = {
    # Benchmark for phoneme discovery (Poli et al. 2026): units become phonemes by a many-to-one map, or one-to-one for
    # systems with one unit more than there are phonemes; then they are compared as sequences and as boundaries, micro
    # averages with windows of 20 ms. ABX takes all tokens and of the speakers of X five, by draws that differ from run
    # to run; an item file says whether tokens are triphones, whose rows "any context" mean nothing, or phonemes, as
    # labels do.
    "discophon": {
        "PNMI": {"use": "pnmi"},
        "PER": {"use": "mapped_per", "ties": "frequent"},
        "PER one-to-one": {"use": "mapped_per", "map": "one-to-one", "ties": "frequent"},
        "boundary F1, R-value": {
            "use": "boundaries",
            "units": "mapped",
            "ties": "frequent",
            "matching": "window",
            "tolerance": 0.02,
            "average": "corpus",
            "ends": "drop-both",
        },
        "boundary F1, R-value one-to-one": {
            "use": "boundaries",
            "units": "mapped-one-to-one",
            "ties": "frequent",
            "matching": "window",
            "tolerance": 0.02,
            "average": "corpus",
            "ends": "drop-both",
        },
        "ABX within speaker": {"use": "abx", "on": "units", "speaker": "within", "max_size_group": None},
        "ABX across speakers": {"use": "abx", "on": "units", "speaker": "across", "max_size_group": None},
        "ABX within speaker, any context": {
            "use": "abx",
            "on": "units",
            "speaker": "within",
            "context": "any",
            "max_size_group": None,
        },
        "ABX across speakers, any context": {
            "use": "abx",
            "on": "units",
            "speaker": "across",
            "context": "any",
            "max_size_group": None,
        },
    },
    # Chorowski et al. 2019 and Lancucki et al. 2020, released code: scores of the token stream on frames; boundaries
    # within one feature frame (10 ms), by maximum bipartite matching, as means over utterances.
    "distsup": {
        "boundary F1": {
            "use": "boundaries",
            "matching": "one-to-one",
            "tolerance": 0.01,
            "average": "utterance",
            "ends": "drop-both",
        },
        "AMI": {"use": "ami", "mean": "arithmetic"},
        "NMI": {"use": "nmi", "mean": "arithmetic"},
        "ARI": {"use": "ari"},
        "many-to-one accuracy": {"use": "unit_accuracy", "map": "many-to-one"},
        "one-to-one accuracy": {"use": "unit_accuracy", "map": "one-to-one"},
        "perplexity": {"use": "perplexity"},
        "used tokens": {"use": "usage"},
    },
    # Acoustic unit discovery (Ondel et al.): NMI = 200 I / (H(X) + H(Y)) in percent; boundaries within two frames, each
    # on its nearest free reference; equivalent PER of units mapped to the phone that they overlap most.
    "beer": {
        "NMI": {"use": "nmi", "mean": "arithmetic"},
        "NMI, older": {"use": "nmi", "mean": "units"},
        "boundary F1": {
            "use": "boundaries",
            "matching": "nearest",
            "tolerance": 0.02,
            "average": "corpus",
            "ends": "drop-both",
        },
        "equivalent PER": {"use": "mapped_per"},
    },
    # Kamper and van Niekerk 2021: segments count once, whatever their length; boundaries and tokens within two frames,
    # the last boundary of an utterance left out. Its search in order finds as many pairs as the largest matching.
    "vqwordseg": {
        "segment purity": {"use": "purity", "over": "segments"},
        "V-measure": {"use": "v_measure", "over": "segments"},
        "one-to-one accuracy": {"use": "unit_accuracy", "map": "one-to-one"},
        "boundary F1, OS, R-value": {
            "use": "boundaries",
            "matching": "one-to-one",
            "tolerance": 0.02,
            "average": "corpus",
            "ends": "drop-last",
        },
        "token F1": {"use": "tokens", "tolerance": 0.02},
    },
    # Zero Resource Challenges 2019 and 2020 (Dunbar et al.): bits per second of all symbols of the recordings, and ABX
    # across speakers of tokens with the same neighbours (theirs are triphones of an item file). The angle between
    # one-hot frames, 0 or 1/2, orders pairs as "identical" does.
    "zrc2019": {
        "bitrate": {"use": "bitrate", "count": "fixed"},
        "ABX across speakers": {
            "use": "abx",
            "on": "units",
            "distance": "identical",
            "speaker": "across",
            "context": "within",
            "slicing": "standard",
        },
    },
    # HuBERT (Hsu et al. 2021), examples/hubert/measure_teacher_quality.py: frames; "value" is its ref pur,
    # "cluster_purity" its hyp pur.
    "fairseq": {
        "phone and cluster purity": {"use": "purity", "over": "frames"},
        "PNMI": {"use": "pnmi", "over": "frames"},
    },
}
"""System, row, and the metric with its arguments."""
