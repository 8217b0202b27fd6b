"""What the loudspeaker plays next: pieces of utterances and commands in, blocks of samples out.

Time is the number of samples rendered, so the same calls give the same sound, whatever the blocks. The most urgent
utterance has the floor, the earlier of two equally urgent ones; a more urgent one takes it in the middle of a word. A
command for all utterances (id 0) spares those that must not be interrupted, save RESUME. Knows no device, no clock and
no topic.

A piece lasts as long as a micro-turn and comes about one ahead, so an utterance starts with its first piece. Only after
pieces came too late does the next start wait a little, so that the same lateness is not heard again.

Thread: one caller at a time.

Source: tml_interfaces/msg/SpeechChunk, SpeechControl and PlaybackStatus.
"""

from collections import Counter, deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tml_ros.config import param
from tml_ros.devices.voice import Voice, raised_cosine
from tml_ros.records import (
    APART_UTTERANCES,
    SAMPLE_RATE_HZ,
    PlaybackState,
    SpeechCommand,
    SpeechControl,
    SpeechKind,
    SpeechPiece,
)

__all__ = ["Block", "Mark", "Mixer", "MixerConfig"]

_PREBUFFER_STEP = SAMPLE_RATE_HZ // 100  # one callback's worth: what a piece is usually late by
_REORDER = SAMPLE_RATE_HZ // 50  # DDS re-sends within a few ms; a piece still not there after 20 ms will not come
_PATIENCE = SAMPLE_RATE_HZ // 2  # a clause that is still being thought of comes in two micro-turns or is a pause
_ABANDON = 10 * SAMPLE_RATE_HZ  # longer than a model pauses in a sentence; a lost last piece must not block for ever
_IDLE_AFTER = SAMPLE_RATE_HZ // 2  # lets a reader of the newest report see how the last utterance ended
_REMEMBERED = 256  # utterances whose late pieces are told from new ones; a robot says less in a minute
_REMEMBERED_SESSIONS = 16


@dataclass(frozen=True, slots=True)
class MixerConfig:
    """How utterances follow, interrupt and leave one another."""

    fade_ms: int = param(
        8,
        "Fade at the ends of sound, cuts and pauses; shorter ones click, longer ones blur a word's start",
        unit="ms",
        minimum=1,
        maximum=50,
    )
    duck_db: float = param(
        -12.0,
        "Level of ducked speech: still understood, and a person who talks over it is heard better",
        unit="dB",
        minimum=-60.0,
        maximum=0.0,
    )
    duck_fade_ms: int = param(
        40, "Time to duck; faster sounds like a fault of the device", unit="ms", minimum=1, maximum=500
    )
    on_alert: str = param(
        "hold",
        "What becomes of speech that a more urgent utterance cuts: goes on afterwards, goes on below it, or is dropped",
        choices=("hold", "duck", "flush"),
    )
    max_prebuffer_ms: int = param(
        20,
        "Bound of the wait before an utterance after late pieces; with 10 ms for a block and 30 ms of the device it "
        "keeps the start within 60 ms",
        unit="ms",
        minimum=0,
        maximum=500,
    )
    stale_s: float = param(
        1.0,
        "Without a loudspeaker for longer than this, an utterance is dropped: a late answer answers something else",
        unit="s",
        minimum=0.0,
    )
    stale_alert_s: float = param(10.0, "The same for an alert, which may still be true then", unit="s", minimum=0.0)


@dataclass(frozen=True, slots=True)
class Mark:
    """How far an utterance is at a place in a block. offset: in samples, from the block's start."""

    offset: int
    utterance_id: int
    state: PlaybackState
    samples_played: int


@dataclass(frozen=True, slots=True)
class Block:
    """What to play. samples: [N] float32 at 16 kHz in [-1, 1]. marks: by offset."""

    samples: NDArray[np.float32]
    marks: tuple[Mark, ...]


