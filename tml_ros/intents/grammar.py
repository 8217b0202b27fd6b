"""The grammar of ``intents.yaml``: words in, meaning out; and the same grammar as JSGF for the recogniser.

It takes text from anywhere (typed, heard freely, heard through the grammar) and returns a meaning only when a rule
covers every word of it: nothing else can become an intent. It knows no audio.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tml_ros.errors import ConfigError, nearest_name
from tml_ros.intents.durations import duration_phrases, match_duration
from tml_ros.intents.file import IntentsFile
from tml_ros.intents.graph import WordGraph, word_graph
from tml_ros.intents.numbers import number_phrases, words_to_number
from tml_ros.intents.persons import as_other_person
from tml_ros.intents.phrases import Choice, Maybe, Node, Series, Slot, Word, match, parse_phrase, to_jsgf, walk
from tml_ros.intents.templates import fill_data, fill_reply, placeholders
from tml_ros.records import AlertDraft, TimeAction, TimerDraft, TimeRequest

__all__ = ["Grammar", "Meaning", "normalise"]

MAX_WORDS = 24
"""Longer texts are not tried: no rule is that long, and matching must stay cheap whatever is typed."""

_NOT_A_WORD = re.compile(r"[^a-z0-9']+")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a text means. intent is empty for questions and small talk, answer names a question of the table.

    time: what is asked of the session's clock. alert: what the person reports. delegate: task for the background model.
    replaces: it takes the place of the one before. withdraws: what was delegated is no longer wanted.
    """

    text: str
    intent: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 128
    reply: str = ""
    answer: str = ""
    timer: TimerDraft | None = None
    time: TimeRequest | None = None
    alert: AlertDraft | None = None
    delegate: str = ""
    replaces: bool = False
    withdraws: bool = False


@dataclass(frozen=True, slots=True)
class _Rule:
    """heard: what the recogniser listens for. nodes: that, and what is only read."""

    heard: tuple[Node, ...]
    nodes: tuple[Node, ...]
    spec: Mapping[str, Any]


