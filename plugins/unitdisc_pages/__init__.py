"""Scanned pages with their descriptions, PAGE and ALTO, cut into straightened text lines."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_readers() -> dict[str, str]:
    """Name the readers of page descriptions."""
    return {"page": "unitdisc_pages.reader:PAGE", "alto": "unitdisc_pages.reader:ALTO"}
