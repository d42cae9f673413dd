"""Reader of ScribbleLens, Dutch handwriting of the 16th to 18th century (OpenSLR 84)."""

from __future__ import annotations

from unitdisc import hookimpl


@hookimpl
def unitdisc_readers() -> dict[str, str]:
    """Name the reader of this plugin."""
    return {"scribblelens": "unitdisc_scribblelens.reader:ScribbleLens"}
