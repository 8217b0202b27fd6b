"""The rules of a lab, and the life of the alert of each: raised, updated, escalated, acknowledged, cleared.

A rule has at most one open alert. All times are those of the turns, so the same turns give the same alerts. One that
was open before a restart goes on; as nobody saw what happened meanwhile, one that has to be acknowledged is not cleared
before that, or before its condition was seen to hold again. It knows neither watchers nor files, neither speech nor
topics: ``monitor`` does.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

from tml_ros.records import AlertState
from tml_ros.safety.conditions import Held, Situation
from tml_ros.safety.wording import Wording

__all__ = ["Acknowledgement", "AlertChange", "Escalation", "Intent", "OpenAlert", "Rule", "RuleState", "Severity"]

_NAMESPACE = uuid.UUID("6d3a2a52-86a4-4b7e-9a35-9d1f0e2b7c55")


class Severity(IntEnum):
    """How bad it is; the values are those of tml_interfaces/SafetyAlert."""

    INFORMATION = 0
    WARNING = 1
    DANGER = 2


@dataclass(frozen=True, slots=True)
class Intent:
    """What is proposed to the robot, through the allow-list."""

    name: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Escalation:
    """What becomes of an alert that nobody acknowledges. say: empty for the rule's own words."""

    severity: Severity = Severity.DANGER
    say: str = ""
    intent: Intent | None = None


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Who has to acknowledge. who: empty for anybody. again_s: time after which it is said again, 0 for never."""

    who: str = ""
    within_s: float = 30.0
    again_s: float = 0.0
    escalation: Escalation = field(default_factory=Escalation)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. when: the condition. Texts may name values as ``{watcher.value}``, and the zone as ``{zone}``."""

    name: str
    when: Held
    describe: str
    severity: Severity = Severity.WARNING
    category: str = ""
    say: str = ""
    advise: str = ""
    intent: Intent | None = None
    clear_after_s: float = 1.0
    cool_down_s: float = 0.0
    update_s: float = 5.0
    must_acknowledge: Acknowledgement | None = None
    clears: bool = True
    watchers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AlertChange:
    """A step in the life of an alert. Times are those of the turns; say: what is spoken now, may be empty.

    alert_id: the same from raised to cleared.
    """

    rule: Rule
    alert_id: str
    state: AlertState
    severity: Severity
    description: str
    observed_start_ns: int
    observed_end_ns: int
    say: str = ""
    intent: Intent | None = None
    by: str = ""
    is_escalation: bool = False


@dataclass(slots=True)
class OpenAlert:
    """The open alert of a rule. Times are those of the turns. is_restored: nobody saw its condition since a restart."""

    number: int
    alert_id: str
    since_ns: int
    raised_ns: int
    seen_ns: int
    severity: Severity
    description: str
    told_ns: int
    said_ns: int
    absent_ns: int | None = None
    is_acknowledged: bool = False
    is_escalated: bool = False
    is_restored: bool = False

    def moved(self, by_ns: int) -> "OpenAlert":
        """Return it on another clock."""
        absent_ns = None if self.absent_ns is None else self.absent_ns + by_ns
        return replace(
            self,
            since_ns=self.since_ns + by_ns,
            raised_ns=self.raised_ns + by_ns,
            seen_ns=self.seen_ns + by_ns,
            told_ns=self.told_ns + by_ns,
            said_ns=self.said_ns + by_ns,
            absent_ns=absent_ns,
        )


