"""Tasks and their news as records, and a port that repeats them: a bag of a conversation with any model replays alike.

A recording is matched by the words of the task, in order; news come as many micro-turns after the request as they did.
What was asked for otherwise than in the recording fails in words.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict

from tml_ros.background import spoken
from tml_ros.background.port import DelegationRequest, DelegationUpdate
from tml_ros.background.protocol import Failure, Outcome, Partial, Progress, Result, Update
from tml_ros.background.schedule import Schedule
from tml_ros.errors import InputError
from tml_ros.records import MICRO_TURN_NS, DelegationEvent, DelegationPhase, IntentDraft, TimerDraft

__all__ = ["RecordedBackground", "end_event"]


class RecordedBackground(Schedule):
    """A port that gives what the events of a bag say.

    Thread: one caller at a time.
    """

    def __init__(self, events: Iterable[DelegationEvent]) -> None:
        """Take in what was recorded.

        Raises:
            InputError: an event cannot be read.
        """
        super().__init__()
        self._requests: list[DelegationEvent] = []
        self._news: dict[str, list[tuple[int, Update]]] = {}
        for event in events:
            if event.event is DelegationPhase.REQUESTED:
                self._requests.append(event)
            elif event.event is not DelegationPhase.WITHDRAWN:
                self._news.setdefault(event.delegation_id, []).append((event.window_seq, _update(event)))

    def start(self, request: DelegationRequest, now_ns: int) -> None:
        """Take the first recorded task of the same words that was not taken yet."""
        found = next((one for one in self._requests if one.task == request.package.task), None)
        if found is None:
            failure = Failure(
                Outcome.FAILED,
                spoken.NOBODY,
                f"the recording has no task {request.package.task!r} (any more); replay with another background",
            )
            self.add(DelegationUpdate(request.delegation_id, now_ns, failure))
            return
        self._requests.remove(found)
        for window_seq, update in self._news.get(found.delegation_id, ()):
            stamp_ns = now_ns + (window_seq - found.window_seq) * MICRO_TURN_NS
            self.add(DelegationUpdate(request.delegation_id, stamp_ns, update))


def end_event(end: Result | Failure) -> tuple[str, int, str]:
    """Return text, outcome and JSON of the end of a task, as its event has them; what JSON has not becomes text."""
    if isinstance(end, Failure):
        return end.report, int(end.outcome), json.dumps({"error": end.error})
    content = {
        "data": dict(end.data),
        "intents": [asdict(draft) | {"data": dict(draft.data)} for draft in end.intents],
        "timers": [asdict(draft) for draft in end.timers],
        "contradicts": list(end.contradicts),
    }
    return end.report, int(Outcome.SUCCEEDED), json.dumps(content, sort_keys=True, default=str)


def _update(event: DelegationEvent) -> Update:
    """Read an event back.

    Raises:
        InputError: its JSON is not what ``end_event`` makes.
    """
    if event.event is DelegationPhase.PROGRESS:
        return Progress(event.stage, status_text=event.text)
    if event.event is DelegationPhase.PARTIAL:
        return Partial(event.text)
    try:
        content = json.loads(event.result_json)
        if event.outcome != Outcome.SUCCEEDED:
            return Failure(Outcome(event.outcome), event.text, str(content["error"]))
        return Result(
            event.text,
            content["data"],
            tuple(IntentDraft(**draft) for draft in content["intents"]),
            tuple(TimerDraft(**draft) for draft in content["timers"]),
            tuple(content["contradicts"]),
        )
    except (KeyError, TypeError, ValueError) as err:
        raise InputError(
            f"the end of task {event.delegation_id!r} cannot be read ({type(err).__name__}: {err}); replay with "
            "another background"
        ) from err
