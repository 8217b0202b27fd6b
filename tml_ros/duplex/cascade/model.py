"""The cascade: voice activity, recogniser, grammar and policy in a row, one micro-turn at a time.

It hears while it speaks: speech over its own stops it. Everything is computed within the step, so the same turns give
the same outputs in every process.
"""

from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tml_ros.duplex.cascade.config import CascadeConfig
from tml_ros.duplex.cascade.echo import EchoGuard
from tml_ros.duplex.cascade.floor import Bid, Mumbler, OverlapJudge, is_backchannel
from tml_ros.duplex.cascade.overlap import OverlapClassifier
from tml_ros.duplex.cascade.policy import Policy, Reaction
from tml_ros.duplex.cascade.recognizer import Heard, Recognizer, UtteranceRecognizer
from tml_ros.duplex.cascade.turn_end import TurnEnd
from tml_ros.duplex.cascade.vad import FRAME_MS, SileroVad, SpeechSegmenter, VadStream
from tml_ros.duplex.cascade.vision import Sight
from tml_ros.duplex.protocol import DuplexStream, SessionInfo
from tml_ros.errors import ConfigError
from tml_ros.intents.file import load_intents
from tml_ros.intents.grammar import Grammar
from tml_ros.records import (
    MICRO_TURN_NS,
    SAMPLE_RATE_HZ,
    Floor,
    MicroTurn,
    MicroTurnOutput,
    PlaybackState,
    SpeechKind,
    SpeechText,
    TranscriptEvent,
    UserState,
)
from tml_ros.resources import locate

__all__ = ["CascadeModel"]

# Sound that the recogniser gets in one step: an onset's pre-roll is spread over three steps; all of it at once takes
# twice the time of a usual step.
_MOST_SAMPLES = 4_800
_STOP = "__intent_stop_activity__"
_PAUSE_MS = 200  # silence inside a segment from which the person is said to pause
_SETTLE_NS = 1_000_000_000  # after this long without speech, whatever stopped the robot was no speech
_TURN_GAP_MS = 2_000  # silence after which talking on is a new turn
_MUMBLE_NS = 1_500_000_000  # the longest a back-channel of the robot's takes from its micro-turn to its last sound


class CascadeModel:
    """Voice activity, recogniser, grammar: hears commands and questions, answers and proposes intents."""

    name = "cascade"
    config_type = CascadeConfig

    def __init__(self, config: CascadeConfig) -> None:
        if config.vad_off > config.vad_on:
            raise ConfigError(
                f"cascade.vad_off ({config.vad_off}) must not exceed cascade.vad_on ({config.vad_on}); lower vad_off"
            )
        self._config = config
        self._grammar = Grammar(load_intents(locate(config.intents_file or "config/intents.yaml")))
        self._vad = SileroVad()
        self._recognizer = Recognizer(self._grammar, config)
        self._overlap = OverlapClassifier.load(locate("models/overlap"))

    @property
    def phrases(self) -> tuple[str, ...]:
        """What it will often say."""
        return (self._config.backchannel, *self._grammar.replies)

    def open(self, info: SessionInfo) -> DuplexStream:
        """Begin a session; the recogniser starts from its initial state."""
        recognizer = self._recognizer.open()
        judge = OverlapJudge(self._config, self._overlap.probability)
        return _CascadeStream(self._config, self._grammar, self._vad.open(), self._recognizer, recognizer, judge, info)

    def close(self) -> None:
        """Do nothing: memory is freed with the object."""


