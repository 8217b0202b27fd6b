"""Scenes in which somebody asks for something: sentences with slots, replies, pauses, tasks handed on, typed lines.

Each skill takes a Cast and returns a Conversation. What follows from a sentence is the grammar's, see ``meanings``.
"""

from collections.abc import Callable

from tml_ros.records import MICRO_TURN_SAMPLES, DelegationDraft, Floor, SpeechText, TextSource, TimerDraft
from tml_ros.training.conversation import Conversation
from tml_ros.training.corpus import Part
from tml_ros.training.meanings import Answer
from tml_ros.training.scene_cast import Cast
from tml_ros.training.scene_timeline import Timeline, turn_of

__all__ = ["delegate", "pause", "reply", "sentence", "timer", "typed"]

_TYPED_WORDS = 9
"""So many words come in within one micro-turn."""
_REPORTS = (
    "It is in the hall, next to the door.", "I could not find that.", "It melts at a very high temperature.",
    "It is under the sink.", "The next one is at nine.", "Leave the room and call for help.", "It has to be very hot.",
)  # fmt: skip
_CUES = ("Somebody is at the door.", "The pump has stopped.", "The battery is low.", "There is a new message.")


def sentence(cast: Cast) -> Conversation:
    """One or two sentences, each answered."""
    line, at = Timeline("sentence"), cast.seconds(0.2, 1.2)
    for _ in range(int(cast.rng.integers(1, 3))):
        at = _ask(cast, line, cast.pick(cast.parts("sentence")), at)
    return cast.finish(line)


def reply(cast: Cast) -> Conversation:
    """Two to four short exchanges in which the robot speaks each time."""
    line, at = Timeline("reply"), cast.seconds(0.2, 1.0)
    for _ in range(int(cast.rng.integers(2, 5))):
        at = _ask(cast, line, _that(cast, "sentence", lambda answer: bool(answer.reply)), at)
    return cast.finish(line)


def pause(cast: Cast) -> Conversation:
    """A sentence with a pause, a hesitation or a correction inside; only when it is over something follows."""
    line, at = Timeline("pause"), cast.seconds(0.2, 1.0)
    for _ in range(int(cast.rng.integers(1, 3))):
        part = cast.pick(cast.parts("paused"))
        at = _ask(cast, line, part, at, pause=cast.seconds(0.0, 1.3))
    return cast.finish(line)


def delegate(cast: Cast) -> Conversation:
    """A question that is handed on; later its answer comes in, and the session says it.

    Results are spoken by whoever hands the task on (``tml_ros.session.weave``), so the robot is heard, and the model
    itself adds nothing.
    """
    line = Timeline("delegate")
    part = _that(cast, "sentence", lambda answer: any(isinstance(one, DelegationDraft) for one in answer.records))
    done = _ask(cast, line, part, cast.seconds(0.2, 1.0))
    if cast.chance(0.6):
        report = str(cast.rng.choice(_REPORTS))
        turn = turn_of(done + cast.seconds(0.5, 3.0))
        line.text(turn, TextSource.BACKGROUND, report)
        sound = cast.voice(report)
        last = line.play(sound, (turn + 1) * MICRO_TURN_SAMPLES)
        line.floor(turn + 1, last, Floor.SPEAK)
    return cast.finish(line)


def timer(cast: Cast) -> Conversation:
    """A reminder that is asked for, or a line that a timer or a cue sends, which the robot says."""
    line, at = Timeline("timer"), cast.seconds(0.2, 1.0)
    if cast.chance(0.5):
        part = _that(cast, "sentence", lambda answer: any(isinstance(one, TimerDraft) for one in answer.records))
        at = _ask(cast, line, part, at)
    else:
        at = _due(cast, line, turn_of(at))
    if cast.chance(0.5):
        _due(cast, line, turn_of(at + cast.seconds(0.3, 2.0)))
    return cast.finish(line)


def typed(cast: Cast) -> Conversation:
    """What somebody types has the same effect as what somebody says."""
    line, at = Timeline("typed"), cast.seconds(0.2, 1.0)
    for _ in range(int(cast.rng.integers(1, 3))):
        part, turn = cast.pick(cast.parts("sentence")), turn_of(at)
        line.text(turn, TextSource.USER, part.text)
        over = turn + len(part.text.split()) // _TYPED_WORDS
        at = cast.answer(line, cast.meaning(part), over) + cast.seconds(0.3, 1.5)
    return cast.finish(line)


def _ask(cast: Cast, line: Timeline, part: Part, at: int, *, pause: int = 0) -> int:
    """Let somebody say a part and the robot answer; return where the next may begin."""
    said = cast.say(line, part, at, pause=pause)
    done = cast.answer(line, cast.meaning(part), said.over)
    return max(said.end + cast.seconds(0.7, 1.5), done + cast.seconds(0.2, 1.0))


def _that(cast: Cast, kind: str, fits: Callable[[Answer], bool]) -> Part:
    """Return a part from which something follows that fits; any part when none is found soon."""
    parts = cast.parts(kind)
    for _ in range(60):
        part = cast.pick(parts)
        if fits(cast.meaning(part)):
            return part
    return cast.pick(parts)


def _due(cast: Cast, line: Timeline, turn: int) -> int:
    """Let a reminder or a cue come in and the robot say it."""
    if cast.chance(0.3):
        source, text = TextSource.CUE, str(cast.rng.choice(_CUES))
        words = text
    else:
        source, text = TextSource.TIMER, _reminder(cast)
        words = text if text[:1].isupper() else f"Remember to {text}."
    line.text(turn, source, text)
    line.put(turn, SpeechText(words))
    return cast.speak(line, words, turn)


def _reminder(cast: Cast) -> str:
    part = _that(cast, "sentence", lambda answer: any(isinstance(one, TimerDraft) for one in answer.records))
    timers = [one for one in cast.meaning(part).records if isinstance(one, TimerDraft)]
    return timers[0].text if timers else "Your time is up."
