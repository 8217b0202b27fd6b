"""One session with a server: micro-turns go out, what comes back goes into the outputs, and nothing waits for long.

What goes wrong on the way is data: it is logged once with its remedy and counted, and the session is silent from then
on. A new session connects anew. What is sent and what it means, a ``Talk`` knows; here are only link, time and bounds.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from tml_ros.duplex.protocol import SessionInfo
from tml_ros.duplex.remote.config import RemoteConfig
from tml_ros.duplex.remote.link import Link, Message
from tml_ros.records import MICRO_TURN_NS, MicroTurn, MicroTurnOutput

__all__ = ["ProtocolError", "RemoteStream", "Talk", "is_paced"]

_SILENT_TURNS = 50  # unanswered micro-turns after which a server that always sends counts as dead
_LIVE_S = 5.0  # no older is the first micro-turn of a session that is live
_LINK_FIRST_S = 0.5  # a link that does not come up says so itself, in better words
_log = logging.getLogger(__name__)


class ProtocolError(Exception):
    """What came cannot be gone on with. The text says what, and what to do."""


class Talk(Protocol):
    """The protocol of a server, without its connection.

    outbox: messages to be sent, in order; whoever sends them empties it. is_ready: whether the server takes sound.
    is_owed: whether more of what is to be said in this micro-turn may still come. always_sends: whether the server
    answers every micro-turn, so that silence is a fault.
    """

    always_sends: bool
    outbox: list[Message]
    counters: Counter[str]

    @property
    def is_ready(self) -> bool: ...

    @property
    def is_owed(self) -> bool: ...

    def take(self, message: Message) -> None:
        """Take in a message.

        Raises:
            ProtocolError: it ends the session.
        """

    def hear(self, turn: MicroTurn) -> None:
        """Put what was heard into the outbox."""

    def say(self, turn: MicroTurn) -> MicroTurnOutput:
        """Return what is due."""

    def break_off(self) -> None:
        """Forget what was still to be said: the server is gone."""


def is_paced(config: RemoteConfig, info: SessionInfo) -> bool:
    """Tell whether the micro-turns of a session are to be held back to the speed of life."""
    if config.pace != "auto":
        return config.pace == "always"
    age_s = (time.time_ns() - info.start_ns) / 1e9
    return not 0.0 <= age_s <= _LIVE_S


class RemoteStream:
    """A session; see the module.

    Thread: as every DuplexStream. A step takes at most 200 ms (held to the pace) and ``wait_ms``.
    """

    def __init__(
        self,
        config: RemoteConfig,
        talk: Talk,
        link: Link,
        *,
        paced: bool,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._config = config
        self._talk = talk
        self._link = link
        self._is_paced = paced
        self._monotonic = monotonic
        self._sleep = sleep
        self._counters: Counter[str] = Counter()
        self._ready_by = monotonic() + config.connect_timeout_s + _LINK_FIRST_S
        self._next_s: float | None = None
        self._unanswered = 0
        self._is_down = False
        while paced and not talk.is_ready and not self._is_down:
            link.wait(max(0.0, self._ready_by - monotonic()))
            self._receive()

    def step(self, turn: MicroTurn) -> MicroTurnOutput:
        """Send what was heard; return what has come."""
        self._hold()
        self._receive()
        self._hear(turn)
        self._await()
        output = self._talk.say(turn)
        self._flush()
        self._counters["ignored_frames"] += len(turn.frames)
        self._counters["silent_windows"] += self._is_down
        return output

    def counters(self) -> dict[str, int]:
        """Return what went wrong or was left out."""
        total = self._counters + self._talk.counters
        return {name: count for name, count in total.items() if count}

    def close(self) -> None:
        """End the connection."""
        self._link.close()

    def _hold(self) -> None:
        """Wait until this micro-turn would have come in life, counted from the first one."""
        if not self._is_paced:
            return
        now_s = self._monotonic()
        due_s = now_s if self._next_s is None else self._next_s
        self._sleep(max(0.0, due_s - now_s))
        self._next_s = due_s + MICRO_TURN_NS / 1e9

    def _receive(self) -> None:
        if self._is_down:
            return
        is_over = bool(self._link.fault)  # read first: what came before the end counts
        for message in self._link.take():
            self._unanswered = 0
            try:
                self._talk.take(message)
            except ProtocolError as err:
                self._lose(str(err))
                return
        self._flush()
        if is_over:
            self._lose()
        elif not self._talk.is_ready and self._monotonic() >= self._ready_by:
            name = self._link.address.model
            self._lose(f"the server was not ready for sound within {name}.connect_timeout_s; look at its log")
        elif self._talk.always_sends and self._unanswered > _SILENT_TURNS:
            self._lose(f"the server sent nothing for {self._unanswered} micro-turns; look at its log")

    def _lose(self, why: str = "") -> None:
        """Be silent from now on. why: what made us take the link down; empty when it went down by itself."""
        if why:
            self._link.give_up(why)
        self._is_down = True
        self._counters["lost_connections"] += 1
        self._talk.break_off()
        _log.error("the model %s is silent from now on: %s", self._link.address.model, self._link.fault)

    def _hear(self, turn: MicroTurn) -> None:
        if self._is_down or not self._talk.is_ready:
            self._counters["unsent_windows"] += 1
            return
        self._talk.hear(turn)
        self._unanswered += 1
        self._flush()

    def _flush(self) -> None:
        messages, self._talk.outbox = self._talk.outbox, []
        for message in messages:
            self._counters["unsent_messages"] += not self._link.send(message)

    def _await(self) -> None:
        until_s = self._monotonic() + self._config.wait_ms / 1e3
        while not self._is_down and self._talk.is_ready and self._talk.is_owed:
            left_s = until_s - self._monotonic()
            if left_s <= 0 or not self._link.wait(left_s):
                return
            self._receive()
