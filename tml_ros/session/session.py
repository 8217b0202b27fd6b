"""One conversation: what the model puts out becomes speech, intents, transcripts and states to be published.

The session owns the floor (a yielded floor silences the loudspeaker), checks every intent against the allow-list, works
in what the background model finds, and keeps the state that others read. It is fed one micro-turn at a time, in order,
and looks at no clock: the same turns give the same records. It knows neither ROS nor threads.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tml_ros.background.port import BackgroundPort
from tml_ros.duplex.protocol import DuplexStream, SessionInfo
from tml_ros.intents import AllowList
from tml_ros.records import (
    MICRO_TURN_NS,
    AgentState,
    AlertDraft,
    DelegationDraft,
    Floor,
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
    TextInput,
    TextSource,
    TranscriptEvent,
    TurnMetrics,
    UserState,
)
from tml_ros.session.config import DelegationConfig
from tml_ros.session.context import Album, Conversation, read_facts
from tml_ros.session.names import name_in
from tml_ros.session.proposals import Proposals
from tml_ros.session.timekeeper import Moment, Timekeeper
from tml_ros.session.weave import FloorView, Weave, Woven
from tml_ros.speech.queue import Spoken, UtteranceQueue
from tml_ros.windowing import WindowReport
from tml_ros.wire import Published

__all__ = ["InteractionSession", "TurnConditions"]

_DEFAULTS = DelegationConfig()
_NOT_ALLOWED = "But I am not allowed to do that."


@dataclass(frozen=True, slots=True)
class TurnConditions:
    """What the engine tells the session about a micro-turn. shorten: leave out replies that are not urgent."""

    degraded: bool = False
    shorten: bool = False
    mic_muted: bool = False


class InteractionSession:
    """Works one model stream.

    Thread: one caller at a time.
    """

    def __init__(
        self,
        info: SessionInfo,
        stream: DuplexStream,
        speech: UtteranceQueue,
        allow_list: AllowList,
        delegation: DelegationConfig = _DEFAULTS,
        port: BackgroundPort | None = None,
        resume_within_s: float = 10.0,
        timekeeper: Timekeeper | None = None,
    ) -> None:
        self._counted: Counter[str] = Counter()
        self._info = info
        self._stream = stream
        self._speech = speech
        self._delegation = delegation
        self._state: SessionState | None = None
        self._timekeeper = timekeeper or Timekeeper()
        self._timekeeper.open(info.start_ns)
        self._said_ns: int | None = None
        self._has_player = False
        self._proposals = Proposals(info.session_id, allow_list, confirm_tasks=delegation.confirm_intents)
        self._weave = Weave(info.session_id, delegation, port)
        facts = read_facts(delegation.facts)
        self._conversation = Conversation(info.start_ns, robot=delegation.robot, lab=delegation.lab, facts=facts)
        self._album = Album(delegation.max_images, delegation.image_spacing_s)
        self._resume_within_s = resume_within_s
        self._softened: SpeechCommand | None = None
        self._cut_ns = info.start_ns
        self._user_silent_since_ns = info.start_ns
        self._quiet_since_ns = info.start_ns
        self._news: tuple[TextInput, ...] = ()

    @property
    def session_id(self) -> str:
        """Name of this session."""
        return self._info.session_id

    @property
    def counters(self) -> Counter[str]:
        """What was counted so far, the windows' and the model's counters apart."""
        parts = (self._speech.counters, self._proposals.counters, self._weave.counters, self._timekeeper.counters)
        return sum(parts, self._counted)

    def step(
        self,
        turn: MicroTurn,
        report: WindowReport,
        conditions: TurnConditions = TurnConditions(),
    ) -> list[Published]:
        """Run one micro-turn and return what is to be published, metrics last.

        Whatever the model raises is passed on; the session stays usable.
        """
        if self._softened is SpeechCommand.PAUSE:  # all along this micro-turn
            self._speech.delay(turn.start_ns)
        turn = self._prepare(turn, conditions)
        output = self._keep_time(self._stream.step(turn), turn)
        self._note(turn, output)
        records: list[Published] = [*output.transcripts]
        records += [self._robot_said(spoken) for spoken in self._speech.finished(turn.end_ns)]
        records += self._yield_floor(output, turn)
        records += self._soften(output, turn)
        records += self._withdraw(output, turn)
        rest = self._cut_rest(output, turn)
        said = self._speak(output, turn, conditions)
        self._resume(rest, turn)
        records += self._delegate(output, turn, conditions)
        floor = self._view_floor(output, turn, has_room=not conditions.shorten)
        woven = self._work_in(floor, turn)
        self._tell_count(floor, turn)
        records += self._speech.take(turn.end_ns, self.session_id, turn.index)
        records += self._propose(output, woven, said, turn)
        records += [self._alert(draft, turn, number) for number, draft in enumerate(output.alerts)]
        records += self._weave.events(turn.end_ns, turn.index)
        records += self._timekeeper.alerts()
        self._timekeeper.add(output.timers + woven.timers, turn.end_ns)
        records += self._update_state(output, turn, conditions)
        return [*records, self.metrics(turn, report)]

    def close(self) -> None:
        """End the model's stream and give up what was delegated."""
        self._weave.close()
        self._stream.close()

    def _prepare(self, turn: MicroTurn, conditions: TurnConditions) -> MicroTurn:
        """Silence a muted microphone, add due timers, and fill in the playback that no player reports."""
        if conditions.mic_muted:
            self._counted["muted_windows"] += 1
            turn = replace(turn, audio=np.zeros_like(turn.audio), audio_valid=0.0)
        texts, self._news = self._timekeeper.due(turn.end_ns) + self._news, ()
        if texts:
            turn = replace(turn, texts=turn.texts + texts)
        self._has_player |= turn.playback is not None
        if not self._has_player:
            turn = replace(turn, playback=self._speech.playback(turn.end_ns))
        return turn

    def _note(self, turn: MicroTurn, output: MicroTurnOutput) -> None:
        """Remember what was heard, typed, seen and counted."""
        self._album.add(turn.frames)
        self._conversation.on_playback(turn.playback)
        for text in turn.texts:
            if text.source is TextSource.USER:
                self._conversation.on_typed(text.text, text.stamp_ns)
        self._conversation.on_heard(output.transcripts)
        self._conversation.on_counted(output.counts)

    def _yield_floor(self, output: MicroTurnOutput, turn: MicroTurn) -> list[Published]:
        if output.floor is not Floor.YIELD:
            return []
        cut = self._speech.flush(turn.end_ns)
        self._cut_ns = turn.end_ns
        self._weave.on_cut((spoken.utterance_id for spoken in cut), turn.end_ns)
        self._counted["barge_ins"] += bool(cut)
        return [SpeechControl(turn.end_ns, 0, SpeechCommand.FLUSH), *(self._robot_said(spoken) for spoken in cut)]

    def _soften(self, output: MicroTurnOutput, turn: MicroTurn) -> list[Published]:
        """Turn the robot's voice down while the model waits for what somebody's sound is, or hush it; and up again."""
        wanted = None
        if output.floor is Floor.HOLD and self._is_playing(turn):
            wanted = SpeechCommand.PAUSE if output.hushes else SpeechCommand.DUCK
        before, self._softened = self._softened, wanted
        if wanted is before:
            return []
        is_up = wanted is None or before is SpeechCommand.PAUSE  # a paused voice is not ducked, it goes on first
        commands = [SpeechCommand.RESUME] * is_up + [wanted] * (wanted is not None)
        return [SpeechControl(turn.end_ns, 0, command) for command in commands if command is not None]

    def _keep_time(self, output: MicroTurnOutput, turn: MicroTurn) -> MicroTurnOutput:
        """Do what is asked of the clock; the answers are said with the model's words, and it is told of them later."""
        counts = self._timekeeper.counting.look(turn.frames)
        output = replace(output, counts=(*output.counts, *counts)) if counts else output
        moment = Moment(turn.end_ns, self._info.start_ns, self._said_ns)
        for request in output.times:
            answer = self._timekeeper.answer(request, moment)
            if answer.task:
                output = replace(output, delegations=(*output.delegations, DelegationDraft(answer.task)))
            elif answer.text:
                output = replace(output, speech=(*output.speech, SpeechText(answer.text)))
                self._news += (TextInput(turn.end_ns, answer.text, TextSource.BACKGROUND),)
        return output

    def _cut_rest(self, output: MicroTurnOutput, turn: MicroTurn) -> list[tuple[int, SpeechText]]:
        """Return what is to be said after all of what was cut: it was cut for nothing, or to be gone on with."""
        is_recent = turn.end_ns - self._cut_ns <= self._resume_within_s * 1e9
        if output.resumes and is_recent:
            return self._speech.take_cut()
        if output.speech or output.delegations or output.withdraws:
            self._speech.take_cut()
        return []

    def _resume(self, rest: list[tuple[int, SpeechText]], turn: MicroTurn) -> None:
        """Say the rest of what was cut."""
        if rest:
            self._counted["resumed_utterances"] += len(rest)
            self._weave.on_resumed({old: self._say(speech, turn) for old, speech in rest})

    def _withdraw(self, output: MicroTurnOutput, turn: MicroTurn) -> list[Published]:
        """Take back what the person no longer wants, and what has turned out wrong."""
        gone: list[IntentProposal] = []
        if output.withdraws:
            gone += self._proposals.withdraw(turn, tasks=self._weave.withdraw_all())
        contradicted = self._weave.take_in(turn.end_ns, self._conversation.has_said)
        for utterance_id in contradicted:
            self._speech.withdraw(utterance_id)
        gone += self._proposals.withdraw(turn, utterances=contradicted)
        return [*self._noted(gone, withdrawn=True)]

    def _speak(self, output: MicroTurnOutput, turn: MicroTurn, conditions: TurnConditions) -> list[int]:
        """Queue the model's words and return their utterances."""
        if output.audio is not None:
            text = output.speech[0] if output.speech else SpeechText("", last=False)
            if not (len(output.audio) or text.text or self._speech.has_open(text.kind)):
                return []
            said = self._speech.say_audio(text, output.audio)
            self._conversation.on_said(said, text, turn.end_ns)
            return [said]
        utterances = []
        for speech in output.speech:
            is_open = self._speech.has_open(speech.kind)
            if not speech.text and not is_open:
                continue  # the end of an utterance that was cut
            if conditions.shorten and speech.kind is not SpeechKind.ALERT:
                self._counted["shortened_replies"] += 1
                if not (is_open and speech.last):
                    continue
                speech = replace(speech, text="")  # what has begun must end
            utterances.append(self._say(speech, turn))
        return utterances

    def _say(self, speech: SpeechText, turn: MicroTurn) -> int:
        utterance_id = self._speech.say(speech)
        self._conversation.on_said(utterance_id, speech, turn.end_ns)
        return utterance_id

    def _delegate(self, output: MicroTurnOutput, turn: MicroTurn, conditions: TurnConditions) -> list[Published]:
        """Send the tasks that the model hands on, each with the conversation so far."""

        def context() -> Mapping[str, object]:
            for spoken in self._speech.begun(turn.end_ns):
                self._conversation.on_spoken(spoken, is_over=False)
            facts = {"microphone_muted": conditions.mic_muted, "degraded": conditions.degraded}
            return self._conversation.package(
                turn.end_ns,
                self._delegation.max_context_chars,
                facts=facts,
                open_delegations=self._weave.open_tasks(turn.end_ns),
            )

        gone: list[IntentProposal] = []
        for draft in output.delegations:
            replaced = self._weave.start(draft, turn.end_ns, context, self._album.pictures())
            gone += self._proposals.withdraw(turn, tasks=replaced)
        return [*self._noted(gone, withdrawn=True)]

    def _work_in(self, floor: FloorView, turn: MicroTurn) -> Woven:
        """Say what is due of the background model's news; the model is told in the next micro-turn."""
        woven = self._weave.speak(floor, lambda speech: self._say(speech, turn))
        self._news += tuple(TextInput(turn.end_ns, text, TextSource.BACKGROUND) for text in woven.texts)
        return woven

    def _tell_count(self, floor: FloorView, turn: MicroTurn) -> None:
        """Say the newest number of what is being counted, as soon as nobody speaks."""
        number = self._timekeeper.counting.number_to_say() if floor.is_free and not self._speech.is_busy else ""
        if number:
            self._say(SpeechText(number), turn)

    def _view_floor(self, output: MicroTurnOutput, turn: MicroTurn, *, has_room: bool) -> FloorView:
        """Return who speaks. has_room: whether there is compute for new speech; without it what can wait does."""
        user_speaks = output.user_state in (UserState.SPEAKING, UserState.PAUSING)
        robot_speaks = self._speech.is_busy or self._is_playing(turn)
        if user_speaks:
            self._user_silent_since_ns = turn.end_ns
        if user_speaks or robot_speaks:
            self._quiet_since_ns = turn.end_ns
        silence_ns = turn.end_ns - self._user_silent_since_ns
        is_free = (
            has_room and not (user_speaks or robot_speaks) and silence_ns >= self._delegation.floor_free_ms * 1_000_000
        )
        return FloorView(turn.end_ns, is_free, turn.end_ns - self._quiet_since_ns)

    def _propose(self, output: MicroTurnOutput, woven: Woven, said: list[int], turn: MicroTurn) -> list[Published]:
        """Return the intents that pass the allow-list: the model's, then those of a result that is being told."""
        proposals = self._proposals.propose(output.intents, turn, utterances=said)
        plan = self._proposals.propose(woven.intents, turn, utterances=woven.utterances, task=woven.delegation_id)
        if woven.intents and not plan:
            self._say(SpeechText(_NOT_ALLOWED), turn)
        proposals += plan
        return [*self._noted(proposals, withdrawn=False)]

    def _noted(self, proposals: list[IntentProposal], *, withdrawn: bool) -> list[IntentProposal]:
        for proposal in proposals:
            self._conversation.on_intent(proposal, withdrawn=withdrawn)
        return proposals

    def _robot_said(self, spoken: Spoken) -> TranscriptEvent:
        self._conversation.on_spoken(spoken)
        self._said_ns = (spoken.start_ns + spoken.end_ns) // 2
        return TranscriptEvent("robot", spoken.text, True, 1.0, spoken.start_ns, spoken.end_ns)

    def _is_playing(self, turn: MicroTurn) -> bool:
        reports = (turn.playback, self._speech.playback(turn.end_ns + 1))
        return any(report is not None and report.state is PlaybackState.PLAYING for report in reports)

    def _alert(self, draft: AlertDraft, turn: MicroTurn, number: int) -> SafetyAlert:
        alert = SafetyAlert(
            stamp_ns=turn.end_ns,
            alert_id=name_in(self.session_id, f"alert/{turn.index}/{number}"),
            state=draft.state,
            severity=draft.severity,
            rule=draft.rule,
            category=draft.category,
            description=draft.description,
            confidence=float(np.float32(draft.confidence)),
            observed_start_ns=turn.start_ns,
            observed_end_ns=turn.end_ns,
        )
        self._conversation.on_alert(alert)
        return alert

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
            active_delegations=self._weave.open_ids,
            mic_muted=conditions.mic_muted,
            degraded=conditions.degraded or bool(self._speech.counters["synthesis_failures"]),
        )
        if old is not None and replace(old, stamp_ns=new.stamp_ns, window_seq=new.window_seq) == new:
            return []
        self._state = new
        return [new]

    def _agent_state(self, output: MicroTurnOutput, turn: MicroTurn) -> AgentState:
        if output.floor is Floor.YIELD:
            return AgentState.LISTENING
        if self._speech.is_busy or self._is_playing(turn):
            return AgentState.SPEAKING
        is_thinking = output.floor is Floor.HOLD or bool(self._weave.open_ids)
        return AgentState.THINKING if is_thinking else AgentState.LISTENING

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
        total = Counter(window) + self.counters
        total.update({f"model_{name}": count for name, count in self._stream.counters().items()})
        return {name: count for name, count in sorted(total.items()) if count}
