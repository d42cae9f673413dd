"""Phones as corpora write them, in one form."""

from __future__ import annotations

import functools
import re

_POSITION = re.compile(r"(?<=.)_[BIES]$")
_STRESS = re.compile(r"(?<=^[A-Za-z]{2})[0-2]$")


@functools.cache  # few phones, said often
def plain(phone: str) -> str:
    """Return a phone in lower case without word position (``_B``) and stress: ``AH0_B`` is ``ah``."""
    return _STRESS.sub("", _POSITION.sub("", phone)).lower()
