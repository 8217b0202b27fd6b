"""Speech synthesis with the real programs, and the cutting of text into clauses."""

import hashlib
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tml_ros.errors import ConfigError, MissingDependencyError, SynthesisError
from tml_ros.speech import (
    CachedSynthesiser,
    EspeakSynthesiser,
    FliteSynthesiser,
    Synthesiser,
    create_synthesiser,
    split_clauses,
)
from tml_ros.speech import synthesis as module
from tml_ros.speech.programs import finish

needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed: apt-get install flite")
needs_espeak = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="espeak-ng is not installed: apt-get install espeak-ng"
)
programs = pytest.mark.parametrize(
    ("program", "voice"),
    [
        pytest.param("flite", "slt", marks=needs_flite),
        pytest.param("flite", "kal", marks=needs_flite),
        pytest.param("espeak", "en-us", marks=needs_espeak),
        pytest.param("espeak", "en-us+f3", marks=needs_espeak),
    ],
)


class ScriptedSynthesiser:
    """Gives one sample per character and counts its calls."""

    name = "scripted"

    def __init__(self) -> None:
        self.calls: list[str] = []

    def synthesise(self, text: str) -> np.ndarray:
        self.calls.append(text)
        return np.full(len(text), 0.5, np.float32)


@programs
def test_sound_is_float32_16khz_mono_when_text_is_spoken(program: str, voice: str) -> None:
    sound = create_synthesiser(program, voice).synthesise("go forward ten meters")
    assert sound.dtype == np.float32
    assert sound.ndim == 1
    assert 1.0 < len(sound) / 16_000 < 3.0
    assert 0.2 < np.abs(sound).max() <= 0.9


@programs
def test_ends_are_trimmed_when_program_adds_silence(program: str, voice: str) -> None:
    sound = np.abs(create_synthesiser(program, voice).synthesise("stop"))
    assert np.flatnonzero(sound > 0.004)[0] <= 320
    assert len(sound) - np.flatnonzero(sound > 0.004)[-1] <= 961


@programs
def test_samples_are_identical_when_another_process_speaks(program: str, voice: str) -> None:
    here = create_synthesiser(program, voice).synthesise("turn left now")
    script = (
        "import sys, hashlib; from tml_ros.speech import create_synthesiser as c;"
        "print(hashlib.sha256(c(sys.argv[1], sys.argv[2]).synthesise('turn left now').tobytes()).hexdigest())"
    )
    root = Path(__file__).resolve().parents[2]
    there = subprocess.run([sys.executable, "-c", script, program, voice], cwd=root, capture_output=True, text=True)
    assert there.stdout.strip() == hashlib.sha256(here.tobytes()).hexdigest(), there.stderr


@programs
@pytest.mark.parametrize("text", ["-o /nowhere", "--help", "$(false) `x` ;", "a\x00b\nc\x1b[0m", "<speak>hi", "[[x"])
def test_sound_comes_out_when_text_looks_like_an_option_or_markup(program: str, voice: str, text: str) -> None:
    assert len(create_synthesiser(program, voice).synthesise(text)) > 800


@programs
@pytest.mark.parametrize("text", ["", "  \n", "... ?!", "\x00"])
def test_sound_is_empty_when_text_has_nothing_to_say(program: str, voice: str, text: str) -> None:
    assert create_synthesiser(program, voice).synthesise(text).shape == (0,)


@programs
def test_sound_is_shorter_when_speed_is_higher(program: str, voice: str) -> None:
    text = "the beaker is on the bench"
    normal, fast = (len(create_synthesiser(program, voice, speed).synthesise(text)) for speed in (1.0, 1.6))
    assert 0.5 < fast / normal < 0.8


def test_peak_is_limited_when_program_is_too_loud() -> None:
    loud = np.sin(np.arange(16_000, dtype=np.float32))
    limited = finish(loud, "")
    assert np.abs(limited).max() <= 0.9
    assert np.allclose(limited, 0.9 * loud[: len(limited)], atol=1e-3)


@needs_flite
def test_accents_and_curly_quotes_are_spoken_when_voice_is_english() -> None:
    slt = FliteSynthesiser("slt")
    assert np.array_equal(slt.synthesise("“café” don’t"), slt.synthesise('"cafe" don\'t'))  # noqa: RUF001


@needs_flite
def test_error_points_to_espeak_when_flite_gets_another_script() -> None:
    with pytest.raises(SynthesisError, match="use espeak"):
        FliteSynthesiser("slt").synthesise("你好")


@needs_flite
def test_error_asks_for_clauses_when_text_is_too_long() -> None:
    with pytest.raises(SynthesisError, match=r"5000 characters.*split_clauses"):
        FliteSynthesiser("kal").synthesise("a" * 5000)


@needs_flite
def test_error_names_the_limit_when_program_is_too_slow() -> None:
    with pytest.raises(SynthesisError, match=r"flite took longer than 0\.0001 s"):
        FliteSynthesiser("slt", timeout_s=0.0001).synthesise("hello")


