"""What an alert says, clause by clause as it becomes sound, and which of it has been said to its end.

It is never taken back, and goes on where the last one ends. A synthesiser that fails costs the sound, not the words. It
knows neither watchers nor topics.
"""

import threading
from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tml_ros.records import (
    APART_UTTERANCES,
    MICRO_TURN_SAMPLES,
    SAMPLE_RATE_HZ,
    MicroTurn,
    SpeechPiece,
    SpeechText,
    TranscriptEvent,
)
from tml_ros.speech.synthesis import Synthesiser, split_clauses, synthesise_or_count

__all__ = ["AlertVoice"]

_LONGEST_NS = 60_000_000_000  # further ahead is a clock that went back


class AlertVoice:
    """Speaks alerts.

    Thread: ``speak`` by one at a time; ``over_by`` may be called from another.
    """

    def __init__(self, synthesiser: Synthesiser) -> None:
        self.counters: Counter[str] = Counter()
        self._synthesiser = synthesiser
        self._next_utterance = APART_UTTERANCES
        self._play_until_ns = 0
        self._unsaid: list[TranscriptEvent] = []
        self._lock = threading.Lock()

    def speak(self, session_id: str, speech: SpeechText, turn: MicroTurn) -> Iterator[SpeechPiece]:
        """Yield an utterance clause by clause, each as soon as it is sound."""
        utterance_id, self._next_utterance = self._next_utterance, self._next_utterance + 1
        clauses = split_clauses(speech.text)
        if self._play_until_ns > turn.end_ns + _LONGEST_NS:
            self._play_until_ns = turn.end_ns
        start_ns = stamp_ns = max(turn.end_ns, self._play_until_ns)
        seq = first = 0
        for number, clause in enumerate(clauses, start=1):
            audio = self._sound(clause)
            starts = range(0, max(1, len(audio)), MICRO_TURN_SAMPLES)
            for start in starts:
                part = audio[start : start + MICRO_TURN_SAMPLES]
                yield SpeechPiece(
                    stamp_ns=stamp_ns,
                    session_id=session_id,
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
        with self._lock:
            self._unsaid.append(TranscriptEvent("robot", speech.text, True, 1.0, start_ns, stamp_ns))

    def over_by(self, now_ns: int) -> list[TranscriptEvent]:
        """Return, once each, what has been said to its end by now."""
        with self._lock:
            over = [one for one in self._unsaid if one.end_ns <= now_ns or one.start_ns > now_ns + _LONGEST_NS]
            self._unsaid = [one for one in self._unsaid if one not in over]
        return over

    def _sound(self, text: str) -> NDArray[np.float32]:
        return synthesise_or_count(self._synthesiser, text, self.counters, "safety_synthesis_failures", "an alert")
