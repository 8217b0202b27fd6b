"""Scenes of single words, and scenes in which nobody wants anything: silence, noise, music, people who talk.

Each skill takes a Cast and returns a Conversation. Commands are drawn evenly; words that mean nothing are as loud and
as near, so that only the sound of the word tells one from the other.
"""

from tml_ros.records import MICRO_TURN_SAMPLES, SAMPLE_RATE_HZ
from tml_ros.training.conversation import Conversation
from tml_ros.training.corpus import Part
from tml_ros.training.corpus_texts import COMMAND_WORDS
from tml_ros.training.meanings import Answer
from tml_ros.training.scene_cast import Cast
from tml_ros.training.scene_timeline import Timeline

__all__ = ["none", "word"]

_COMMANDS = 0.6
"""Share of commands among the words."""
_RUN_TOGETHER = 0.08
"""Share of words to which others are joined without a pause, so that nothing follows."""
_LONGEST_NEAR = 4 * SAMPLE_RATE_HZ


def word(cast: Cast) -> Conversation:
    """Words with silence between them, each answered as the grammar has it, until the time is over."""
    line, until = Timeline("word"), cast.seconds(*cast.stage.seconds)
    at = cast.seconds(0.15, 1.0)
    while at < until:
        part = _draw(cast)
        if cast.chance(_RUN_TOGETHER):
            at = _run(cast, line, part, at)
        else:
            said = cast.say(line, part, at)
            answer = cast.meaning(part) if part.text else Answer()
            at = max(said.end + cast.seconds(0.5, 1.5), cast.answer(line, answer, said.over) + cast.seconds(0.15, 0.8))
    return cast.finish(line)


def none(cast: Cast) -> Conversation:
    """No reply to anything: silence, noise, music, people who talk to each other or to nobody."""
    line, count = Timeline("none"), cast.seconds(*cast.stage.seconds)
    line.extend(-(-count // MICRO_TURN_SAMPLES) * MICRO_TURN_SAMPLES)
    form = cast.rng.random()
    talks, kinds = (0, ("talk",)) if form < 0.25 else (1, ("meeting",)) if form < 0.55 else (1, ("talk",))
    at = cast.seconds(0, 1.0)
    while talks and at < line.end - SAMPLE_RATE_HZ // 2:
        parts = cast.parts(*kinds)
        if not parts:
            break
        at = _talk(cast, line, cast.pick(parts), at) + cast.seconds(0.2, 2.5)
    if form < 0.1:
        for _ in range(int(cast.rng.integers(1, 5))):
            part = cast.pick(cast.parts("knock", "cough"))
            line.sound(cast.dressed(cast.corpus.sound(part))[0], int(cast.rng.integers(line.end - SAMPLE_RATE_HZ)))
    return cast.finish(line, tail=0)


def _draw(cast: Cast) -> Part:
    if cast.chance(_COMMANDS):
        part = cast.word(str(cast.rng.choice(COMMAND_WORDS)))
        if part is not None:
            return part
    others = [text for text in cast.corpus.texts("word", cast.person_split) if text not in COMMAND_WORDS]
    if cast.chance(0.5):
        part = cast.pick(cast.parts("word"))
        if part.text not in COMMAND_WORDS:
            return part
    return cast.word(str(cast.rng.choice(others))) or cast.pick(cast.parts("word"))


def _run(cast: Cast, line: Timeline, first: Part, at: int) -> int:
    """Let two to four words follow each other at once, from which nothing follows unless the grammar knows them."""
    parts = [first, *(_draw(cast) for _ in range(int(cast.rng.integers(1, 4))))]
    begin, ends = at, []
    for part in parts:
        sound, factor = cast.dressed(cast.corpus.sound(part))
        line.sound(sound, at)
        end = at + round(part.length * factor)
        line.speech("user", at, end)
        ends.append(end)
        at = end + cast.seconds(0, 0.05)
    over = line.turn(begin, ends[-1])
    for part, end in zip(parts, ends, strict=True):
        if part.text:
            line.heard(part.text, end, over)
    answer = cast.meanings.of(" ".join(part.text or "something" for part in parts))
    return max(ends[-1] + cast.seconds(0.6, 1.2), cast.answer(line, answer, over) + cast.seconds(0.2, 0.8))


def _talk(cast: Cast, line: Timeline, part: Part, at: int) -> int:
    """Let somebody talk, not to the robot: from afar, or near but short. Returns the end."""
    is_far = part.kind == "meeting" or cast.chance(0.6)
    first = int(cast.rng.integers(max(1, part.length - SAMPLE_RATE_HZ)))
    length = min(part.length - first, line.end - at, part.length if is_far else _LONGEST_NEAR)
    sound, factor = cast.dressed(cast.corpus.sound(part)[first : first + length], far=is_far)
    line.sound(sound[: line.end - at], at)
    spoken = [(round((b - first) * factor), round((e - first) * factor)) for b, e in part.speech]
    spoken = [(max(0, begin), min(end, round(length * factor))) for begin, end in spoken]
    _mark(line, [(at + begin, at + end) for begin, end in spoken if end > begin])
    if not part.real:
        for text, end in zip(part.text.split(), part.word_ends, strict=True):
            if first < end <= first + length:
                line.heard(text, at + round((end - first) * factor))
    return at + round(length * factor)


def _mark(line: Timeline, spoken: list[tuple[int, int]]) -> None:
    """Mark speech, and turns that end where somebody is silent for a second."""
    for begin, end in spoken:
        line.speech("user", begin, end)
    for number, (begin, end) in enumerate(spoken):
        goes_on = number + 1 < len(spoken) and spoken[number + 1][0] - end < SAMPLE_RATE_HZ
        line.turn(begin, None if goes_on else end + SAMPLE_RATE_HZ // 2)
