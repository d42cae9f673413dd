"""Units as fairseq's GSLM and textlesslib read them."""

from __future__ import annotations

from unitdisc_formats.id_lines import IdLines


class GSLM(IdLines):
    """Lines ``id|3 3 17``, ``SPLIT.gslm``: the form of fairseq's GSLM (``quantize_with_kmeans``) and textlesslib.

    Holds one codebook and no times; ids must not hold "|".

    Args:
        deduplicate: Merge equal neighbours into one unit, as unit language models take them. How many they were
            stands in ``SPLIT.gslm.durations``, in the same form, so nothing is lost.
    """

    name = "gslm"
    refused = (r"[|\r\n]", "'|', a line end")
    between = "|"

    def place(self, split: str) -> str:
        """Return the file's name."""
        return f"{split}.gslm"
