"""One utterance on its way to the loudspeaker: its pieces in order, and a volume that never jumps.

The volume follows one rule: it rises for as long as a fade lasts from where it is, and falls in time to be zero with
the last sample that may be played. So whatever ends the sound (the end, a cut, a pause, a piece that is not there in
time) is faded, in the same way whatever the blocks, and a piece that comes in the middle of a fade turns it around.
Knows nothing of other utterances, of time or of devices.
"""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from tml_ros.records import PlaybackState, SpeechPiece

__all__ = ["Voice", "raised_cosine"]


def raised_cosine(steps: int) -> NDArray[np.float32]:
    """Return [steps + 1] float32 from 0 to 1 along a raised cosine."""
    return (0.5 - 0.5 * np.cos(np.pi * np.arange(steps + 1) / max(steps, 1))).astype(np.float32)


class Voice:
    """What is left of one utterance.

    Args:
        first: its first piece to arrive, not yet taken in.
        order: place among all utterances, by arrival.
        now: mixer time in samples.
        fade: from ``raised_cosine``, for the ends of sound.
        duck: gains from full volume down to what a ducked voice has.
    """

    def __init__(
        self, first: SpeechPiece, order: int, now: int, fade: NDArray[np.float32], duck: NDArray[np.float32]
    ) -> None:
        self.key = (first.session_id, first.utterance_id)
        self.kind, self.interruptible = first.kind, first.interruptible
        self.rank = (-first.priority, order)
        self.arrived_at = self.quiet_since = self.start_at = now
        self.state = PlaybackState.IDLE
        self.played = self.underruns = 0
        self.is_complete = self.is_flushed = self.is_paused = self.is_ducked = self.is_starved = False
        self._fade, self._duck = fade, duck
        self._volume = self._depth = 0  # places in the tables of gains
        self._sound = np.zeros(0, np.float32)
        self._next_seq = 0
        self._early: dict[int, SpeechPiece] = {}
        self._allowed: int | None = None

    @property
    def has_begun(self) -> bool:
        """Whether any of it was played."""
        return self.played > 0

    @property
    def has_sound(self) -> bool:
        """Whether samples wait."""
        return len(self._sound) > 0

    @property
    def has_gap(self) -> bool:
        """Whether a piece is missing before others that are there."""
        return bool(self._early) and not self.is_flushed

    @property
    def is_over(self) -> bool:
        """Whether nothing is left and nothing will come."""
        return self.is_complete and not self.has_sound and not self._early

    @property
    def playable(self) -> int:
        """How many samples may be played now."""
        return len(self._sound) if self._allowed is None else min(self._allowed, len(self._sound))

    def add(self, piece: SpeechPiece, counters: Counter[str]) -> None:
        """Take in a piece, at its place."""
        if piece.seq < self._next_seq or piece.seq in self._early:
            counters["duplicate_pieces"] += 1
            return
        counters["reordered_pieces"] += piece.seq < max(self._early, default=0)
        self._early[piece.seq] = piece
        self._join()

    def jump_gap(self, counters: Counter[str]) -> None:
        """Go on behind missing pieces; only when what was before them is played."""
        first = min(self._early)
        counters["missing_pieces"] += first - self._next_seq
        self._next_seq = first
        self._join()

    def hold(self) -> None:
        """Fade out and keep the rest."""
        self._allowed = self._volume

    def release(self) -> None:
        """Play, or go on."""
        self._allowed = None

    def cut(self) -> None:
        """Fade out and drop the rest."""
        self._sound = self._sound[: self._volume]
        self._early.clear()
        self._allowed = None
        self.is_complete = self.is_flushed = True

    def end(self) -> None:
        """Expect no further piece."""
        self._early.clear()
        self.is_complete = True

    def mute(self) -> None:
        """Be silent without a fade: the loudspeaker is gone."""
        self._volume = 0
        if self.is_flushed:
            self.cut()

    def play(self, count: int, *, is_ducked: bool) -> NDArray[np.float32]:
        """Return the next samples. count: at most ``playable``."""
        steps = np.arange(1, count + 1)
        volumes = np.minimum(np.minimum(self._volume + steps, len(self._fade) - 1), self.playable - steps)
        depths = np.clip(self._depth + (steps if is_ducked else -steps), 0, len(self._duck) - 1)
        if self._allowed is not None:
            self._allowed -= count
        sound, self._sound = self._sound[:count], self._sound[count:]
        self._volume, self._depth = int(volumes[-1]), int(depths[-1])
        self.played += count
        gains: NDArray[np.float32] = self._fade[volumes] * self._duck[depths]
        return sound * gains

    def _join(self) -> None:
        """Take what is next in order from the pieces that came early."""
        sounds = [self._sound]
        while (piece := self._early.pop(self._next_seq, None)) is not None:
            sounds.append(piece.audio)
            self._next_seq += 1
            self.is_complete |= piece.last
        self._sound = np.concatenate(sounds)
