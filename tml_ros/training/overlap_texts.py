"""What is said over a robot: words that ask for the floor, and words that only say "go on".

Plain lists and templates, drawn from a generator. It knows no sound.
"""

from numpy.random import Generator

__all__ = ["BACK_CHANNELS", "HUMS", "HUM_PHONEMES", "ROBOT_LINES", "SPELLED", "draw_bid"]

HUMS = ("uh-huh", "uhuh", "uh huh", "aha", "ah", "aah", "huh", "uh")
"""Those that text voices can say; "mm-hm" they spell letter by letter."""
HUM_PHONEMES = (
    "m'hm",
    "m-h'm",
    "m:hm:",
    "h'm",
    "hm:",
    "m:",
    "'m:h'm:",
    "@h'V",
    "V:h'V:",
    "V-h'V",
    "a#h'A:",
    "'A:",
    "h@m:",
    "V~h'V~",
    "mm'm:",
)
"""In espeak-ng's own spelling, https://github.com/espeak-ng/espeak-ng/blob/master/docs/phonemes.md."""

# A lone "right" is not among them: it may as well be the command.
BACK_CHANNELS = (
    "yeah", "yep", "yup", "okay", "ok", "all right", "sure", "oh", "i see", "oh okay", "oh i see", "yeah yeah",
    "okay okay", "yeah okay", "right right", "oh yeah", "oh right", "wow", "ya", "yeah sure",
)  # fmt: skip
SPELLED = ("mm-hm", "mhm", "mm hmm", "mmhm", "mmhmm", "hmm", "hm", "mm", "mmm", "m-hm")
"""What many text voices spell letter by letter; whoever tests with such a voice means a hum all the same."""

_SHORT = (
    "stop", "wait", "no", "hey", "what", "hold on", "hang on", "excuse me", "robot", "go left", "go right", "go back",
    "yes", "help", "pause", "cancel", "enough", "quiet", "listen", "sorry", "stop it", "stop talking", "no no no",
    "hello", "hey robot", "wait a minute", "wait wait", "one moment", "one second", "be quiet", "shut up", "not now",
    "what is that", "why", "how", "when", "where", "who", "which one", "again", "repeat", "say that again", "louder",
    "slower", "faster", "go", "come here", "come back", "turn around", "never mind", "that is wrong", "no stop",
    "halt", "freeze", "skip", "skip that", "next", "start over", "my turn", "pardon", "what did you say",
    "i have a question", "can i ask something", "let me finish", "let me speak", "but", "but why", "and then",
    "so what", "actually no", "please stop", "please wait", "thank you that is enough", "thanks", "do not",
    "don't do that", "watch out", "careful", "look", "look at this", "look out", "left", "down", "up", "open it",
    "close it", "put it down", "drop it", "leave it", "move away", "stand still", "stay there", "follow me",
    "computer", "attention", "emergency", "danger", "hi", "hi there", "good morning", "good evening", "is that right",
    "are you sure", "you are wrong", "that's not true", "no wait", "no thanks", "just a second", "give me that",
    "tell me more", "tell me the time", "say it again", "what time is it", "on", "off", "start", "turn it off",
    "switch it on", "open", "close", "forward", "backward", "one", "two", "three", "four", "five", "zero",
)  # fmt: skip
_COMMANDS = (
    "stop", "no", "wait", "go", "off", "on", "up", "down", "left", "back", "help", "hey", "what", "halt", "quiet",
    "stop it", "go on", "no no", "wait wait", "start", "enough", "pause", "hold it", "look", "who", "why",
)  # fmt: skip
"""The shortest and most frequent; some are over after a quarter of a second, as a back-channel is."""
_STARTS = (
    "can you", "could you", "please", "i want you to", "i would like to", "would you", "you should", "we need to",
    "let's", "do you", "why don't you", "tell me how to", "i think we should", "how do i", "when will you",
    "where should i", "what if we", "robot", "hey robot", "listen", "no", "wait", "sorry", "excuse me", "actually",
    "maybe", "then", "now", "before that", "first", "instead", "after that", "never", "don't", "stop and", "just",
    "they said to", "she wants to", "he asked to", "my friend wants to", "someone has to", "it is time to",
    "there is no need to", "everybody wants to", "", "", "", "",
)  # fmt: skip
_ACTS = (
    "take", "bring", "put away", "find", "open", "close", "look at", "watch", "move", "turn", "count", "show me",
    "clean", "give me", "pick up", "check", "describe", "follow", "measure", "remember", "forget", "drop", "carry",
    "push", "lift", "switch off", "read",
)  # fmt: skip
_THINGS = (
    "the bottle", "the door", "that box", "this cup", "the red one", "my phone", "the table", "a chair", "the window",
    "the lamp", "the left arm", "the kitchen", "your battery", "the book", "those keys", "the next one",
    "the other side", "it", "them", "the screen",
)  # fmt: skip

ROBOT_LINES = (
    "I can take you to the kitchen, and on the way I will tell you what I have seen today.",
    "The red bottle is on the table, next to the blue cup, and the door behind you is open.",
    "My battery is at eighty percent, so I can go on for about three more hours before I must charge.",
    "There are two people in the room, one of them is wearing a helmet and the other one is not.",
    "First I will move to the left, then I will pick up the box and bring it to the other side of the room.",
    "I have found several answers to your question, and the first one says that water boils at one hundred degrees.",
    "The meeting starts at half past nine, please make sure that everybody has a chair and something to drink.",
    "Once upon a time there was a small robot who wanted to learn how to listen while it was talking.",
    "Let me explain how this works: every fifth of a second I listen, I look, and I decide what to do next.",
    "Right, I understand, you would like me to watch the door and tell you when somebody comes in.",
    "Yes, of course. The weather will be sunny in the morning, with some rain in the afternoon.",
    "Okay, I will count the bottles: one, two, three, four, five, six, seven, eight, nine, ten.",
)


def draw_bid(rng: Generator, words: list[str]) -> str:
    """Return a text that asks for the floor.

    Args:
        rng: draws it.
        words: common words, of which odd sentences are made too, so that no onset is always one or the other.
    """
    form = rng.random()
    if form < 0.3:
        return str(rng.choice(_COMMANDS))
    if form < 0.5:
        return str(rng.choice(_SHORT))
    if form < 0.8:
        return " ".join(filter(None, (str(rng.choice(part)) for part in (_STARTS, _ACTS, _THINGS))))
    return " ".join(rng.choice(words, size=rng.integers(1, 5)))
