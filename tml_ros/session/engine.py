"""Run windows through a model: in a thread behind a bounded queue on a robot, in the caller's thread offline.

Both ways share ``process``, so a bag gives offline what it gave live. Overload gives way in a fixed order: pictures
first, then new replies; sound is given up only when the queue is full, which is counted and shown as ``degraded``.
It knows neither ROS nor bags.
"""

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, cast

from tml_ros.background.port import BackgroundPort
from tml_ros.clock import Clock
from tml_ros.duplex.protocol import DuplexModel, SessionInfo
from tml_ros.errors import MissingDependencyError
from tml_ros.intents.allow_list import AllowList
from tml_ros.records import MicroTurn, TextInput, TurnMetrics
from tml_ros.safety.monitor import SafetyOutput
from tml_ros.session.config import InteractionConfig
from tml_ros.session.names import session_id_for
from tml_ros.session.pictures import decode_images
from tml_ros.session.session import InteractionSession, TurnConditions
from tml_ros.session.timekeeper import Timekeeper
from tml_ros.session.worker import Worker
from tml_ros.speech.echo import EchoCanceller
from tml_ros.speech.queue import UtteranceQueue
from tml_ros.speech.synthesis import Synthesiser, synthesise_ahead
from tml_ros.windowing import ClosedWindow
from tml_ros.wire import Published

__all__ = ["InferenceEngine", "TurnRecords"]

_RECOVERY_TURNS = 25
_MOST_TOLD = 100
_LATER_NS = 60_000_000_000  # further ahead is a clock that went back
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TurnRecords:
    """One micro-turn as the model got it, and what is to be published of it."""

    turn: MicroTurn
    records: tuple[Published, ...]


