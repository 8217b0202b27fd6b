"""A Moshi server over a real socket: sound and words come back in step, whatever is wrong with it is data."""

import logging

import numpy as np
import pytest

from tml_ros.duplex.protocol import SessionInfo
from tml_ros.duplex.registry import create_model
from tml_ros.duplex.remote.address import Address
from tml_ros.duplex.remote.moshi import MoshiConfig, MoshiTalk
from tml_ros.errors import ConfigError
from tml_ros.records import Floor, TextInput

pytest.importorskip("sphn", reason="sphn is not installed: pip install 'tml_ros[moshi]'")
INFO = SessionInfo("session", 0)
WAIT_MS = 180


def session(url: str, **values: object):
    given = {"url": url, "pace": "never", "wait_ms": WAIT_MS, "connect_timeout_s": 5.0} | values
    return create_model("moshi", {f"moshi.{name}": value for name, value in given.items()}).open(INFO)


def lost(stream, until, caplog) -> str:
    """Step until the server is given up; return what was logged."""
    with caplog.at_level(logging.ERROR):
        until(stream, lambda output: "lost_connections" in stream.counters())
    (line,) = (record.getMessage() for record in caplog.records if record.name.startswith("tml_ros.duplex"))
    return line


def tone(seconds: float) -> np.ndarray:
    time = np.arange(round(16_000 * seconds)) / 16_000
    return (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


def test_sound_and_words_come_back_when_the_server_echoes(servers, turn):
    heard = np.concatenate([np.zeros(3_200, np.float32), tone(0.6), np.zeros(22_400, np.float32)])
    with servers.running(servers.echoing_moshi({3: " hel", 4: "lo", 6: " there", 7: "."})) as url:
        stream = session(url, pace="always")  # which waits for the handshake
        outputs = [stream.step(turn(n, block)) for n, block in enumerate(heard.reshape(-1, 3200))]
        stream.close()
    said = [output for output in outputs if output.speech]
    assert " ".join(speech.text for output in said for speech in output.speech if speech.text) == "hello there."
    assert [output.speech[0].last for output in said] == [False] * (len(said) - 1) + [True]
    assert all(output.floor is Floor.SPEAK for output in said[:-1]) and outputs[-1].floor is Floor.LISTEN
    audio = np.concatenate([output.audio for output in said])
    loud = np.abs(audio) > 0.1
    assert 0.5 <= (loud.nonzero()[0][-1] - loud.nonzero()[0][0]) / 16_000 <= 0.7
    middle = audio[loud.nonzero()[0][0] + 1_600 :][:4_000]
    assert np.abs(np.fft.rfft(middle)).argmax() * 4 == 440
    assert 0.19 <= np.sqrt(np.mean(middle**2)) <= 0.23
    assert set(stream.counters()) <= {"starved_windows"}


def test_nothing_is_sent_when_the_handshake_has_not_come(servers, turn, caplog):
    received = []

    def silent(connection):
        received.extend(connection)

    with servers.running(silent) as url:
        stream = session(url, pace="always", connect_timeout_s=0.5)
        assert "not ready for sound within moshi.connect_timeout_s" in caplog.text
        assert stream.step(turn(0)).audio is None
        assert stream.counters() == {"lost_connections": 1, "silent_windows": 1, "unsent_windows": 1}
        stream.close()
    assert received == []


def test_session_goes_silent_and_says_so_once_when_the_server_dies(servers, turn, until, caplog):
    def dying(connection):
        connection.send(b"\x00")
        connection.recv()
        connection.close()

    with servers.running(dying) as url:
        stream = session(url)
        line = lost(stream, until, caplog)
        assert line.startswith("the model moshi is silent from now on: ") and "look at its log" in line
        before = stream.counters()
        assert stream.step(turn(0)).speech == ()
        after = stream.counters()
        assert after["silent_windows"] == before["silent_windows"] + 1
        assert after["lost_connections"] == 1
        assert len([one for one in caplog.records if one.name.startswith("tml_ros.duplex")]) == 1
        stream.close()


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"\x01" + b"garbage" * 20, "no Ogg Opus"),
        (b"\x05no such voice", "the server says: no such voice"),
        (bytes(5 * 1024 * 1024), "broke off"),
    ],
    ids=["sound", "error", "too long"],
)
def test_session_goes_silent_when_what_comes_cannot_be_gone_on_with(servers, until, caplog, message, said):
    def wrong(connection):
        connection.send(b"\x00")
        connection.recv()
        connection.send(message)
        connection.recv()

    with servers.running(wrong) as url:
        stream = session(url)
        assert said in lost(stream, until, caplog)
        stream.close()


