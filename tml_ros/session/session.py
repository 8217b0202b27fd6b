"""One conversation: what the model puts out becomes speech, intents, transcripts and states to be published.

The session owns the floor (a yielded floor silences the loudspeaker), checks every intent against the allow-list and
keeps the state that others read. It is fed one micro-turn at a time, in order, and looks at no clock: the same turns
give the same records. It knows neither ROS nor threads.
"""

import json
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tml_ros.duplex.protocol import DuplexStream, SessionInfo
from tml_ros.intents.allow_list import AllowList, Rejection
from tml_ros.records import (
    MICRO_TURN_NS,
    AgentState,
    AlertDraft,
    Floor,
    IntentDraft,
    IntentProposal,
    MicroTurn,
    MicroTurnOutput,
    PlaybackState,
    SafetyAlert,
    SessionState,
    SpeechCommand,
    SpeechControl,
    SpeechKind,
    SpeechText,
    TranscriptEvent,
    TurnMetrics,
    UserState,
)
from tml_ros.session.timers import Timers
from tml_ros.speech.queue import Spoken, UtteranceQueue
from tml_ros.windowing import WindowReport
from tml_ros.wire import Published

__all__ = ["InteractionSession", "TurnConditions", "session_id_for"]

_NAMESPACE = uuid.UUID("7b0f0f6e-52f5-4a55-9f0c-0d9c6e6b7a11")


@dataclass(frozen=True, slots=True)
class TurnConditions:
    """What the engine tells the session about a micro-turn. shorten: leave out replies that are not urgent."""

    degraded: bool = False
    shorten: bool = False
    mic_muted: bool = False


def session_id_for(start_ns: int, seed: int, ordinal: int) -> str:
    """Return the name of a session: the same for the same bag and seed, unique on a robot."""
    return str(uuid.uuid5(_NAMESPACE, f"{start_ns}/{seed}/{ordinal}"))


