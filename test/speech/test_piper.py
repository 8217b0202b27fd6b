"""piper as a program that stays, with a tiny voice of our own: the same samples every time, and what goes wrong."""

import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tml_ros.errors import ConfigError, MissingDependencyError, SynthesisError
from tml_ros.speech import PiperSynthesiser, create_synthesiser

sys.path.insert(0, str(Path(__file__).parent))
from tiny_voice import make_voice


@pytest.fixture(scope="module")
def voice(tmp_path_factory) -> Path:
    return make_voice(tmp_path_factory.mktemp("voice"))


@pytest.fixture(scope="module")
def piper(voice) -> Iterator[PiperSynthesiser]:
    made = PiperSynthesiser(str(voice))
    yield made
    made.close()


def pid(piper: PiperSynthesiser) -> int:
    return piper._process._process.pid


def is_running(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def test_sound_is_float32_16khz_mono_when_text_is_spoken(piper):
    sound = piper.synthesise("turn left")
    assert sound.dtype == np.float32
    assert 0.5 < len(sound) / 16_000 < 4.0
    assert 0.5 < np.abs(sound).max() <= 0.9
    assert piper.name == "piper:tiny"
    assert np.abs(np.fft.rfft(sound))[: len(sound) // 4].sum() > np.abs(np.fft.rfft(sound))[len(sound) // 4 :].sum()


def test_samples_are_identical_when_another_process_speaks(piper, voice):
    """The voice has noise of its own when piper does not switch it off."""
    first = piper.synthesise("go to the kitchen")
    assert np.array_equal(piper.synthesise("go to the kitchen"), first)
    other = create_synthesiser("piper", str(voice))
    assert pid(other) != pid(piper)
    assert np.array_equal(other.synthesise("go to the kitchen"), first)
    other.close()


def test_voice_and_speed_set_the_pace(piper, voice, tmp_path):
    text = "the beaker is on the bench"
    fast = PiperSynthesiser(str(voice), 1.6)
    assert fast.name == "piper:tiny@1.6"
    slow = PiperSynthesiser(str(make_voice(tmp_path, length_scale=2.0)))
    normal = len(piper.synthesise(text))
    assert len(fast.synthesise(text)) == pytest.approx(normal / 1.6, rel=0.02)
    assert len(slow.synthesise(text)) == pytest.approx(normal * 2.0, rel=0.02)
    fast.close()
    slow.close()


@pytest.mark.parametrize("text", ["-o /nowhere", "--help", "$(false) `x` ;", "a\x00b\nc\x1b[0m", "[[x", "grüß dich"])
def test_sound_comes_out_when_text_looks_like_an_option_or_markup(piper, text):
    process = pid(piper)
    assert len(piper.synthesise(text)) > 800
    assert pid(piper) == process


@pytest.mark.parametrize("text", ["", "  \n", "... ?!", "\x00"])
def test_sound_is_empty_when_text_has_nothing_to_say(piper, text):
    assert piper.synthesise(text).shape == (0,)


def test_every_text_gets_its_own_sound_when_threads_share_it(piper):
    texts = ["a", "stop", "turn left now", "go to the kitchen"]
    alone = {text: piper.synthesise(text) for text in texts}
    wrong: list[str] = []

    def speak(text: str) -> None:
        wrong.extend(text for _ in range(5) if not np.array_equal(piper.synthesise(text), alone[text]))

    workers = [threading.Thread(target=speak, args=(text,)) for text in texts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []
    assert list(Path(piper._process._folder.name).iterdir()) == []


def test_another_process_takes_over_when_piper_is_killed(piper):
    before, sound = pid(piper), piper.synthesise("hello")
    os.kill(before, signal.SIGKILL)
    assert np.array_equal(piper.synthesise("hello"), sound)
    assert pid(piper) != before


def test_error_names_the_limit_and_the_next_text_is_spoken_when_piper_is_too_slow(voice):
    piper = PiperSynthesiser(str(voice), timeout_s=1e-6)
    first = pid(piper)
    with pytest.raises(SynthesisError, match=r"piper took longer than 1e-06 s"):
        piper.synthesise("hello " * 100)
    assert not is_running(first)
    assert len(piper.synthesise("hello")) > 800
    piper.close()


def test_process_and_files_are_gone_when_it_is_closed_or_forgotten(voice):
    piper = PiperSynthesiser(str(voice))
    process, folder = pid(piper), Path(piper._process._folder.name)
    assert is_running(process) and folder.exists()
    piper.close()
    piper.close()
    assert not is_running(process) and not folder.exists()
    piper.synthesise("again")
    process = pid(piper)
    del piper
    gc.collect()
    assert not is_running(process)


def no_json(voice: Path) -> None:
    Path(f"{voice}.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "error", "expected"),
    [
        (lambda v: v.unlink(), MissingDependencyError, r"there is no file .*tiny\.onnx; voices"),
        (no_json, MissingDependencyError, r"there is no file .*tiny\.onnx\.json; voices"),
        (lambda v: Path(f"{v}.json").write_text("<html>"), ConfigError, r"tiny\.onnx\.json is no description"),
        (lambda v: Path(f"{v}.json").write_text("[1]"), ConfigError, r"tiny\.onnx\.json is no description"),
        (lambda v: make_voice(v.parent, phoneme_type="pinyin"), ConfigError, r"kind \(pinyin\) that downloads"),
        (lambda v: v.write_bytes(b"<html>"), ConfigError, "piper cannot speak with .*INVALID_PROTOBUF"),
        (lambda v: make_voice(v.parent, phoneme_id_map={"a": [1]}), ConfigError, "piper cannot speak with .*KeyError"),
    ],
)
def test_error_is_one_clear_line_when_a_voice_is_bad(tmp_path, spoil, error, expected):
    voice = make_voice(tmp_path)
    spoil(voice)
    with pytest.raises(error, match=expected) as raised:
        PiperSynthesiser(str(voice))
    assert "\n" not in str(raised.value)
    assert "speech.voice" in str(raised.value)


def test_error_names_the_next_step_when_voice_or_speed_is_not_given_well(voice):
    with pytest.raises(MissingDependencyError, match=r"speech\.voice is empty; name the \.onnx voice file"):
        create_synthesiser("piper")
    with pytest.raises(ConfigError, match=r"0\.5\.\.2\.0, got 3"):
        create_synthesiser("piper", str(voice), 3.0)


def test_error_gives_the_command_when_piper_is_not_installed(voice, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match=r"run: pip install piper-tts$"):
        PiperSynthesiser(str(voice))


def test_error_carries_its_last_words_when_another_program_is_called_piper(voice, monkeypatch, tmp_path):
    program = tmp_path / "piper"
    program.write_text("#!/bin/sh\necho 'Gtk: cannot open display' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ConfigError, match=r"status 1 on 'one': 'Gtk: cannot open display'"):
        PiperSynthesiser(str(voice))
