"""The pieces that every section of the page is made of."""

from __future__ import annotations

from html import escape
from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def section(title: str, body: str) -> str:
    """Return a section with its heading, or "" for an empty one."""
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>\n" if body else ""


def table(heads: Sequence[tuple[str, str]], rows: Sequence[str], note: str) -> str:
    """Return a table of ``rows`` (cells without ``<tr>``) below ``heads``: (name, class)."""
    head = "".join(f'<th scope="col" class="{kind}">{escape(name)}</th>' for name, kind in heads)
    return (
        '<div class="scroll"><table>'
        + (f"<caption>{escape(note)}</caption>" if note else "")
        + (f"<thead><tr>{head}</tr></thead>" if head else "")
        + f"<tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody></table></div>"
    )


def bullets(items: Iterable[str]) -> str:
    """Return a list of items, which are HTML."""
    body = "".join(f"<li>{item}</li>" for item in items)
    return f"<ul>{body}</ul>" if body else ""


def number(value: float) -> str:
    """Return ``value`` with four digits."""
    return f"{value:.4g}" if isfinite(value) else "undefined"