def test_server_is_given_up_when_it_answers_no_micro_turn(servers, until, caplog):
    def listening(connection):
        connection.send(b"\x00")
        list(connection)

    with servers.running(listening) as url:
        stream = session(url, wait_ms=0)
        assert "sent nothing for" in lost(stream, until, caplog)
        stream.close()


def test_server_is_given_up_when_it_takes_the_connection_and_says_nothing(servers, caplog):
    with servers.deaf() as url:
        session(url, pace="always", connect_timeout_s=0.1).close()
    assert "did not take the connection within moshi.connect_timeout_s" in caplog.text


def test_session_is_silent_when_nobody_listens(until, caplog):
    stream = session("ws://127.0.0.1:9/api/chat", pace="always", connect_timeout_s=2.0)
    assert "cannot connect to 127.0.0.1:9" in caplog.text
    assert stream.counters() == {"lost_connections": 1}
    stream.close()


@pytest.fixture
def talk() -> MoshiTalk:
    return MoshiTalk(MoshiConfig(), Address.of("moshi", "ws://localhost:1", "", ""))


@pytest.mark.parametrize("message", ["text", b"", b"\x09unknown", b"\x02\xff\xfe"])
def test_message_is_counted_and_left_out_when_it_is_malformed(talk, message):
    talk.take(message)
    assert talk.counters["malformed_messages"] == 1


def test_messages_that_say_nothing_to_a_robot_are_left_out_when_they_come(talk):
    for message in (b"\x03\x00", b'\x04{"a": 1}', b"\x06"):
        talk.take(message)
    assert not +talk.counters


def test_oldest_sound_is_left_out_and_counted_when_the_server_sends_too_much(talk, turn):
    packets = MoshiTalk(MoshiConfig(), Address.of("moshi", "ws://localhost:1", "", ""))
    for number in range(10):
        packets.hear(turn(number, tone(0.2)))
    for packet in packets.outbox:
        talk.take(packet)
    assert talk.say(turn(0)).floor is Floor.SPEAK
    assert talk.counters["skipped_samples"] == 7 * 3_200


def test_utterance_ends_when_the_sound_stays_away(talk, turn):
    sender = MoshiTalk(MoshiConfig(), Address.of("moshi", "ws://localhost:1", "", ""))
    for number in range(3):
        sender.hear(turn(number, tone(0.2)))
    for packet in (b"\x00", b"\x02 hi", *sender.outbox):
        talk.take(packet)
    outputs = [talk.say(turn(number)) for number in range(8)]
    assert [output.floor for output in outputs] == [Floor.SPEAK] * 5 + [Floor.LISTEN] * 3
    assert [bool(output.speech) for output in outputs] == [True] * 2 + [False] * 3 + [True] + [False] * 2
    assert outputs[5].speech[0].last and talk.counters["starved_windows"] == 6
    assert " ".join(output.speech[0].text for output in outputs if output.speech).strip() == "hi"


def test_text_is_counted_when_somebody_types_to_a_model_that_only_listens(talk, turn):
    talk.hear(turn(0, texts=(TextInput(0, "hello"),)))
    assert talk.counters["ignored_texts"] == 1


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"url": ""}, r"moshi\.url is empty: no server is configured, and nothing leaves this machine; .*8998"),
        ({"url": "http://localhost"}, "must begin with ws:// or wss://"),
        ({"url": "ws://localhost:99999"}, r"moshi\.url is no address"),
        ({"url": "ws://me:secret@localhost"}, "holds credentials"),
        ({"url": "wss://far.example", "api_key_env": "TML_UNSET"}, "TML_UNSET, which is not set"),
        ({"url": "ws://far.example", "api_key_env": "TML_KEY"}, "would travel to far.example in the clear; use wss"),
        ({"url": "ws://localhost", "api_key_env": "TML_BAD_KEY"}, "TML_BAD_KEY holds characters that no key has"),
    ],
)
def test_model_is_refused_when_its_address_or_key_is_wrong(values, said, monkeypatch):
    monkeypatch.setenv("TML_KEY", "secret")
    monkeypatch.setenv("TML_BAD_KEY", "se cret")
    with pytest.raises(ConfigError, match=said) as error:
        create_model("moshi", {f"moshi.{name}": value for name, value in values.items()})
    assert "secret" not in str(error.value)


def test_lag_is_made_up_for_when_the_server_is_silent(talk, turn):
    sender = MoshiTalk(MoshiConfig(), Address.of("moshi", "ws://localhost:1", "", ""))
    for number in range(3):
        sender.hear(turn(number))
    sender.hear(turn(3, tone(0.2)))
    sender.hear(turn(4, tone(0.2)))
    for packet in sender.outbox:
        talk.take(packet)
    assert talk.say(turn(0)).floor is Floor.SPEAK  # the micro-turn that is not silent
    assert talk.counters["skipped_samples"] <= 2 * 3_200
