"""A training rule, a metric and an exporter, as a package of its own."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_bottlenecks() -> dict[str, str]:
    """Name the rule."""
    return {"random_codes": "unitdisc_example.random_codes:RandomCodes"}


@hookimpl
def unitdisc_metrics() -> dict[str, str]:
    """Name the metric."""
    return {"mean_run": "unitdisc_example.mean_run:MeanRun"}


@hookimpl
def unitdisc_exporters() -> dict[str, str]:
    """Name the exporter."""
    return {"tsv": "unitdisc_example.tsv:TSV"}
