"""PocketSphinx on one utterance at a time: free words, and the grammar of commands, side by side.

The command recogniser also knows the most frequent other words of English and may answer with one of them, or with a
sentence of the commonest: that is what keeps ordinary talk from being bent into a command. A command must moreover be
about as long as the speech. It knows sound and words, not what they mean beyond "is a command".

Source: PocketSphinx 5 with its en-US model; the settings were measured, see docs/recognition.md.
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pocketsphinx
from numpy.typing import NDArray

from tml_ros.duplex.cascade.config import CascadeConfig
from tml_ros.duplex.cascade.recognizer import Heard, UtteranceRecognizer
from tml_ros.errors import ConfigError
from tml_ros.intents.grammar import Grammar, Meaning
from tml_ros.records import SAMPLE_RATE_HZ

__all__ = ["SphinxPool"]

# No second pass: on 7 s of speech it alone takes longer than a micro-turn. Narrow beams: steps are a third shorter.
_FREE_SETTINGS = {"fwdflat": False, "maxhmmpf": 3000, "pl_window": 5}
_FIRST_SAMPLES = SAMPLE_RATE_HZ // 5
_FEWEST_REST = 3  # words of a question that must be heard right when its first is not
_MARGIN_S = 0.4  # what the voice activity detector adds around speech
_COMMAND_SETTINGS = {"lm": None, "bestpath": False, "lw": 1.0, "wip": 1e-6}


class SphinxPool:
    """Compiles the grammar once and keeps decoders for the next session.

    Raises:
        ConfigError: a word of the grammar is not in the pronunciation dictionary.
    """

    def __init__(self, grammar: Grammar, config: CascadeConfig) -> None:
        self._grammar = grammar
        self._config = config
        free = _decoder(_FREE_SETTINGS)
        self._jsgf = _jsgf(grammar, _other_words(grammar, free, config.other_words), config)
        self._free_pairs = [SphinxRecognizer(grammar, config, free, self._command_decoder())]

    def open(self) -> "SphinxRecognizer":
        """Return a recogniser in its initial state; give it back with ``close``."""
        if self._free_pairs:
            recognizer = self._free_pairs.pop()
        else:
            free = _decoder(_FREE_SETTINGS)
            recognizer = SphinxRecognizer(self._grammar, self._config, free, self._command_decoder())
        recognizer.reset()
        return recognizer

    def close(self, recognizer: UtteranceRecognizer) -> None:
        """Take a recogniser back."""
        recognizer.abandon()
        if isinstance(recognizer, SphinxRecognizer):
            self._free_pairs.append(recognizer)

    def _command_decoder(self) -> pocketsphinx.Decoder:
        decoder = _decoder(_COMMAND_SETTINGS)
        for word, sounds in self._grammar.pronunciations.items():
            decoder.add_word(word, sounds, True)
        decoder.add_jsgf_string("commands", self._jsgf)
        decoder.activate_search("commands")
        return decoder


class SphinxRecognizer:
    """Two decoders that hear the same sound.

    Thread: one caller at a time.
    """

    def __init__(
        self,
        grammar: Grammar,
        config: CascadeConfig,
        free: pocketsphinx.Decoder,
        commands: pocketsphinx.Decoder,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._grammar = grammar
        self._config = config
        self._decoders = (free, commands)
        self._initial_means = tuple(decoder.get_cmn() for decoder in self._decoders)
        for decoder in self._decoders:  # the first utterance of all is scored a little differently from every later one
            decoder.start_utt()
            decoder.process_raw(bytes(2 * _FIRST_SAMPLES))
            decoder.end_utt()
        self._is_open = False
        self._samples = 0

    def reset(self) -> None:
        """Forget what earlier sessions sounded like: the cepstral means adapt to a voice, the front end to sound."""
        self.abandon()
        self.counters.clear()
        for decoder, means in zip(self._decoders, self._initial_means, strict=True):
            decoder.reinit_feat()
            decoder.set_cmn(means)

    def begin(self) -> None:
        """Begin an utterance."""
        for decoder in self._decoders:
            decoder.start_utt()
        self._is_open, self._samples = True, 0

    def feed(self, audio: NDArray[np.float32]) -> None:
        """Hear more of the utterance. audio: [N] float32 at 16 kHz."""
        data = np.clip(audio * 32_767.0, -32_768, 32_767).astype(np.int16).tobytes()
        for decoder in self._decoders:
            decoder.process_raw(data)
        self._samples += len(audio)

    def partial(self) -> str:
        """Return the words so far, as the free recogniser hears them."""
        return _words(self._decoders[0])

    def command(self) -> str:
        """Return the words so far, as the recogniser that knows commands only hears them."""
        return _words(self._decoders[1])

    def finish(self, speech_s: float) -> Heard:
        """End the utterance. speech_s: how long it was, without silence around it."""
        for decoder in self._decoders:
            decoder.end_utt()
        self._is_open = False
        free, command = (_words(decoder) for decoder in self._decoders)
        meaning = self._grammar.parse(command)
        longest_s = _MARGIN_S + self._config.slowest_letter_ms / 1000 * len(command.replace(" ", ""))
        if meaning is not None and speech_s <= longest_s:
            return Heard(command, meaning, 0.6 + 0.4 * _agreement(free, command))
        self.counters["rejected_commands"] += meaning is not None
        return Heard(free, self._grammar.parse(free) or self._parse_question(free), 0.5)

    def _parse_question(self, words: str) -> Meaning | None:
        """Return what words mean when their first is `how`, of which a pause often leaves nothing to be heard."""
        rest = words.split()[1:]
        return self._grammar.parse(" ".join(["how", *rest])) if len(rest) >= _FEWEST_REST else None

    def abandon(self) -> None:
        """End an utterance without asking what it was."""
        if self._is_open:
            for decoder in self._decoders:
                decoder.end_utt()
            self._is_open = False


def _decoder(settings: Mapping[str, object]) -> pocketsphinx.Decoder:
    return pocketsphinx.Decoder(samprate=SAMPLE_RATE_HZ, loglevel="FATAL", **settings)


def _words(decoder: pocketsphinx.Decoder) -> str:
    hypothesis = decoder.hyp()
    return str(hypothesis.hypstr) if hypothesis is not None else ""


def _agreement(free: str, command: str) -> float:
    """Return the share of the command's words that the free recogniser heard, too."""
    wanted = Counter(command.split())
    return sum((wanted & Counter(free.split())).values()) / max(1, wanted.total())


