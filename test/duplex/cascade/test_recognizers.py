"""sherpa-onnx and faster-whisper with tiny models that hear tones: words, commands, and what is said of a bad model."""

import shutil
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from tml_ros.duplex import create_model
from tml_ros.duplex.cascade.config import CascadeConfig
from tml_ros.duplex.cascade.recognizer import Heard, Recognizer, UtteranceRecognizer
from tml_ros.duplex.cascade.recognizers.words import spoken_words
from tml_ros.errors import ConfigError, MissingDependencyError
from tml_ros.intents import Grammar, load_intents

sys.path.insert(0, str(Path(__file__).parent))
import tiny_models
import tiny_whisper

GRAMMAR = Grammar(load_intents())


def make(name: str, folder: Path | str, **values: object) -> Recognizer:
    return Recognizer(GRAMMAR, CascadeConfig(recognizer=name, recognizer_model=str(folder), **values))


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("models")
    return {
        "ctc": tiny_models.make_nemo_ctc(base / "ctc"),
        "zipformer": tiny_models.make_zipformer_ctc(base / "zipformer"),
        "transducer": tiny_models.make_transducer(base / "transducer"),
        "whisper": tiny_whisper.make_whisper(base / "whisper"),
    }


@pytest.fixture(scope="module")
def pools(folders) -> dict[str, Recognizer]:
    return {
        kind: make("faster-whisper" if kind == "whisper" else "sherpa-onnx", folder) for kind, folder in folders.items()
    }


def hear(recognizer: UtteranceRecognizer, sound: np.ndarray, piece: int = 3200) -> tuple[list[str], Heard]:
    """Return the partial words after every piece, and what the whole was."""
    recognizer.begin()
    partial = []
    for start in range(0, len(sound), piece):
        recognizer.feed(sound[start : start + piece])
        partial.append(recognizer.partial())
    return partial, recognizer.finish(len(sound) / 16_000)


# ------------------------------------------------------------------------------------------------- sherpa-onnx


@pytest.mark.parametrize("kind", ["ctc", "zipformer", "transducer"])
def test_words_and_command_are_heard_as_they_come_when_a_streaming_model_is_named(pools, kind):
    recognizer = pools[kind].open()
    partial, heard = hear(recognizer, tiny_models.tone("turn left", gap_s=0.25))
    assert list(dict.fromkeys(partial)) == ["", "turn", "turn left"]
    assert heard.text == "turn left"
    assert (heard.meaning.intent, heard.meaning.data) == ("__intent_turn_by__", {"goal": "left"})
    assert 0.5 < heard.confidence <= 1.0
    _, heard = hear(recognizer, tiny_models.tone("left turn"))
    assert (heard.text, heard.meaning) == ("left turn", None)


def test_confidence_comes_from_the_model_when_it_gives_one(pools):
    clear = hear(pools["transducer"].open(), tiny_models.tone("turn left"))[1]
    weak = hear(pools["transducer"].open(), 0.02 * tiny_models.tone("turn left"))[1]
    assert clear.confidence == pytest.approx(1.0, abs=0.01)
    assert weak.text == "turn left"
    assert weak.confidence < clear.confidence - 0.01


@settings(max_examples=8, deadline=None)
@given(piece=st.integers(80, 16_000))
def test_text_is_the_same_when_the_sound_comes_in_other_pieces(pools, piece):
    sound = tiny_models.tone("turn right left")
    assert hear(pools["ctc"].open(), sound, piece)[1].text == hear(pools["ctc"].open(), sound, len(sound))[1].text


@pytest.mark.parametrize("kind", ["ctc", "whisper"])
def test_next_utterance_is_heard_as_the_first_when_one_was_abandoned(pools, kind):
    sound = tiny_models.tone("turn left") if kind == "ctc" else tiny_whisper.tone("left")
    recognizer = pools[kind].open()
    first = hear(recognizer, sound)
    recognizer.begin()
    recognizer.feed(sound)
    recognizer.abandon()
    recognizer.abandon()
    assert hear(recognizer, sound) == first
    pools[kind].close(recognizer)
    assert hear(pools[kind].open(), sound) == first