class Mixer:
    """Utterances that are played, wait, or fade out."""

    def __init__(self, config: MixerConfig | None = None) -> None:
        self.counters: Counter[str] = Counter()
        self._config = config or MixerConfig()
        self._fade = raised_cosine(_samples(self._config.fade_ms))
        floor = np.float32(10.0 ** (self._config.duck_db / 20.0))
        self._duck = 1.0 - (1.0 - floor) * raised_cosine(_samples(self._config.duck_fade_ms))
        self._voices: list[Voice] = []
        self._order = 0
        self._now = 0
        self._prebuffer = 0
        self._is_paused = self._is_ducked = False
        self._session: str | None = None
        self._old_sessions: deque[str] = deque(maxlen=_REMEMBERED_SESSIONS)
        self._closed: dict[tuple[str, int], PlaybackState] = {}
        self._marks: list[Mark] = []
        self._lost_at: int | None = None
        self._is_idle = False
        self._quiet_since = -_IDLE_AFTER

    # ---------------------------------------------------------------------------------------------------- coming in

    def add(self, piece: SpeechPiece) -> None:
        """Take in a piece of an utterance."""
        if piece.utterance_id < APART_UTTERANCES and not self._follow_session(piece.session_id):
            self.counters["old_session_pieces"] += 1
            return
        closed = self._closed.get((piece.session_id, piece.utterance_id))
        if closed is not None:
            self.counters["late_pieces" if closed is PlaybackState.FLUSHED else "duplicate_pieces"] += 1
            return
        voice = self._find(piece.utterance_id)
        if voice is None:
            voice = Voice(piece, self._order, self._now, self._fade, self._duck)
            self._order += 1
            self._voices.append(voice)
            self._voices.sort(key=lambda one: one.rank)
        was_waiting = not voice.has_sound
        voice.add(piece, self.counters)
        voice.quiet_since = self._now
        if was_waiting and voice.has_sound:
            voice.is_starved = False
            voice.start_at = self._now + (0 if voice.is_complete else self._prebuffer)

    def control(self, control: SpeechControl) -> None:
        """Carry out a command."""
        if control.utterance_id == 0:
            self._control_all(control.command)
            return
        voice = self._find(control.utterance_id)
        key = voice.key if voice is not None else (self._session or "", control.utterance_id)
        if control.command is SpeechCommand.FLUSH and key not in self._closed:
            self._flush(key, voice)  # its pieces may still be on their way
        elif voice is None:
            self.counters["unknown_controls"] += 1
        elif control.command is SpeechCommand.PAUSE:
            voice.is_paused = True
        elif control.command is SpeechCommand.DUCK:
            voice.is_ducked = True
        elif control.command is SpeechCommand.RESUME:
            voice.is_paused = voice.is_ducked = False

    # ---------------------------------------------------------------------------------------------------- going out

    def render(self, count: int) -> Block:
        """Return the next ``count`` samples to be played."""
        samples = np.zeros(count, np.float32)
        self._lost_at = None
        sounding: list[Voice] = []
        done = 0
        while done < count:
            speaker, under = self._settle(done)
            span = self._span(count - done, speaker)
            for voice in self._voices:
                if voice.playable:
                    is_ducked = voice is under or voice.is_ducked or (self._is_ducked and voice.interruptible)
                    self._change(voice, PlaybackState.PLAYING, done)
                    samples[done : done + span] += voice.play(span, is_ducked=is_ducked)
                    sounding.append(voice)
            self._now += span
            done += span
        self._settle(count)
        playing = [one for one in dict.fromkeys(sounding) if one.state is PlaybackState.PLAYING]
        self._marks += [self._mark(one, count) for one in playing]
        return Block(np.clip(samples, -1.0, 1.0), self._take_marks(count))

    def skip(self, count: int) -> tuple[Mark, ...]:
        """Let time pass without a loudspeaker: nothing is played, and what waits too long is dropped."""
        if self._lost_at is None:
            self._lost_at = self._now
        self._now += count
        for voice in list(self._voices):
            voice.mute()
            is_alert = voice.kind is SpeechKind.ALERT
            limit_s = self._config.stale_alert_s if is_alert else self._config.stale_s
            if self._now - max(voice.arrived_at, self._lost_at) > limit_s * SAMPLE_RATE_HZ and not voice.is_flushed:
                self.counters["stale_utterances"] += 1
                self._flush(voice.key, voice)
        self._settle(0)
        return self._take_marks(0)

    def take_back(self, utterance_id: int, samples_played: int) -> None:
        """Correct what was played: the loudspeaker went away with samples that were handed to it."""
        voice = self._find(utterance_id)
        if voice is not None:
            self.counters["unplayed_samples"] += voice.played - samples_played
            voice.played = samples_played

    # ----------------------------------------------------------------------------------------------- who is to speak

    def _settle(self, offset: int) -> tuple[Voice | None, Voice | None]:
        """Bring everything up to date at a place in a block; return who speaks, and who goes on below it."""
        for voice in list(self._voices):
            self._look_after(voice, offset)
        speaker = next((one for one in self._voices if self._claims(one)), None)
        if speaker is not None and not self._is_ready(speaker):
            speaker = None
        under = self._make_way(speaker) if speaker is not None else None
        for voice in self._voices:
            if voice is speaker or voice is under:
                voice.release()
            elif not voice.is_flushed:
                voice.hold()
                if voice.has_begun and voice.has_sound and not voice.playable and not self._waits(voice):
                    self._change(voice, PlaybackState.PAUSED, offset)
        return speaker, under

    def _look_after(self, voice: Voice, offset: int) -> None:
        """Close the gaps of an utterance, notice that it starves, and let it go when it is over."""
        quiet = self._now - voice.quiet_since
        while not voice.has_sound and voice.has_gap and (voice.has_begun or quiet >= _REORDER):
            voice.jump_gap(self.counters)
        if not voice.has_sound and not voice.is_complete:
            if voice.has_begun and not voice.is_starved:
                self._starve(voice)
            elif quiet >= _ABANDON:
                self.counters["unfinished_utterances"] += 1
                voice.is_complete = True
        if voice.is_over:
            self._voices.remove(voice)
            self._quiet_since = self._now
            if not voice.underruns:
                self._prebuffer //= 2
            state = PlaybackState.FLUSHED if voice.is_flushed else PlaybackState.FINISHED
            self._close(voice.key, state)
            self._change(voice, state, offset)

    def _starve(self, voice: Voice) -> None:
        self.counters["underruns"] += 1
        voice.underruns += 1
        voice.is_starved, voice.quiet_since = True, self._now
        self._prebuffer = min(self._prebuffer + _PREBUFFER_STEP, _samples(self._config.max_prebuffer_ms))

    def _claims(self, voice: Voice) -> bool:
        """Tell whether the floor is kept for an utterance, be it for its next piece."""
        if voice.is_flushed or self._is_held(voice):
            return False
        return voice.has_sound or (voice.is_starved and self._now - voice.quiet_since < _PATIENCE)

    def _is_held(self, voice: Voice) -> bool:
        return voice.is_paused or (self._is_paused and voice.interruptible)

    def _is_ready(self, voice: Voice) -> bool:
        return voice.has_sound and not self._waits(voice)

    def _waits(self, voice: Voice) -> bool:
        return self._now < voice.start_at

    def _make_way(self, speaker: Voice) -> Voice | None:
        """Drop what a more urgent utterance cuts, or return what goes on below it."""
        below = [one for one in self._voices if one.has_begun and one.rank[0] > speaker.rank[0] and self._claims(one)]
        if self._config.on_alert == "flush":
            for voice in below:
                if voice.interruptible:
                    self._flush(voice.key, voice)
        if self._config.on_alert != "duck":
            return None
        return next((one for one in below if self._is_ready(one)), None)

    def _span(self, most: int, speaker: Voice | None) -> int:
        """Return for how many samples nothing changes."""
        moments = [most]
        for voice in self._voices:
            if voice.playable:
                moments.append(voice.playable)
            elif voice.has_sound:
                moments.append(voice.start_at - self._now)
            else:
                moments += [voice.quiet_since + wait - self._now for wait in (_REORDER, _PATIENCE, _ABANDON)]
        return min(moment for moment in moments if moment > 0)

    # -------------------------------------------------------------------------------------------------- book-keeping

    def _control_all(self, command: SpeechCommand) -> None:
        if command is SpeechCommand.PAUSE:
            self._is_paused = True
        elif command is SpeechCommand.DUCK:
            self._is_ducked = True
        else:
            self._is_paused = self._is_ducked = False
        for voice in list(self._voices):
            if command is SpeechCommand.RESUME:
                voice.is_paused = voice.is_ducked = False
            elif command is SpeechCommand.FLUSH and voice.interruptible:
                self._flush(voice.key, voice)

    def _flush(self, key: tuple[str, int], voice: Voice | None) -> None:
        self._close(key, PlaybackState.FLUSHED)
        if voice is not None and not voice.is_flushed:
            self.counters["flushed_utterances"] += 1
            voice.cut()

    def _close(self, key: tuple[str, int], state: PlaybackState) -> None:
        self._closed[key] = state
        if len(self._closed) > _REMEMBERED:
            del self._closed[next(iter(self._closed))]

    def _follow_session(self, session_id: str) -> bool:
        """Return False for a piece of a conversation that is over; a new one ends the old one."""
        if session_id == self._session:
            return True
        if session_id in self._old_sessions:
            return False
        if self._session is not None:
            self._old_sessions.append(self._session)
            self._control_all(SpeechCommand.FLUSH)
            for voice in self._voices:
                if voice.key[1] < APART_UTTERANCES:
                    voice.end()
        self._session = session_id
        return True

    def _find(self, utterance_id: int) -> Voice | None:
        def fits(key: tuple[str, int]) -> bool:
            return key[1] == utterance_id and (utterance_id >= APART_UTTERANCES or key[0] == self._session)

        return next((one for one in self._voices if fits(one.key)), None)

    def _change(self, voice: Voice, state: PlaybackState, offset: int) -> None:
        if voice.state is not state:
            voice.state = state
            self._marks.append(self._mark(voice, offset))

    def _mark(self, voice: Voice, offset: int) -> Mark:
        return Mark(offset, voice.key[1], voice.state, voice.played)

    def _take_marks(self, offset: int) -> tuple[Mark, ...]:
        if self._voices:
            self._is_idle = False
        elif not self._is_idle and self._now - self._quiet_since >= _IDLE_AFTER:
            self._is_idle = True
            self._marks.append(Mark(offset, 0, PlaybackState.IDLE, 0))
        marks, self._marks = tuple(self._marks), []
        return marks


def _samples(milliseconds: float) -> int:
    return round(milliseconds * SAMPLE_RATE_HZ / 1000.0)