class Grammar:
    """The rules of one intents file."""

    def __init__(self, file: IntentsFile) -> None:
        """Read every phrase.

        Raises:
            ConfigError: a phrase cannot be read, or names a slot that is not there.
        """
        self._file = file
        self._before, self._after = _around(file.before), _around(file.after)
        self._instead = (parse_phrase(file.instead),) if file.instead else ()
        self._forms = {name: _forms(name, spec, file) for name, spec in file.slots.items() if "values" in spec}
        self._rules = tuple(self._read_rule(index, spec) for index, spec in enumerate(file.rules))

    def parse(self, text: str) -> Meaning | None:
        """Return the meaning of a text, None when no rule covers all of it. The first rule in the file wins."""
        words = normalise(text).split()
        if not 0 < len(words) <= MAX_WORDS:
            return None
        for rule in self._rules:
            values = self._match(rule, words, ())
            if values is not None:
                return self._meaning(" ".join(words), rule.spec, values)
        for rule in self._rules if self._instead else ():
            values = self._match(rule, words, self._instead) if "delegate" in rule.spec else None
            if values is not None:
                return replace(self._meaning(" ".join(words), rule.spec, values), replaces=True)
        return None

    def request(self, text: str) -> tuple[str, bool]:
        """Return a free text without what stands around requests, and whether it takes the place of the one before."""
        words = normalise(text).split()
        start = self._longest(self._before, words)
        changed = start + self._longest(self._instead, words[start:])
        return " ".join(words[changed:]), changed > start

    @property
    def pronunciations(self) -> Mapping[str, str]:
        """Words that the recogniser has to be taught, with their sounds in ARPAbet."""
        return self._file.pronunciations

    @property
    def replies(self) -> tuple[str, ...]:
        """Answers that are the same every time, each once."""
        said = (str(rule.spec.get("reply", "")) for rule in self._rules)
        return tuple(dict.fromkeys(reply for reply in said if reply and not any(placeholders(reply))))

    def to_jsgf(self) -> str:
        """Return the grammar for the recogniser; its one public rule is ``<phrase>``."""
        lines = ["#JSGF V1.0;", "grammar intents;"]
        for name in self._file.slots:
            if "words" not in self._file.slots[name]:
                lines.append(f"<{name}> = {' | '.join(map(to_jsgf, self._spoken_forms(name)))};")
        names: list[str] = []
        tasks: list[str] = []
        for index, rule in enumerate(self._rules):
            if not rule.heard:
                continue
            lines.append(f"<rule_{index}> = {' | '.join(map(to_jsgf, rule.heard))};")
            (tasks if "delegate" in rule.spec and self._instead else names).append(f"<rule_{index}>")
        if tasks:
            names.append(f"[{' '.join(map(to_jsgf, self._instead))}] ({' | '.join(tasks)})")
        before = "".join(f"{to_jsgf(node)} " for node in self._before)
        after = "".join(f" {to_jsgf(node)}" for node in self._after)
        lines.append(f"public <phrase> = {before}({' | '.join(names)}){after};")
        return "\n".join(lines) + "\n"

    def graph(self) -> WordGraph:
        """Return every sentence that is listened for as places of words; nothing is said of tasks that are replaced."""
        heard = Choice(tuple(node for rule in self._rules for node in rule.heard))
        return word_graph(Series((*self._before, heard)), self._spoken_forms, self._after)

    def words(self) -> dict[str, str]:
        """Return every word that the recogniser must know, and a phrase or slot that it stands in."""
        found: dict[str, str] = {}
        around = (*self._before, *self._instead, *self._after)
        sources: list[tuple[str, Node]] = [("before/instead/after", node) for node in around]
        for name in (name for name, spec in self._file.slots.items() if "words" not in spec):
            sources += [(f"slot {name}", node) for node in self._spoken_forms(name)]
        for rule in self._rules:
            sources += list(zip(rule.spec.get("phrases", ()), rule.heard, strict=True))
        for source, top in sources:
            for node in walk(top):
                if isinstance(node, Word):
                    found.setdefault(node.text, source)
        return found

    def _read_rule(self, index: int, spec: Mapping[str, Any]) -> _Rule:
        heard, read = spec.get("phrases", []), spec.get("typed", [])
        nodes = tuple(map(parse_phrase, (*heard, *read)))
        said = set(spec.get("defaults", {}))
        for phrase, top in zip((*heard, *read), nodes, strict=True):
            for slot in (node for node in walk(top) if isinstance(node, Slot)):
                said.add(slot.name)
                if slot.type not in self._file.slots:
                    hint = nearest_name(slot.type, self._file.slots)
                    raise ConfigError(f"rules.{index}: phrase {phrase!r}: no slot type {slot.type!r}{hint}")
                if phrase in heard and "words" in self._file.slots[slot.type]:
                    raise ConfigError(
                        f"rules.{index}: phrase {phrase!r}: {slot.type!r} is any words, for which nobody can listen; "
                        "put the phrase under typed"
                    )
        slots = [spec["time"][name] for name in ("repeats", "until_stop") if name in spec.get("time", {})]
        for part in ("data", "reply", "timer", "time", "alert", "delegate"):
            for name in [*placeholders(spec.get(part, "")), *(slots if part == "time" else [])]:
                if name not in said:
                    raise ConfigError(f"rules.{index}.{part}: no phrase has a slot {name!r}{nearest_name(name, said)}")
        return _Rule(nodes[: len(heard)], nodes, spec)

    def _match(self, rule: _Rule, words: Sequence[str], instead: tuple[Node, ...]) -> Mapping[str, object] | None:
        """Return the slot values with which a rule covers all the words."""
        for node in rule.nodes:
            framed = Series((*self._before, *instead, node, *self._after))
            for end, values in match(framed, words, 0, {}, self._slot_values):
                if end == len(words):
                    return values
        return None

    def _longest(self, nodes: tuple[Node, ...], words: Sequence[str]) -> int:
        """Return how many words at the beginning the nodes can cover."""
        return max((end for end, _ in match(Series(nodes), words, 0, {}, self._slot_values)), default=0)

    def _spoken_forms(self, name: str) -> tuple[Node, ...]:
        spec = self._file.slots[name]
        if "values" in spec:
            return tuple(form for _, form in self._forms[name])
        if "longest_s" in spec:
            return tuple(map(parse_phrase, duration_phrases()))
        return tuple(map(parse_phrase, number_phrases(spec["minimum"], spec["maximum"])))

    def _slot_values(self, name: str, words: Sequence[str], at: int) -> Iterator[tuple[int, object]]:
        spec = self._file.slots[name]
        if "values" in spec:
            for value, form in self._forms[name]:
                for end, _ in match(form, words, at, {}, self._slot_values):
                    yield end, value
            return
        if "words" in spec:
            yield from _any_words(words, at, spec["words"])
            return
        if "longest_s" in spec:
            yield from ((end, span_s) for end, span_s in match_duration(words, at) if 0 < span_s <= spec["longest_s"])
            return
        for end in range(min(at + 2, len(words)), at, -1):
            number = words_to_number(" ".join(words[at:end]))
            if number is not None and spec["minimum"] <= number <= spec["maximum"]:
                yield end, number

    def _meaning(self, text: str, spec: Mapping[str, Any], values: Mapping[str, object]) -> Meaning:
        values = {**spec.get("defaults", {}), **values}
        intent = spec.get("intent", "")
        return Meaning(
            text=text,
            intent=intent,
            data=fill_data(spec.get("data", {}), values),
            priority=self._file.intents[intent].priority if intent else 128,
            reply=fill_reply(spec.get("reply", ""), values),
            answer=spec.get("answer", ""),
            time=_time(spec["time"], values) if "time" in spec else None,
            timer=_timer(spec["timer"], values) if "timer" in spec else None,
            alert=_alert(spec["alert"], values) if "alert" in spec else None,
            delegate=fill_reply(spec.get("delegate", ""), values),
            withdraws=spec.get("withdraw", False),
        )


