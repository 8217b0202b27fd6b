"""What the robot is about to say, cut into pieces as fast as they can be played.

Text comes in deltas, is synthesised clause by clause just before it is needed, and leaves in pieces of one micro-turn
each, a set number of pieces ahead of the loudspeaker. Time is the time of the micro-turns: the queue never looks at a
clock, so the same turns give the same pieces. It knows no model, no player and no topic.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tml_ros.records import (
    MICRO_TURN_NS,
    MICRO_TURN_SAMPLES,
    SAMPLE_RATE_HZ,
    PlaybackReport,
    PlaybackState,
    SpeechKind,
    SpeechPiece,
    SpeechText,
)
from tml_ros.speech.synthesis import Synthesiser, split_clauses, synthesise_or_count

__all__ = ["Spoken", "UtteranceQueue"]


@dataclass(frozen=True, slots=True)
class Spoken:
    """What was heard of an utterance, up to its end or to where it was cut.

    clauses: its words so far, each with the index of the sample at which it begins.
    """

    utterance_id: int
    text: str
    start_ns: int
    end_ns: int
    interrupted: bool
    clauses: tuple[tuple[str, int], ...] = ()


@dataclass(slots=True)
class _Utterance:
    utterance_id: int
    head: SpeechText
    text: str = ""
    complete: bool = False
    clauses: list[tuple[str, NDArray[np.float32] | None]] = field(default_factory=list)
    audio: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    new_words: list[str] = field(default_factory=list)
    seq: int = 0
    issued: int = 0
    start_ns: int = 0
    said: list[tuple[str, int]] = field(default_factory=list)
    is_voice: bool = False

    @property
    def is_spent(self) -> bool:
        return self.complete and not (self.text or self.clauses or len(self.audio) or self.new_words)


class UtteranceQueue:
    """Utterances in order of priority, then of arrival.

    Thread: one caller at a time.
    """

    def __init__(self, synthesiser: Synthesiser, *, lead_pieces: int = 1) -> None:
        self.counters: Counter[str] = Counter()
        self._synthesiser = synthesiser
        self._lead_ns = lead_pieces * MICRO_TURN_NS
        self._waiting: list[_Utterance] = []
        self._issued: list[_Utterance] = []
        self._next_id = 1
        self._play_until_ns = 0
        self._cut: list[tuple[int, SpeechText]] = []

    @property
    def is_busy(self) -> bool:
        """Whether anything waits to be issued."""
        return bool(self._waiting)

    def say(self, speech: SpeechText) -> int:
        """Add words, to the open utterance of the same kind if there is one; return its id."""
        utterance = self._open_utterance(speech)
        utterance.text += speech.text
        utterance.complete = speech.last
        self._cut_clauses(utterance)
        return utterance.utterance_id

    def has_open(self, kind: SpeechKind) -> bool:
        """Whether words of this kind would go on an utterance that has begun."""
        return any(not utterance.complete and utterance.head.kind is kind for utterance in self._waiting)

    def say_audio(self, speech: SpeechText, audio: NDArray[np.float32]) -> int:
        """Add words with the model's own voice. audio: [N] float32 at 16 kHz."""
        utterance = self._open_utterance(speech)
        utterance.clauses.append((speech.text, audio))
        utterance.is_voice = True
        utterance.complete = speech.last
        return utterance.utterance_id

    def take(self, now_ns: int, session_id: str, window_seq: int) -> list[SpeechPiece]:
        """Return the pieces that are due at the end of a micro-turn. now_ns: that end."""
        pieces: list[SpeechPiece] = []
        until_ns = now_ns + MICRO_TURN_NS + self._lead_ns
        while self._waiting and max(self._play_until_ns, now_ns) < until_ns:
            first = self._waiting[0]
            # while the model has not finished a clause, only what is more urgent goes first
            for utterance in [first, *(u for u in self._waiting[1:] if u.head.priority > first.head.priority)]:
                piece = self._next_piece(utterance, now_ns, session_id, window_seq)
                if piece is not None:
                    break
            else:
                break
            pieces.append(piece)
            if piece.last:
                self._waiting = [u for u in self._waiting if u is not utterance]
                self._issued.append(utterance)
        return pieces

    def flush(self, now_ns: int) -> list[Spoken]:
        """Drop what is not played yet, as far as it may be interrupted; return the utterances that were cut."""
        kept = [u for u in self._waiting if not u.head.interruptible]
        cut = [u for u in [*self._issued, *self._waiting] if u.head.interruptible]
        self._cut = [(u.utterance_id, replace(u.head, text=rest, last=True)) for u in cut if (rest := _rest(u, now_ns))]
        self.counters["flushed_utterances"] += len(self._waiting) - len(kept)
        self._waiting = kept
        self._issued = [u for u in self._issued if not u.head.interruptible]
        self._play_until_ns = min(self._play_until_ns, now_ns)
        return [_spoken(u, now_ns) for u in cut if u.seq]

    def delay(self, now_ns: int) -> None:
        """Take note that nothing is played for a micro-turn from ``now_ns`` on: what is left comes later by that."""
        for utterance in [*self._issued, *self._waiting]:
            if utterance.seq and _end_ns(utterance) > now_ns:
                utterance.start_ns += MICRO_TURN_NS
        if self._play_until_ns > now_ns:
            self._play_until_ns += MICRO_TURN_NS

    def take_cut(self) -> list[tuple[int, SpeechText]]:
        """Return, once, what the last flush left unsaid: utterances, each with its words from the cut clause on.

        A voice of the model's own cannot be gone on with; neither can what is cut while something else is being said.
        """
        cut, self._cut = self._cut, []
        return [] if self._waiting else cut

    def finished(self, now_ns: int) -> list[Spoken]:
        """Return, once each, the utterances whose last sample has been played by ``now_ns``."""
        over = [u for u in self._issued if _end_ns(u) <= now_ns]
        self._issued = [u for u in self._issued if _end_ns(u) > now_ns]
        return [_spoken(u, None) for u in over]

    def playback(self, now_ns: int) -> PlaybackReport | None:
        """Return what a player that starts every piece at its stamp would report at ``now_ns``."""
        begun = [u for u in [*self._issued, *self._waiting] if u.seq and u.start_ns <= now_ns]
        if not begun:
            return None
        current = begun[-1]
        played = min(current.issued, (now_ns - current.start_ns) * SAMPLE_RATE_HZ // 1_000_000_000)
        state = PlaybackState.PLAYING if now_ns < _end_ns(current) or not current.is_spent else PlaybackState.FINISHED
        return PlaybackReport(now_ns, current.utterance_id, state, played)

    def begun(self, now_ns: int) -> list[Spoken]:
        """Return the utterances that are being played at ``now_ns``, each with what was heard of it by then."""
        return [_spoken(u, now_ns) for u in [*self._issued, *self._waiting] if u.seq and u.start_ns <= now_ns]

    def withdraw(self, utterance_id: int) -> bool:
        """Drop an utterance of which nothing has been issued yet; return whether it was dropped. Its rest is, too."""
        self._cut = [one for one in self._cut if one[0] != utterance_id]
        kept = [u for u in self._waiting if u.seq or u.utterance_id != utterance_id]
        was_dropped = len(kept) < len(self._waiting)
        self._waiting = kept
        return was_dropped

    def _open_utterance(self, speech: SpeechText) -> _Utterance:
        for utterance in self._waiting:
            if not utterance.complete and utterance.head.kind is speech.kind:
                return utterance
        utterance = _Utterance(self._next_id, speech)
        self._next_id += 1
        place = len(self._waiting)
        while place and not self._waiting[place - 1].seq and self._waiting[place - 1].head.priority < speech.priority:
            place -= 1
        self._waiting.insert(place, utterance)
        return utterance

    def _cut_clauses(self, utterance: _Utterance) -> None:
        """Move whole clauses from the text to the list to be synthesised; keep an unfinished one back."""
        clauses = split_clauses(utterance.text)
        utterance.text = ""
        if clauses and not utterance.complete:
            utterance.text = clauses.pop() + " "
        utterance.clauses += [(clause, None) for clause in clauses]

    def _next_piece(self, utterance: _Utterance, now_ns: int, session_id: str, window_seq: int) -> SpeechPiece | None:
        """Return the next piece, or None when the model has not finished its clause yet."""
        while len(utterance.audio) < MICRO_TURN_SAMPLES and utterance.clauses:
            self._append_clause(utterance)
        if not (len(utterance.audio) or utterance.new_words or utterance.complete):
            return None
        start_ns = max(self._play_until_ns, now_ns)
        if not utterance.seq:
            utterance.start_ns = start_ns
        audio, utterance.audio = np.split(utterance.audio, [MICRO_TURN_SAMPLES])
        head = utterance.head
        text = " ".join(utterance.new_words)
        utterance.new_words = []
        piece = SpeechPiece(
            stamp_ns=start_ns,
            session_id=session_id,
            window_seq=window_seq,
            utterance_id=utterance.utterance_id,
            seq=utterance.seq,
            kind=head.kind,
            text=text,
            audio=audio,
            first_sample=utterance.issued,
            priority=head.priority,
            interruptible=head.interruptible,
            last=utterance.is_spent,
            revises=head.revises,
        )
        utterance.seq += 1
        utterance.issued += len(audio)
        self._play_until_ns = start_ns + len(audio) * 1_000_000_000 // SAMPLE_RATE_HZ
        return piece

    def _append_clause(self, utterance: _Utterance) -> None:
        text, audio = utterance.clauses.pop(0)
        if audio is None:
            name, lost = "synthesis_failures", "this clause"
            audio = synthesise_or_count(self._synthesiser, text, self.counters, name, lost)
        utterance.said.append((text, utterance.issued + len(utterance.audio)))
        utterance.new_words.append(text)
        utterance.audio = np.concatenate([utterance.audio, audio])


def _end_ns(utterance: _Utterance) -> int:
    return utterance.start_ns + utterance.issued * 1_000_000_000 // SAMPLE_RATE_HZ


def _rest(utterance: _Utterance, cut_ns: int) -> str:
    """Return the words from the clause that was cut on; empty when everything was heard."""
    if utterance.is_voice or (utterance.is_spent and _end_ns(utterance) <= cut_ns):
        return ""
    played = (cut_ns - utterance.start_ns) * SAMPLE_RATE_HZ // 1_000_000_000 if utterance.seq else 0
    begun = sum(first < played for _, first in utterance.said)
    words = [text for text, _ in utterance.said[max(0, begun - 1) :]]
    return " ".join([*words, *(text for text, _ in utterance.clauses), utterance.text]).strip()


def _spoken(utterance: _Utterance, cut_ns: int | None) -> Spoken:
    """Return what was said up to ``cut_ns``: every clause that had begun."""
    end_ns = _end_ns(utterance) if cut_ns is None else min(cut_ns, _end_ns(utterance))
    played = (end_ns - utterance.start_ns) * SAMPLE_RATE_HZ // 1_000_000_000
    words = [text for text, first in utterance.said if first < played or cut_ns is None]
    return Spoken(
        utterance.utterance_id,
        " ".join(words),
        utterance.start_ns,
        end_ns,
        cut_ns is not None,
        tuple(utterance.said),
    )
