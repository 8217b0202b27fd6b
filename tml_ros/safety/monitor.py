"""The whole of safety monitoring for one place: micro-turns in, alerts, words, cues and intents out.

Its time is that of the turns. When their clock jumps it goes on from where it was, so that no duration is longer than
what was really seen, and no open alert is lost. Advisory: it is no safety function, and nothing may depend on it.
It knows neither ROS nor models nor threads.
"""

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass

from tml_ros.errors import MissingDependencyError
from tml_ros.media.jpeg import thumbnail
from tml_ros.records import (
    AlertState,
    Frame,
    IntentDraft,
    MicroTurn,
    Region,
    SafetyAlert,
    SpeechKind,
    SpeechText,
    TextInput,
    TextSource,
    TranscriptEvent,
)
from tml_ros.safety.arrays import Bytes
from tml_ros.safety.conditions import Situation
from tml_ros.safety.eye import Eye, EyeConfig
from tml_ros.safety.kept import Kept
from tml_ros.safety.lab_file import LabFile, WatcherSpec
from tml_ros.safety.rules import AlertChange, RuleState
from tml_ros.safety.watcher import SafetyTurn, Surroundings, Watcher, Words
from tml_ros.safety.wording import Wording, placeholders
from tml_ros.safety.zones import Box

__all__ = ["SafetyMonitor", "SafetyOutput"]

ALERT_PRIORITY = 255
_EVIDENCE_WIDTH = 640
_MAX_GAP_NS = 30_000_000_000
_BACK_NS = 1_000_000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SafetyOutput:
    """What one micro-turn gives. say: at the highest priority. cues: for the model, as of the turn's end."""

    alerts: tuple[SafetyAlert, ...] = ()
    say: tuple[SpeechText, ...] = ()
    cues: tuple[TextInput, ...] = ()
    intents: tuple[IntentDraft, ...] = ()


