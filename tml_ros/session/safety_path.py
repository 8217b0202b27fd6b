"""The way of an alert: closed windows through the monitor to records, beside the model and never behind it.

It has its own thread, decodes its own pictures, speaks for itself and checks intents against the allow-list, so that a
model that stalls delays nothing. Offline the same windows go through the same function, one by one. It knows neither
ROS nor bags.
"""

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tml_ros.errors import TmlError
from tml_ros.intents.allow_list import AllowList
from tml_ros.records import (
    APART_UTTERANCES,
    MICRO_TURN_SAMPLES,
    SAMPLE_RATE_HZ,
    MicroTurn,
    SpeechPiece,
    SpeechText,
    TranscriptEvent,
)
from tml_ros.safety.config import SafetyConfig
from tml_ros.safety.monitor import SafetyMonitor, SafetyOutput
from tml_ros.session.names import name_in
from tml_ros.session.pictures import decode_images
from tml_ros.session.proposals import Proposals
from tml_ros.session.worker import Worker
from tml_ros.speech.synthesis import Synthesiser, split_clauses, synthesise_ahead
from tml_ros.windowing import ClosedWindow
from tml_ros.wire import Published

__all__ = ["SafetyPath"]

_LONGEST_NS = 60_000_000_000
_log = logging.getLogger(__name__)
Tell = Callable[[SafetyOutput], None]


