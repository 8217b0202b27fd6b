"""A realtime server over a real socket, and its protocol without one."""

import base64
import json
import logging
import re
from http import HTTPStatus

import numpy as np
import pytest

from tml_ros.duplex.protocol import SessionInfo
from tml_ros.duplex.registry import create_model
from tml_ros.duplex.remote.address import Address
from tml_ros.duplex.remote.realtime import RealtimeTalk
from tml_ros.duplex.remote.realtime_events import RealtimeConfig
from tml_ros.records import Floor, PlaybackReport, PlaybackState, TextInput, TextSource, UserState
from tml_ros.replay import ReplayOptions, load_scene, make_bag, replay

pytest.importorskip("websockets", reason="websockets is not installed: pip install 'tml_ros[realtime]'")
KEY = "sk-test-0123456789-secret"
HELLO = (TextInput(0, "hello"),)


def values(url: str, **more: object) -> dict[str, object]:
    given = {"url": url, "pace": "never", "wait_ms": 180, "connect_timeout_s": 5.0} | more
    return {f"realtime.{name}": value for name, value in given.items()}


def session(url: str, **more: object):
    return create_model("realtime", values(url, **more)).open(SessionInfo("session", 0))


def ready(stream, turn) -> None:
    """Step until a micro-turn has been sent."""
    unsent = -1
    while stream.counters().get("unsent_windows", 0) != unsent:
        unsent = stream.counters().get("unsent_windows", 0)
        stream.step(turn(0))


def test_answer_is_said_micro_turn_by_micro_turn_when_the_server_sends_it_at_once(servers, turn, until):
    server = servers.RealtimeServer(seconds=1.0)
    with servers.running(server) as url:
        stream = session(url, model="gpt realtime", voice="marin", instructions="Be brief.")
        ready(stream, turn)
        outputs = [stream.step(turn(0, texts=HELLO))]
        outputs += until(stream, lambda output: bool(output.speech) and output.speech[0].last, 1)
        stream.close()
    said = [output for output in outputs if output.speech]
    sizes = [len(output.audio) // 100 for output in said]
    assert sizes in ([32] * 5, [32] * 5 + [0])  # the last with what the resampler held back; the end may come after it
    audio = np.concatenate([output.audio for output in said])
    assert 16_000 <= len(audio) <= 16_050
    assert np.abs(np.fft.rfft(audio[:16_000])).argmax() == 440
    assert " ".join(output.speech[0].text for output in said if output.speech[0].text) == "one two three"
    (update,) = server.of("session.update")
    assert update["session"]["instructions"] == "Be brief."
    assert update["session"]["audio"]["output"] == {"format": {"type": "audio/pcm", "rate": 24_000}, "voice": "marin"}
    assert server.path.endswith("?model=gpt%20realtime")
    (item,) = server.of("conversation.item.create")
    assert item["item"]["content"] == [{"type": "input_text", "text": "hello"}]
    assert "OpenAI-Beta" not in server.headers


def test_sound_arrives_at_24_khz_when_it_was_heard_at_16(servers, turn, until):
    server = servers.RealtimeServer()
    heard = (0.5 * np.sin(np.arange(3_200) * 2 * np.pi * 500 / 16_000)).astype(np.float32)
    with servers.running(server) as url:
        stream = session(url)
        ready(stream, turn)
        for number in range(5):
            stream.step(turn(number, heard))
        stream.step(turn(5, texts=HELLO))
        until(stream, lambda output: bool(output.speech), 6)  # so all of it has arrived
        stream.close()
    parts = [base64.b64decode(event["audio"]) for event in server.of("input_audio_buffer.append")]
    assert {len(part) for part in parts} == {9_600}
    sound = np.frombuffer(b"".join(parts), "<i2")
    loud = sound[np.abs(sound).argmax() :][:20_000]
    assert abs(int(np.abs(sound).max()) - 16_384) < 500
    assert np.abs(np.fft.rfft(loud)).argmax() == round(500 * 20_000 / 24_000)


def test_beta_dialect_is_spoken_when_it_is_configured(servers, turn, until):
    server = servers.RealtimeServer(seconds=0.2, beta=True)
    with servers.running(server) as url:
        stream = session(url, dialect="beta", transcription_model="whisper-1")
        ready(stream, turn)
        stream.step(turn(0, texts=HELLO))
        until(stream, lambda output: bool(output.speech) and output.speech[0].last, 1)
        stream.close()
    (update,) = server.of("session.update")
    assert update["session"]["input_audio_format"] == "pcm16"
    assert update["session"]["input_audio_transcription"] == {"model": "whisper-1"}
    assert server.headers["OpenAI-Beta"] == "realtime=v1"


def test_key_is_sent_and_in_no_log_when_the_server_repeats_it(servers, turn, until, caplog, monkeypatch):
    monkeypatch.setenv("TML_TEST_KEY", KEY)
    error = {"type": "error", "error": {"type": "auth", "message": f"incorrect key {KEY}"}}
    server = servers.RealtimeServer(on_text=(error, error))
    with caplog.at_level(logging.DEBUG), servers.running(server) as url:
        stream = session(url, api_key_env="TML_TEST_KEY")
        ready(stream, turn)
        stream.step(turn(0, texts=HELLO))
        until(stream, lambda output: stream.counters().get("server_errors") == 2, 1)
        stream.close()
    assert server.headers["Authorization"] == f"Bearer {KEY}"
    assert "incorrect key ***; further ones are counted" in caplog.text
    client = [record.getMessage() for record in caplog.records if record.name != "websockets.server"]
    assert KEY not in "".join(client)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (HTTPStatus.UNAUTHORIZED, "answered 401 .*api_key_env names to a valid key"),
        (HTTPStatus.NOT_FOUND, "answered 404 .*check the path in realtime.url"),
        (HTTPStatus.FOUND, "answered 302 .*redirects are not followed"),
    ],
)
def test_reason_is_told_when_the_server_refuses_the_connection(servers, caplog, status, said):
    elsewhere = servers.RealtimeServer()

    def refuse(connection, request):
        response = connection.respond(status, "")
        response.headers["Location"] = other
        return response

    with (
        servers.running(elsewhere) as other,
        servers.running(elsewhere, process_request=refuse) as url,
        caplog.at_level(logging.ERROR),
    ):
        stream = session(url, pace="always")
        assert stream.counters() == {"lost_connections": 1}
        stream.close()
    assert elsewhere.path == ""
    (line,) = (record.getMessage() for record in caplog.records if record.name.startswith("tml_ros"))
    assert "the model realtime is silent from now on" in line
    assert re.search(said, line)


