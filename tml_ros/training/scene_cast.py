"""Who and what sounds in a scene: draws parts, sends them through rooms, lets the robot answer, adds the background.

One Cast belongs to one scene. It puts things on a timeline; which, and in what order, the skills say.
"""

import itertools
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tml_ros.intents.grammar import normalise
from tml_ros.records import MICRO_TURN_SAMPLES, SAMPLE_RATE_HZ, Floor
from tml_ros.training.acoustics import (
    amplitude,
    banded,
    clipped,
    coloured,
    in_room,
    looped,
    music,
    residual,
    resized,
)
from tml_ros.training.conversation import Conversation
from tml_ros.training.corpus import Corpus, Part
from tml_ros.training.meanings import Answer, Meanings
from tml_ros.training.scene_stage import Stage
from tml_ros.training.scene_timeline import Timeline

__all__ = ["Cast", "Said"]

Sound = NDArray[np.float32]
_TURN = MICRO_TURN_SAMPLES
_SILENT_REFERENCE = 0.4
_DIGITAL_SILENCE = 0.12
"""Share of scenes without any noise, as synthetic clips are, and a microphone that is switched off."""
_WORDS_A_TURN = 3  # words of text that a micro-turn puts out, about


@dataclass(frozen=True, slots=True)
class Said:
    """A turn of the person's on the timeline. over: the micro-turn in which it is over."""

    begin: int
    end: int
    over: int