def marked(say, tones: list[np.ndarray]) -> np.ndarray:
    """A voice of the telephone, for the voice activity detector, and above it the words for the tiny models."""
    voice = say("hello robot how are you today", "rms", before_s=0.8, after_s=1.6)
    sound = soxr.resample(soxr.resample(voice, 16_000, 7_000), 7_000, 16_000)
    at = int(1.0 * 16_000)
    for one in tones:
        sound[at : at + len(one)] += one
        at += len(one)
    return sound


def test_cascade_proposes_the_intent_when_sherpa_hears_the_words(run, say, folders):
    model = create_model(
        "cascade", {"cascade.recognizer": "sherpa-onnx", "cascade.recognizer_model": str(folders["transducer"])}
    )
    result = run(marked(say, [tiny_models.tone("turn left")]), model=model)
    assert result.finals == ["turn left"]
    assert [(i.intent, dict(i.data)) for i in result.intents] == [("__intent_turn_by__", {"goal": "left"})]
    assert result.replies == ["Turning left."]


def test_eight_bit_files_are_taken_as_the_parameter_says(folders, tmp_path):
    folder = tiny_models.make_nemo_ctc(tmp_path / "both")
    (folder / "model.int8.onnx").write_bytes(b"damaged")
    with pytest.raises(ConfigError, match=r"model\.int8\.onnx is no ONNX model or damaged"):
        make("sherpa-onnx", folder)
    assert hear(make("sherpa-onnx", folder, recognizer_int8=False).open(), tiny_models.tone("left"))[1].text == "left"


def spoil_tokens(folder: Path, text: str) -> None:
    (folder / "tokens.txt").write_text(text)


@pytest.mark.parametrize(
    ("spoil", "error", "expected"),
    [
        (lambda f: shutil.rmtree(f), MissingDependencyError, "there is no folder"),
        (lambda f: (f / "tokens.txt").unlink(), MissingDependencyError, "tokens.txt is missing in .*transducer"),
        (lambda f: (f / "encoder-epoch-1.onnx").unlink(), MissingDependencyError, r"encoder \(\*encoder\*\.onnx\)"),
        (lambda f: (f / "decoder-epoch-1.onnx").unlink(), MissingDependencyError, r"decoder \(\*decoder\*\.onnx\)"),
        (lambda f: (f / "joiner-epoch-1.onnx").unlink(), MissingDependencyError, r"joiner \(\*joiner\*\.onnx\)"),
        (
            lambda f: shutil.copy(f / "encoder-epoch-1.onnx", f / "encoder-epoch-2.onnx"),
            ConfigError,
            "more than one encoder: encoder-epoch-1.onnx, encoder-epoch-2.onnx",
        ),
        (lambda f: (f / "encoder-epoch-1.onnx").write_bytes(b"<html>"), ConfigError, "sherpa-onnx cannot run"),
        (lambda f: (f / "decoder-epoch-1.onnx").write_bytes(b"<html>"), ConfigError, "no ONNX model or damaged"),
        (
            lambda f: spoil_tokens(f, "<blk> 0\n"),
            ConfigError,
            "no symbol for 1, decoder-epoch-1.onnx answers with 0 to 3",
        ),
        (lambda f: spoil_tokens(f, "<blk> 0\na 1\nb 2\nc 30\n"), ConfigError, "no symbol for 3"),
        (lambda f: spoil_tokens(f, "<!DOCTYPE html>\n"), ConfigError, "line 1 of .* is no 'symbol number'"),
        (lambda f: tiny_models.make_transducer(f, d_model=None), ConfigError, "status .*d_model"),
        (lambda f: tiny_models.make_transducer(f, model_type="whisper"), ConfigError, "cannot run the model"),
        (lambda f: tiny_models.make_transducer(f, T=20), ConfigError, "cannot run the model"),
    ],
)
def test_error_is_one_clear_line_when_a_sherpa_model_is_bad(folders, tmp_path, spoil, error, expected):
    folder = tmp_path / "transducer"
    shutil.copytree(folders["transducer"], folder)
    spoil(folder)
    with pytest.raises(error, match=expected) as raised:
        make("sherpa-onnx", folder)
    assert "\n" not in str(raised.value)
    assert "cascade.recognizer_model" in str(raised.value)