def test_answer_is_in_the_run_when_a_bag_is_replayed_through_a_server(servers, tmp_path):
    (tmp_path / "scene.yaml").write_text(
        "duration_s: 2\naudio:\n  - {at_s: 0.0, noise: white, gain_db: -60, until_s: 2}\n"
        'text:\n  - {at_s: 0.3, text: "hello"}\n'
    )
    make_bag(load_scene(tmp_path / "scene.yaml"), tmp_path / "bag")
    with servers.running(servers.RealtimeServer(seconds=0.6)) as url:
        given = values(url, pace="always") | {"model": "realtime"}
        log = replay(tmp_path / "bag", ReplayOptions(values=given, background="none")).log
    (said,) = log.utterances
    assert said.text == "one two three"
    assert 0.4 <= said.start_s <= 1.2 and said.end_s - said.start_s == pytest.approx(0.6, abs=0.01)


# ------------------------------------------------------------------------------------------------ without a server


class Talking:
    """A talk, with events given to it as the server would."""

    def __init__(self) -> None:
        self.talk = RealtimeTalk(RealtimeConfig(), Address.of("realtime", "ws://localhost:1", "", ""))
        self.event("session.created")
        self.talk.outbox.clear()

    def event(self, kind: str, **fields: object) -> None:
        self.talk.take(json.dumps({"type": kind} | fields))

    def answer(self, seconds: float, item: str = "a") -> None:
        sound = base64.b64encode(bytes(2 * round(24_000 * seconds))).decode()
        self.event("response.created")
        self.event("response.output_audio.delta", item_id=item, delta=sound)

    def sent(self) -> list[dict]:
        messages, self.talk.outbox = [json.loads(message) for message in self.talk.outbox], []
        return messages


@pytest.fixture
def talking() -> Talking:
    return Talking()


def playing(samples: int) -> PlaybackReport:
    return PlaybackReport(0, 1, PlaybackState.PLAYING, samples)


