"""The way of an alert: closed windows through the monitor to records, beside the model and never behind it.

It has its own thread, decodes its own pictures, speaks for itself and checks intents against the allow-list, so that a
model that stalls delays nothing; of a process that takes too long it tells where the model should have and has not.
Offline the same windows go through the same function, one by one. Live it watches on by the clock when no windows come,
for sensors that are all silent are what somebody should know of. It knows neither ROS nor bags.
"""

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tml_ros.errors import TmlError
from tml_ros.intents.allow_list import AllowList
from tml_ros.records import (
    APART_UTTERANCES,
    MICRO_TURN_NS,
    MICRO_TURN_SAMPLES,
    SAMPLE_RATE_HZ,
    MicroTurn,
    SpeechKind,
    SpeechPiece,
    SpeechText,
    TextInput,
    TextSource,
    TranscriptEvent,
)
from tml_ros.safety.config import SafetyConfig
from tml_ros.safety.kept import Kept, write_kept
from tml_ros.safety.monitor import ALERT_PRIORITY, SafetyMonitor, SafetyOutput
from tml_ros.session.names import name_in
from tml_ros.session.pictures import decode_images
from tml_ros.session.proposals import Proposals
from tml_ros.session.timekeeper import Timekeeper
from tml_ros.session.worker import Worker
from tml_ros.speech.synthesis import Synthesiser, split_clauses, synthesise_ahead
from tml_ros.windowing import ClosedWindow
from tml_ros.wire import Published

__all__ = ["SafetyPath"]

_LONGEST_NS = 60_000_000_000
_PATIENCE_NS = 500_000_000
_START_PATIENCE_NS = 5_000_000_000  # until drivers are found
_STEADY_TURNS = 3
_LONGEST_TICK_NS = 2_000_000_000  # more is a clock that was set
_log = logging.getLogger(__name__)
Tell = Callable[[SafetyOutput], None]


@dataclass(frozen=True, slots=True)
class _Silence:
    """No window has come for so long, by the clock. now_ns: the clock."""

    now_ns: int
    silent_ns: int