@dataclass(slots=True)
class Cast:
    """What a skill draws from. level_db: of the person, relative to -20 dB of full scale."""

    corpus: Corpus
    meanings: Meanings
    stage: Stage
    rng: Generator
    level_db: float = field(init=False)
    _is_playback_known: bool = field(init=False)

    def __post_init__(self) -> None:
        self.level_db = float(self.rng.uniform(*self.stage.level_db))
        self._is_playback_known = bool(self.rng.random() >= self.stage.silent)

    # ------------------------------------------------------------------------------------------------- choosing

    @property
    def person_split(self) -> str:
        """The split of synthetic voices and made sounds."""
        return "held" if self.stage.held else "train"

    @property
    def real_split(self) -> str:
        """The split of real speakers and recordings."""
        return "dev" if self.stage.held else "train"

    def chance(self, share: float) -> bool:
        """Return True so often."""
        return bool(self.rng.random() < share)

    def seconds(self, low: float, high: float) -> int:
        """Return a time in samples."""
        return round(self.rng.uniform(low, high) * SAMPLE_RATE_HZ)

    def pick(self, parts: list[Part]) -> Part:
        """Return one of the parts."""
        return parts[int(self.rng.integers(len(parts)))]

    def parts(self, *kinds: str) -> list[Part]:
        """Return the parts of some kinds, real and synthetic."""
        splits = dict.fromkeys((self.person_split, self.real_split))
        return [part for kind in kinds for split in splits for part in self.corpus.all(kind, split)]

    def word(self, text: str, real_share: float = 0.65) -> Part | None:
        """Return somebody saying a word, a real person where there are any; None when nobody says it."""
        real = [part for part in self.corpus.saying("word", text, self.real_split) if part.real]
        made = [part for part in self.corpus.saying("word", text, self.person_split) if not part.real]
        share = real_share if len(real) >= 20 else min(real_share, 0.02 * len(real) + 0.1)
        chosen = real if real and (not made or self.chance(share)) else made
        return self.pick(chosen) if chosen else None

    # ------------------------------------------------------------------------------------------------- speaking

    def dressed(self, sound: Sound, *, far: bool = False) -> tuple[Sound, float]:
        """Return a person's sound as it comes to the microphone, and how much longer it is than it was."""
        factor = 1.0
        if self.chance(self.stage.resize):
            factor = float(self.rng.uniform(0.88, 1.14))
            sound = resized(sound, factor)
        if far or self.chance(self.stage.room):
            sound = in_room(banded(sound, self.rng), self.rng)
        return sound * amplitude(self.level_db), factor

    def say(self, line: Timeline, part: Part, at: int, *, pause: int = 0) -> Said:
        """Let the person say a part. pause: samples of silence more in its longest gap."""
        sound, factor = self.dressed(self.corpus.sound(part))
        speech = [(round(begin * factor), round(end * factor)) for begin, end in part.speech]
        ends = [round(end * factor) for end in part.word_ends]
        gap = _gap(speech) if pause else len(sound)
        if gap < len(sound):
            fall = np.minimum(1, np.arange(len(sound))[gap - 1 :: -1] / 400).astype(np.float32)
            sound = np.concatenate([sound[:gap] * fall, np.zeros(pause, np.float32), sound[gap:]])
        speech = [(begin + pause * (begin >= gap), end + pause * (end > gap)) for begin, end in speech]
        ends = [end + pause * (end > gap) for end in ends]
        line.sound(sound, at)
        for begin, end in speech:
            line.speech("user", at + begin, at + end)
        last = at + max((end for _, end in speech), default=len(sound))
        over = line.turn(at, last)
        for word, end in zip(part.text.split(), ends, strict=len(ends) > 0):
            line.heard(word, at + end, over)
        return Said(at, last, over)

    def meaning(self, part: Part) -> Answer:
        """Return what follows from what a part says."""
        return self.meanings.of(part.means or part.text)

    # ------------------------------------------------------------------------------------------------ answering

    def answer(self, line: Timeline, answer: Answer, turn: int) -> int:
        """Let the robot answer in a micro-turn, and return the sample at which it is done."""
        line.put(turn, *answer.all)
        # What is put out takes its time, and the next scene must not find it unfinished.
        tokens = sum(len(str(record).split()) for record in answer.speech) + 10 * len(answer.records)
        line.extend((turn + 2 + tokens // 8) * _TURN)
        return self.speak(line, answer.reply, turn) if answer.reply else (turn + 1) * _TURN

    def speak(self, line: Timeline, text: str, turn: int, floor: Floor = Floor.SPEAK) -> int:
        """Let the robot's words of a micro-turn sound, and return the sample at which they end."""
        last = turn + len(text.split()) // _WORDS_A_TURN
        if not self._is_playback_known:
            line.floor(turn, last, floor)
            return (last + 1) * _TURN
        begin = (turn + (1 if self.chance(0.6) else 2)) * _TURN + int(self.rng.integers(0, 1600))
        sound = self.voice(text)
        line.floor(turn, max(last, line.play(sound, begin)), floor)
        return begin + len(sound)

    def voice(self, text: str) -> Sound:
        """Return the robot saying a text, or another of about the same length; [N] float32 at 0.1 RMS."""
        said = self.corpus.saying("reply", normalise(text))
        if not said:
            replies = sorted(self.corpus.all("reply"), key=lambda part: abs(len(part.text) - len(text)))[:8]
            said = replies or self.corpus.all("robot")
        return self.corpus.sound(self.pick(said))

    # ----------------------------------------------------------------------------------------------- background

    def noise(self, count: int) -> Sound:
        """Return a background without speech, [count] at 0.1 RMS."""
        form = self.rng.random()
        recorded = self.corpus.all("noise", self.real_split)
        if form < 0.5 and recorded:
            return looped(self.corpus.sound(self.pick(recorded)), count, self.rng)
        if form < 0.9:
            return coloured(count, self.rng)
        return music(count, self.rng)

    def background_talk(self, line: Timeline, level_db: float, *, is_audible: bool) -> None:
        """Let other people talk from beginning to end, at a level relative to -20 dB of full scale."""
        at, whose = 0, "other" if is_audible else "unclear"
        while at < line.end:
            part = self.pick(self.parts("talk", "meeting"))
            first = int(self.rng.integers(max(1, part.length // 2)))
            length = min(part.length - first, line.end - at)
            sound = self.corpus.sound(part)[first : first + length]
            line.sound(in_room(banded(sound, self.rng), self.rng)[:length] * amplitude(level_db), at)
            for begin, end in part.speech:
                line.speech(whose, at + max(0, begin - first), at + min(length, max(0, end - first)))
            at += length + self.seconds(0, 1.5)

    def finish(self, line: Timeline, *, tail: int = 3) -> Conversation:
        """Add the background and what the microphone does. tail: micro-turns after the last event."""
        line.extend((line.turns + tail) * _TURN)
        snr_db = float(self.rng.uniform(*self.stage.snr_db))
        if self.chance(self.stage.talk):
            talk_snr_db = float(self.rng.uniform(*self.stage.talk_snr_db))
            self.background_talk(line, self.level_db - talk_snr_db, is_audible=talk_snr_db < snr_db + 2)
        audio, reference = line.microphone(), line.loudspeaker()
        if reference is None and self.chance(_SILENT_REFERENCE):
            reference = np.zeros_like(audio)
        if not self.chance(_DIGITAL_SILENCE):
            audio = audio + self.noise(len(audio)) * amplitude(self.level_db - snr_db)
        if reference is not None and reference.any():
            audio = self._echoed(audio, reference)
        if self.chance(self.stage.clip):
            audio = clipped(audio, self.rng)
        return line.finish(np.clip(audio, -1, 1), reference, is_playback_known=self._is_playback_known)

    def _echoed(self, audio: Sound, reference: Sound) -> Sound:
        """Add what the echo canceller leaves of the robot's voice, or send all through the real one."""
        if not self.chance(self.stage.canceller):
            return audio + residual(reference, self.rng)
        from tml_ros.speech.echo import EchoCanceller, EchoConfig

        echo = in_room(banded(reference, self.rng), self.rng)[: len(reference)]
        echo = np.roll(echo, self.seconds(0.01, 0.2)) * amplitude(float(self.rng.uniform(-18, -5)))
        canceller = EchoCanceller(EchoConfig(noise_suppression=self.chance(0.1)))
        turns = zip((audio + echo).reshape(-1, _TURN), reference.reshape(-1, _TURN), strict=True)
        return np.concatenate([canceller.process(heard, played) for heard, played in turns])


def _gap(speech: list[tuple[int, int]]) -> int:
    """Return the middle of the longest silence inside; the beginning when there is none."""
    gaps = [(after[0] - before[1], (after[0] + before[1]) // 2) for before, after in itertools.pairwise(speech)]
    return max(gaps, default=(0, 1 << 40))[1]