class _CascadeStream:
    def __init__(
        self,
        config: CascadeConfig,
        grammar: Grammar,
        vad: VadStream,
        pool: Recognizer,
        recognizer: UtteranceRecognizer,
        judge: OverlapJudge,
        info: SessionInfo,
    ) -> None:
        self._config = config
        self._info = info
        self._vad = vad
        self._pool = pool
        self._recognizer = recognizer
        self._segment = SpeechSegmenter(config)
        self._echo = EchoGuard(config.echo_correlation)
        self._turn_end = TurnEnd(config, grammar)
        self._judge = judge
        self._mumbler = Mumbler(config)
        self._sight = Sight()
        self._policy = Policy(grammar, self._sight, config)
        self._counters: Counter[str] = Counter()
        self._recent = np.zeros(0, np.float32)
        self._heard_until = 0
        self._is_recognizing = False
        self._shown = ""
        self._has_yielded = False
        self._yielded_id = 0
        self._bid = Bid.NONE
        self._hushed_ns = info.start_ns - 2 * MICRO_TURN_NS
        self._cut_ns: int | None = None
        self._mumbles_until_ns = info.start_ns
        self._talked_ms = 0
        self._settled_ms = 0

    def step(self, turn: MicroTurn) -> MicroTurnOutput:
        """Hear, look, decide."""
        self._sight.look(turn.frames)
        is_sounding = self._is_sounding(turn)
        is_playing = is_sounding and turn.start_ns >= self._mumbles_until_ns
        is_settling = is_sounding and self._is_settling(turn)
        is_echo = is_sounding and (self._echo.is_echo(turn.audio, turn.reference) or is_settling)
        self._counters["echo_windows"] += is_echo
        self._listen(turn.audio, is_echo=is_echo, is_playing=is_playing)
        if self._is_interrupted(turn, is_playing=is_playing):
            # The robot falls silent now; words are recognised from the next micro-turn on, for that takes longer.
            return self._output(Floor.YIELD, self._read(turn))
        transcripts, reaction, is_over = self._recognize(turn)
        is_told = not reaction.is_empty and not self._judge.was_false(self._config.overlap_command)
        reaction.add(self._read(turn))
        resumes = self._settle(reaction, transcripts, turn, is_over=is_over)
        cuts_in = reaction.reminds and is_playing and not (self._has_yielded or is_told)
        floor = self._floor(reaction, turn, is_playing=is_playing, is_told=is_told)
        output = self._output(floor, reaction)
        hushes = floor is Floor.HOLD and self._bid is Bid.LIKELY
        self._hushed_ns = turn.end_ns if hushes else self._hushed_ns
        return replace(output, hushes=hushes, resumes=resumes or cuts_in, transcripts=tuple(transcripts))

    def _is_sounding(self, turn: MicroTurn) -> bool:
        """Tell whether the robot is saying something, be it that it has hushed in the middle of it.

        The loudspeaker goes on, and says so, up to a micro-turn after it was told.
        """
        state = turn.playback.state if turn.playback is not None else PlaybackState.IDLE
        is_hushed = state is PlaybackState.PAUSED and turn.start_ns <= self._hushed_ns + MICRO_TURN_NS
        return state is PlaybackState.PLAYING or is_hushed

    def _read(self, turn: MicroTurn) -> Reaction:
        """React to what was typed, to timers and to results."""
        reaction = Reaction()
        for text in turn.texts:
            reaction.add(self._policy.on_text(text, turn))
        return reaction

    def _is_settling(self, turn: MicroTurn) -> bool:
        """Tell whether the echo canceller is still learning the room, in the first seconds of the robot's speech."""
        if turn.reference is None or self._settled_ms >= self._config.echo_settle_ms:
            return False
        self._settled_ms += MICRO_TURN_NS // 1_000_000
        return True

    def _output(self, floor: Floor, reaction: Reaction) -> MicroTurnOutput:
        return MicroTurnOutput(
            floor=floor,
            user_state=self._user_state(),
            speech=reaction.speech,
            intents=reaction.intents,
            delegations=reaction.delegations,
            withdraws=reaction.withdraws,
            timers=reaction.timers,
            times=reaction.times,
            alerts=reaction.alerts,
        )

    def counters(self) -> dict[str, int]:
        """Return what was ignored or cut."""
        total = self._counters + self._recognizer.counters
        return {name: count for name, count in total.items() if count}

    def close(self) -> None:
        """Give the recogniser back."""
        self._pool.close(self._recognizer)

    # ----------------------------------------------------------------------------------------------- hearing

    def _listen(self, audio: NDArray[np.float32], *, is_echo: bool, is_playing: bool) -> None:
        """Move the segment on by the frames that are now complete."""
        frames = [0.0 if is_echo else probability for probability in self._vad.push(audio)]
        for probability in frames:
            self._segment.push(probability)
        self._judge.hear(audio, frames, attends=is_playing or self._cut_ns is not None)
        keep = (self._config.pre_roll_ms + self._config.min_speech_ms + 2 * FRAME_MS) * SAMPLE_RATE_HZ // 1000
        self._recent = np.concatenate([self._recent, audio])[-(keep + 2 * len(audio)) :]

    def _recognize(self, turn: MicroTurn) -> tuple[list[TranscriptEvent], Reaction, bool]:
        """Feed the recogniser and end the utterance when it is over; return what comes of it, and whether it is."""
        if not self._segment.is_active:
            return [], Reaction(), False
        start = self._segment.start or 0
        if not self._is_recognizing:
            self._recognizer.begin()
            self._is_recognizing, self._shown = True, ""
            self._heard_until = max(0, start - self._config.pre_roll_ms * SAMPLE_RATE_HZ // 1000)
        self._feed(_MOST_SAMPLES)
        if not self._is_over(start):
            return self._partial(turn), Reaction(), False
        self._feed(len(self._recent))
        end = self._segment.last_speech
        heard = self._recognizer.finish(self._segment.speech_frames * FRAME_MS / 1000)
        self._is_recognizing = False
        self._segment.close()
        self._turn_end.reset()
        if self._is_own(heard):
            self._counters["own_words"] += 1
            return [], Reaction(), True
        reaction = self._policy.on_speech(heard, turn, self._time_ns(end))
        if reaction.is_empty:
            self._talked_ms += (end - start) * 1000 // SAMPLE_RATE_HZ
        else:
            self._talked_ms = 0
            self._judge.note_addressed(start, end)
        return self._final(heard, start, end), reaction, True

    def _is_own(self, heard: Heard) -> bool:
        """Tell whether words over the robot's speech are most likely its own; "stop" and a "yeah" never are."""
        stops = heard.meaning is not None and heard.meaning.intent == _STOP
        return not (self._has_yielded or stops or is_backchannel(heard.text)) and self._judge.is_unlikely()

    def _feed(self, most: int) -> None:
        """Give the recogniser at most that many samples of what it has not heard."""
        now = self._segment.position + self._vad.carried_samples
        waiting = self._recent[max(0, len(self._recent) - (now - self._heard_until)) :]
        if len(waiting):
            self._recognizer.feed(waiting[:most])
        self._heard_until = now - len(waiting[most:])

    def _is_over(self, start: int) -> bool:
        silence_ms = self._segment.silence_ms
        if (self._segment.position - start) / SAMPLE_RATE_HZ >= self._config.max_utterance_s:
            self._counters["cut_utterances"] += 1
            return True
        spoken_ms = self._segment.speech_frames * FRAME_MS
        return self._turn_end.is_over(silence_ms, spoken_ms, self._recognizer.partial, self._recognizer.command)

    def _partial(self, turn: MicroTurn) -> list[TranscriptEvent]:
        words = self._recognizer.partial()
        if not words or words == self._shown:
            return []
        self._shown = words
        return [TranscriptEvent("user", words, False, 0.0, self._time_ns(self._segment.start or 0), turn.end_ns)]

    def _final(self, heard: Heard, start: int, end: int) -> list[TranscriptEvent]:
        if not heard.text:
            self._counters["wordless_utterances"] += 1
            return []
        times = self._time_ns(start), self._time_ns(end)
        return [TranscriptEvent("user", heard.text, True, heard.confidence, *times)]

    def _time_ns(self, position: int) -> int:
        return self._info.start_ns + position * 1_000_000_000 // SAMPLE_RATE_HZ

    # -------------------------------------------------------------------------------------------- turn-taking

    def _settle(
        self, reaction: Reaction, transcripts: list[TranscriptEvent], turn: MicroTurn, *, is_over: bool
    ) -> bool:
        """Tell, after the robot was stopped, whether that was for nothing and it may go on."""
        if self._cut_ns is None or not reaction.is_empty:
            self._cut_ns = None
            return False
        has_waited = not self._segment.is_active and turn.end_ns - self._cut_ns >= _SETTLE_NS
        if not (is_over or has_waited):
            return False
        words = " ".join(event.text for event in transcripts if event.final)
        is_false = self._judge.was_false() or (bool(words) and is_backchannel(words))
        self._cut_ns = None
        self._counters["false_interruptions"] += is_false
        return is_false and self._config.resume

    def _is_interrupted(self, turn: MicroTurn, *, is_playing: bool) -> bool:
        """Tell, once for every time that the robot speaks, that somebody wants the floor."""
        # what it says next may be cut as well
        self._has_yielded &= is_playing and _spoken_id(turn) == self._yielded_id
        self._bid = self._judge.judge() if is_playing and not self._has_yielded else Bid.NONE
        if self._bid is Bid.FLOOR:
            self._has_yielded, self._yielded_id, self._cut_ns = True, _spoken_id(turn), turn.end_ns
        return self._bid is Bid.FLOOR

    def _floor(self, reaction: Reaction, turn: MicroTurn, *, is_playing: bool, is_told: bool) -> Floor:
        speaks = is_playing and not self._has_yielded
        is_stopped = any(draft.intent == _STOP for draft in reaction.intents)
        is_urgent = is_stopped or reaction.alerts or reaction.reminds
        if speaks and (is_told or is_urgent):  # it goes before what was being said
            self._has_yielded, self._yielded_id = True, _spoken_id(turn)
            self._judge.forget()
            return Floor.YIELD
        if reaction.speech or reaction.times:
            self._mumbles_until_ns = turn.start_ns
            return Floor.SPEAK
        if speaks:
            return Floor.HOLD if self._bid in (Bid.OPEN, Bid.LIKELY) else Floor.SPEAK
        if self._mumble(reaction, turn):
            return Floor.BACKCHANNEL
        is_mumbling = turn.start_ns < self._mumbles_until_ns  # to hold now would turn that down
        return Floor.HOLD if self._user_state() is UserState.PAUSING and not is_mumbling else Floor.LISTEN

    def _mumble(self, reaction: Reaction, turn: MicroTurn) -> bool:
        """Add a back-channel to a reaction when somebody who talks on pauses for a moment."""
        start = self._segment.start
        if start is None:
            silence_ms = (self._segment.position - self._segment.last_speech) * 1000 // SAMPLE_RATE_HZ
            self._talked_ms = 0 if silence_ms >= _TURN_GAP_MS else self._talked_ms
            return False
        spoken_ms = self._talked_ms + (self._segment.last_speech - start) * 1000 // SAMPLE_RATE_HZ
        if not self._mumbler.is_due(turn.end_ns, spoken_ms, self._segment.silence_ms):
            return False
        reaction.speech += (SpeechText(self._config.backchannel, SpeechKind.BACKCHANNEL),)
        self._mumbles_until_ns = turn.end_ns + _MUMBLE_NS
        return True

    def _user_state(self) -> UserState:
        if not self._segment.is_active:
            return UserState.SILENT
        return UserState.PAUSING if self._segment.silence_ms >= _PAUSE_MS else UserState.SPEAKING


def _spoken_id(turn: MicroTurn) -> int:
    """Return the utterance that the loudspeaker is at, 0 for none."""
    return turn.playback.utterance_id if turn.playback is not None else 0