def normalise(text: str) -> str:
    """Return the words in lower case, without punctuation, one space apart."""
    return " ".join(_NOT_A_WORD.sub(" ", text.lower()).split())


def _around(phrase: str) -> tuple[Node, ...]:
    return (Maybe(parse_phrase(phrase)),) if phrase else ()


def _forms(name: str, spec: Mapping[str, Any], file: IntentsFile) -> tuple[tuple[object, Node], ...]:
    forms = tuple((value, parse_phrase(phrase)) for value, phrases in spec["values"].items() for phrase in phrases)
    for _, form in forms:
        if any(isinstance(node, Slot) for node in walk(form)):
            raise ConfigError(f"{file.path}: slots.{name}: a slot's value cannot hold another slot; write its words")
    return forms


def _alert(spec: Mapping[str, Any], values: Mapping[str, object]) -> AlertDraft:
    category, description = (fill_reply(spec.get(part, ""), values) for part in ("category", "description"))
    return AlertDraft(spec["rule"], description, spec.get("severity", 1), category)


def _time(spec: Mapping[str, Any], values: Mapping[str, object]) -> TimeRequest:
    filled = fill_data({name: spec[name] for name in ("name", "span_s", "than") if name in spec}, values)
    return TimeRequest(
        action=TimeAction(spec["do"]),
        name=str(filled.get("name", "")),
        span_s=float(filled.get("span_s", 0.0)),
        text=fill_reply(spec.get("text", ""), values),
        repeats=values.get(spec.get("repeats", "")) == "every",
        until_stop=spec.get("until_stop", "") in values,
        than=str(filled.get("than", "")),
    )


def _any_words(words: Sequence[str], at: int, most: int) -> Iterator[tuple[int, object]]:
    """Yield every run of up to ``most`` words, the shortest first, ``my`` and ``me`` turned round."""
    for end in range(at + 1, min(at + most, len(words)) + 1):
        yield end, as_other_person(words[at:end])


def _timer(spec: Mapping[str, Any], values: Mapping[str, object]) -> TimerDraft:
    amount = fill_data({"after": spec["after"]}, values)["after"]
    return TimerDraft(spec["text"], float(amount) * float(spec["unit_s"]))
