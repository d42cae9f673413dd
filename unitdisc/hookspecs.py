"""The eight hooks. Each returns ``{recipe name: component}``; a component is a class or ``"module:Class"``."""

from __future__ import annotations

from collections.abc import Mapping

import pluggy

Components = Mapping[str, type | str]

hookspec = pluggy.HookspecMarker("unitdisc")
hookimpl = pluggy.HookimplMarker("unitdisc")


@hookspec
def unitdisc_data() -> Components:
    """Data sources (``data: {use: NAME}``), the corpora they can be pointed at (``corpus: {use: NAME}``), vocoders."""
    raise AssertionError


@hookspec
def unitdisc_encoders() -> Components:
    """Encoders: input frames to latents (``encoder: {use: NAME}``)."""
    raise AssertionError


@hookspec
def unitdisc_bottlenecks() -> Components:
    """Bottlenecks: latents to codes (``bottleneck: {use: NAME}``)."""
    raise AssertionError


@hookspec
def unitdisc_decoders() -> Components:
    """Decoders: quantised latents back to the inputs (``decoder: {use: NAME}``)."""
    raise AssertionError


@hookspec
def unitdisc_heads() -> Components:
    """Task heads and probes on the quantised latents (``heads: {ANY: {use: NAME}}``)."""
    raise AssertionError


@hookspec
def unitdisc_metrics() -> Components:
    """Scores of units and predictions (``metrics: {ANY: {use: NAME}}``)."""
    raise AssertionError


@hookspec
def unitdisc_exporters() -> Components:
    """Unit files (``unitdisc export --format NAME``)."""
    raise AssertionError


@hookspec
def unitdisc_readers() -> Components:
    """Readers of corpora as their owners distribute them (``unitdisc data import --from NAME``)."""
    raise AssertionError
