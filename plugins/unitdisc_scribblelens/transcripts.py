"""The five modes in which transcripts of ScribbleLens are used."""

from __future__ import annotations

BLANK = "*"
"""Stands for what is between characters; CTC's blank in the recipes of paper A."""
_LEFT_OUT = str.maketrans("", "", ".'")


def in_mode(transcript: str, mode: int) -> str:
    """Return a transcript in one of the modes; full stops and apostrophes are left out in all.

    Modes 1 to 3 leave out the spaces, 4 and 5 keep them. 3 and 5 have nothing but characters; 1 and 4 have a
    blank at both ends; 2 has one at both ends and between all characters.
    """
    text = transcript.translate(_LEFT_OUT)
    if mode <= 3:
        text = text.replace(" ", "")
    if mode == 2:
        text = BLANK.join(text)
    return text if mode in (3, 5) else f"{BLANK}{text}{BLANK}"
