"""The mathematics that all rules share: search, quantisation with its gradients, and usage of codes."""

from __future__ import annotations

from unitdisc.codebook.initial import Init, initial_codebook
from unitdisc.codebook.lookup import flat_rows, lookup
from unitdisc.codebook.nearest import nearest, search_workspace
from unitdisc.codebook.straight_through import Assignment, quantize
from unitdisc.codebook.usage import batch_stats, code_counts, dead_share, perplexity
from unitdisc.codebook.valid import put_back, valid_latents

__all__ = [
    "Assignment",
    "Init",
    "batch_stats",
    "code_counts",
    "dead_share",
    "flat_rows",
    "initial_codebook",
    "lookup",
    "nearest",
    "perplexity",
    "put_back",
    "quantize",
    "search_workspace",
    "valid_latents",
]
