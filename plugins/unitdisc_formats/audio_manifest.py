"""fairseq's manifest of recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitdisc.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from unitdisc.units import Units

_SUFFIXES = (".flac", ".wav", ".ogg")


def manifest(audio: Path, units: Sequence[Units]) -> Iterator[str]:
    """Yield the folder, then "path TAB samples" of each utterance's recording. Raises `DataError`."""
    yield f"{audio.absolute()}\n"
    for item in units:
        path = _found(audio, item.key)
        yield f"{path.relative_to(audio).as_posix()}\t{_num_samples(path)}\n"


def _found(audio: Path, key: str) -> Path:
    for suffix in _SUFFIXES:
        path = audio / f"{key}{suffix}"
        if path.is_file() and "\t" not in key:
            return path
    raise DataError(
        f"{audio}: no recording {key!r}.flac, .wav or .ogg for the manifest; give the folder that holds them all"
    )


def _num_samples(path: Path) -> int:
    import soundfile  # noqa: PLC0415  (labels alone need no audio library)

    try:
        return int(soundfile.info(path).frames)
    except (soundfile.LibsndfileError, OSError) as error:
        raise DataError(f"{path}: cannot be read as a recording ({error})") from None
