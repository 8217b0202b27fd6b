"""Read a lab file: zones, watchers, facts and rules, each fault with its line and key.

What it refers to must exist: watchers and their values, zones, facts, rules, and intents on the allow-list with data
that fit. It builds no watchers; ``monitor`` does.

Source: config/lab.schema.json.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

    def read(self) -> LabFile:
        zones = {name: self._zone(name, points) for name, points in self._content.get("zones", {}).items()}
        watchers = tuple(self._watcher(name, body, zones) for name, body in self._content["watchers"].items())
        self._facts = tuple(self._fact(name, body) for name, body in self._content.get("facts", {}).items())
        acknowledge = self._phrases(("acknowledge",), self._content.get("acknowledge", _ACKNOWLEDGED))
        rules = tuple(self._rule(name, body) for name, body in self._content["rules"].items())
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

    # ---------------------------------------------------------------------------------------------- what there is

    def _zone(self, name: str, points: list[list[float]]) -> Zone:
        try:
            return Zone(name, tuple((float(x), float(y)) for x, y in points))
        except ConfigError as err:
            self._document.fail(("zones", name), str(err))

    def _watcher(self, name: str, body: Mapping[str, Any], zones: Mapping[str, Zone]) -> WatcherSpec:
        key: Key = ("watchers", name)
        try:
            factory = WATCHERS.factory(body["kind"])
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
        if given.get("zone") and given["zone"] not in zones:
            self._document.unknown((*key, "zone"), given["zone"], "zone", zones)
        self._values[name] = tuple(factory.values)
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
            self._check_text((*key, part), body.get(part, ""))
        say = "" if body.get("silent", False) else body.get("say", body["describe"])
        used = dict.fromkeys(_watchers_in(body["when"]))
        return Rule(
            name=name,
            when=self._condition((*key, "when"), body["when"]),
            describe=body["describe"],
            severity=Severity[body.get("severity", "warning").upper()],
            category=body.get("category", ""),
            say=say,
            advise=body.get("advise", ""),
            intent=self._intent((*key, "intent"), body.get("intent")),
            clear_after_s=float(body.get("clear_after_s", 1.0)),
            cool_down_s=float(body.get("cool_down_s", 0.0)),
            update_s=float(body.get("update_s", 5.0)),
            must_acknowledge=self._acknowledgement((*key, "acknowledge"), body.get("acknowledge")),
            clears=body.get("clears", True),
            watchers=tuple(used),
        )

    def _check_text(self, key: Key, template: str) -> None:
        known = [f"{watcher}.{value}" for watcher, values in self._values.items() for value in values]
        for name in placeholders(template):
            if name != "lab" and name not in known:
                self._document.unknown(key, name, "value", [*known, "lab"])

    def _condition(self, key: Key, body: Mapping[str, Any]) -> conditions.Held:
        return conditions.Held(self._plain_condition(key, body), float(body.get("for_s", 0.0)))

    def _plain_condition(self, key: Key, body: Mapping[str, Any]) -> conditions.Condition:
        if "value" in body:
            return self._value(key, body)
        if "fact" in body:
            names = [fact.name for fact in self._facts]
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
        if body["value"] not in known:
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
