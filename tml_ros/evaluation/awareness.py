"""What was due against what came: reminders and cues, both right and in time or nothing, and alerts.

Pure functions of names and times; who calls them decides which words go by which name. An event is due in the half-open
window [start, end).

Source: TimeSpeak and CueSpeak as they were published (Thinking Machines, May 2026): an item counts when the right thing
is said in its window, macro accuracy over the kinds of item. Our items, our windows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tml_ros.errors import InputError
from tml_ros.evaluation.results import Observation

__all__ = ["Due", "Event", "Pairing", "is_kept", "observe_alerts", "observe_item", "pair", "reminder_jitter_s"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: an alert by its rule, an utterance by what it was about."""

    name: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Due:
    """Something that shall happen once in [start_s, end_s).

    Raises:
        InputError: the window is empty.
    """

    name: str
    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        """Refuse what nothing can meet."""
        if not self.start_s < self.end_s:
            raise InputError(
                f"{self.name!r} is due in [{self.start_s}, {self.end_s}) s, which is empty; swap the times"
            )

    def holds(self, event: Event) -> bool:
        """Tell whether an event is of this name and in this window."""
        return event.name == self.name and self.start_s <= event.at_s < self.end_s


@dataclass(frozen=True, slots=True)
class Pairing:
    """What met what. stray: events outside every window of their name; one more event within a window is none."""

    met: tuple[tuple[Due, Event], ...]
    missed: tuple[Due, ...]
    stray: tuple[Event, ...]


def pair(due: Iterable[Due], events: Iterable[Event]) -> Pairing:
    """Pair as many as can be, each once: every event in turn with the window that closes first."""
    open_ = sorted(due, key=lambda one: (one.end_s, one.start_s, one.name))
    windows = tuple(open_)
    met: list[tuple[Due, Event]] = []
    stray: list[Event] = []
    for event in sorted(events, key=lambda one: (one.at_s, one.name)):
        wanted = next((one for one in open_ if one.holds(event)), None)
        if wanted is not None:
            open_.remove(wanted)
            met.append((wanted, event))
        elif not any(one.holds(event) for one in windows):
            stray.append(event)
    return Pairing(tuple(met), tuple(open_), tuple(stray))


def is_kept(due: Sequence[Due], events: Iterable[Event]) -> bool:
    """Tell whether an item counts: all that was due came, and nothing of the same names at another time."""
    names = {one.name for one in due}
    found = pair(due, (one for one in events if one.name in names))
    return not (found.missed or found.stray)


def observe_item(measure: str, kind: str, due: Sequence[Due], events: Iterable[Event]) -> Observation:
    """Return 1 or 0 of an item. measure: ``time_accuracy`` or ``cue_accuracy``. kind: over which the mean is macro.

    Raises:
        InputError: nothing is due, so that silence would be right.
    """
    if not due:
        raise InputError(f"an item of {measure} ({kind}) needs something that is due; give at least one window")
    return Observation(measure, float(is_kept(due, events)), group=kind)


def reminder_jitter_s(due_s: Iterable[float], said_s: Iterable[float], tolerance_s: float) -> list[float]:
    """Return how far each reminder that came within the tolerance was from its due time, early or late alike."""
    windows = [Due("", at_s - tolerance_s, at_s + tolerance_s) for at_s in due_s]
    met = pair(windows, [Event("", at_s) for at_s in said_s]).met
    return [abs(event.at_s - (one.start_s + one.end_s) / 2.0) for one, event in met]


def observe_alerts(hazards: Iterable[Due], alerts: Iterable[Event], hours: float) -> list[Observation]:
    """Return recall and delay of every hazard, and the alerts without one in a recording of so many hours."""
    found = pair(hazards, alerts)
    return [
        *(Observation("alert_recall", 1.0) for _ in found.met),
        *(Observation("alert_recall", 0.0) for _ in found.missed),
        *(Observation("alert_delay_s", event.at_s - hazard.start_s) for hazard, event in found.met),
        Observation("false_alerts_per_hour", float(len(found.stray)), weight=hours),
    ]
