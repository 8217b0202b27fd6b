"""Read a lab file: zones, watchers, facts and rules, every fault with its line and key.

What it refers to must exist: watchers and their values, zones, facts, rules, and intents on the allow-list with data
that fit. It builds no watchers; ``monitor`` does.

Source: config/lab.schema.json.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tml_ros.config import declarations, flatten, from_mapping
from tml_ros.documents import Document, Key, read_document
from tml_ros.errors import ConfigError, ModelError
from tml_ros.intents import AllowList
from tml_ros.records import IntentDraft
from tml_ros.safety import conditions
from tml_ros.safety.phrases import Phrases
from tml_ros.safety.registry import WATCHERS
from tml_ros.safety.rules import Acknowledgement, Escalation, Intent, Rule, Severity
from tml_ros.safety.watcher import Watcher
from tml_ros.safety.wording import placeholders
from tml_ros.safety.zones import Zone

T = TypeVar("T")

__all__ = ["Fact", "LabFile", "WatcherSpec", "load_lab"]

_ACKNOWLEDGED = ("understood", "(i|we) (understand|have got it|got it)", "(i am|we are) on it", "alert acknowledged")
_SAID_WITHIN_S = 5.0
_SAID_CONFIDENCE = 0.3


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that people state. initially: whether it holds before anybody has said anything."""

    name: str
    true_when: Phrases
    false_when: Phrases
    initially: bool = False


@dataclass(frozen=True, slots=True)
class WatcherSpec:
    """A watcher to be built. config: of the kind's own type. where: file, line and key, for messages."""

    name: str
    factory: type[Watcher]
    config: Any
    where: str


@dataclass(frozen=True, slots=True)
class LabFile:
    """The checked content. allow_missing: go on without the watchers whose model file or library is missing."""

    path: Path
    lab: str
    zones: Mapping[str, Zone]
    watchers: tuple[WatcherSpec, ...]
    facts: tuple[Fact, ...]
    acknowledge: Phrases
    rules: tuple[Rule, ...]
    allow_missing: bool = False


def load_lab(path: Path, allow_list: AllowList | None = None) -> LabFile:
    """Read a file.

    Args:
        path: of the file.
        allow_list: of the intents that may be proposed; None checks no intents.

    Raises:
        ConfigError: the file is missing or wrong; it names file, line and key.
    """
    document = read_document(path, "lab file", "lab.schema.json")
    return _Reader(document, allow_list).read()


