"""Words and punctuation marks of a sentence, by the rules of the Moses tokeniser."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Literal

Language = Literal["de", "en", "fr"]

_LETTER = r"[^\W\d_]"
_MARK = re.compile(r"([^\w\s.'`,-]|_)")
_DOTS = re.compile(r"(\.{2,})")
_COMMA = re.compile(r"(?<!\d),|,(?!\d)")
_APOSTROPHE = re.compile(rf"((?<={_LETTER})'(?={_LETTER})|(?<=\d)'(?=s\b))|'")
_INSIDE = {"de": " ' ", "en": " '", "fr": "' "}
"""What becomes of an apostrophe inside a word: apart, with what follows (it 's), with what goes before (l' eau)."""
_ABBREVIATIONS = {
    "de": "Abb Abs Art Bd Co Dipl Dr Fa Fr Hr Ing Jh Jr Mio Mr Mrd Mrs Ms Nr Prof Red Sr St Std Str Tel Tsd Univ Vgl "
    "Vol allg bspw bzgl bzw ca etc evtl geb gest ggf inkl max min mind sog tgl usf usw vgl vs zit zzgl",
    "en": "Capt Co Col Corp Dr Gen Gov Inc Jr Ltd Mr Mrs Ms Prof Rev Sen Sgt Sr St etc vs",
    "fr": "Dr Mgr Mlle Mme Mmes MM Me Ste St art av boul cf chap env etc ex fig max min vol vs",
}
_ASCII = {
    **{0xFF01 + place: chr(0x21 + place) for place in range(94)},  # full-width forms
    **dict.fromkeys(map(ord, "\u201c\u201d\u300a\u300b\u300c\u300d"), '"'),
    0x2019: "'", 0x3001: ",", 0x3002: ". ", 0x2236: ":", 0x2026: "...", 0x2501: "-",
    0x3008: "<", 0x3009: ">", 0x3010: "[", 0x3011: "]",
}  # fmt: skip
"""Of quotation marks, the apostrophe, Chinese commas and full stops, the ratio, dots, a bar, and brackets."""


def words(text: str, language: Language) -> list[str]:
    """Return the words and marks of a sentence.

    Every mark stands for itself, but hyphens in words stay, and so do commas and full stops in numbers. A full stop
    goes from its word at the end of the sentence, and elsewhere unless the word is an abbreviation, a single capital
    or a German number, or holds another full stop, or a small letter follows. Quotation marks, dots and full-width
    forms of unicode become those of ASCII first.
    """
    text = "".join(letter for letter in " ".join(text.translate(_ASCII).split()) if letter >= " ")
    text = _COMMA.sub(" , ", _DOTS.sub(r" \1 ", _MARK.sub(r" \1 ", text)))
    found = _APOSTROPHE.sub(lambda match: _INSIDE[language] if match[1] else " ' ", text).split()
    return [
        piece
        for word, following in pairwise([*found, ""])
        for piece in ([word[:-1], "."] if _ends(word, following, language) else [word])
    ]


def _ends(word: str, following: str, language: Language) -> bool:
    """Whether the full stop behind a word, of which "" or ``following`` is the next, goes from it."""
    stem = word[:-1]
    if not word.endswith(".") or not stem.strip("."):
        return False
    if not following:
        return True
    is_short = ("." in stem and any(letter.isalpha() for letter in stem)) or (
        len(stem) == 1 and stem.isupper()
    )
    is_number = language == "de" and stem.isdecimal() and len(stem) < 3  # such as the 24. of a month
    return not (is_short or is_number or stem in _ABBREVIATIONS[language].split() or following[0].islower())
