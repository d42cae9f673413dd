"""XML from strangers: a small tree with line numbers, without entities, document types or anything fetched."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn
from xml.parsers import expat

from unitdisc.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAX_BYTES = 2**25
"""A page of 10,000 outlined letters takes 3 MB."""
_SPACE = " "


@dataclass(slots=True)
class Node:
    """One element.

    Args:
        name: Its name without namespace.
        namespace: Its namespace, empty for none.
        line: Line of the file, from 1.
        attributes: By name without namespace.
        children: Elements in it, in the order of the file.
        text: Text directly in it.
    """

    name: str
    namespace: str
    line: int
    attributes: dict[str, str]
    children: list[Node] = field(default_factory=list)
    text: str = ""

    def all(self, name: str) -> Iterator[Node]:
        """Yield the elements of that name directly in it."""
        return (child for child in self.children if child.name == name)

    def first(self, *path: str) -> Node | None:
        """Return the first element that lies at the end of the path of names."""
        node: Node | None = self
        for name in path:
            node = next(node.all(name), None) if node is not None else None
        return node


def text_lines(page: Node, region_of: Callable[[Node, str], str]) -> Iterator[tuple[Node, str]]:
    """Yield the TextLines in the order of the file, each with the type of the innermost region that has one.

    ``region_of`` returns the type in an element, given that around it.
    """
    waiting = [(page, "")]
    while waiting:
        node, around = waiting.pop()
        if node.name == "TextLine":
            yield node, around
            continue
        region = region_of(node, around)
        waiting.extend((child, region) for child in reversed(node.children))


def parse(path: Path) -> Node:
    """Return the root of an XML file. Raises `DataError` with file and line."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(
                f"{path}: {path.stat().st_size} bytes, at most {MAX_BYTES} are read; give one file per page"
            )
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); put it there") from None
    builder = _Builder(path)
    try:
        # In one piece: expat looks at a long token again with every further piece.
        builder.parser.Parse(content, True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # the last two for unheard-of encodings
        line = getattr(error, "lineno", 1)
        raise DataError(f"{path}:{line}: not XML that is whole ({error}); export the page again") from None
    return builder.root


class _Builder:
    """Builds the tree while expat reads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = Node("", "", 1, {})
        self.open: list[Node] = []
        self.texts: list[list[str]] = []  # joined at the end: a text may come in thousands of pieces
        self.parser = expat.ParserCreate(namespace_separator=_SPACE)
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        # Entities, be they bombs or files from elsewhere, can only be declared in a document type.
        self.parser.StartDoctypeDeclHandler = self._refuse

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(_SPACE)
        plain = {key.rpartition(_SPACE)[2]: value for key, value in attributes.items()}
        node = Node(local, namespace, self.parser.CurrentLineNumber, plain)
        if self.open:
            self.open[-1].children.append(node)
        else:
            self.root = node
        self.open.append(node)
        self.texts.append([])

    def _end(self, name: str) -> None:
        del name
        self.open.pop().text = "".join(self.texts.pop())

    def _text(self, text: str) -> None:
        self.texts[-1].append(text)

    def _refuse(self, *doctype: object) -> NoReturn:
        del doctype
        raise DataError(
            f"{self.path}:{self.parser.CurrentLineNumber}: declares a document type, with which entities come; "
            "PAGE and ALTO need none, take <!DOCTYPE ...> out"
        )
