"""The alerts of a shift, each with what became of it and how soon the robot said so.

Which utterance speaks of which alert is not in the messages: it is the first of kind ALERT after the alert that shares
its words, or else the first within three seconds. Knows no bag and no page.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tml_ros.records import (
    SAMPLE_RATE_HZ,
    AlertState,
    PlaybackReport,
    PlaybackState,
    SafetyAlert,
    SpeechKind,
    SpeechPiece,
)

__all__ = ["AlertEvent", "AlertStory", "Spoken", "find_spoken", "match_sounds", "tell_stories"]

_BEFORE_NS = 1_000_000_000
_WITHIN_NS = 15_000_000_000
_NEXT_NS = 3_000_000_000
_ALIKE = 0.5
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """An alert message. at_ns: when it was on the topic. evidence: a JPEG or PNG, empty without one."""

    at_ns: int
    alert: SafetyAlert
    evidence: bytes = b""


@dataclass(frozen=True, slots=True)
class Spoken:
    """An utterance of kind ALERT. sent_ns: on its topic. heard_ns: of its first sound; None where nothing was played.

    is_measured: whether heard_ns is from the loudspeaker (``playback``) or the earliest time that ``speech`` allows.
    """

    sent_ns: int
    text: str
    heard_ns: int | None
    is_measured: bool


@dataclass(slots=True)
class AlertStory:
    """An alert from its first message to its last."""

    events: list[AlertEvent] = field(default_factory=list)
    spoken: Spoken | None = None
    still: bytes = b""
    still_is_evidence: bool = False

    @property
    def first(self) -> AlertEvent:
        """Its first message."""
        return self.events[0]

    @property
    def severity(self) -> int:
        """The highest."""
        return max(event.alert.severity for event in self.events)

    @property
    def to_topic_s(self) -> float | None:
        """Seconds from the first evidence to the topic; None where the alert does not say when that was."""
        seen_ns = self.first.alert.observed_start_ns
        return (self.first.at_ns - seen_ns) / 1e9 if seen_ns else None

    @property
    def to_sound_s(self) -> float | None:
        """Seconds from the topic to the first sound."""
        if self.spoken is None or self.spoken.heard_ns is None:
            return None
        return (self.spoken.heard_ns - self.first.at_ns) / 1e9

    def after_s(self, state: AlertState) -> float | None:
        """Seconds from the first message to the first one of a state, None where none came."""
        found = [event.at_ns for event in self.events if event.alert.state is state]
        return (found[0] - self.first.at_ns) / 1e9 if found else None

    @property
    def end_ns(self) -> int | None:
        """When it was cleared, None while it goes on."""
        last = self.events[-1]
        return last.at_ns if last.alert.state is AlertState.CLEARED else None


def tell_stories(events: Iterable[AlertEvent]) -> list[AlertStory]:
    """Gather alert messages by their id; a RAISED after CLEARED begins anew. By time of the first message."""
    open_ones: dict[str, AlertStory] = {}
    stories = []
    for event in events:
        story = open_ones.get(event.alert.alert_id)
        is_again = story is not None and story.end_ns is not None and event.alert.state is AlertState.RAISED
        if story is None or is_again:
            story = open_ones[event.alert.alert_id] = AlertStory()
            stories.append(story)
        story.events.append(event)
    return stories


def find_spoken(
    pieces: Iterable[tuple[int, SpeechPiece]], reports: Sequence[tuple[int, PlaybackReport]]
) -> list[Spoken]:
    """Return the utterances of kind ALERT.

    Args:
        pieces: log time and piece, by time.
        reports: log time and report of the loudspeaker, by time; empty where ``playback`` was not recorded.
    """
    found: dict[tuple[str, int], list[tuple[int, SpeechPiece]]] = {}
    for at_ns, piece in pieces:
        if piece.kind is SpeechKind.ALERT:
            found.setdefault((piece.session_id, piece.utterance_id), []).append((at_ns, piece))
    return [_spoken(one, reports) for one in found.values()]


def _spoken(pieces: Sequence[tuple[int, SpeechPiece]], reports: Sequence[tuple[int, PlaybackReport]]) -> Spoken:
    sent_ns, first = pieces[0]
    text = " ".join(filter(None, (piece.text.strip() for _, piece in pieces)))
    if not reports:
        has_sound = any(len(piece.audio) for _, piece in pieces)
        return Spoken(sent_ns, text, max(sent_ns, first.stamp_ns) if has_sound else None, False)
    for at_ns, report in reports:
        if report.utterance_id == first.utterance_id and report.samples_played and at_ns >= sent_ns:
            if at_ns - sent_ns > 2 * _WITHIN_NS or report.state is PlaybackState.IDLE:
                break
            heard_ns = report.stamp_ns - round(report.samples_played / SAMPLE_RATE_HZ * 1e9)
            return Spoken(sent_ns, text, heard_ns, True)
    return Spoken(sent_ns, text, None, True)


def match_sounds(stories: Sequence[AlertStory], spoken: Sequence[Spoken]) -> None:
    """Give every story the utterance that speaks of it; an utterance speaks of one."""
    left = sorted(spoken, key=lambda one: one.sent_ns)
    for is_by_words in (True, False):
        for story in stories:
            if story.spoken is None and (found := _best(story, left, is_by_words)) is not None:
                story.spoken = found
                left.remove(found)


def _best(story: AlertStory, left: Sequence[Spoken], is_by_words: bool) -> Spoken | None:
    at_ns = story.first.at_ns
    within_ns = _WITHIN_NS if is_by_words else _NEXT_NS
    near = [one for one in left if -_BEFORE_NS <= one.sent_ns - at_ns <= within_ns]
    if is_by_words:
        near = [one for one in near if _share(story.first.alert.description, one.text) >= _ALIKE]
    return near[0] if near else None


def _share(said: str, text: str) -> float:
    """Return the share of the words of the shorter text that are in the longer one."""
    ours, theirs = (set(_WORD.findall(one.lower())) for one in (said, text))
    shorter, longer = sorted((ours, theirs), key=len)
    return len(shorter & longer) / len(shorter) if shorter else 0.0