class InferenceEngine:
    """Keeps the session that belongs to the windows that come in.

    Thread: ``submit``, ``mute``, ``reset`` and ``stop`` may be called from any thread, ``process`` by one at a time and
    never while the thread runs.
    """

    def __init__(
        self,
        model: DuplexModel,
        config: InteractionConfig,
        synthesiser: Synthesiser,
        allow_list: AllowList,
        clock: Clock,
        port: BackgroundPort | None = None,
        timekeeper: Timekeeper | None = None,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.is_muted = False
        self._model = model
        self._config = config
        self._synthesiser = synthesiser
        self._allow_list = allow_list
        self._backend = cast(Literal["own", "cv_bridge"], config.image_backend)
        self._clock = clock
        self._port = port if config.delegation.enabled else None
        self._session: InteractionSession | None = None
        self._echo = EchoCanceller(config.echo)
        self._session_number = -1
        self._ordinal = 0
        self._must_reset = False
        self._recovering_turns = 0
        self._timekeeper = timekeeper or Timekeeper()
        self._worker: Worker[ClosedWindow] = Worker("tml-inference", config.engine.queue_windows)
        self._told: deque[SafetyOutput] = deque(maxlen=_MOST_TOLD)

    # ------------------------------------------------------------------------------------------------- live

    def start(self, publish: Callable[[TurnRecords], None]) -> None:
        """Begin to work on submitted windows in a thread of its own; ``publish`` is called from it."""
        self._worker.start(partial(self._work, publish))
        threading.Thread(target=self._warm_up, name="tml-warm-up", daemon=True).start()

    def submit(self, window: ClosedWindow) -> None:
        """Queue a window; returns at once."""
        if self._worker.submit(window):
            self.counters["dropped_windows"] += 1

    def tell(self, output: SafetyOutput) -> None:
        """Tell the model of alerts with the next window that begins after them; returns at once."""
        self._told.append(output)

    def stop(self) -> None:
        """Finish the window at work, leave the others, and end the session."""
        self._worker.stop()
        self.close()

    def reset(self) -> None:
        """Begin a new session with the next window."""
        self._must_reset = True

    def close(self) -> None:
        """End the session, if one is open; what the clock was asked for goes on in the next one."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _warm_up(self) -> None:
        """Prepare what will often be said, so that the first answers come as soon as later ones."""
        phrases = getattr(self._model, "phrases", ())
        synthesise_ahead(self._synthesiser, phrases, lambda: self._worker.is_stopping)

    def _work(self, publish: Callable[[TurnRecords], None], window: ClosedWindow, depth: int) -> None:
        try:
            publish(self.process(window, depth))
        except Exception:
            self.counters["publish_errors"] += 1
            _log.exception("micro-turn %d could not be published; going on with the next", window.turn.index)

    # ---------------------------------------------------------------------------------------------- one turn

    def process(self, window: ClosedWindow, queue_depth: int = 0) -> TurnRecords:
        """Run one window. What the model raises ends its session, is counted, and the next window opens a new one."""
        began_ns = self._clock.monotonic_ns()
        age_ns = self._clock.now_ns() - window.turn.end_ns
        engine = self._config.engine
        conditions = TurnConditions(
            degraded=queue_depth >= engine.drop_frames_depth or self._recovering_turns > 0,
            shorten=queue_depth >= engine.shorten_depth,
            mic_muted=self.is_muted,
        )
        images = window.images if queue_depth < engine.drop_frames_depth else ()
        self.counters["overload_dropped_images"] += len(window.images) - len(images)
        frames = decode_images(images, self._backend, self.counters, "bad_images", "picture left out")
        turn = replace(window.turn, frames=frames)
        session = self._session_for(window)
        turn = self._without_echo(self._with_cues(turn, session))
        try:
            records = session.step(turn, window.report, conditions)
            self._recovering_turns = max(0, self._recovering_turns - 1)
        except Exception:
            self._fail(turn)
            records = [session.metrics(turn, window.report)]
        took_ns = self._clock.monotonic_ns() - began_ns
        return TurnRecords(turn, tuple(self._timed(record, age_ns, took_ns, queue_depth) for record in records))

    def _timed(self, record: Published, age_ns: int, took_ns: int, depth: int) -> Published:
        if not isinstance(record, TurnMetrics):
            return record
        missed = took_ns > self._config.engine.deadline_ms * 1_000_000
        self.counters["deadline_missed"] += missed
        counters = Counter(record.counters)
        counters.update({name: count for name, count in self.counters.items() if name != "deadline_missed"})
        return replace(
            record,
            counters={name: count for name, count in sorted(counters.items()) if count},
            ingest_age_sec=age_ns / 1e9,
            inference_sec=took_ns / 1e9,
            queue_depth=depth,
            deadline_missed=missed,
            erle_db=self._echo.meter.erle_db,
            echo_delay_sec=self._echo.meter.delay_sec,
        )

    def _with_cues(self, turn: MicroTurn, session: InteractionSession) -> MicroTurn:
        """Add what the model is told of alerts: those of earlier windows only, whichever thread is faster."""
        told = [self._told.popleft() for _ in range(len(self._told))]
        cues: tuple[TextInput, ...] = ()
        for output in told:
            if 0 < max((cue.stamp_ns for cue in output.cues), default=0) - turn.start_ns < _LATER_NS:
                self._told.append(output)
                continue
            session.note_alerts(output.alerts)
            cues += output.cues
        return replace(turn, texts=turn.texts + cues) if cues else turn

    def _without_echo(self, turn: MicroTurn) -> MicroTurn:
        """Take the robot's own voice out of the sound; a muted microphone's is not listened to."""
        if self.is_muted:
            return turn
        try:
            return replace(turn, audio=self._echo.process(turn.audio, turn.reference))
        except MissingDependencyError as err:
            if not self.counters["echo_failures"]:
                _log.error("the robot hears itself from now on: %s", err)
            self.counters["echo_failures"] += 1
            return turn

    def _session_for(self, window: ClosedWindow) -> InteractionSession:
        if self._must_reset:
            self._timekeeper.forget_reminders()
        if self._must_reset or window.session != self._session_number:
            self._must_reset = False
            self.close()
        if self._session is None:
            self._session_number = window.session
            info = SessionInfo(
                session_id_for(window.turn.start_ns, self._config.seed, self._ordinal),
                window.turn.start_ns,
                self._config.seed,
            )
            self._ordinal += 1
            self._echo = EchoCanceller(self._config.echo)
            queue = UtteranceQueue(self._synthesiser, lead_pieces=self._config.speech.lead_pieces)
            stream = self._model.open(info)
            self._session = InteractionSession(
                info,
                stream,
                queue,
                self._allow_list,
                self._config.delegation,
                self._port,
                self._config.speech.resume_within_s,
                self._timekeeper,
            )
        return self._session

    def _fail(self, turn: MicroTurn) -> None:
        """Give up the session whose model failed; the next window opens a new one."""
        self.counters["model_errors"] += 1
        self._recovering_turns = _RECOVERY_TURNS
        _log.exception("model %r failed in micro-turn %d; a new session begins", self._model.name, turn.index)
        try:
            self.close()
        except Exception:
            _log.exception("model %r could not close its session", self._model.name)
            self._session = None
