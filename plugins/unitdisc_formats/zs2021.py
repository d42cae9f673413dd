"""Units as the language models of ZeroSpeech 2021 read them."""

from __future__ import annotations

import re

from unitdisc.errors import DataError
from unitdisc_formats.id_lines import IdLines

_CODES = re.compile(r"(\d{1,9}(,\d{1,9})*)?", flags=re.ASCII)


class ZS2021(IdLines):
    """Lines ``id TAB 3,3,17``, ``quantized_outputs-SPLIT.txt``: the form of the ZeroSpeech 2021 baselines.

    Holds one codebook and no times.

    Args:
        deduplicate: Merge equal neighbours into one unit. How many they were stands in
            ``quantized_outputs-SPLIT.txt.durations`` (``id TAB 2 1``), so nothing is lost.
    """

    name = "zs2021"
    refused = (r"[\t\r\n]", "a tab, a line end")
    between = "\t"
    joint = ","

    def place(self, split: str) -> str:
        """Return the file's name."""
        return f"quantized_outputs-{split}.txt"

    def parsed(self, text: str, where: str) -> list[int]:
        """Return the codes of a line."""
        if not _CODES.fullmatch(text):
            raise DataError(f"{where}: expected codes such as 3,3,17, found {text[:60]!r}")
        return [int(code) for code in text.split(",") if code]
