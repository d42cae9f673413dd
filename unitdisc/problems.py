"""Problems of a recipe: each with its place, collected and reported together."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from unitdisc.errors import RecipeError


@dataclass(frozen=True, order=True)
class Place:
    """Where a key or value was written.

    Args:
        source: Path of the file as a reader would type it, or "command line".
        line: From 1; 0 on the command line.
        column: From 1; 0 on the command line.
        folder: What relative paths written here are relative to.
    """

    source: str
    line: int = 0
    column: int = 0
    folder: Path = field(default=Path(), compare=False)

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


COMMAND_LINE = Place("command line")


class Problems:
    """What is wrong with a recipe, one line per problem."""

    def __init__(self) -> None:
        self._found: list[tuple[Place, str]] = []

    def add(self, place: Place, text: str) -> None:
        """Remember a problem and go on reading."""
        self._found.append((place, text))

    def stop(self, place: Place, text: str) -> NoReturn:
        """Report a problem behind which nothing can be read, with all that were found before."""
        self.add(place, text)
        raise self.error()

    def check(self) -> None:
        """Raise `RecipeError` if there are problems."""
        if self._found:
            raise self.error()

    def error(self) -> RecipeError:
        """Return all problems as one error, sorted by file and line."""
        lines = (f"{place}: {text}" for place, text in sorted(self._found))
        return RecipeError("\n".join(dict.fromkeys(lines)))


def shown(text: str) -> str:
    """Return a key as it can stand in a message of one line."""
    if text.isprintable() and 0 < len(text) <= 60:
        return text
    return quoted(text)


def quoted(text: str) -> str:
    """Return text in quotes, on one line, shortened when it is long."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
