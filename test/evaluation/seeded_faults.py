"""Faults to be found: a model with one thing wrong, put around a right one. Each is named after what is wrong."""

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from text_to_num import alpha2digit

from tml_ros.records import Floor, MicroTurn, MicroTurnOutput, SpeechKind

LATE_TURNS = 2
OFF_BY = 2
_NUMBER = re.compile(r"[0-9]+")


class FaultyModel:
    """A model whose streams have a fault. fault: makes what changes the outputs of one session."""

    def __init__(self, model: Any, fault: Callable[[], Callable[[MicroTurnOutput], MicroTurnOutput]]) -> None:
        self.name = model.name
        self._model = model
        self._fault = fault

    def open(self, info: Any) -> Any:
        return _FaultyStream(self._model.open(info), self._fault())

    def close(self) -> None:
        self._model.close()


class _FaultyStream:
    def __init__(self, stream: Any, change: Callable[[MicroTurnOutput], MicroTurnOutput]) -> None:
        self._stream = stream
        self._change = change
        self.counters = stream.counters
        self.close = stream.close

    def step(self, turn: MicroTurn) -> MicroTurnOutput:
        return self._change(self._stream.step(turn))


def _late() -> Callable[[MicroTurnOutput], MicroTurnOutput]:
    """Reply 400 ms late: words, intents, tasks and timers; what is heard and the floor are in time."""
    waiting = deque([MicroTurnOutput()] * LATE_TURNS)

    def change(output: MicroTurnOutput) -> MicroTurnOutput:
        waiting.append(output)
        old = waiting.popleft()
        names = ("speech", "audio", "intents", "delegations", "withdraws", "timers")
        return replace(output, **{name: getattr(old, name) for name in names})

    return change


def _deaf() -> Callable[[MicroTurnOutput], MicroTurnOutput]:
    """Never yield the floor."""
    return lambda output: replace(output, floor=Floor.SPEAK) if output.floor is Floor.YIELD else output


def _miscounts() -> Callable[[MicroTurnOutput], MicroTurnOutput]:
    """Say and propose every number two too high."""

    def change(output: MicroTurnOutput) -> MicroTurnOutput:
        speech = tuple(replace(one, text=_shifted(one.text)) for one in output.speech)
        intents = tuple(replace(one, data=_raised(one.data)) for one in output.intents)
        counts = tuple(replace(one, count=one.count + OFF_BY) for one in output.counts)
        return replace(output, speech=speech, intents=intents, counts=counts)

    return change


def _shifted(text: str) -> str:
    return _NUMBER.sub(lambda found: str(int(found[0]) + OFF_BY), alpha2digit(text, "en"))


def _raised(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _raised(value) if isinstance(value, Mapping) else value + OFF_BY if isinstance(value, int) else value
        for name, value in data.items()
    }


def _swallows() -> Callable[[MicroTurnOutput], MicroTurnOutput]:
    """Raise no alert and say nothing of it."""
    return lambda output: replace(
        output, alerts=(), speech=tuple(one for one in output.speech if one.kind is not SpeechKind.ALERT)
    )


FAULTS: Mapping[str, Callable[[Any], FaultyModel]] = {
    "reply late": lambda model: FaultyModel(model, _late),
    "barge-in ignored": lambda model: FaultyModel(model, _deaf),
    "number off by two": lambda model: FaultyModel(model, _miscounts),
    "alert swallowed": lambda model: FaultyModel(model, _swallows),
}
