"""Lines of a UTF-8 file with their numbers; what cannot be read is a `DataError` naming file and line."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from unitdisc.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def rows(path: Path, content: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (number, columns) of a table separated by tabs; ``content`` says what it should hold."""
    line = 0
    for line, text in lines(path):
        yield line, text.split("\t")
    if line == 0:
        raise DataError(f"{path}: empty; write a header and {content}, separated by tabs")


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (number, text) of lines that are not blank. Only line feeds end a line: JSON may hold U+2028."""
    for line, content in enumerate(read_bytes(path).removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            text = content.decode().removesuffix("\r")
        except UnicodeDecodeError:
            raise DataError(f"{path}:{line}: not UTF-8; save the file as UTF-8") from None
        if text.strip():
            yield line, text


def read_bytes(path: Path) -> bytes:
    """Return what the file holds."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None


def byte_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file without their line feeds; one of them is in memory at once."""
    with opened(path) as file:
        try:
            for line in file:
                yield line.removesuffix(b"\n")
        except OSError as error:
            raise _unreadable(path, error) from None


def opened(path: Path) -> BinaryIO:
    """Return the file, to read."""
    try:
        return path.open("rb")
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path}: cannot be read ({error.strerror}); put it there")
