"""What people call the examples of a data source, in hints and on the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from unitdisc.data import FeatureSpec


@dataclass(frozen=True)
class Kind:
    """Words for the examples of a data source.

    Args:
        name: What they are.
        one: One of them.
        many: Several of them.
        signal: The arguments of `Run.encode` for one.
        own: How to bring one's own.
    """

    name: Literal["sound", "line", "picture", "tokens"]
    one: str
    many: str
    signal: str
    own: str


_IMPORT = "unitdisc data import --help"
_SOUND = Kind("sound", "recording", "recordings", "waveform, rate", f"your own recordings: {_IMPORT}")
_LINE = Kind("line", "line image", "lines", "image", f"your own line images: {_IMPORT}")
_PICTURE = Kind("picture", "picture", "pictures", "image", "your own pictures: data.root=FILE.npz")
_TOKENS = Kind("tokens", "sentence", "sentences", "sentence", "your own sentences: data.root=FOLDER")


def kind_of(features: FeatureSpec) -> Kind:
    """Return the words for examples of these features."""
    if features.grid is not None:
        return _PICTURE
    if features.vocab_size is not None:
        return _TOKENS
    return _SOUND if features.unit_of_time == "second" else _LINE
