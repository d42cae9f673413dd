"""What a part tells of work under way to those who measure it."""

from __future__ import annotations


class Watch:
    """Is told what is done and how much of it; this one takes no notice."""

    def done(self, work: str) -> None:
        """Take note that ``work``, everything since the last call, is done."""

    def count(self, what: str, number: int, of: int) -> None:
        """Take note that ``number`` of so many were needed."""


UNWATCHED = Watch()
