"""Who wrote which folder of ScribbleLens, and when: the distribution's table of scribes."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

_PAGES = re.compile(r"(.*?)[\[(](.*)[\])]")
_NUMBER = r"\d{1,4}"  # longer ones are nobody's pages
_FOLIOS = re.compile(rf"({_NUMBER})\.({_NUMBER})-({_NUMBER})\.({_NUMBER})")
_LEADING = ("nl", "unsupervised")
_COLUMNS = 3


@dataclass(frozen=True)
class Scribe:
    """One hand.

    Args:
        name: Of the hand; where several share the name of a collection, its number is added.
        number: In the table, "" for a hand that is not there.
        year: Of writing, "" where the table has none.
        pages: Which folders of the collection are by this hand, such as "17[2346]"; None for all.
    """

    name: str
    number: str = ""
    year: str = ""
    pages: str | None = None

    def fields(self) -> dict[str, str]:
        """Return what is known; "document" is the name."""
        known = {"document": self.name, "scribe_id": self.number, "year": self.year}
        return {name: value for name, value in known.items() if value}


class Scribes:
    """The hands of all collections.

    Args:
        table: Text of ``nl.writers.scribes.v2.txt``: name, number, folder, year and more, between white
            space. Rows of another form are headings. "" for a distribution without it.
    """

    def __init__(self, table: str = "") -> None:
        rows = [row for line in table.splitlines() if (row := _row(line))]
        numbers = defaultdict(set)
        for name, number, *_ in rows:
            numbers[name].add(number)
        self._hands: dict[str, list[Scribe]] = defaultdict(list)
        for name, number, (collection, *pages), year in rows:
            shown = name if len(numbers[name]) == 1 else f"{name}.{number}"
            self._hands[collection].append(Scribe(shown, number, year, pages[0] if pages else None))

    def of(self, folders: tuple[str, ...]) -> Scribe:
        """Return the hand of an image in ``folders``, which may begin with nl and unsupervised."""
        collection, *rest = [name for name in folders if name not in _LEADING] or ["unknown"]
        for hand in self._hands.get(collection, ()):
            if hand.pages is None or (rest and covers(hand.pages, rest[0])):
                return hand
        return Scribe(collection)


def covers(pattern: str, page: str) -> bool:
    """Whether a folder is among those that the table means.

    "17[2346]" are 172, 173, 174 and 176; "(3-14)" are 3 to 14; "3.[356-11]" are 3.3, 3.5 and 3.6 to 3.11;
    "37.[8,11]" are 37.8 and 37.11; "[6.0-25.0]" are the folios 6.0 to 25.0, with all between.
    """
    parts = _PAGES.fullmatch(pattern)
    if parts is None:
        return page == pattern
    prefix, body = parts.groups()
    if folios := _FOLIOS.fullmatch(body):
        first, first_side, last, last_side = map(int, folios.groups())
        here = tuple(int(part) for part in page.split(".") if re.fullmatch(_NUMBER, part))
        return (first, first_side) <= here <= (last, last_side)
    return page.startswith(prefix) and page[len(prefix) :] in _alternatives(body)


def _alternatives(body: str) -> set[str]:
    if "," in body:
        return set(body.split(","))
    singles, _, last = body.partition("-")
    if not re.fullmatch(_NUMBER, last) or not singles.isdecimal():
        return set(singles)
    steps = range(int(singles[-1]), int(last) + 1)
    return {*singles[:-1], *map(str, steps)}


def _row(line: str) -> tuple[str, str, list[str], str] | None:
    """Return name, number, folders below nl, and year of a row that has them."""
    columns = line.partition("#")[0].split()
    if len(columns) < _COLUMNS:
        return None
    name, number, folder, *more = columns
    _, marker, below = folder.partition("nl/")
    if not number.isdecimal() or not marker:
        return None
    if "/" in name:  # the collection and the pages stand in the name
        below = name
    folders = [part for part in below.split("/") if part and part not in _LEADING]
    year = more[0] if more and re.fullmatch(r"\d{4}", more[0]) else ""
    return (name, number, folders, year) if folders else None
