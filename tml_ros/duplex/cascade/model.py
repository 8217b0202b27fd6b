"""The cascade: voice activity, recogniser, grammar and policy in a row, one micro-turn at a time.

It hears while it speaks: speech over its own stops it. Everything is computed within the step, so the same turns give
the same outputs in every process.
"""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from tml_ros.duplex.cascade.config import CascadeConfig
from tml_ros.duplex.cascade.echo import EchoGuard
from tml_ros.duplex.cascade.policy import Policy, Reaction
from tml_ros.duplex.cascade.recognizer import Heard, Recognizer, UtteranceRecognizer
from tml_ros.duplex.cascade.vad import FRAME_MS, SileroVad, SpeechSegmenter, VadStream
from tml_ros.duplex.cascade.vision import Sight
from tml_ros.duplex.protocol import DuplexStream, SessionInfo
from tml_ros.errors import ConfigError
from tml_ros.intents.file import load_intents
from tml_ros.intents.grammar import Grammar
from tml_ros.records import (
    SAMPLE_RATE_HZ,
    Floor,
    MicroTurn,
    MicroTurnOutput,
    PlaybackState,
    TranscriptEvent,
    UserState,
)
from tml_ros.resources import locate

__all__ = ["CascadeModel"]

# Sound that the recogniser gets in one step: an onset's pre-roll is spread over three steps; all of it at once takes
# twice the time of a usual step.
_MOST_SAMPLES = 4_800
_PAUSE_MS = 200  # silence inside a segment from which the person is said to pause


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

    def open(self, info: SessionInfo) -> DuplexStream:
        """Begin a session; the recogniser starts from its initial state."""
        recognizer = self._recognizer.open()
        return _CascadeStream(self._config, self._grammar, self._vad.open(), self._recognizer, recognizer, info)

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
        info: SessionInfo,
    ) -> None:
        self._config = config
        self._info = info
        self._vad = vad
        self._pool = pool
        self._recognizer = recognizer
        self._segment = SpeechSegmenter(config)
        self._echo = EchoGuard(config.echo_correlation)
        self._sight = Sight()
        self._policy = Policy(grammar, self._sight, info.start_ns, config)
        self._counters: Counter[str] = Counter()
        self._recent = np.zeros(0, np.float32)
        self._heard_until = 0
        self._is_recognizing = False
        self._shown = ""
        self._has_yielded = False
        self._over_frames = 0

    def step(self, turn: MicroTurn) -> MicroTurnOutput:
        """Hear, look, decide."""
        self._sight.look(turn.frames)
        is_playing = turn.playback is not None and turn.playback.state is PlaybackState.PLAYING
        is_echo = is_playing and self._echo.is_echo(turn.audio, turn.reference)
        self._counters["echo_windows"] += is_echo
        self._listen(turn.audio, is_echo=is_echo, is_playing=is_playing)
        transcripts, reaction = self._recognize(turn)
        for text in turn.texts:
            reaction.add(self._policy.on_text(text, turn))
        floor = self._floor(reaction, is_playing=is_playing)
        return MicroTurnOutput(
            floor=floor,
            user_state=self._user_state(),
            speech=reaction.speech,
            intents=reaction.intents,
            delegations=reaction.delegations,
            withdraws=reaction.withdraws,
            timers=reaction.timers,
            transcripts=tuple(transcripts),
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
        for probability in self._vad.push(audio):
            was_speech = self._segment.speech_frames
            self._segment.push(0.0 if is_echo else probability)
            is_speech = self._segment.is_active and self._segment.speech_frames > was_speech
            self._over_frames = self._over_frames + is_speech if is_playing else 0
        keep = (self._config.pre_roll_ms + self._config.min_speech_ms + 2 * FRAME_MS) * SAMPLE_RATE_HZ // 1000
        self._recent = np.concatenate([self._recent, audio])[-(keep + 2 * len(audio)) :]

    def _recognize(self, turn: MicroTurn) -> tuple[list[TranscriptEvent], Reaction]:
        """Feed the recogniser and end the utterance when it is over."""
        if not self._segment.is_active:
            return [], Reaction()
        start = self._segment.start or 0
        if not self._is_recognizing:
            self._recognizer.begin()
            self._is_recognizing, self._shown = True, ""
            self._heard_until = max(0, start - self._config.pre_roll_ms * SAMPLE_RATE_HZ // 1000)
        self._feed(_MOST_SAMPLES)
        if not self._is_over(start):
            return self._partial(turn), Reaction()
        self._feed(len(self._recent))
        end = self._segment.last_speech
        heard = self._recognizer.finish((end - start) / SAMPLE_RATE_HZ)
        self._is_recognizing = False
        self._segment.close()
        reaction = self._policy.on_speech(heard, turn)
        return self._final(heard, start, end), reaction

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
        if silence_ms >= self._config.end_silence_ms:
            return True
        return silence_ms >= self._config.command_silence_ms and self._recognizer.holds_command()

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

    def _floor(self, reaction: Reaction, *, is_playing: bool) -> Floor:
        if not is_playing:
            self._has_yielded = False
        wants_floor = self._over_frames * FRAME_MS >= self._config.barge_in_ms
        is_stopped = any(draft.intent == "__intent_stop_activity__" for draft in reaction.intents)
        if is_playing and not self._has_yielded and (wants_floor or is_stopped):
            self._has_yielded = True
            return Floor.YIELD
        if reaction.speech:
            return Floor.SPEAK
        state = self._user_state()
        if state is UserState.PAUSING:
            return Floor.HOLD
        if state is UserState.SPEAKING:
            return Floor.LISTEN
        return Floor.SPEAK if is_playing and not self._has_yielded else Floor.LISTEN

    def _user_state(self) -> UserState:
        if not self._segment.is_active:
            return UserState.SILENT
        return UserState.PAUSING if self._segment.silence_ms >= _PAUSE_MS else UserState.SPEAKING
