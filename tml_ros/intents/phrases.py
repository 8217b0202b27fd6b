"""The notation in which phrases are written: ``[please] (go|move) {direction} [{distance:number} meters]``.

Words stand for themselves, ``[...]`` may be left out, ``(a|b)`` is a choice (``|`` works inside ``[]``, too) and
``{name:type}`` takes a value of a slot type; ``{type}`` is short for ``{type:type}``. A phrase can match a list of
words or be written as a JSGF expansion. Nothing here knows what a slot type holds, nor what a phrase is for.

Source: JSpeech Grammar Format, W3C note of 5 June 2000, section 4 (rule expansions).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tml_ros.errors import ConfigError

__all__ = [
    "Choice",
    "Maybe",
    "Node",
    "Series",
    "Slot",
    "SlotMatcher",
    "Word",
    "match",
    "parse_phrase",
    "to_jsgf",
    "walk",
]

Values = Mapping[str, object]
SlotMatcher = Callable[[str, Sequence[str], int], Iterator[tuple[int, object]]]
"""(slot type, words, position) -> every (position after it, value) that the type takes there."""

_TOKEN = re.compile(r"\s*(?:(?P<slot>\{[^{}]*\})|(?P<mark>[\[\]()|])|(?P<word>[a-z][a-z'-]*))")
_SLOT = re.compile(r"\{([a-z][a-z0-9_]*)(?::([a-z][a-z0-9_]*))?\}")
_CLOSING = {"[": "]", "(": ")"}


@dataclass(frozen=True, slots=True)
class Word:
    """One word, lower case."""

    text: str


@dataclass(frozen=True, slots=True)
class Slot:
    """A value of ``type``, kept under ``name``."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Series:
    """All items, one after the other."""

    items: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the items."""

    items: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Maybe:
    """The item or nothing."""

    item: "Node"


Node = Word | Slot | Series | Choice | Maybe


def parse_phrase(text: str) -> Node:
    """Read the notation.

    Raises:
        ConfigError: an unknown character, an unbalanced bracket, an empty choice or a malformed slot.
    """
    tokens = _tokens(text)
    node, position = _choice(tokens, 0, text)
    if position != len(tokens):
        raise ConfigError(f"phrase {text!r}: {tokens[position]!r} closes nothing; remove it")
    return node


def match(
    node: Node, words: Sequence[str], at: int, values: Values, slots: SlotMatcher
) -> Iterator[tuple[int, Values]]:
    """Yield every (position after the match, slot values) with which ``node`` matches ``words`` from ``at``."""
    if isinstance(node, Word):
        if at < len(words) and words[at] == node.text:
            yield at + 1, values
    elif isinstance(node, Slot):
        for end, value in slots(node.type, words, at):
            yield end, {**values, node.name: value}
    elif isinstance(node, Maybe):
        yield from match(node.item, words, at, values, slots)
        yield at, values
    elif isinstance(node, Choice):
        for item in node.items:
            yield from match(item, words, at, values, slots)
    else:
        yield from _match_series(node.items, words, at, values, slots)


def to_jsgf(node: Node) -> str:
    """Write a node as a JSGF expansion; a slot becomes a reference to the rule ``<type>``."""
    if isinstance(node, Word):
        return node.text
    if isinstance(node, Slot):
        return f"<{node.type}>"
    if isinstance(node, Maybe):
        return f"[{to_jsgf(node.item)}]"
    if isinstance(node, Choice):
        return "(" + " | ".join(map(to_jsgf, node.items)) + ")"
    return " ".join(map(to_jsgf, node.items))


def walk(node: Node) -> Iterator[Node]:
    """Yield the node and everything below it."""
    yield node
    children: tuple[Node, ...] = ()
    if isinstance(node, Series | Choice):
        children = node.items
    elif isinstance(node, Maybe):
        children = (node.item,)
    for child in children:
        yield from walk(child)


def _match_series(
    items: tuple[Node, ...], words: Sequence[str], at: int, values: Values, slots: SlotMatcher
) -> Iterator[tuple[int, Values]]:
    if not items:
        yield at, values
        return
    for end, found in match(items[0], words, at, values, slots):
        yield from _match_series(items[1:], words, end, found, slots)


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    while text[position:].strip():
        found = _TOKEN.match(text, position)
        if found is None:
            rest = text[position:].strip()
            raise ConfigError(
                f"phrase {text!r}: cannot read {rest[:12]!r}; use lower-case words, [optional], (a|b) and {{slot}}"
            )
        tokens.append(found.group().strip())
        position = found.end()
    return tokens


def _choice(tokens: list[str], at: int, text: str) -> tuple[Node, int]:
    options: list[Node] = []
    while True:
        series, at = _series(tokens, at, text)
        options.append(series)
        if at >= len(tokens) or tokens[at] != "|":
            return (options[0] if len(options) == 1 else Choice(tuple(options))), at
        at += 1


def _series(tokens: list[str], at: int, text: str) -> tuple[Node, int]:
    items: list[Node] = []
    while at < len(tokens) and tokens[at] not in ("|", "]", ")"):
        item, at = _item(tokens, at, text)
        items.append(item)
    if not items:
        raise ConfigError(f"phrase {text!r}: an empty part; write words between the brackets or bars")
    return (items[0] if len(items) == 1 else Series(tuple(items))), at


def _item(tokens: list[str], at: int, text: str) -> tuple[Node, int]:
    token = tokens[at]
    if token in _CLOSING:
        inner, end = _choice(tokens, at + 1, text)
        if end >= len(tokens) or tokens[end] != _CLOSING[token]:
            raise ConfigError(f"phrase {text!r}: {token!r} is never closed; add {_CLOSING[token]!r}")
        return (Maybe(inner) if token == "[" else inner), end + 1
    if token.startswith("{"):
        found = _SLOT.fullmatch(token)
        if found is None:
            raise ConfigError(f"phrase {text!r}: {token} is no slot; write {{type}} or {{name:type}}")
        return Slot(found[1], found[2] or found[1]), at + 1
    return Word(token), at + 1