class SafetyPath:
    """Runs one monitor.

    Thread: ``submit``, ``hear``, ``acknowledge`` and ``stop`` may be called from any, ``process`` by one at a time and
    never while the thread runs.
    """

    def __init__(
        self,
        monitor: SafetyMonitor,
        config: SafetyConfig,
        synthesiser: Synthesiser,
        allow_list: AllowList,
        tell: Tell,
        image_backend: Literal["own", "cv_bridge"] = "own",
    ) -> None:
        """Prepare; tell: takes every output for the model, called in the path's thread."""
        self.counters: Counter[str] = Counter()
        self._monitor = monitor
        self._config = config
        self._synthesiser = synthesiser
        self._allow_list = allow_list
        self._session_id = ""
        self._proposals = Proposals("", allow_list)
        self._tell = tell
        self._backend = image_backend
        self._next_utterance = APART_UTTERANCES
        self._play_until_ns = 0
        self._unsaid: list[TranscriptEvent] = []
        self._heard: deque[TranscriptEvent] = deque(maxlen=1000)
        self._worker: Worker[ClosedWindow | str] = Worker("tml-safety", config.queue_windows)
        self._last: MicroTurn | None = None

    # ------------------------------------------------------------------------------------------------- live

    def start(self, publish: Callable[[Published], None]) -> None:
        """Begin to work on submitted windows in a thread of its own; ``publish`` is called from it."""
        self._worker.start(partial(self._work, publish))
        threading.Thread(target=self._warm_up, name="tml-safety-warm-up", daemon=True).start()

    def submit(self, window: ClosedWindow) -> None:
        """Queue a window; returns at once."""
        if self._worker.submit(window):
            self.counters["safety_dropped_windows"] += 1

    def hear(self, records: Iterable[Published]) -> None:
        """Take in what the model understood; it counts from the next window on."""
        self._heard.extend(record for record in records if isinstance(record, TranscriptEvent))

    def acknowledge(self, by: str = "") -> tuple[str, ...]:
        """Acknowledge the open alerts, at once; return the names of their rules."""
        open_rules = self._monitor.open_rules
        self._worker.submit_urgent(by)
        return open_rules

    def stop(self) -> None:
        """Finish the window at work and leave the others."""
        self._worker.stop()

    def _work(self, publish: Callable[[Published], None], item: ClosedWindow | str, _behind: int) -> None:
        """Run a window, or take note of who acknowledges."""
        try:
            for record in self._take_note(item) if isinstance(item, str) else self.process(item):
                publish(record)
        except Exception:
            self.counters["safety_errors"] += 1
            _log.exception("the watchers failed in a micro-turn; going on with the next")

    def _warm_up(self) -> None:
        """Prepare what may be said, so that the first sound of an alert comes at once."""
        synthesise_ahead(self._synthesiser, self._monitor.phrases, lambda: self._worker.is_stopping)

    # ---------------------------------------------------------------------------------------------- one turn

    def process(self, window: ClosedWindow) -> Iterator[Published]:
        """Run one window and yield what is to be published, alerts before anything that takes time."""
        if not self._session_id:  # another one after every start, or a player would know the utterances already
            self._session_id = name_in("", f"safety/{window.turn.start_ns}")
            self._proposals = Proposals(self._session_id, self._allow_list)
        frames = decode_images(window.images, self._backend, self.counters, "safety_bad_images", "picture not watched")
        turn = replace(window.turn, frames=frames)
        heard = [self._heard.popleft() for _ in range(len(self._heard))]
        output = self._monitor.step(turn, heard)
        self._last = turn
        yield from self._unsaid_by(turn.end_ns)
        yield from self._give(output, turn)

    def _take_note(self, by: str) -> Iterator[Published]:
        if self._last is not None:
            yield from self._give(self._monitor.acknowledge(by), self._last)

    def _give(self, output: SafetyOutput, turn: MicroTurn) -> Iterator[Published]:
        if not output.alerts:
            return
        yield from output.alerts
        proposals = self._proposals.propose(output.intents, turn)
        self.counters["safety_rejected_intents"] += len(output.intents) - len(proposals)
        yield from proposals
        self._tell(output)
        for speech in output.say if self._config.speak else ():
            yield from self._speak(speech, turn)

    def _speak(self, speech: SpeechText, turn: MicroTurn) -> Iterator[Published]:
        """Yield an utterance clause by clause, each as soon as it is sound; it is never taken back."""
        utterance_id, self._next_utterance = self._next_utterance, self._next_utterance + 1
        clauses = split_clauses(speech.text)
        if self._play_until_ns > turn.end_ns + _LONGEST_NS:  # the clock went back
            self._play_until_ns = turn.end_ns
        start_ns = stamp_ns = max(turn.end_ns, self._play_until_ns)
        seq = first = 0
        for number, clause in enumerate(clauses, start=1):
            audio = self._synthesise(clause)
            starts = range(0, max(1, len(audio)), MICRO_TURN_SAMPLES)
            for start in starts:
                part = audio[start : start + MICRO_TURN_SAMPLES]
                yield SpeechPiece(
                    stamp_ns=stamp_ns,
                    session_id=self._session_id,
                    window_seq=turn.index,
                    utterance_id=utterance_id,
                    seq=seq,
                    kind=speech.kind,
                    text=clause if start == 0 else "",
                    audio=part,
                    first_sample=first,
                    priority=speech.priority,
                    interruptible=speech.interruptible,
                    last=number == len(clauses) and start == starts[-1],
                )
                seq, first = seq + 1, first + len(part)
                stamp_ns += len(part) * 1_000_000_000 // SAMPLE_RATE_HZ
        self._play_until_ns = stamp_ns
        self._unsaid.append(TranscriptEvent("robot", speech.text, True, 1.0, start_ns, stamp_ns))

    def _unsaid_by(self, now_ns: int) -> list[TranscriptEvent]:
        """Return what has been said to its end by now."""
        over = [event for event in self._unsaid if event.end_ns <= now_ns or event.start_ns > now_ns + _LONGEST_NS]
        self._unsaid = [event for event in self._unsaid if event not in over]
        return over

    def _synthesise(self, text: str) -> NDArray[np.float32]:
        """Return sound, or none at all when the synthesiser fails: the words are published all the same."""
        try:
            return self._synthesiser.synthesise(text)
        except TmlError as err:
            if not self.counters["safety_synthesis_failures"]:
                _log.error("speech.synthesiser failed, an alert is not heard: %s; further ones are counted", err)
            self.counters["safety_synthesis_failures"] += 1
            return np.zeros(0, np.float32)
