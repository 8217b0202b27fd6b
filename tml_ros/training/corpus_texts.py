"""What is said to the robot in training: commands drawn from the grammar, reminders, questions, talk with pauses.

Texts are drawn from a generator, weighed so that short commands, carriers with slots and open questions all come
often. It knows no sound; what follows from a text says ``meanings``.
"""

import random
from collections.abc import Iterator

from tml_ros.duplex.cascade.turn_end import is_fragment
from tml_ros.duplex.native.vocabulary_corpus import draw_phrase
from tml_ros.intents.file import IntentsFile, load_intents
from tml_ros.intents.numbers import number_to_words
from tml_ros.intents.phrases import parse_phrase
from tml_ros.training.meanings import Meanings

__all__ = ["COMMAND_WORDS", "OTHER_WORDS", "Texts"]

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COMMAND_WORDS = (
    "go", "stop", "left", "right", "up", "down", "start", "help", "yes", "no", "open", "close", *DIGITS,
)  # fmt: skip
OTHER_WORDS = (
    "bed", "bird", "cat", "dog", "happy", "house", "marvin", "sheila", "tree", "wow", "on", "off", "print", "process",
    "project", "signal", "speaker", "speech", "computer", "athena", "amelia", "android", "banana", "water", "people",
    "little", "number", "music", "paper", "again", "never", "always", "maybe", "monday", "friday", "coffee", "table",
    "winter", "garden", "doctor", "morning", "letter", "letting", "stock", "stuff", "note", "snow", "know", "goal",
    "gold", "write", "light", "ride", "lift", "left over", "town", "dawn", "done", "uptown", "cup", "sup", "heart",
    "started", "star", "helped", "health", "yesterday", "yet", "chess", "nose", "opened", "clothes", "closer",
    "eighty", "ate it", "fort", "force", "fine", "find", "won", "once", "too much", "street", "thirsty", "sick",
    "sixty", "heaven", "eleven", "line", "hero", "zebra", "today", "together", "window", "yellow", "orange", "robot",
)  # fmt: skip
"""Words that mean nothing to the grammar; many sound like one that does."""

_CHORES = (
    "check the temperature", "stir", "breathe", "check the pump", "close the valve", "look at the screen",
    "drink some water", "turn the flask", "read the scale", "take a break", "stand up", "call the office",
    "open the window", "change the gloves", "clean the bench", "take a sample", "check the pressure", "feed the cat",
    "write it down", "switch off the heater", "refill the burette", "look at the clock", "stretch", "add the acid",
    "check the oven", "wash the beaker", "check the battery", "charge the robot", "take the pills", "sit straight",
)  # fmt: skip
_SUBJECTS = (
    "the weather tomorrow", "the melting point of copper", "the boiling point of ethanol", "the capital of france",
    "the density of water", "the distance to the moon", "the next meeting", "the price of gold", "the news today",
    "the speed of light", "the mass of this sample", "the best solvent", "the color of this liquid",
    "the temperature outside", "the name of this plant", "the last result", "the ph of vinegar", "the date today",
)  # fmt: skip
_QUESTIONS = (
    "what is {}", "do you know {}", "can you tell me {}", "could you tell me {}", "what was {}",
    "how much is {}", "how can i find {}", "where can i read about {}", "who can tell me about {}",
)  # fmt: skip
_WHOLE_QUESTIONS = (
    "how many grams are in an ounce", "why is the sky blue", "who is in the kitchen", "when does the train leave",
    "how old is the universe", "how far is the airport", "why does the light blink", "what time does the shop close",
    "who was the first on the moon", "how long does it take to charge", "what can i cook with eggs",
    "why is the solution yellow", "how do i calibrate the scale", "when is the next bus", "how hot is the oven",
    "where did i leave my notebook", "what kind of acid is this", "how often should i stir it",
    "is it safe to mix them",
    "what happens if i heat it", "how many people are here", "why did the pump stop", "who wrote this report",
)  # fmt: skip
_HESITATIONS = ("uh", "um", "er", "well", "let me see", "hm")
_TALK = (
    "i was thinking about the weekend", "we could paint the wall in the hall", "the meeting was rather long today",
    "my brother has a new job", "there was a lot of traffic", "it was warmer last week", "she left at five yesterday",
    "he went up the stairs and down again", "you are right about that", "it took us two or three hours",
    "they will open a new shop next year", "i know that nobody will stop him", "we started at nine and went on",
    "no one could help them at the time", "i would go there if i could", "the left one is close to the right one",
    "that is a good start i think", "the red one costs seven or eight euros", "we had to close it down",
    "yes and then he said no to everything", "four of us stayed for six days", "there were zero people on the bus",
)  # fmt: skip
_WEIGHTS = {"move_by": 5.0, "turn_by": 4.0, "bring_object": 5.0, "grab_object": 3.0, "move_to": 3.0, "stop": 3.0}


