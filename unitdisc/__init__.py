"""Discover discrete units in speech and handwriting with vector-quantised bottlenecks.

``unitdisc.load("runs/x")`` opens a trained run; importing the package imports neither torch nor any plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unitdisc.hookspecs import hookimpl

if TYPE_CHECKING:
    from unitdisc.run import Run, load

__all__ = ["Run", "__version__", "hookimpl", "load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in {"Run", "load"}:
        from unitdisc import run  # noqa: PLC0415  (torch is imported only when a run is opened)

        return getattr(run, name)
    message = f"module 'unitdisc' has no attribute {name!r}"
    raise AttributeError(message)
