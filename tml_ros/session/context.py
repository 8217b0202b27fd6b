"""The context package: what a background model is told of the conversation that its task comes from.

It keeps what was said and by whom, what the person really heard of the robot's words, recent proposals, alerts and
pictures, in bounded memory, and puts them together newest first up to a bounded size, with a summary of what was left
out. Whatever people said is marked as untrusted: it is material, never an instruction of ours. It knows no models.
"""

import json
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import yaml

from tml_ros.errors import ConfigError
from tml_ros.records import (
    CountDraft,
    Frame,
    IntentProposal,
    PlaybackReport,
    SafetyAlert,
    SpeechText,
    TranscriptEvent,
)
from tml_ros.speech.queue import Spoken

__all__ = ["Album", "Conversation", "read_facts"]

_MOST_LINES = 500
_MOST_EVENTS = 20
_LINE_CHARACTERS = 2_000
_SUMMARY_CHARACTERS = 500


@dataclass(slots=True)
class _Line:
    """One utterance of somebody. clauses: words with their first samples, for what was heard of a cut one."""

    t_ns: int
    speaker: str
    text: str
    confidence: float = 1.0
    utterance_id: int = 0
    kind: str = ""
    heard: str = ""
    interrupted: bool = False
    clauses: tuple[tuple[str, int], ...] = ()

    def as_dict(self, start_ns: int) -> dict[str, Any]:
        line: dict[str, Any] = {"t_s": _seconds(self.t_ns - start_ns), "speaker": self.speaker, "text": _cut(self.text)}
        if self.speaker == "user":
            return line | {"untrusted": True, "confidence": round(self.confidence, 2)}
        return line | {
            "utterance_id": self.utterance_id,
            "kind": self.kind,
            "heard": _cut(self.heard),
            "interrupted": self.interrupted,
        }