def test_robot_falls_silent_and_the_server_is_told_how_much_was_heard_when_somebody_interrupts(talking, turn):
    talking.answer(3.0)
    floors = [talking.talk.say(turn(number)).floor for number in range(4)]
    talking.event("input_audio_buffer.speech_started", item_id="u", audio_start_ms=700)
    output = talking.talk.say(turn(4, playback=playing(8_000)))
    assert floors == [Floor.SPEAK] * 4
    assert (output.floor, output.user_state, output.audio) == (Floor.YIELD, UserState.SPEAKING, None)
    (truncate,) = talking.sent()
    assert truncate == {
        "type": "conversation.item.truncate",
        "item_id": "a",
        "content_index": 0,
        "audio_end_ms": 500,
    }
    talking.answer(0.2)  # what was on its way
    assert talking.talk.counters["late_messages"] == 1
    assert talking.talk.say(turn(5)).audio is None
    talking.answer(0.2, item="b")
    assert len(talking.talk.say(turn(6)).audio) == 3_200


def test_nothing_is_truncated_when_somebody_begins_to_speak_to_a_silent_robot(talking, turn):
    talking.event("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
    output = talking.talk.say(turn(0))
    assert (output.floor, output.user_state) == (Floor.LISTEN, UserState.SPEAKING)
    assert talking.sent() == []


def test_tail_that_the_loudspeaker_still_plays_is_cut_when_all_of_it_was_handed_out(talking, turn):
    talking.answer(0.4)
    talking.event("response.done", response={"status": "completed"})
    assert [talking.talk.say(turn(number)).floor for number in range(2)] == [Floor.SPEAK] * 2
    talking.event("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
    assert talking.talk.say(turn(2, playback=playing(4_800))).floor is Floor.YIELD
    assert talking.sent()[0]["audio_end_ms"] == 300


def test_robot_thinks_when_an_answer_is_on_its_way(talking, turn):
    talking.event("response.created")
    assert talking.talk.is_owed
    assert talking.talk.say(turn(0)).floor is Floor.HOLD
    talking.event("response.done", response={"status": "failed", "status_details": {"error": {"message": "busy"}}})
    assert not talking.talk.is_owed
    assert talking.talk.say(turn(1)).floor is Floor.LISTEN
    assert talking.talk.counters["failed_responses"] == 1


def test_words_of_the_person_have_their_times_when_the_server_writes_them_down(talking, turn):
    for number in range(5):
        talking.talk.hear(turn(number))
    began_ns = turn(0).start_ns
    talking.event("input_audio_buffer.speech_started", item_id="u", audio_start_ms=200)
    talking.event("input_audio_buffer.speech_stopped", item_id="u", audio_end_ms=900)
    transcription = "conversation.item.input_audio_transcription"
    for delta in ("go ", "left"):
        talking.event(f"{transcription}.delta", item_id="u", delta=delta)
    talking.event(f"{transcription}.completed", item_id="u", transcript="Go left.")
    events = talking.talk.say(turn(5)).transcripts
    assert [(event.text, event.final) for event in events] == [("go", False), ("go left", False), ("Go left.", True)]
    times = {(event.start_ns - began_ns, event.end_ns - began_ns) for event in events}
    assert times == {(200_000_000, 900_000_000)}


@pytest.mark.parametrize(
    "message",
    [
        "no JSON",
        b"\xff\xfe",
        "[" * 100_000,
        "[]",
        '{"type": 3}',
        '{"type": "response.output_audio.delta", "item_id": "a", "delta": "%%%"}',
        '{"type": "response.output_audio.delta", "item_id": "a", "delta": "AAAA"}',
        '{"type": "response.output_audio.delta", "item_id": "a", "delta": 7, "x": "\\ud800"}',
    ],
)
def test_message_is_left_out_when_it_is_garbage(talking, turn, message):
    talking.talk.take(message)
    assert talking.talk.counters["malformed_messages"] == 1
    assert talking.talk.say(turn(0)).audio is None


def test_only_what_the_person_typed_is_passed_on_when_texts_come(talking, turn):
    texts = (TextInput(0, "ring", TextSource.TIMER), TextInput(0, "hello"))
    talking.talk.hear(turn(0, texts=texts))
    kinds = [message["type"] for message in talking.sent()]
    assert kinds == ["input_audio_buffer.append", "conversation.item.create", "response.create"]
    assert talking.talk.counters["ignored_texts"] == 1