def _pronunciations() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    path = f"{pocketsphinx.get_model_path()}/en-us/cmudict-en-us.dict"
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            word, sounds = line.split(None, 1)
            found.setdefault(word.split("(")[0], set()).add(sounds.strip())
    return found


def _check_sounds(pronunciations: Mapping[str, str], known: Mapping[str, set[str]]) -> None:
    allowed = {sound for one in known.values() for sounds in one for sound in sounds.split()}
    for word, sounds in pronunciations.items():
        for sound in sounds.split():
            if sound not in allowed:
                raise ConfigError(
                    f"pronunciations.{word}: {sound!r} is no sound of the recogniser; use {' '.join(sorted(allowed))}"
                )


def _other_words(grammar: Grammar, free: pocketsphinx.Decoder, count: int) -> list[str]:
    """Return the most frequent words that neither are in the grammar nor sound like a word of it.

    Raises:
        ConfigError: a word of the grammar has no pronunciation.
    """
    known = _pronunciations()
    _check_sounds(grammar.pronunciations, known)
    known |= {word: {sounds} for word, sounds in grammar.pronunciations.items()}
    own = grammar.words()
    for word, phrase in own.items():
        if word not in known:
            raise ConfigError(
                f"the word {word!r} in {phrase!r} is not in the recogniser's dictionary; give its sounds under "
                "pronunciations, or use another word"
            )
    own_sounds = set().union(*(known[word] for word in own))
    model = free.get_lm()
    others = [
        (-model.prob([word]), word)
        for word, sounds in known.items()
        if len(word) > 1 and word.isalpha() and word not in own and not sounds & own_sounds
    ]
    return [word for _, word in sorted(others)[:count]]


def _jsgf(grammar: Grammar, others: list[str], config: CascadeConfig) -> str:
    """Return the commands, and other words and sentences of them as alternatives of their own weight."""
    text = grammar.to_jsgf()
    if not others:
        return text
    choices = [(config.command_weight, "<command>"), (1.0, "<other>")]
    text = text.replace("public <phrase> =", "<command> =") + f"<other> = {' | '.join(others)};\n"
    if config.talk_words:
        text += f"<talk> = {' | '.join(others[: config.talk_words])};\n"
        choices.append((config.talk_weight, "<talk> <talk> <talk>+"))
    weighted = " | ".join(f"/{weight:.6f}/ {what}" for weight, what in choices)  # JSGF knows no exponents
    return f"{text}public <phrase> = {weighted};\n"