@pytest.mark.parametrize(
    ("program", "voice", "speed", "expected"),
    [
        pytest.param("flyte", "", 1.0, "did you mean 'flite'", id="program"),
        pytest.param("flite", "stl", 1.0, "did you mean 'slt'", id="flite voice", marks=needs_flite),
        pytest.param("espeak", "qq-zz", 1.0, "no voice 'qq-zz'", id="espeak voice", marks=needs_espeak),
        pytest.param("espeak", "--help", 1.0, "no voice '--help'", id="espeak option", marks=needs_espeak),
        pytest.param("espeak", "en-us+f33", 1.0, "did you mean 'f3'", id="espeak variant", marks=needs_espeak),
        pytest.param("flite", "slt", 3.0, r"0\.5\.\.2\.0, got 3", id="flite speed"),
        pytest.param("espeak", "en", 0.1, r"0\.5\.\.2\.0, got 0\.1", id="espeak speed"),
    ],
)
def test_error_names_value_and_remedy_when_choice_is_wrong(
    program: str, voice: str, speed: float, expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected):
        create_synthesiser(program, voice, speed)


@needs_espeak
def test_error_names_range_when_pitch_is_wrong() -> None:
    with pytest.raises(ConfigError, match=r"0\.\.99, got 120"):
        EspeakSynthesiser(pitch=120)


@pytest.mark.parametrize(("program", "package"), [("flite", "flite"), ("espeak", "espeak-ng")])
def test_error_names_debian_package_when_program_is_absent(
    program: str, package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    module.flite_voices.cache_clear()
    module._check_espeak_voice.cache_clear()
    with pytest.raises(MissingDependencyError, match=f"apt-get install {package}$"):
        create_synthesiser(program)


def test_error_carries_stderr_when_program_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "flite"
    program.write_text(
        "#!/bin/sh\n[ $1 = -lv ] && echo 'Voices available: slt' && exit 0\necho disk on fire >&2\nexit 3\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    module.flite_voices.cache_clear()
    with pytest.raises(SynthesisError, match="status 3: 'disk on fire'"):
        FliteSynthesiser("slt").synthesise("hello")
    module.flite_voices.cache_clear()


def test_inner_synthesiser_is_asked_once_when_text_repeats() -> None:
    inner = ScriptedSynthesiser()
    cached: Synthesiser = CachedSynthesiser(inner, max_items=2)
    first, again = cached.synthesise("mm-hm"), cached.synthesise("mm-hm")
    assert first is again
    assert inner.calls == ["mm-hm"]
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1.0


def test_least_recently_used_text_is_forgotten_when_cache_is_full() -> None:
    inner = ScriptedSynthesiser()
    cached = CachedSynthesiser(inner, max_items=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        cached.synthesise(text)
    assert inner.calls == ["a", "b", "c", "b"]


def test_cache_stays_within_its_size_when_threads_share_it() -> None:
    cached = CachedSynthesiser(ScriptedSynthesiser(), max_items=3)
    workers = [
        threading.Thread(target=lambda: [cached.synthesise("x" * (n % 7 + 1)) for n in range(200)]) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(cached._sounds) == 3
    assert len(cached.synthesise("xxxx")) == 4


def test_error_names_value_when_cache_size_is_zero() -> None:
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        CachedSynthesiser(ScriptedSynthesiser(), max_items=0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello. I see it!", ["Hello.", "I see it!"]),
        ("No. I will not.", ["No.", "I will not."]),
        ("Dr. Smith moved it 3.5 meters.", ["Dr. Smith moved it 3.5 meters."]),
        ("It holds acid, e.g. vinegar.", ["It holds acid, e.g. vinegar."]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("Yes, sure, I can.", ["Yes, sure, I can."]),
        (
            "First drive to the bench, then pick up the beaker; wait: done",
            ["First drive to the bench,", "then pick up the beaker;", "wait:", "done"],
        ),
        ("I would, if I could do that", ["I would, if I could do that"]),
        ("wait - what?", ["wait -", "what?"]),
        ("你好。再见！", ["你好。", "再见！"]),  # noqa: RUF001
        ("... hello !", ["... hello !"]),
        ("... -- !", []),
        ("", []),
    ],
)
def test_clauses_are_cut_at_speakable_places_when_text_has(text: str, expected: list[str]) -> None:
    assert split_clauses(text) == expected


def test_clause_has_at_most_thirty_words_when_text_has_no_punctuation() -> None:
    assert [len(clause.split()) for clause in split_clauses("word " * 70)] == [30, 30, 10]


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab1 .,;:!?-\"')\n…。 "), max_size=80))
def test_no_character_is_lost_when_any_text_is_split(text: str) -> None:
    clauses = split_clauses(text)
    if any(character.isalnum() for character in text):
        assert "".join(" ".join(clauses).split()) == "".join(text.split())
    assert all(any(character.isalnum() for character in clause) for clause in clauses)
