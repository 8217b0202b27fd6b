"""The words of a skills file: which skill a text asks for, with which values, and which value it does not know.

It is the grammar of ``tml_ros.intents`` over other rules. A slot type of the intents file is said by the words of its
values; a type of the same name in the skills file comes first.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tml_ros.background.offline.skills_file import Skill, SkillsFile
from tml_ros.errors import ConfigError, nearest_name
from tml_ros.intents import AllowList, Grammar, IntentsFile
from tml_ros.intents.grammar import MAX_WORDS, normalise
from tml_ros.intents.phrases import Choice, Maybe, Node, Series, Slot, Word, match, parse_phrase, walk
from tml_ros.intents.templates import placeholders

__all__ = ["Request", "SkillPhrases", "UnknownValue"]

MAX_ASSIGNMENTS = 2_000
"""More combinations of slot values than these are not tried one by one: a skill with so many is refused."""

_MAX_VALUE_WORDS = 3
_HESITATION = re.compile(r"\b(?:um|uh|er|erm|hmm)\b")
_FILLERS = frozenset(
    ["a", "an", "at", "for", "in", "it", "me", "my", "of", "on", "please", "the", "to", "up", "us", "with"]
)
_COUNT = "count"


@dataclass(frozen=True, slots=True)
class Request:
    """What a text asks for."""

    skill: Skill
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class UnknownValue:
    """A text that would ask for a skill if a slot had the value ``said``. known: what it has."""

    skill: Skill
    said: str
    known: tuple[str, ...]


class SkillPhrases:
    """The phrases of one file.

    Thread: any; nothing changes after it was made.
    """

    def __init__(self, file: SkillsFile, allow_list: AllowList) -> None:
        """Read every phrase.

        Raises:
            ConfigError: a phrase cannot be read, or names a slot that is not there.
        """
        self._file = file
        self._skills = {skill.name: skill for skill in file.skills}
        self._nodes = {skill.name: _nodes(file, skill) for skill in file.skills}
        self._slots = _slots(file, allow_list, self._nodes)
        around = [(Maybe(parse_phrase(phrase)),) if phrase else () for phrase in (file.before, file.after)]
        self._before, self._after = around
        rules = [_rule(file, skill, self._nodes[skill.name]) for skill in file.skills]
        self._grammar = _grammar(file, self._slots, rules, file.before, file.after)
        self._of_slot = {
            name: _grammar(file, self._slots, [{"phrases": [f"{{{name}}}"], "answer": name}]) for name in self._slots
        }

    def parse(self, text: str) -> Request | UnknownValue | None:
        """Return what a text asks for, None when its words are those of no phrase."""
        words = normalise(_HESITATION.sub(" ", text.lower()))
        meaning = self._grammar.parse(words)
        if meaning is not None:
            return Request(self._skills[meaning.answer], meaning.data)
        return self._unknown_value(words.split())

    def assignments(self, skill: Skill) -> Iterator[Mapping[str, Any]]:
        """Yield every combination of slot values that a phrase of the skill can give.

        Raises:
            ConfigError: there are more than ``MAX_ASSIGNMENTS``.
        """
        count = 0
        for node in self._nodes[skill.name]:
            choices = [self._choices(name, kind, is_said) for name, kind, is_said in _slots_of(node)]
            for chosen in itertools.product(*choices):
                count += 1
                if count > MAX_ASSIGNMENTS:
                    raise ConfigError(
                        f"{self._file.path}: skills.{skill.name}: more than {MAX_ASSIGNMENTS} combinations of "
                        "slot values; give its slots fewer values under slots:"
                    )
                yield {name: value for part in chosen for name, value in part.items()}

    def _choices(self, name: str, kind: str, is_said: bool) -> list[dict[str, Any]]:
        given = [{name: value} for value in _values(self._slots[kind])]
        return given if is_said else [*given, {}]

    def _unknown_value(self, words: Sequence[str]) -> UnknownValue | None:
        if not 0 < len(words) <= MAX_WORDS:
            return None
        for skill in self._skills.values():
            for node in self._nodes[skill.name]:
                types = {item.name: item.type for item in walk(node) if isinstance(item, Slot)}
                for end, said in match(Series((*self._before, node, *self._after)), words, 0, {}, _anything):
                    if end < len(words):
                        continue
                    for name, value in said.items():
                        if self._is_unknown(types[name], str(value), node):
                            known = (str(item).replace("_", " ") for item in _values(self._slots[types[name]]))
                            return UnknownValue(skill, str(value), tuple(known))
        return None

    def _is_unknown(self, kind: str, said: str, node: Node) -> bool:
        """Return whether words are no value, and a phrase was meant: they have a word of a value, or it has two."""
        if self._of_slot[kind].parse(said) is not None:
            return False
        known = {word for value in _values(self._slots[kind]) for word in str(value).replace("_", " ").split()}
        return bool(known & set(said.split())) or _content(node) >= 2


def _nodes(file: SkillsFile, skill: Skill) -> tuple[Node, ...]:
    try:
        return tuple(map(parse_phrase, skill.phrases))
    except ConfigError as err:
        raise ConfigError(f"{file.path}: skills.{skill.name}: {err}") from err


def _slots(
    file: SkillsFile, allow_list: AllowList, nodes: Mapping[str, Sequence[Node]]
) -> dict[str, Mapping[str, Any]]:
    """Return the slot types that phrases use."""
    listed: dict[str, Any] = {}
    for spec in allow_list.specs.values():
        listed |= spec.data_schema["$defs"]
    found: dict[str, Mapping[str, Any]] = {}
    for skill, tops in nodes.items():
        for slot in (node for top in tops for node in walk(top) if isinstance(node, Slot)):
            if slot.type not in file.slots and slot.type not in listed:
                hint = nearest_name(slot.type, {*file.slots, *listed})
                raise ConfigError(f"{file.path}: skills.{skill}: no slot type {slot.type!r}{hint}")
            found[slot.type] = file.slots.get(slot.type) or _said_as_written(listed[slot.type])
    return found


def _said_as_written(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "enum" in schema:
        return {"values": {value: [str(value).replace("_", " ")] for value in schema["enum"]}}
    return {"minimum": schema["minimum"], "maximum": schema["maximum"]}


def _values(spec: Mapping[str, Any]) -> list[Any]:
    return list(spec["values"]) if "values" in spec else list(range(spec["minimum"], spec["maximum"] + 1))


def _rule(file: SkillsFile, skill: Skill, nodes: Sequence[Node]) -> dict[str, Any]:
    """Return a rule whose meaning names the skill as its answer and holds every slot value as data."""
    said = {slot.name for node in nodes for slot in walk(node) if isinstance(slot, Slot)}
    used = [skill.report, *(part for step in skill.steps for part in (step.say, step.data))]
    used += [words for item in skill.preconditions for words in (item.otherwise, item.remind)]
    for name in (name for template in used for name in placeholders(template)):
        if name not in said and name != _COUNT:
            hint = nearest_name(name, {*said, _COUNT})
            raise ConfigError(f"{file.path}: skills.{skill.name}: no phrase has a slot {name!r}{hint}")
    return {"phrases": skill.phrases, "answer": skill.name, "data": {name: f"{{{name}}}" for name in said}}


def _grammar(
    file: SkillsFile,
    slots: Mapping[str, Mapping[str, Any]],
    rules: Sequence[Mapping[str, Any]],
    before: str = "",
    after: str = "",
) -> Grammar:
    try:
        return Grammar(
            IntentsFile(
                path=file.path,
                before=before,
                after=after,
                instead="",
                pronunciations={},
                slots=slots,
                intents={},
                rules=tuple(rules),
            )
        )
    except ConfigError as err:
        raise ConfigError(f"{file.path}: {err}") from err


def _slots_of(node: Node, is_said: bool = True) -> Iterator[tuple[str, str, bool]]:
    """Yield name, type and whether it is always said, of every slot below a node."""
    if isinstance(node, Slot):
        yield node.name, node.type, is_said
    elif isinstance(node, Maybe):
        yield from _slots_of(node.item, False)
    elif isinstance(node, Choice | Series):
        for item in node.items:
            yield from _slots_of(item, is_said and isinstance(node, Series))


def _content(node: Node) -> int:
    """Return how many words of a phrase are always said and say something."""
    if isinstance(node, Word):
        return 0 if node.text in _FILLERS else 1
    if isinstance(node, Series):
        return sum(map(_content, node.items))
    return min(map(_content, node.items)) if isinstance(node, Choice) else 0


def _anything(kind: str, words: Sequence[str], at: int) -> Iterator[tuple[int, object]]:
    for end in range(at + 1, min(at + _MAX_VALUE_WORDS, len(words)) + 1):
        yield end, " ".join(words[at:end])