class RuleState:
    """Where one rule is.

    Thread: one caller at a time.
    """

    def __init__(self, rule: Rule, lab: str = "") -> None:
        """Begin without an alert. lab: the place, for alerts of several places need other names."""
        self.rule = rule
        self._lab = lab
        self._open: OpenAlert | None = None
        self._number = 0
        self._quiet_until_ns: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is an alert that has not been cleared."""
        return self._open is not None

    @property
    def open(self) -> OpenAlert | None:
        """The alert that has not been cleared; not to be changed."""
        return self._open

    def restore(self, one: OpenAlert, wording: Wording) -> AlertChange:
        """Go on with an alert that was open before a restart, and tell it again: aloud if nobody has answered."""
        self._open = replace(one, is_restored=True, absent_ns=None)
        self._number = max(self._number, one.number)
        say = "" if one.is_acknowledged else wording.fill(self.rule.say)
        return replace(self._change(self._open, AlertState.UPDATED), say=say)

    def step(self, now: Situation, wording: Wording) -> list[AlertChange]:
        """Take in the next turn and return what changed."""
        holds = self.rule.when.test(now)
        one = self._open
        if one is None:
            if holds and not self._is_cooling(now):
                return [self._raise(now, wording)]
            return []
        changes: list[AlertChange] = []
        if holds:
            one.seen_ns, one.absent_ns, one.is_restored = now.end_ns, None, False
            changes += self._update(one, now, wording)
        elif holds is False and self.rule.clears and not self._must_wait(one):
            one.absent_ns = one.absent_ns if one.absent_ns is not None else now.start_ns
            if now.end_ns - one.absent_ns >= round(self.rule.clear_after_s * 1e9):
                return [self._clear(one, now)]
        return changes + self._press(one, now, wording)

    def acknowledge(self, now: Situation, by: str = "") -> list[AlertChange]:
        """Take note that a person knows; for a rule that asks for somebody, ``by`` must be his name."""
        one = self._open
        wanted = self.rule.must_acknowledge.who if self.rule.must_acknowledge is not None else ""
        if one is None or one.is_acknowledged or (wanted and by.strip().lower() != wanted.lower()):
            return []
        one.is_acknowledged = True
        changes = [self._change(one, AlertState.ACKNOWLEDGED, by=by)]
        return changes if self.rule.clears else [*changes, self._clear(one, now)]

    # ------------------------------------------------------------------------------------------------ its life

    def _is_cooling(self, now: Situation) -> bool:
        return self._quiet_until_ns is not None and now.end_ns < self._quiet_until_ns

    def _must_wait(self, one: OpenAlert) -> bool:
        """Tell whether only a person can end it: what happened during a restart nobody saw."""
        return one.is_restored and self.rule.must_acknowledge is not None and not one.is_acknowledged

    def _raise(self, now: Situation, wording: Wording) -> AlertChange:
        self._number += 1
        since_ns = self.rule.when.since_ns if self.rule.when.since_ns is not None else now.start_ns
        name = str(uuid.uuid5(_NAMESPACE, f"{self._lab}/{self.rule.name}/{self._number}/{since_ns}"))
        described = wording.fill(self.rule.describe)
        self._open = OpenAlert(
            number=self._number,
            alert_id=name,
            severity=self.rule.severity,
            description=described,
            since_ns=since_ns,
            raised_ns=now.end_ns,
            seen_ns=now.end_ns,
            told_ns=now.end_ns,
            said_ns=now.end_ns,
        )
        say = wording.fill(self.rule.say)
        return replace(self._change(self._open, AlertState.RAISED), say=say, intent=self.rule.intent)

    def _update(self, one: OpenAlert, now: Situation, wording: Wording) -> list[AlertChange]:
        described = wording.fill(self.rule.describe)
        if described == one.description or now.end_ns - one.told_ns < round(self.rule.update_s * 1e9):
            return []
        one.description, one.told_ns = described, now.end_ns
        return [self._change(one, AlertState.UPDATED)]

    def _press(self, one: OpenAlert, now: Situation, wording: Wording) -> list[AlertChange]:
        """Escalate, and say it again, as long as nobody acknowledges."""
        wanted = self.rule.must_acknowledge
        if wanted is None or one.is_acknowledged:
            return []
        due = now.end_ns - one.raised_ns >= round(wanted.within_s * 1e9)
        if due and not one.is_escalated:
            one.is_escalated, one.severity = True, max(one.severity, wanted.escalation.severity)
            one.told_ns = one.said_ns = now.end_ns
            say = wording.fill(wanted.escalation.say or self.rule.say)
            change = self._change(one, AlertState.UPDATED, intent=wanted.escalation.intent)
            return [replace(change, say=say, is_escalation=True)]
        if wanted.again_s > 0 and now.end_ns - one.said_ns >= round(wanted.again_s * 1e9):
            one.told_ns = one.said_ns = now.end_ns
            return [replace(self._change(one, AlertState.UPDATED), say=wording.fill(self.rule.say))]
        return []

    def _clear(self, one: OpenAlert, now: Situation) -> AlertChange:
        self._open = None
        self._quiet_until_ns = now.end_ns + round(self.rule.cool_down_s * 1e9)
        return self._change(one, AlertState.CLEARED)

    def _change(self, one: OpenAlert, state: AlertState, by: str = "", intent: Intent | None = None) -> AlertChange:
        return AlertChange(
            self.rule,
            one.alert_id,
            state,
            one.severity,
            one.description,
            one.since_ns,
            one.seen_ns,
            by=by,
            intent=intent,
        )