def test_error_names_the_kind_when_a_single_model_is_no_streaming_one(tmp_path):
    folder = tiny_models.make_nemo_ctc(tmp_path, cache_last_channel_dim1=None)
    with pytest.raises(ConfigError, match=r"no streaming model .*'EncDecHybridRNNTCTCBPEModel'"):
        make("sherpa-onnx", folder)


def test_error_asks_for_a_blank_symbol_when_a_ctc_model_has_other_tokens(tmp_path):
    folder = tiny_models.make_nemo_ctc(tmp_path)
    spoil_tokens(folder, "a 0\nb 1\nc 2\nd 3\n")
    with pytest.raises(ConfigError, match="no blank symbol"):
        make("sherpa-onnx", folder)


# ------------------------------------------------------------------------------------------------ faster-whisper


def swap(file: Path, old: bytes, new: bytes) -> None:
    content = file.read_bytes()
    assert old in content
    file.write_bytes(content.replace(old, new, 1))


@pytest.mark.parametrize("word", ["left", "right"])
def test_command_is_heard_in_the_pause_when_whisper_is_named(pools, word):
    recognizer = pools["whisper"].open()
    recognizer.begin()
    for piece in (np.zeros(4800), tiny_whisper.tone(word), np.zeros(6400)):
        recognizer.feed(piece.astype(np.float32))
        assert recognizer.partial() == ""
    assert recognizer.command() == f"turn {word}"
    assert recognizer.partial() == f"turn {word}"
    heard = recognizer.finish(0.6)
    assert (heard.text, heard.meaning.data) == (f"turn {word}", {"goal": word})
    assert 0.5 < heard.confidence <= 1.0
    assert recognizer.counters["looks"] == 1  # the same look served the question and the end


def test_nothing_is_heard_when_whisper_gets_silence_or_noise(pools):
    noise = np.random.default_rng(0).normal(0.0, 0.05, 16_000).astype(np.float32)
    for sound in (np.zeros(16_000, np.float32), noise):
        assert hear(pools["whisper"].open(), sound)[1] == Heard("", None, 0.0)


def test_looks_are_bounded_when_speech_goes_on(folders):
    pool = make("faster-whisper", folders["whisper"], recognizer_every_ms=1000)
    recognizer = pool.open()
    partial, heard = hear(recognizer, np.concatenate([tiny_whisper.tone("left"), np.zeros(2 * 16_000, np.float32)]))
    assert partial[3] == "" and partial[4] == "turn left"
    assert heard.text == "turn left"
    assert recognizer.counters["looks"] == 3  # after one and two seconds, and at the end


def test_whisper_looks_again_when_speech_went_on_after_a_pause(pools):
    recognizer = pools["whisper"].open()
    recognizer.begin()
    recognizer.feed(
        np.concatenate([np.zeros(4800, np.float32), tiny_whisper.tone("left", 0.2), np.zeros(6400, np.float32)])
    )
    recognizer.command()
    recognizer.feed(tiny_whisper.tone("right", 0.8))
    assert recognizer.finish(1.4).text == "turn right"
    assert recognizer.counters["looks"] == 2


