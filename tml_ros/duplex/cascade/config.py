"""Parameters of the cascade model; every threshold says why it is what it is."""

from dataclasses import dataclass

from tml_ros.config import param

__all__ = ["CascadeConfig"]


@dataclass(frozen=True, slots=True)
class CascadeConfig:
    """Voice activity, recognition and turn-taking."""

    intents_file: str = param("", "What it understands, a path or a file of this package; empty: as intents_file")
    vad_on: float = param(
        0.5,
        "Speech probability from which a frame is speech; the value its authors recommend",
        minimum=0.05,
        maximum=0.99,
    )
    vad_off: float = param(
        0.35,
        "Speech probability below which speech ends; lower than vad_on so that weak syllables do not cut a word",
        minimum=0.01,
        maximum=0.95,
    )
    min_speech_ms: int = param(
        96,
        "Shortest sound that is taken for speech: three frames, longer than a click",
        unit="ms",
        minimum=32,
        maximum=500,
    )
    pre_roll_ms: int = param(
        300,
        "Sound before the onset that the recogniser also gets, for soft first consonants",
        unit="ms",
        minimum=0,
        maximum=1000,
    )
    end_silence_ms: int = param(
        600, "Silence that ends a turn when what was said is no whole command yet", unit="ms", minimum=100, maximum=3000
    )
    command_silence_ms: int = param(
        350,
        "Silence that ends a turn when it is a whole command already; shorter pauses occur inside words",
        unit="ms",
        minimum=100,
        maximum=3000,
    )
    max_utterance_s: float = param(
        15.0, "Longer speech is cut here, so that memory and compute stay bounded", unit="s", minimum=2.0, maximum=60.0
    )
    barge_in_ms: int = param(
        400,
        "Speech over the robot's own that stops it; shorter is a cough or an mm-hm",
        unit="ms",
        minimum=64,
        maximum=3000,
    )
    other_words: int = param(
        1500,
        "Common English words that compete with the commands, so that other talk is not bent into one",
        unit="words",
        minimum=0,
        maximum=20_000,
    )
    command_weight: float = param(
        1e9,
        "How much likelier a command is than one of the other words; higher hears more commands and more false ones",
        minimum=1e-6,
        maximum=1e18,
    )
    talk_words: int = param(
        60,
        "The most frequent of these words may also follow one another, three or more: whole sentences compete, too",
        unit="words",
        minimum=0,
        maximum=2000,
    )
    talk_weight: float = param(
        1e6, "How much likelier such a sentence is than one other word", minimum=1e-6, maximum=1e18
    )
    slowest_letter_ms: int = param(
        130,
        "Longest time per letter of a command: a few words are not the meaning of a long speech. People take 60 to 100",
        unit="ms",
        minimum=50,
        maximum=1000,
    )
    echo_correlation: float = param(
        0.5,
        "Correlation with audio/reference from which sound is taken for the robot's own voice and ignored",
        minimum=0.05,
        maximum=1.0,
    )
    delegate_text: bool = param(True, "Hand typed text that no rule covers to the background model")
    delegate_speech: str = param(
        "questions",
        "Which speech that no rule covers is handed to the background model; all needs a better recogniser than this",
        choices=("none", "questions", "all"),
    )
    answer_unknown: bool = param(False, "Say that it did not understand when speech is no command")