class SafetyPath:
    """Runs one monitor, or none where no place is watched, and looks after what is timed.

    Thread: ``submit`` and ``tick`` by one at a time; ``hear``, ``acknowledge`` and ``stop`` may be called from any,
    ``process`` by one at a time and never while the thread runs.
    """

    def __init__(
        self,
        monitor: SafetyMonitor | None,
        config: SafetyConfig,
        synthesiser: Synthesiser,
        allow_list: AllowList,
        tell: Tell,
        image_backend: Literal["own", "cv_bridge"] = "own",
        timekeeper: Timekeeper | None = None,
        state_file: Path | None = None,
    ) -> None:
        """Prepare.

        Args:
            monitor: of the place, None where none is watched.
            config: whether to speak.
            synthesiser: speaks.
            allow_list: of intents.
            tell: takes every output for the model, called in the path's thread.
            image_backend: converter of raw images.
            timekeeper: what is timed.
            state_file: where open alerts are kept, None: nowhere.
        """
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
        self._worker: Worker[ClosedWindow | str | _Silence] = Worker("tml-safety", config.queue_windows)
        self._timekeeper = timekeeper or Timekeeper()
        self._state_file = state_file
        self._keeper: Worker[Kept] = Worker("tml-safety-state", 1)
        self._facts: dict[str, bool] | None = None
        self._last: MicroTurn | None = None
        self._steady_turns = 0
        self._is_fed = False
        self._ticked_ns: int | None = None
        self._silent_ns = 0
        self._patience_ns = _START_PATIENCE_NS
        self._base_ns: int | None = None
        self._watched_until_ns: int | None = None

    @property
    def is_watching(self) -> bool:
        """Whether a place is watched."""
        return self._monitor is not None

    # ------------------------------------------------------------------------------------------------- live

    def start(self, publish: Callable[[Published], None]) -> None:
        """Begin to work on submitted windows in a thread of its own; ``publish`` is called from it."""
        self._last = self._base_ns = self._ticked_ns = None
        self._silent_ns, self._patience_ns = 0, _START_PATIENCE_NS
        self._worker.start(partial(self._work, publish))
        if self._state_file is not None:
            self._keeper.start(partial(self._keep, self._state_file))
        threading.Thread(target=self._warm_up, name="tml-safety-warm-up", daemon=True).start()

    def submit(self, window: ClosedWindow) -> None:
        """Queue a window; returns at once."""
        if self._was_watched(window):
            return
        self._is_fed = True
        if self._worker.submit(window):
            self.counters["safety_dropped_windows"] += 1

    def tick(self, now_ns: int) -> None:
        """Take note of the clock, a few times a second: when no window comes any more, watch on by it."""
        step_ns = 0 if self._ticked_ns is None else now_ns - self._ticked_ns
        self._ticked_ns = now_ns
        self._silent_ns = 0 if self._is_fed else self._silent_ns + min(max(0, step_ns), _LONGEST_TICK_NS)
        self._patience_ns = _PATIENCE_NS if self._is_fed else self._patience_ns
        self._is_fed = False
        if self._silent_ns >= self._patience_ns:
            self._worker.submit(_Silence(now_ns, self._silent_ns))

    def _was_watched(self, window: ClosedWindow) -> bool:
        """Tell whether a window holds nothing but time that has been watched by the clock already."""
        turn, until_ns = window.turn, self._watched_until_ns
        is_empty = not (turn.audio_valid or window.images or turn.texts)
        return is_empty and until_ns is not None and until_ns - _LONGEST_NS <= turn.end_ns <= until_ns

    def hear(self, records: Iterable[Published]) -> None:
        """Take in what the model understood; it counts from the next window on."""
        self._heard.extend(record for record in records if isinstance(record, TranscriptEvent))

    def acknowledge(self, by: str = "") -> tuple[str, ...]:
        """Acknowledge the open alerts, at once; return the names of their rules."""
        open_rules = self._monitor.open_rules if self._monitor is not None else ()
        self._worker.submit_urgent(by)
        return open_rules

    def stop(self) -> None:
        """Finish the window at work and leave the others."""
        self._worker.stop()
        self._keeper.stop()

    def _work(self, publish: Callable[[Published], None], item: ClosedWindow | str | _Silence, _behind: int) -> None:
        """Run a window, take note of who acknowledges, or watch on without windows."""
        try:
            for record in self._records(item):
                publish(record)
        except Exception:
            self.counters["safety_errors"] += 1
            _log.exception("the watchers failed in a micro-turn; going on with the next")

    def _records(self, item: ClosedWindow | str | _Silence) -> Iterator[Published]:
        if isinstance(item, str):
            return self._take_note(item)
        return self._watch_on(item) if isinstance(item, _Silence) else self.process(item)

    def _keep(self, path: Path, kept: Kept, _behind: int) -> None:
        """Write what has to outlive a restart, in a thread of its own: a slow disk delays nothing."""
        try:
            write_kept(path, kept)
        except OSError as err:
            if not self.counters["safety_state_errors"]:
                _log.error("safety.state_file %s is not written, a restart would forget open alerts: %s", path, err)
            self.counters["safety_state_errors"] += 1

    def _warm_up(self) -> None:
        """Prepare what may be said, so that the first sound of an alert comes at once."""
        phrases = self._monitor.phrases if self._monitor is not None else ()
        synthesise_ahead(self._synthesiser, phrases, lambda: self._worker.is_stopping)

    # ---------------------------------------------------------------------------------------------- one turn

    def process(self, window: ClosedWindow) -> Iterator[Published]:
        """Run one window and yield what is to be published, alerts before anything that takes time."""
        self._base_ns = window.turn.end_ns
        if self._monitor is None:
            return self._step(window.turn)
        frames = decode_images(window.images, self._backend, self.counters, "safety_bad_images", "picture not watched")
        return self._step(replace(window.turn, frames=frames))

    def _step(self, turn: MicroTurn) -> Iterator[Published]:
        if not self._session_id:  # another one after every start, or a player would know the utterances already
            self._session_id = name_in("", f"safety/{turn.start_ns}")
            self._proposals = Proposals(self._session_id, self._allow_list)
        heard = [self._heard.popleft() for _ in range(len(self._heard))]
        output = self._monitor.step(turn, heard) if self._monitor is not None else SafetyOutput()
        is_next = self._last is not None and self._last.end_ns == turn.start_ns
        self._steady_turns = self._steady_turns + 1 if is_next else 0
        self._last = turn
        yield from self._unsaid_by(turn.end_ns)
        yield from self._give(output, turn)
        yield from self._give(self._overdue(turn), turn)
        self._note_state(has_changed=bool(output.alerts))

    def _watch_on(self, silence: _Silence) -> Iterator[Published]:
        """Go on with empty micro-turns as far as the clock has, from the last window that came."""
        if self._base_ns is None:
            self._base_ns = silence.now_ns - silence.silent_ns
        while True:
            start_ns, index = (
                (self._last.end_ns, self._last.index + 1) if self._last is not None else (self._base_ns, 0)
            )
            if start_ns + MICRO_TURN_NS > self._base_ns + silence.silent_ns:
                return
            self._watched_until_ns = start_ns + MICRO_TURN_NS
            nothing = np.zeros(MICRO_TURN_SAMPLES, np.float32)
            yield from self._step(MicroTurn(index, start_ns, self._watched_until_ns, nothing, 0.0))

    def _overdue(self, turn: MicroTurn) -> SafetyOutput:
        """Return what of the things that are timed the model should have told by now; not while the clock jumps."""
        is_steady = self._steady_turns >= _STEADY_TURNS
        alerts = tuple(self._timekeeper.overdue_meanwhile(turn.end_ns)) if is_steady else ()
        texts = [one.description for one in alerts]
        say = (SpeechText(text, SpeechKind.ALERT, priority=ALERT_PRIORITY, interruptible=False) for text in texts)
        cues = (TextInput(turn.end_ns, f"alert raised: {text}", TextSource.CUE) for text in texts)
        return SafetyOutput(alerts, tuple(say), tuple(cues))

    def _take_note(self, by: str) -> Iterator[Published]:
        if self._last is not None and self._monitor is not None:
            yield from self._give(self._monitor.acknowledge(by), self._last)
            self._note_state(has_changed=True)

    def _note_state(self, *, has_changed: bool) -> None:
        """Let alerts and facts be written down when there are others."""
        if self._state_file is None or self._monitor is None or self._keeper.thread is None:
            return
        facts = self._monitor.facts
        if has_changed or facts != self._facts:
            self._facts = facts
            self._keeper.submit(self._monitor.kept)

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