class InteractionSession:
    """Works one model stream.

    Thread: one caller at a time.
    """

    def __init__(self, info: SessionInfo, stream: DuplexStream, speech: UtteranceQueue, allow_list: AllowList) -> None:
        self.counters: Counter[str] = Counter()
        self._info = info
        self._stream = stream
        self._speech = speech
        self._allow_list = allow_list
        self._state: SessionState | None = None
        self._timers = Timers()
        self._has_player = False

    @property
    def session_id(self) -> str:
        """Name of this session."""
        return self._info.session_id

    def step(
        self,
        turn: MicroTurn,
        report: WindowReport,
        conditions: TurnConditions = TurnConditions(),
    ) -> list[Published]:
        """Run one micro-turn and return what is to be published, metrics last.

        Whatever the model raises is passed on; the session stays usable.
        """
        turn = self._prepare(turn, conditions)
        output = self._stream.step(turn)
        records: list[Published] = [*output.transcripts]
        records += [_robot_said(spoken) for spoken in self._speech.finished(turn.end_ns)]
        records += self._yield_floor(output, turn)
        self._speak(output, conditions)
        records += self._speech.take(turn.end_ns, self.session_id, turn.index)
        records += self._propose(output, turn)
        records += [self._alert(draft, turn, number) for number, draft in enumerate(output.alerts)]
        self.counters["unserved_delegations"] += len(output.delegations)
        self._timers.add(output.timers, turn.end_ns)
        records += self._update_state(output, turn, conditions)
        return [*records, self.metrics(turn, report)]

    def close(self) -> None:
        """End the model's stream."""
        self._stream.close()

    def _prepare(self, turn: MicroTurn, conditions: TurnConditions) -> MicroTurn:
        """Silence a muted microphone, add due timers, and fill in the playback that no player reports."""
        if conditions.mic_muted:
            self.counters["muted_windows"] += 1
            turn = replace(turn, audio=np.zeros_like(turn.audio), audio_valid=0.0)
        due = self._timers.due(turn.end_ns)
        if due:
            turn = replace(turn, texts=turn.texts + due)
        self._has_player |= turn.playback is not None
        if not self._has_player:
            turn = replace(turn, playback=self._speech.playback(turn.end_ns))
        return turn

    def _yield_floor(self, output: MicroTurnOutput, turn: MicroTurn) -> list[Published]:
        if output.floor is not Floor.YIELD:
            return []
        cut = self._speech.flush(turn.end_ns)
        self.counters["barge_ins"] += bool(cut)
        return [SpeechControl(turn.end_ns, 0, SpeechCommand.FLUSH), *(_robot_said(spoken) for spoken in cut)]

    def _speak(self, output: MicroTurnOutput, conditions: TurnConditions) -> None:
        if output.audio is not None:
            text = output.speech[0] if output.speech else SpeechText("", last=False)
            self._speech.say_audio(text, output.audio)
            return
        for speech in output.speech:
            if conditions.shorten and speech.kind is not SpeechKind.ALERT:
                self.counters["shortened_replies"] += 1
                continue
            self._speech.say(speech)

    def _propose(self, output: MicroTurnOutput, turn: MicroTurn) -> list[Published]:
        """Return the intents that pass the allow-list; count the others by reason."""
        proposals: list[Published] = []
        for number, draft in enumerate(output.intents):
            rejection = self._allow_list.check(draft)
            if rejection is None:
                proposals.append(self._proposal(draft, turn, number))
            else:
                self._count_rejection(rejection)
        return proposals

    def _count_rejection(self, rejection: Rejection) -> None:
        self.counters["rejected_intents"] += 1
        self.counters[f"rejected_intents_{rejection.reason}"] += 1

    def _proposal(self, draft: IntentDraft, turn: MicroTurn, number: int) -> IntentProposal:
        rule = self._allow_list.rule(draft.intent)
        return IntentProposal(
            stamp_ns=turn.end_ns,
            intent_id=self._name(f"intent/{turn.index}/{number}"),
            session_id=self.session_id,
            window_seq=turn.index,
            expires_ns=turn.end_ns + round(rule.ttl_s * 1e9),
            requires_confirmation=rule.requires_confirmation,
            intent=draft.intent,
            data=json.dumps(dict(draft.data), sort_keys=True),
            source=draft.source,
            modality=draft.modality,
            priority=draft.priority,
            confidence=float(np.float32(draft.confidence)),
        )

    def _alert(self, draft: AlertDraft, turn: MicroTurn, number: int) -> SafetyAlert:
        return SafetyAlert(
            stamp_ns=turn.end_ns,
            alert_id=self._name(f"alert/{turn.index}/{number}"),
            state=draft.state,
            severity=draft.severity,
            rule=draft.rule,
            category=draft.category,
            description=draft.description,
            confidence=float(np.float32(draft.confidence)),
            observed_start_ns=turn.start_ns,
            observed_end_ns=turn.end_ns,
        )

    def _name(self, what: str) -> str:
        return str(uuid.uuid5(_NAMESPACE, f"{self.session_id}/{what}"))

    def _update_state(self, output: MicroTurnOutput, turn: MicroTurn, conditions: TurnConditions) -> list[Published]:
        """Return the new state if anything in it changed."""
        old = self._state
        agent = self._agent_state(output, turn)
        user = output.user_state
        new = SessionState(
            stamp_ns=turn.end_ns,
            session_id=self.session_id,
            agent_state=agent,
            user_state=user,
            floor=output.floor,
            overlap=agent is AgentState.SPEAKING and user is UserState.SPEAKING,
            agent_since_ns=old.agent_since_ns if old and old.agent_state is agent else turn.end_ns,
            user_since_ns=old.user_since_ns if old and old.user_state is user else turn.end_ns,
            window_seq=turn.index,
            mic_muted=conditions.mic_muted,
            degraded=conditions.degraded or bool(self._speech.counters["synthesis_failures"]),
        )
        if old is not None and replace(old, stamp_ns=new.stamp_ns, window_seq=new.window_seq) == new:
            return []
        self._state = new
        return [new]

    def _agent_state(self, output: MicroTurnOutput, turn: MicroTurn) -> AgentState:
        is_playing = turn.playback is not None and turn.playback.state is PlaybackState.PLAYING
        if output.floor is Floor.YIELD:
            return AgentState.LISTENING
        if is_playing or self._speech.is_busy or self._speech.playback(turn.end_ns + 1) is not None:
            return AgentState.SPEAKING
        return AgentState.THINKING if output.floor is Floor.HOLD else AgentState.LISTENING

    def metrics(self, turn: MicroTurn, report: WindowReport) -> TurnMetrics:
        """Return the health of a micro-turn, wall-clock fields left at zero."""
        return TurnMetrics(
            stamp_ns=turn.end_ns,
            session_id=self.session_id,
            window_seq=turn.index,
            window_sec=MICRO_TURN_NS / 1e9,
            frames=len(turn.frames),
            missing_samples=report.missing_samples,
            late_messages=report.late_messages,
            av_skew_sec=report.av_skew_s,
            counters=self._all_counters(report.counters),
        )

    def _all_counters(self, window: Mapping[str, int]) -> dict[str, int]:
        total = Counter(window) + self.counters + self._speech.counters
        total.update({f"model_{name}": count for name, count in self._stream.counters().items()})
        return {name: count for name, count in sorted(total.items()) if count}


def _robot_said(spoken: Spoken) -> TranscriptEvent:
    return TranscriptEvent("robot", spoken.text, True, 1.0, spoken.start_ns, spoken.end_ns)