class SafetyMonitor:
    """Watches one place.

    Thread: one caller at a time.
    """

    def __init__(
        self,
        lab: LabFile,
        *,
        eye: EyeConfig | None = None,
        allow_missing: bool = False,
        share_images: bool = False,
    ) -> None:
        """Build every watcher. share_images: put the picture into an alert when it is raised.

        Raises:
            MissingDependencyError: a watcher's model file or library is absent, unless ``allow_missing`` or
                the lab file allows it.
            ConfigError: a watcher refuses its configuration.
        """
        self.missing: tuple[str, ...] = ()
        self._lab = lab
        self._eye_config = eye or EyeConfig()
        self._eye = Eye(self._eye_config)
        self._watchers = self._build(lab.watchers, allow_missing=allow_missing or lab.allow_missing)
        self._rules = tuple(RuleState(rule, lab.lab) for rule in lab.rules)
        self._facts = {fact.name: fact.initially for fact in lab.facts}
        self._offset_ns = 0
        self._end_ns: int | None = None
        self._restored = Kept()
        self._share_images = share_images
        self._seen: Bytes | None = None
        self._boxes: dict[str, tuple[Box, ...]] = {}

    @property
    def phrases(self) -> tuple[str, ...]:
        """What it may say, in words that are the same every time, to be synthesised beforehand."""
        found: list[str] = []
        for rule in self._lab.rules:
            found.append(rule.say)
            if rule.must_acknowledge is not None:
                found.append(rule.must_acknowledge.escalation.say)
        wording = Wording({}, {"lab": self._lab.lab})
        fixed = (text for text in found if text and set(placeholders(text)) <= {"lab"})
        return tuple(dict.fromkeys(wording.fill(text) for text in fixed))

    @property
    def open_rules(self) -> tuple[str, ...]:
        """Names of the rules with an open alert."""
        return tuple(state.rule.name for state in self._rules if state.is_open)

    @property
    def facts(self) -> dict[str, bool]:
        """What people have stated, by name."""
        return dict(self._facts)

    @property
    def kept(self) -> Kept:
        """What has to outlive a restart, on the clock of the turns as they come."""
        offset_ns = self._offset_ns
        alerts = {one.rule.name: one.open.moved(-offset_ns) for one in self._rules if one.open is not None}
        return Kept(self._lab.lab, (self._end_ns or 0) - offset_ns, alerts, dict(self._facts))

    def restore(self, kept: Kept) -> None:
        """Go on from what there was before a restart; told with the first turn. Of another place nothing is taken."""
        names = {state.rule.name for state in self._rules} if kept.lab == self._lab.lab else set()
        for rule in sorted(kept.alerts.keys() - names):
            _log.warning("an alert of rule %r of %r was open, and is no rule here: it is forgotten", rule, kept.lab)
        if kept.lab == self._lab.lab:
            self._restored = kept
            self._facts |= {name: value for name, value in kept.facts.items() if name in self._facts}

    def step(self, turn: MicroTurn, heard: Iterable[TranscriptEvent] = ()) -> SafetyOutput:
        """Take in the next micro-turn. heard: transcripts that have come since the last one."""
        self._follow_clock(turn)
        mine = self._turn(turn, heard)
        readings = {name: watcher.step(mine) for name, watcher in self._watchers.items()}
        values: dict[str, float | None] = {
            f"{name}.{value}": number for name, reading in readings.items() for value, number in reading.values.items()
        }
        self._boxes = {name: reading.boxes for name, reading in readings.items() if reading.boxes}
        self._seen = turn.frames[-1].rgb if turn.frames else self._seen
        self._note_facts(mine.words)
        wording = Wording(values, {"lab": self._lab.lab})
        changes = self._go_on(turn.start_ns, wording) + self._acknowledged(mine)
        for state in self._rules:
            now = Situation(mine.start_ns, mine.end_ns, values, self._facts, mine.words, self.open_rules)
            changes += state.step(now, wording)
        return self._tell(changes, mine.end_ns)

    def acknowledge(self, by: str = "") -> SafetyOutput:
        """Take note that a person knows of the open alerts, as of the end of the last turn. by: his name or part."""
        if self._end_ns is None:
            return SafetyOutput()
        now = Situation(self._end_ns, self._end_ns)
        changes = [change for state in self._rules for change in state.acknowledge(now, by)]
        return self._tell(changes, self._end_ns)

    def _go_on(self, now_ns: int, wording: Wording) -> list[AlertChange]:
        """Open again what was open before a restart."""
        kept, self._restored = self._restored.as_of(now_ns), Kept()
        known = ((state, kept.alerts.get(state.rule.name)) for state in self._rules)
        return [state.restore(one, wording) for state, one in known if one is not None]

    # -------------------------------------------------------------------------------------------------- the turn

    def _build(self, specs: Iterable[WatcherSpec], *, allow_missing: bool) -> dict[str, Watcher]:
        surroundings = Surroundings(self._lab.zones)
        built: dict[str, Watcher] = {}
        faults: list[str] = []
        for spec in specs:
            try:
                built[spec.name] = spec.factory(spec.config, surroundings)
            except MissingDependencyError as err:
                faults.append(f"{spec.where}: {err}")
        self.missing = tuple(faults)
        if faults and not allow_missing:
            raise MissingDependencyError(
                "the place would be watched half blind: "
                + "; ".join(faults)
                + "; put the files there, remove the watchers, or set allow_missing in the lab file, or "
                "safety.allow_missing, to true"
            )
        for fault in faults:
            _log.error("not watched, as allow_missing is true: %s", fault)
        return built

    def _follow_clock(self, turn: MicroTurn) -> None:
        """Go on from the end of the last turn when the clock has jumped."""
        if self._end_ns is not None:
            gap_ns = turn.start_ns + self._offset_ns - self._end_ns
            if not -_BACK_NS <= gap_ns <= _MAX_GAP_NS:
                self._offset_ns = self._end_ns - turn.start_ns
        self._end_ns = turn.end_ns + self._offset_ns

    def _turn(self, turn: MicroTurn, heard: Iterable[TranscriptEvent]) -> SafetyTurn:
        offset_ns = self._offset_ns
        frames = (Frame(frame.stamp_ns + offset_ns, frame.rgb) for frame in turn.frames)
        words = [
            Words(event.end_ns + offset_ns, event.text, confidence=event.confidence)
            for event in heard
            if event.final and event.speaker == "user"
        ]
        words += [
            Words(text.stamp_ns + offset_ns, text.text, is_typed=True)
            for text in turn.texts
            if text.source is TextSource.USER
        ]
        return SafetyTurn(
            turn.start_ns + offset_ns,
            turn.end_ns + offset_ns,
            turn.audio,
            turn.audio_valid,
            turn.reference,
            tuple(self._eye.look(frame) for frame in frames),
            tuple(words),
        )

    def _note_facts(self, words: Iterable[Words]) -> None:
        for word in words:
            for fact in self._lab.facts:
                if fact.false_when.found_in(word.text):
                    self._facts[fact.name] = False
                elif fact.true_when.found_in(word.text):
                    self._facts[fact.name] = True

    def _acknowledged(self, turn: SafetyTurn) -> list[AlertChange]:
        if not any(self._lab.acknowledge.found_in(word.text) for word in turn.words):
            return []
        now = Situation(turn.start_ns, turn.end_ns)
        return [change for state in self._rules for change in state.acknowledge(now)]

    # ------------------------------------------------------------------------------------------------- the output

    def _tell(self, changes: Iterable[AlertChange], end_ns: int) -> SafetyOutput:
        changes = tuple(changes)
        stamp_ns = end_ns - self._offset_ns
        say = (
            SpeechText(change.say, SpeechKind.ALERT, priority=ALERT_PRIORITY, interruptible=False)
            for change in changes
            if change.say
        )
        intents = (
            IntentDraft(change.intent.name, change.intent.data, source="__myself__", modality="other", priority=200)
            for change in changes
            if change.intent is not None
        )
        return SafetyOutput(
            tuple(self._alert(change, stamp_ns) for change in changes),
            tuple(say),
            tuple(TextInput(stamp_ns, _cue(change), TextSource.CUE) for change in changes),
            tuple(intents),
        )

    def _alert(self, change: AlertChange, stamp_ns: int) -> SafetyAlert:
        return SafetyAlert(
            stamp_ns=stamp_ns,
            alert_id=change.alert_id,
            state=change.state,
            severity=int(change.severity),
            rule=change.rule.name,
            category=change.rule.category,
            description=change.description,
            confidence=1.0,
            observed_start_ns=change.observed_start_ns - self._offset_ns,
            observed_end_ns=change.observed_end_ns - self._offset_ns,
            recommended_action=change.rule.advise,
            regions=self._regions(change),
            evidence=self._evidence(change),
        )

    def _regions(self, change: AlertChange) -> tuple[Region, ...]:
        """Return where the watchers of a rule see something while it holds."""
        if self._seen is None or change.state not in (AlertState.RAISED, AlertState.UPDATED):
            return ()
        boxes = (box for name in change.rule.watchers for box in self._boxes.get(name, ()))
        return tuple(_region(box, self._seen.shape[1], self._seen.shape[0]) for box in dict.fromkeys(boxes))

    def _evidence(self, change: AlertChange) -> bytes:
        is_new = change.state is AlertState.RAISED
        return (
            thumbnail(self._seen, _EVIDENCE_WIDTH) if self._share_images and is_new and self._seen is not None else b""
        )


def _region(box: Box, width: int, height: int) -> Region:
    """Return a box in pixels of a picture, at least one wide and high."""
    left, top = (min(size - 1, max(0, math.floor(share * size))) for share, size in ((box[0], width), (box[1], height)))
    right, bottom = (min(size, math.ceil(share * size)) for share, size in ((box[2], width), (box[3], height)))
    return Region(left, top, max(1, right - left), max(1, bottom - top))


def _cue(change: AlertChange) -> str:
    """Return what the model is told."""
    state = "escalated" if change.is_escalation else change.state.name.lower()
    by = f" by {change.by}" if change.by else ""
    return f"alert {state}{by}: {change.description}"