class Texts:
    """Draws texts."""

    def __init__(self, seed: int, words: list[str], file: IntentsFile | None = None) -> None:
        """Begin. words: ordinary ones, for talk."""
        self._rng = random.Random(seed)
        self._file = file or load_intents()
        self._meanings = Meanings()
        self._words = words
        self._rules = [rule for rule in self._file.rules if rule.get("phrases")]
        self._weights = [_weight(rule) for rule in self._rules]

    def sentence(self) -> str:
        """Return something that is said to the robot."""
        form = self._rng.random()
        if form < 0.6:
            return self._command()
        if form < 0.75:
            return self._reminder()
        if form < 0.85:
            return self._question()
        return self.talk()

    def talk(self) -> str:
        """Return talk from which nothing follows."""
        while True:
            if self._rng.random() < 0.4:
                text = self._rng.choice(_TALK)
            else:
                pool = self._words if self._rng.random() < 0.7 else [*COMMAND_WORDS, *self._words[:60]]
                text = " ".join(self._rng.choice(pool) for _ in range(self._rng.randint(3, 9)))
            if self._meanings.of(text).is_none:
                return text

    def paused(self) -> tuple[str, str]:
        """Return a sentence to be spoken with a pause inside (a comma), and what it means as a whole."""
        while True:
            words = self.sentence().split()
            places = self._open(words)
            if len(words) >= 3 and places:
                break
        at = self._rng.choice(places)
        head, tail = " ".join(words[:at]), " ".join(words[at:])
        if self._rng.random() < 0.35:
            return f"{head}, {self._rng.choice(_HESITATIONS)}, {tail}", f"{head} {tail}"
        return f"{head}, {tail}", f"{head} {tail}"

    def corrected(self) -> tuple[str, str]:
        """Return a sentence in which the speaker corrects himself, and the one that is meant."""
        said, meant = self._command(), self._command()
        words = said.split()
        places = self._open(words)
        head = " ".join(words[: self._rng.choice(places)]) if places else "i want"
        return f"{head}, {self._rng.choice(('no', 'no wait', 'sorry', 'i mean', 'no i mean'))}, {meant}", meant

    def _open(self, words: list[str]) -> list[int]:
        """Return behind how many words a pause leaves it open what is meant."""
        heads = {at: " ".join(words[:at]) for at in range(1, len(words))}
        return [at for at, head in heads.items() if self._meanings.of(head).is_none or is_fragment(head)]

    def _command(self) -> str:
        while True:
            rule = self._rng.choices(self._rules, self._weights)[0]
            words = " ".join(self._framed(str(self._rng.choice(rule["phrases"]))))
            if not self._meanings.of(words).is_none:
                return words

    def _framed(self, phrase: str) -> Iterator[str]:
        """Yield the words of a phrase, in one of five cases with what may stand around it."""
        for part, share in ((self._file.before, 0.2), (phrase, 1.0), (self._file.after, 0.1)):
            if part and self._rng.random() < share:
                yield from draw_phrase(parse_phrase(part), self._file.slots, self._rng)

    def _reminder(self) -> str:
        amount = self._rng.randint(1, 12) if self._rng.random() < 0.7 else self._rng.randint(1, 60)
        unit = self._rng.choice(("second", "minute", "minute", "hour") if amount <= 12 else ("second", "minute"))
        when = f"{self._rng.choice(('every', 'every', 'in'))} {number_to_words(amount)} {unit}{'s' * (amount > 1)}"
        chore, form = self._rng.choice(_CHORES), self._rng.random()
        if form < 0.75:
            return f"remind me to {chore} {when}"
        return f"remind me {when} to {chore}" if form < 0.9 else f"{when} remind me to {chore}"

    def _question(self) -> str:
        if self._rng.random() < 0.5:
            return self._rng.choice(_QUESTIONS).format(self._rng.choice(_SUBJECTS))
        return self._rng.choice(_WHOLE_QUESTIONS)


def _weight(rule: object) -> float:
    name = str(rule.get("intent", "")) if isinstance(rule, dict) else ""
    return next((weight for part, weight in _WEIGHTS.items() if part in name), 1.0)
