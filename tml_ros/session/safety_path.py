"""The way of an alert: closed windows through the monitor to records, beside the model and never behind it.

It has its own thread, decodes its own pictures, speaks for itself and checks intents against the allow-list, so that a
model that stalls delays nothing; it tells of processes that take too long, and of what is due while a model stalls.
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

from tml_ros.intents.allow_list import AllowList
from tml_ros.records import (
    MICRO_TURN_NS,
    MICRO_TURN_SAMPLES,
    AlertState,
    MicroTurn,
    SpeechKind,
    SpeechText,
    TextInput,
    TextSource,
    TranscriptEvent,
)
from tml_ros.safety.config import SafetyConfig
from tml_ros.safety.kept import Kept, write_kept
from tml_ros.safety.monitor import ALERT_PRIORITY, SafetyMonitor, SafetyOutput
from tml_ros.session.alert_voice import AlertVoice
from tml_ros.session.names import name_in
from tml_ros.session.pictures import decode_images
from tml_ros.session.proposals import Proposals
from tml_ros.session.silence import Silence
from tml_ros.session.timekeeper import Timekeeper
from tml_ros.session.worker import Worker
from tml_ros.speech.synthesis import Synthesiser, synthesise_ahead
from tml_ros.windowing import ClosedWindow
from tml_ros.wire import Published

__all__ = ["SafetyPath"]

_LONGEST_NS = 60_000_000_000
_MOST_UNSPOKEN = 100
_log = logging.getLogger(__name__)
Tell = Callable[[SafetyOutput], None]


@dataclass(frozen=True, slots=True)
class _Silent:
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
        self._counted: Counter[str] = Counter()
        self._monitor = monitor
        self._config = config
        self._synthesiser = synthesiser
        self._allow_list = allow_list
        self._session_id = ""
        self._proposals = Proposals("", allow_list)
        self._tell = tell
        self._backend = image_backend
        self._voice = AlertVoice(synthesiser)
        self._speaker: Worker[tuple[SpeechText, MicroTurn]] = Worker("tml-safety-voice", _MOST_UNSPOKEN)
        self._heard: deque[TranscriptEvent] = deque(maxlen=1000)
        self._worker: Worker[ClosedWindow | str | _Silent] = Worker("tml-safety", config.queue_windows)
        self._timekeeper = timekeeper or Timekeeper()
        self._timekeeper.tells_overdue = False
        self._state_file = state_file
        self._keeper: Worker[Kept] = Worker("tml-safety-state", 1)
        self._facts: dict[str, bool] | None = None
        self._last: MicroTurn | None = None
        self._silence = Silence()
        self._base_ns: int | None = None
        self._watched_until_ns: int | None = None

    @property
    def counters(self) -> Counter[str]:
        """What was dropped or failed so far."""
        return self._counted + self._voice.counters

    @property
    def is_watching(self) -> bool:
        """Whether a place is watched."""
        return self._monitor is not None

    # ------------------------------------------------------------------------------------------------- live

    def start(self, publish: Callable[[Published], None]) -> None:
        """Begin to work on submitted windows in a thread of its own; ``publish`` is called from it."""
        self._last = self._base_ns = None
        self._silence = Silence()
        self._speaker.start(partial(self._say, publish))
        self._worker.start(partial(self._work, publish))
        if self._state_file is not None:
            self._keeper.start(partial(self._keep, self._state_file))
        threading.Thread(target=self._warm_up, name="tml-safety-warm-up", daemon=True).start()

    def submit(self, window: ClosedWindow) -> None:
        """Queue a window; returns at once."""
        if self._was_watched(window):
            return
        self._silence.feed()
        if self._worker.submit(window):
            self._counted["safety_dropped_windows"] += 1

    def tick(self, now_ns: int) -> None:
        """Take note of the clock, a few times a second: when no window comes any more, watch on by it."""
        silent_ns = self._silence.tick(now_ns)
        if silent_ns:
            self._worker.submit(_Silent(now_ns, silent_ns))

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
        self._speaker.stop()
        self._keeper.stop()

    def _work(self, publish: Callable[[Published], None], item: ClosedWindow | str | _Silent, _behind: int) -> None:
        """Run a window, take note of who acknowledges, or watch on without windows."""
        try:
            for record in self._records(item):
                publish(record)
        except Exception:
            self._counted["safety_errors"] += 1
            _log.exception("the watchers failed in a micro-turn; going on with the next")

    def _records(self, item: ClosedWindow | str | _Silent) -> Iterator[Published]:
        if isinstance(item, str):
            return self._take_note(item)
        return self._watch_on(item) if isinstance(item, _Silent) else self.process(item)

    def _say(self, publish: Callable[[Published], None], item: tuple[SpeechText, MicroTurn], _behind: int) -> None:
        """Speak, in a thread of its own: a slow synthesiser delays no alert."""
        try:
            for piece in self._voice.speak(self._session_id, *item):
                publish(piece)
        except Exception:
            self._counted["safety_errors"] += 1
            _log.exception("an alert could not be spoken; going on with the next")

    def _keep(self, path: Path, kept: Kept, _behind: int) -> None:
        """Write what has to outlive a restart, in a thread of its own: a slow disk delays nothing."""
        try:
            write_kept(path, kept)
        except OSError as err:
            if not self._counted["safety_state_errors"]:
                _log.error("safety.state_file %s is not written, a restart would forget open alerts: %s", path, err)
            self._counted["safety_state_errors"] += 1

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
        frames = decode_images(window.images, self._backend, self._counted, "safety_bad_images", "picture not watched")
        return self._step(replace(window.turn, frames=frames))

    def _step(self, turn: MicroTurn) -> Iterator[Published]:
        if not self._session_id:  # another one after every start, or a player would know the utterances already
            self._session_id = name_in("", f"safety/{turn.start_ns}")
            self._proposals = Proposals(self._session_id, self._allow_list)
        heard = [self._heard.popleft() for _ in range(len(self._heard))]
        output = self._monitor.step(turn, heard) if self._monitor is not None else SafetyOutput()
        self._last = turn
        yield from self._voice.over_by(turn.end_ns)
        yield from self._give(output, turn)
        yield from self._give(self._timed(turn), turn)
        self._note_state(has_changed=bool(output.alerts))

    def _watch_on(self, silence: _Silent) -> Iterator[Published]:
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

    def _timed(self, turn: MicroTurn) -> SafetyOutput:
        """Return what there is to tell of processes that are timed, and the reminders that a model stalls over."""
        alerts = tuple(self._timekeeper.news(turn.end_ns))
        texts = [one.description for one in alerts if one.state is AlertState.RAISED]
        late = self._timekeeper.late(turn.end_ns) if self._config.speak else ()
        reminders = [one.text for one in late]
        say = [SpeechText(text, SpeechKind.ALERT, priority=ALERT_PRIORITY, interruptible=False) for text in texts]
        say += [SpeechText(text, interruptible=False) for text in reminders]
        cues = [f"alert raised: {text}" for text in texts] + [f"reminder said: {text}" for text in reminders]
        told = (TextInput(turn.end_ns, cue, TextSource.CUE) for cue in cues)
        return SafetyOutput(alerts, tuple(say), tuple(told))

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
        if not (output.alerts or output.say):
            return
        yield from output.alerts
        proposals = self._proposals.propose(output.intents, turn)
        self._counted["safety_rejected_intents"] += len(output.intents) - len(proposals)
        yield from proposals
        self._tell(output)
        for speech in output.say if self._config.speak else ():
            if self._speaker.thread is not None:
                self._speaker.submit((speech, turn))
            else:
                yield from self._voice.speak(self._session_id, speech, turn)