def test_no_connection_is_opened_when_a_whisper_model_is_loaded(folders, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert hear(make("faster-whisper", folders["whisper"]).open(), tiny_whisper.tone("left"))[1].text == "turn left"


def test_cascade_proposes_the_intent_when_whisper_hears_the_words(run, say, folders):
    model = create_model(
        "cascade", {"cascade.recognizer": "faster-whisper", "cascade.recognizer_model": str(folders["whisper"])}
    )
    result = run(marked(say, [tiny_whisper.tone("right", 0.8)]), model=model)
    assert result.finals == ["turn right"]
    assert [dict(i.data) for i in result.intents] == [{"goal": "right"}]
    assert result.counters["looks"] <= 2


@pytest.mark.parametrize(
    ("spoil", "error", "expected"),
    [
        (lambda f: shutil.rmtree(f), MissingDependencyError, "there is no folder"),
        (lambda f: (f / "tokenizer.json").unlink(), MissingDependencyError, "tokenizer.json is missing in"),
        (lambda f: (f / "model.bin").unlink(), MissingDependencyError, "model.bin is missing in"),
        (
            lambda f: (f / "model.bin").rename(f / "model.safetensors"),
            ConfigError,
            "for transformers, .*ct2-transformers-converter",
        ),
        (lambda f: (f / "model.bin").write_bytes(b"<html></html>"), ConfigError, "no whole Whisper model"),
        (
            lambda f: (f / "model.bin").write_bytes((f / "model.bin").read_bytes()[:50_000]),
            ConfigError,
            "no whole Whisper model",
        ),
        (
            lambda f: swap(f / "model.bin", b"encodings\0\2\xdc\5", b"encodings\0\2\xdd\5"),
            ConfigError,
            r"has 96000 bytes, shape \[1501, 16\]",
        ),
        (lambda f: swap(f / "model.bin", b"Whisper", b"Marianx"), ConfigError, "'MarianxSpec' .*, not a WhisperSpec"),
        (lambda f: (f / "config.json").write_text("{"), ConfigError, "no whole Whisper model .*parse error"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), ConfigError, "no whole Whisper model"),
        (
            lambda f: (f / "preprocessor_config.json").write_text('{"feature_size": 128}'),
            ConfigError,
            "cannot be used",
        ),
    ],
)
def test_error_is_one_clear_line_when_a_whisper_model_is_bad(folders, tmp_path, spoil, error, expected):
    folder = tmp_path / "whisper"
    shutil.copytree(folders["whisper"], folder)
    spoil(folder)
    with pytest.raises(error, match=expected) as raised:
        make("faster-whisper", folder)
    assert "\n" not in str(raised.value)
    assert "cascade.recognizer_model" in str(raised.value)


def test_error_names_the_language_when_the_model_does_not_know_it(folders):
    with pytest.raises(ConfigError, match=r"recognizer_language: .* no language 'de'; it knows en"):
        make("faster-whisper", folders["whisper"], recognizer_language="de")


# ------------------------------------------------------------------------------------------------------- both


@pytest.mark.parametrize(("name", "module"), [("sherpa-onnx", "sherpa_onnx"), ("faster-whisper", "faster_whisper")])
def test_error_gives_the_command_when_package_or_folder_is_missing(name, module, monkeypatch):
    with pytest.raises(MissingDependencyError, match=r"recognizer_model is empty; name the folder"):
        make(name, "")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=f"run: pip install {name}$"):
        make(name, "anywhere")


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        (" Go to station 2, please!", "go to station two please"),
        ("TURN RIGHT NINETY DEGREES", "turn right ninety degrees"),
        ("Turn right 90°.", "turn right ninety degrees"),
        ("What’s the time? [BLANK_AUDIO]", "what's the time"),  # noqa: RUF001
        ("twenty-one", "twenty one"),
        ("It is 3.5 m, or 1,000.", "it is 3.5 m or 1,000"),
        ("(laughs) *sighs* <unk>", ""),
        ("Grüß Gott", "grüß gott"),
        ("100 or 101", "one hundred or 101"),
        ("", ""),
    ],
)
def test_words_are_those_of_the_grammar_when_a_model_writes_otherwise(written, spoken):
    assert spoken_words(written) == spoken