class _Reader:
    """Reads one document."""

    def __init__(self, document: Document, allow_list: AllowList | None) -> None:
        self._document = document
        self._content: Mapping[str, Any] = document.content
        self._allow_list = allow_list
        self._values: dict[str, tuple[str, ...]] = {}
        self._facts: tuple[Fact, ...] = ()
        self._faults: list[str] = []

    def read(self) -> LabFile:
        """Return the content, or refuse it for all of its faults."""
        zones = self._each("zones", self._zone)
        watchers = tuple(self._each("watchers", self._watcher).values())
        self._facts = tuple(self._each("facts", self._fact).values())
        words = self._content.get("acknowledge", _ACKNOWLEDGED)
        acknowledge = self._try(lambda: self._phrases(("acknowledge",), words)) or Phrases(())
        rules = tuple(self._each("rules", self._rule).values())
        if self._faults:
            self._document.fail_all(self._faults)
        return LabFile(
            self._document.path,
            self._content["lab"],
            zones,
            watchers,
            self._facts,
            acknowledge,
            rules,
            self._content.get("allow_missing", False),
        )

    def _each(self, part: str, make: Callable[[str, Any], T]) -> dict[str, T]:
        """Make what a part of the file names, as far as it is right."""
        given = self._content.get(part, {})
        made = ((name, self._try(partial(make, name, body))) for name, body in given.items())
        return {name: one for name, one in made if one is not None}

    def _try(self, make: Callable[[], T]) -> T | None:
        """Return what is made, or None and remember why not."""
        try:
            return make()
        except ConfigError as err:
            self._faults.append(str(err))
            return None

    # ---------------------------------------------------------------------------------------------- what there is

    def _zone(self, name: str, points: list[list[float]]) -> Zone:
        try:
            return Zone(name, tuple((float(x), float(y)) for x, y in points))
        except ConfigError as err:
            self._document.fail(("zones", name), str(err))

    def _watcher(self, name: str, body: Mapping[str, Any]) -> WatcherSpec:
        key: Key = ("watchers", name)
        self._values[name] = ()  # as long as its kind is not known
        try:
            factory = WATCHERS.factory(body["kind"])
            self._values[name] = tuple(factory.values)
        except ModelError:
            self._document.unknown((*key, "kind"), body["kind"], "kind of watcher", WATCHERS.available())
        given = {part: value for part, value in body.items() if part != "kind"}
        known = declarations(factory.config_type)
        for part, value in flatten(given).items():
            at = (*key, *part.split("."))
            if part not in known:
                self._document.unknown(at, part, f"parameter of a {body['kind']} watcher", known)
            try:
                known[part].check(value)
            except ConfigError as err:
                self._document.fail(at, str(err))
        if given.get("zone") and given["zone"] not in self._content.get("zones", {}):
            self._document.unknown((*key, "zone"), given["zone"], "zone", self._content.get("zones", {}))
        where = f"{self._document.path}:{self._document.line(key)}: watchers.{name}"
        try:
            return WatcherSpec(name, factory, from_mapping(factory.config_type, given), where)
        except ConfigError as err:
            self._document.fail(key, str(err))

    def _fact(self, name: str, body: Mapping[str, Any]) -> Fact:
        key: Key = ("facts", name)
        true_when = self._phrases((*key, "true_when"), body["true_when"])
        false_when = self._phrases((*key, "false_when"), body.get("false_when", ()))
        return Fact(name, true_when, false_when, body.get("initially", False))

    def _phrases(self, key: Key, texts: Any) -> Phrases:
        for number, text in enumerate(texts):
            try:
                Phrases([text])
            except ConfigError as err:
                self._document.fail((*key, number), str(err))
        return Phrases(texts)

    # ------------------------------------------------------------------------------------------------------- rules

    def _rule(self, name: str, body: Mapping[str, Any]) -> Rule:
        key: Key = ("rules", name)
        for part in ("describe", "say", "advise"):
            self._try(partial(self._check_text, (*key, part), body.get(part, "")))
        say = "" if body.get("silent", False) else body.get("say", body["describe"])
        used = dict.fromkeys(_watchers_in(body["when"]))
        intent = self._try(lambda: self._intent((*key, "intent"), body.get("intent")))
        must_acknowledge = self._try(lambda: self._acknowledgement((*key, "acknowledge"), body.get("acknowledge")))
        return Rule(
            name=name,
            when=self._condition((*key, "when"), body["when"]),
            describe=body["describe"],
            severity=Severity[body.get("severity", "warning").upper()],
            category=body.get("category", ""),
            say=say,
            advise=body.get("advise", ""),
            intent=intent,
            clear_after_s=float(body.get("clear_after_s", 1.0)),
            cool_down_s=float(body.get("cool_down_s", 0.0)),
            update_s=float(body.get("update_s", 5.0)),
            must_acknowledge=must_acknowledge,
            clears=body.get("clears", True),
            watchers=tuple(used),
        )

    def _is_open(self, value: str) -> bool:
        """Tell whether a value is of a watcher whose kind is not known: that is fault enough."""
        return self._values.get(value.partition(".")[0]) == ()

    def _check_text(self, key: Key, template: str) -> None:
        known = [f"{watcher}.{value}" for watcher, values in self._values.items() for value in values]
        for name in placeholders(template):
            if name != "lab" and name not in known and not self._is_open(name):
                self._document.unknown(key, name, "value", [*known, "lab"])

    def _condition(self, key: Key, body: Mapping[str, Any]) -> conditions.Held:
        return conditions.Held(self._plain_condition(key, body), float(body.get("for_s", 0.0)))

    def _plain_condition(self, key: Key, body: Mapping[str, Any]) -> conditions.Condition:
        if "value" in body:
            return self._value(key, body)
        if "fact" in body:
            names = list(self._content.get("facts", {}))
            if body["fact"] not in names:
                self._document.unknown((*key, "fact"), body["fact"], "fact", names)
            return conditions.FactIs(body["fact"])
        if "said" in body:
            phrases = self._phrases((*key, "said"), body["said"])
            within_s, least = body.get("within_s", _SAID_WITHIN_S), body.get("confidence", _SAID_CONFIDENCE)
            return conditions.WasSaid(phrases, float(within_s), float(least))
        if "alert" in body:
            if body["alert"] not in self._content["rules"]:
                self._document.unknown((*key, "alert"), body["alert"], "rule", self._content["rules"])
            return conditions.IsActive(body["alert"])
        if "not" in body:
            return conditions.NotSo(self._condition((*key, "not"), body["not"]))
        joint, kind = ("all", conditions.AllOf) if "all" in body else ("any", conditions.AnyOf)
        return kind(tuple(self._condition((*key, joint, n), part) for n, part in enumerate(body[joint])))

    def _value(self, key: Key, body: Mapping[str, Any]) -> conditions.Condition:
        known = [f"{watcher}.{value}" for watcher, values in self._values.items() for value in values]
        if body["value"] not in known and not self._is_open(body["value"]):
            self._document.unknown((*key, "value"), body["value"], "value", known)
        if ("above" in body) == ("below" in body):
            self._document.fail(key, "expected either above or below beside value; give one of them")
        is_above = "above" in body
        limit = float(body["above"] if is_above else body["below"])
        release = float(body.get("release", limit))
        if (release > limit) if is_above else (release < limit):
            side, other = ("above", "most") if is_above else ("below", "least")
            self._document.fail((*key, "release"), f"got {release:g}, expected at {other} {side} ({limit:g})")
        return conditions.ValueIs(body["value"], limit, is_above, release)

    def _intent(self, key: Key, body: Mapping[str, Any] | None) -> Intent | None:
        if body is None:
            return None
        intent = Intent(body["name"], body.get("data", {}))
        if self._allow_list is not None:
            if intent.name not in self._allow_list.specs:
                self._document.unknown((*key, "name"), intent.name, "intent on the allow-list", self._allow_list.specs)
            refusal = self._allow_list.check(IntentDraft(intent.name, intent.data))
            if refusal is not None:
                self._document.fail(key, f"the allow-list refuses it: {refusal.detail}")
        return intent

    def _acknowledgement(self, key: Key, body: Mapping[str, Any] | None) -> Acknowledgement | None:
        if body is None:
            return None
        more = body.get("escalate", {})
        self._check_text((*key, "escalate", "say"), more.get("say", ""))
        escalation = Escalation(
            Severity[more.get("severity", "danger").upper()],
            more.get("say", ""),
            self._intent((*key, "escalate", "intent"), more.get("intent")),
        )
        return Acknowledgement(
            body.get("who", ""), float(body.get("within_s", 30.0)), float(body.get("again_s", 0.0)), escalation
        )


def _watchers_in(condition: Mapping[str, Any]) -> Iterator[str]:
    """Yield the watchers that a condition looks at."""
    if "value" in condition:
        yield condition["value"].partition(".")[0]
    for part in (*condition.get("all", ()), *condition.get("any", ()), *filter(None, [condition.get("not")])):
        yield from _watchers_in(part)
