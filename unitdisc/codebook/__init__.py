"""The mathematics that all rules share: search, quantisation with its gradients, clustering, and usage of codes."""

from __future__ import annotations

from unitdisc.codebook.clustering import Clusters, k_means, kmeans_plus_plus
from unitdisc.codebook.files import read_codebook
from unitdisc.codebook.initial import Init, initial_codebook
from unitdisc.codebook.lookup import flat_rows, lookup
from unitdisc.codebook.moving import MovingCodebook
from unitdisc.codebook.nearest import nearest, search_workspace
from unitdisc.codebook.reservoir import Reservoir
from unitdisc.codebook.rule import CodebookRule, Counts, Distance
from unitdisc.codebook.sampling import (
    draw_uniforms,
    quantize_mean,
    sample_codes,
    samples_at,
    sampling_workspace,
)
from unitdisc.codebook.straight_through import Assignment, Estimator, quantize
from unitdisc.codebook.sums import code_sums
from unitdisc.codebook.usage import batch_stats, code_counts, code_stats, dead_share, perplexity
from unitdisc.codebook.valid import put_back, valid_latents

__all__ = [
    "Assignment",
    "Clusters",
    "CodebookRule",
    "Counts",
    "Distance",
    "Estimator",
    "Init",
    "MovingCodebook",
    "Reservoir",
    "batch_stats",
    "code_counts",
    "code_stats",
    "code_sums",
    "dead_share",
    "draw_uniforms",
    "flat_rows",
    "initial_codebook",
    "k_means",
    "kmeans_plus_plus",
    "lookup",
    "nearest",
    "perplexity",
    "put_back",
    "quantize",
    "quantize_mean",
    "read_codebook",
    "sample_codes",
    "samples_at",
    "sampling_workspace",
    "search_workspace",
    "valid_latents",
]