class Conversation:
    """What was said and done in one session.

    Thread: one caller at a time.
    """

    def __init__(
        self, start_ns: int, *, robot: str = "", lab: str = "", facts: Mapping[str, Any] | None = None
    ) -> None:
        self._start_ns = start_ns
        self._robot = robot
        self._lab = lab
        self._facts = dict(facts or {})
        self._lines: deque[_Line] = deque(maxlen=_MOST_LINES)
        self._forgotten: Counter[str] = Counter()
        self._intents: deque[dict[str, Any]] = deque(maxlen=_MOST_EVENTS)
        self._alerts: deque[dict[str, Any]] = deque(maxlen=_MOST_EVENTS)
        self._counts: dict[str, int] = {}

    # -------------------------------------------------------------------------------------------- what happens

    def on_heard(self, events: Iterable[TranscriptEvent]) -> None:
        """Take in what was heard of people; partial hypotheses are left out."""
        for event in events:
            if event.final and event.speaker == "user":
                self._append(_Line(event.start_ns, "user", event.text, event.confidence))

    def on_typed(self, text: str, stamp_ns: int) -> None:
        """Take in a typed line."""
        self._append(_Line(stamp_ns, "user", text))

    def on_said(self, utterance_id: int, speech: SpeechText, now_ns: int) -> None:
        """Take in words that the robot is about to say."""
        line = self._robot_line(utterance_id)
        if line is None:
            self._append(_Line(now_ns, "robot", speech.text, utterance_id=utterance_id, kind=speech.kind.name.lower()))
        else:
            line.text = f"{line.text.rstrip()} {speech.text.lstrip()}".strip()

    def on_spoken(self, spoken: Spoken, *, is_over: bool = True) -> None:
        """Take in how much of an utterance was heard."""
        line = self._robot_line(spoken.utterance_id)
        if line is not None:
            line.t_ns, line.heard, line.clauses = spoken.start_ns, spoken.text, spoken.clauses
            line.interrupted = spoken.interrupted and is_over

    def on_playback(self, report: PlaybackReport | None) -> None:
        """Correct what was heard of an interrupted utterance by what the loudspeaker has really played."""
        line = self._robot_line(report.utterance_id) if report else None
        if report and line is not None and line.interrupted and line.clauses:
            line.heard = " ".join(text for text, first in line.clauses if first < report.samples_played)

    def on_intent(self, proposal: IntentProposal, *, withdrawn: bool = False) -> None:
        """Take in a proposal, or that it was withdrawn."""
        t_s = _seconds(proposal.stamp_ns - self._start_ns)
        data = json.loads(proposal.data)
        self._intents.append({"t_s": t_s, "intent": proposal.intent, "data": data, "withdrawn": withdrawn})

    def on_counted(self, counts: Iterable[CountDraft]) -> None:
        """Take in how often things were seen or heard so far."""
        for draft in counts:
            self._counts.pop(draft.what, None)
            self._counts[draft.what] = draft.count
            if len(self._counts) > _MOST_EVENTS:
                del self._counts[next(iter(self._counts))]

    def on_alert(self, alert: SafetyAlert) -> None:
        """Take in an alert."""
        self._alerts.append(
            {
                "t_s": _seconds(alert.stamp_ns - self._start_ns),
                "rule": alert.rule,
                "category": alert.category,
                "description": _cut(alert.description),
                "severity": alert.severity,
                "state": alert.state.name,
            }
        )

    def has_said(self, utterance_id: int) -> bool:
        """Tell whether the robot has said, or is about to say, an utterance that is remembered."""
        return self._robot_line(utterance_id) is not None

    # ------------------------------------------------------------------------------------------- what is told

    def package(
        self,
        now_ns: int,
        max_characters: int,
        *,
        facts: Mapping[str, Any] | None = None,
        open_delegations: Iterable[Mapping[str, Any]] = (),
    ) -> dict[str, Any]:
        """Return the context as a JSON object of about ``max_characters`` at most.

        The descriptions and the state of things come first; what room is left goes to the newest lines.
        """
        context: dict[str, Any] = {
            "robot": self._robot,
            "lab": self._lab,
            "time": {
                "session_s": _seconds(now_ns - self._start_ns),
                "utc": datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).isoformat(),
            },
            "facts": self._facts | dict(facts or {}),
            "open_delegations": [dict(one) for one in open_delegations],
        }
        if self._counts:
            context["counts"] = {_cut(what): count for what, count in self._counts.items()}
        room = max_characters - _size(context)
        context["recent_alerts"] = _newest(self._alerts, room // 4)
        context["recent_intents"] = _newest(self._intents, room // 4)
        lines = [line.as_dict(self._start_ns) for line in self._lines]
        context["conversation"] = _newest(lines, max_characters - _size(context) - _SUMMARY_CHARACTERS)
        context["cut"] = self._summary(len(lines) - len(context["conversation"]))
        return context

    def _summary(self, left_out: int) -> dict[str, Any]:
        """Say what is missing at the beginning of the conversation."""
        older = list(self._lines)[:left_out]
        speakers = self._forgotten + Counter(line.speaker for line in older)
        if not speakers.total():
            return {"lines": 0, "summary": ""}
        until = f" up to second {_seconds(older[-1].t_ns - self._start_ns):g}" if older else ""
        last = next((line.text for line in reversed(older) if line.speaker == "user"), "")
        said = f"; the last of them by the person: {_cut(last)[:200]!r}" if last else ""
        who = f"{speakers['user']} by the person and {speakers['robot']} by the robot"
        return {
            "lines": speakers.total(),
            "summary": f"earlier lines{until} are left out, {who}{said}",
            "untrusted": True,
        }

    def _append(self, line: _Line) -> None:
        if len(self._lines) == _MOST_LINES:
            self._forgotten[self._lines[0].speaker] += 1
        self._lines.append(line)

    def _robot_line(self, utterance_id: int) -> _Line | None:
        for line in reversed(self._lines):
            if line.speaker == "robot" and line.utterance_id == utterance_id:
                return line
        return None


class Album:
    """The newest picture and a few older ones, some time apart.

    Thread: one caller at a time.
    """

    def __init__(self, most: int, spacing_s: float) -> None:
        self._most = most
        self._spacing_ns = round(spacing_s * 1e9)
        self._older: deque[Frame] = deque(maxlen=max(1, most))
        self._newest: Frame | None = None

    def add(self, frames: tuple[Frame, ...]) -> None:
        """Take in the pictures of a micro-turn."""
        if not frames or not self._most:
            return
        self._newest = frames[-1]
        if not self._older or self._newest.stamp_ns - self._older[-1].stamp_ns >= self._spacing_ns:
            self._older.append(self._newest)

    def pictures(self) -> tuple[Frame, ...]:
        """Return at most ``most`` pictures, oldest first, the newest among them."""
        if self._newest is None:
            return ()
        older = [frame for frame in self._older if frame is not self._newest]
        return (*older[len(older) - self._most + 1 :], self._newest)


def read_facts(entries: Iterable[str]) -> dict[str, Any]:
    """Read ``NAME=VALUE`` entries; values are YAML scalars, empty entries are left out.

    Raises:
        ConfigError: an entry has no name or no value.
    """
    facts = {}
    for entry in filter(None, entries):
        name, equals, value = entry.partition("=")
        if not (name.strip() and equals):
            raise ConfigError(
                f"delegation.facts: {entry!r} is no fact; write it as NAME=VALUE, such as goggles_on=true"
            )
        try:
            facts[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as err:
            raise ConfigError(f"delegation.facts: the value of {entry!r} cannot be read: {err}") from err
    return facts


def _newest(entries: Iterable[dict[str, Any]], room: int) -> list[dict[str, Any]]:
    """Return the newest entries that fit, oldest first."""
    kept: list[dict[str, Any]] = []
    for entry in reversed(list(entries)):
        room -= _size(entry) + 2
        if room < 0:
            break
        kept.append(entry)
    return kept[::-1]


def _size(value: Any) -> int:
    return len(json.dumps(value))


def _seconds(ns: int) -> float:
    return round(ns / 1e9, 1)


def _cut(text: str) -> str:
    return text if len(text) <= _LINE_CHARACTERS else f"{text[:_LINE_CHARACTERS]} [cut]"
