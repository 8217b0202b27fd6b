"""Split a Markdown document into passages: a paragraph, a numbered list, an item of another list, a table.

A list that follows words ending in a colon stays with them. HTML is left out, marks of emphasis and links, too. It
reads no files.

Source: CommonMark with tables, as read by markdown-it-py.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from markdown_it import MarkdownIt
from markdown_it.token import Token

__all__ = ["Passage", "split_document"]


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document that can be read by itself. source: path below the folder.

    heading: of its section, else of the document. text: a line for each paragraph, item or row; items of a numbered
    list begin with ``1. ``. score: BM25 score, 0 when it was not searched for.
    """

    source: str
    heading: str
    text: str
    score: float = 0.0


def split_document(source: str, text: str) -> tuple[str, list[Passage]]:
    """Return the title of a document, its file's name when it has none, and its passages."""
    splitter = _Splitter(source)
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        splitter.read(token)
    splitter.end()
    return splitter.title, splitter.passages


@dataclass(slots=True)
class _Splitter:
    source: str
    passages: list[Passage] = field(default_factory=list)
    title: str = ""
    _heading: str = ""
    _in_heading: str = ""
    _lines: list[str] = field(default_factory=list)
    _cells: list[str] | None = None
    _lists: list[str] = field(default_factory=list)
    _mark: str = ""

    def __post_init__(self) -> None:
        self.title = PurePosixPath(self.source).stem.replace("_", " ").replace("-", " ")

    def read(self, token: Token) -> None:
        """Take the next token."""
        kind = token.type
        if kind == "heading_open":
            self.end()
            self._in_heading = token.tag
        elif kind == "heading_close":
            self._in_heading = ""
        elif kind in ("bullet_list_open", "ordered_list_open"):
            self._open_list(kind)
        elif kind in ("bullet_list_close", "ordered_list_close"):
            self._lists.pop()
            self._end_unless(bool(self._lists))
        elif kind == "list_item_open":
            self._mark = f"{token.info}. " if self._lists[-1] == "ordered_list_open" else ""
        elif kind == "list_item_close":
            self._end_unless(self._lists != ["bullet_list_open"] or self._has_lead())
        elif kind == "tr_open":
            self._cells = []
        elif kind == "tr_close":
            self._lines.append(": ".join(filter(None, self._cells or [])))
            self._cells = None
        elif kind == "table_close":
            self.end()
        elif kind in ("inline", "fence", "code_block"):
            self._read_text(_plain(token))

    def end(self) -> None:
        """End the passage that is being read, if there is one."""
        text = "\n".join(filter(None, self._lines))
        self._lines = []
        if text:
            self.passages.append(Passage(self.source, self._heading or self.title, text))

    def _read_text(self, text: str) -> None:
        if self._in_heading == "h1":
            self.title, self._heading = text or self.title, ""
        elif self._in_heading:
            self._heading = text
        elif self._cells is not None:
            self._cells.append(text)
        else:
            self._lines.append(self._mark + text)
            self._mark = ""
            self._end_unless(bool(self._lists) or text.endswith(":"))

    def _open_list(self, kind: str) -> None:
        if not self._lists and not self._has_lead():
            self.end()
        self._lists.append(kind)

    def _has_lead(self) -> bool:
        return bool(self._lines) and self._lines[0].endswith(":")

    def _end_unless(self, goes_on: bool) -> None:
        if not goes_on:
            self.end()


def _plain(token: Token) -> str:
    """Return the words of a token, one space between them."""
    return " ".join("".join(_pieces(token)).split())


def _pieces(token: Token) -> Iterator[str]:
    if token.type in ("text", "code_inline", "fence", "code_block"):
        yield token.content
    elif token.type in ("softbreak", "hardbreak"):
        yield " "
    for child in token.children or ():
        yield from _pieces(child)
