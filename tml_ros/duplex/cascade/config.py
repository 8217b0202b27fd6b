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
        96,
        "Silence that ends a turn when it is a whole command that nothing can follow: three frames, gaps inside words "
        "are over by then",
        unit="ms",
        minimum=64,
        maximum=3000,
    )
    open_silence_ms: int = param(
        600,
        "Silence that ends a turn that is a whole command but may go on and then means something else",
        unit="ms",
        minimum=100,
        maximum=5000,
    )
    fragment_silence_ms: int = param(
        1600,
        'Silence that ends a turn whose words cannot be its end ("put it on the"); people look for words up to 1.5 s',
        unit="ms",
        minimum=100,
        maximum=10_000,
    )
    max_utterance_s: float = param(
        15.0, "Longer speech is cut here, so that memory and compute stay bounded", unit="s", minimum=2.0, maximum=60.0
    )
    barge_in_ms: int = param(
        1200,
        "Speech over the robot's own that stops it whatever it sounds like: an mm-hm or a cough is over by then",
        unit="ms",
        minimum=64,
        maximum=3000,
    )
    overlap_vad: float = param(
        0.25,
        "Speech probability from which a sound over the robot's speech is looked at; lower than vad_on, for echo "
        "cancellation softens a person and the next look decides",
        minimum=0.05,
        maximum=0.99,
    )
    overlap_first_ms: int = param(
        130,
        "Sound over the robot's speech from which it is judged whether somebody wants the floor; less tells nothing",
        unit="ms",
        minimum=64,
        maximum=1000,
    )
    overlap_first: float = param(
        0.65,
        "Probability from which the first 330 ms of a sound stop the robot; higher than overlap_later, for the end of "
        "a short sound tells most and is not there yet",
        minimum=0.0,
        maximum=1.0,
    )
    overlap_later: float = param(
        0.15, "Probability from which a longer sound stops the robot", minimum=0.0, maximum=1.0
    )
    overlap_over: float = param(
        0.15,
        "Probability from which a sound that is over stops the robot; of 720 that are no bid, half of them "
        "back-channels, these three stop it for 17, and of 360 bids 4 are late",
        minimum=0.0,
        maximum=1.0,
    )
    overlap_hush: float = param(
        0.15,
        "Probability from which the robot at least stops in the middle of the word until it is surer; it goes on there "
        "when nobody wants the floor",
        minimum=0.0,
        maximum=1.0,
    )
    overlap_hush_ms: int = param(
        400,
        "The longest it does so for one sound; people take a gap of up to half a second for a part of speech",
        unit="ms",
        minimum=0,
        maximum=2000,
    )
    overlap_command: float = param(
        0.15,
        "Probability from which a command or question that was understood stops the robot; low, for words speak for it",
        minimum=0.0,
        maximum=1.0,
    )
    overlap_gap_ms: int = param(
        250,
        "Silence that ends a sound over the robot's speech; within an mm-hm there are up to 150",
        unit="ms",
        minimum=64,
        maximum=2000,
    )
    overlap_least_db: float = param(
        -42.0,
        "Level of the loudest 20 ms of a sound over the robot's speech below which it is the rest of its echo, "
        "whatever it sounds like: in two talks people had -35 and more, the one rest that stopped it -48",
        unit="dBFS",
        minimum=-120.0,
        maximum=0.0,
    )
    aside_db: float = param(
        30.0,
        "How much softer than those who talk to the robot somebody is who talks to somebody else; does not stop it. "
        "Echo cancellation takes up to 20 dB off somebody who talks over the robot",
        unit="dB",
        minimum=3.0,
        maximum=120.0,
    )
    resume: bool = param(True, "Say the rest of what was interrupted by a cough or an mm-hm after all")
    backchannel: str = param("Uh-huh.", "Said in a pause of somebody who talks at length; empty: nothing")
    backchannel_after_ms: int = param(
        4000,
        "Speech of one turn before the robot shows that it listens; shorter turns get their answer",
        unit="ms",
        minimum=500,
        maximum=60_000,
    )
    backchannel_pause_ms: int = param(
        200,
        "Pause in which it does so; people do so after 200 to 400",
        unit="ms",
        minimum=50,
        maximum=2000,
    )
    backchannel_gap_ms: int = param(
        6000,
        "Shortest time between two; people do so about 8 times a minute",
        unit="ms",
        minimum=1000,
        maximum=600_000,
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
    echo_settle_ms: int = param(
        2500,
        "Speech of the robot's in a session, with audio/reference, until echo cancellation knows the room; till then "
        "nobody is heard over it",
        unit="ms",
        minimum=0,
        maximum=10_000,
    )
    delegate_text: bool = param(True, "Hand typed text that no rule covers to the background model")
    delegate_speech: str = param(
        "questions",
        "Which speech that no rule covers is handed to the background model; all needs a better recogniser than this",
        choices=("none", "questions", "all"),
    )
    answer_unknown: bool = param(False, "Say that it did not understand when speech is no command")
    recognizer: str = param(
        "pocketsphinx",
        "What hears words: pocketsphinx needs nothing more, the others a package and recognizer_model",
        choices=("pocketsphinx", "sherpa-onnx", "faster-whisper"),
    )
    recognizer_model: str = param("", "Folder with the model of sherpa-onnx or faster-whisper; nothing is downloaded")
    recognizer_int8: bool = param(True, "Use the 8-bit version of a model: three times smaller, faster on processors")
    recognizer_threads: int = param(
        1, "Threads of sherpa-onnx or faster-whisper; more only help with large models", minimum=1, maximum=64
    )
    recognizer_language: str = param("en", "What people speak, as faster-whisper names it; the rules are English")
    recognizer_every_ms: int = param(
        0,
        "Shortest time between two looks of faster-whisper at speech that goes on; 0: it looks when the person pauses",
        unit="ms",
        minimum=0,
        maximum=60_000,
    )
