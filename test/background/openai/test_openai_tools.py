"""Tools and pictures through the whole model: a real server asks for them, the real client answers."""

import base64
import json
import shlex
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from tml_ros.background import Failure, Progress, Result, Surroundings
from tml_ros.media import to_rgb
from tml_ros.records import IntentDraft, StampedImage, TimerDraft

SAID = [
    {"speaker": "user", "text": "Is it cold?", "untrusted": True},
    {"speaker": "robot", "text": "No.", "utterance_id": 7},
]


def jpeg(width=64, height=48):
    noise = np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)
    return cv2.imencode(".jpg", noise)[1].tobytes()


def sent_pictures(message):
    urls = [part["image_url"]["url"] for part in message["content"] if part["type"] == "image_url"]
    streams = [base64.b64decode(url.removeprefix("data:image/jpeg;base64,")) for url in urls]
    return [(stream, to_rgb(StampedImage(0, "compressed", stream))) for stream in streams]


def answers(exchange):
    return [message["content"] for message in exchange.body["messages"] if message["role"] == "tool"]


def test_tool_is_used_and_words_are_joined_when_the_model_calls_one(endpoint, make_model, script, allow_list):
    around = Surroundings(allow_list, topics=("/fridge",), read_topic=lambda _: {"temperature": 4.0})
    endpoint.play(
        script.call(("read_topic", {"topic": "/fridge"}), words="Let me see."), script.say("It is four degrees.")
    )
    updates = script.ask(make_model(around))
    assert updates[-1].report == "Let me see. It is four degrees."
    (used,) = updates[-1].data["tools"]
    assert used["name"] == "read_topic" and used["ok"]
    assert Progress("using read_topic", status_text="I am reading the sensors.") in updates
    *_, said, answer = endpoint.exchanges[1].body["messages"]
    assert said["role"] == "assistant" and said["content"] == "Let me see."
    assert json.loads(said["tool_calls"][0]["function"]["arguments"]) == {"topic": "/fridge"}
    assert answer == {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": '{"temperature": 4.0}'}


def test_effects_are_collected_in_order_when_tools_propose_them(endpoint, make_model, script):
    endpoint.play(
        script.call(
            ("propose_intent", {"intent": "__intent_grab_object__", "data": {"object": "cup"}}),
            ("propose_intent", {"intent": "__intent_fly__"}),
            ("propose_intent", {"intent": "__intent_place_object__", "data": {"recipient": "table"}}),
            ("set_timer", {"text": "tea is ready", "after_s": 180}),
            ("correct_earlier_statement", {"utterance_ids": [7]}),
        ),
        script.say("I was wrong, it is cold."),
    )
    result = script.ask(make_model(), context={"conversation": SAID})[-1]
    assert result.intents == (
        IntentDraft("__intent_grab_object__", {"object": "cup"}),
        IntentDraft("__intent_place_object__", {"recipient": "table"}),
    )
    assert result.timers == (TimerDraft("tea is ready", 180.0),)
    assert result.contradicts == (7,)
    assert [used["ok"] for used in result.data["tools"]] == [True, False, True, True, True]
    assert "error" in json.loads(answers(endpoint.exchanges[1])[1])


def test_result_is_done_when_there_are_effects_and_no_words(endpoint, make_model, script):
    endpoint.play(script.call(("set_timer", {"text": "tea", "after_s": 180})), script.say(""))
    result = script.ask(make_model())[-1]
    assert isinstance(result, Result) and result.report == "Done." and len(result.timers) == 1


def test_effects_do_not_leak_when_another_task_follows(endpoint, make_model, script):
    endpoint.play(script.call(("set_timer", {"text": "tea", "after_s": 180})), script.say("Set."), script.say("Yes."))
    model = make_model()
    assert script.ask(model)[-1].timers
    assert script.ask(model)[-1] == Result("Yes.", {"tools": [], "model": "m"})


@pytest.mark.parametrize(
    ("name", "arguments", "named"),
    [
        ("fly", {}, "there is no tool"),
        ("set_timer", "{after_s: 3", "not valid JSON"),
        ("set_timer", {"text": "x"}, "after_s"),
        ("read_topic", {"topic": "/cmd_vel"}, "there is no tool"),
        ("look", {}, "no picture"),
    ],
)
def test_model_gets_the_error_when_its_call_is_wrong(endpoint, make_model, script, name, arguments, named):
    endpoint.play(script.call((name, arguments)), script.say("I cannot tell."))
    result = script.ask(make_model())[-1]
    assert result.report == "I cannot tell." and not result.data["tools"][0]["ok"]
    assert named in json.loads(answers(endpoint.exchanges[1])[0])["error"]
    sent = endpoint.exchanges[1].body["messages"][-2]["tool_calls"][0]["function"]["arguments"]
    assert isinstance(json.loads(sent), dict)


def test_model_goes_on_when_a_tool_never_returns(endpoint, make_model, script, allow_list):
    never = threading.Event()
    around = Surroundings(allow_list, topics=("/t",), read_topic=lambda _: never.wait(30.0))
    endpoint.play(script.call(("read_topic", {"topic": "/t"})), script.say("I cannot read it."), script.say("Yes."))
    model = make_model(around, tool_timeout_s=0.2)
    assert script.ask(model)[-1].report == "I cannot read it."
    assert "within 0.2 s" in answers(endpoint.exchanges[1])[0]
    assert script.ask(model)[-1].report == "Yes."
    never.set()


def test_long_result_is_cut_when_a_tool_returns_one(endpoint, make_model, script, allow_list):
    around = Surroundings(allow_list, topics=("/t",), read_topic=lambda _: {"text": "x" * 10_000})
    endpoint.play(script.call(("read_topic", {"topic": "/t"})), script.say("Yes."))
    script.ask(make_model(around, tool_result_chars=200))
    assert len(answers(endpoint.exchanges[1])[0]) < 250


def test_broken_characters_are_replaced_when_tool_and_model_send_them(endpoint, make_model, script, allow_list):
    around = Surroundings(allow_list, topics=("/t",), read_topic=lambda _: {"text": "a\ud800"})
    endpoint.play(script.call(("read_topic", {"topic": "/t"}), words="b\ud800"), script.say("Yes."))
    assert script.ask(make_model(around))[-1].report == "b? Yes."
    assert answers(endpoint.exchanges[1]) == ['{"text": "a?"}']


def test_documents_are_searched_when_there_are_some(endpoint, make_model, script, allow_list, tmp_path):
    pytest.importorskip("tml_ros.background.documents", reason="the libraries of the index are not installed")
    (tmp_path / "spills.md").write_text("# Acid spills\n\nCover the acid with sand and call the safety officer.\n")
    (tmp_path / "coffee.md").write_text("# Coffee\n\nThe machine is in the kitchen.\n")
    endpoint.play(script.call(("search_documents", {"query": "acid spill", "count": 1})), script.say("Use sand."))
    assert script.ask(make_model(Surroundings(allow_list, documents=tmp_path)))[-1].report == "Use sand."
    (found,) = json.loads(answers(endpoint.exchanges[1])[0])["passages"]
    assert "spills.md" in found["source"] and "sand" in found["text"]


def test_calls_end_when_the_model_never_stops_calling(endpoint, make_model, script):
    endpoint.play(script.call(("set_timer", {"text": "tea", "after_s": 180})))
    result = script.ask(make_model(max_tool_rounds=3))[-1]
    assert len(endpoint.exchanges) == 4 and len(result.timers) == 3
    assert [one.body["tool_choice"] for one in endpoint.exchanges] == ["auto"] * 3 + ["none"]


def test_calls_end_in_a_failure_when_nothing_came_of_them(endpoint, make_model, script):
    endpoint.play(script.call(("look", {})))
    assert isinstance(script.ask(make_model(max_tool_rounds=2))[-1], Failure)
    assert len(endpoint.exchanges) == 3


def test_too_many_calls_at_once_are_a_failure_when_they_come(endpoint, make_model, script):
    endpoint.play(script.call(*[("look", {})] * 17), script.say("Yes."))
    model = make_model()
    assert "17" not in script.ask(model)[-1].report
    assert script.ask(model)[-1].report == "Yes."


# ---------------------------------------------------------------------------------------------------------- pictures


def test_newest_pictures_are_sent_as_they_are_when_they_are_small(endpoint, make_model, script):
    images = tuple(jpeg(64 + step) for step in range(3))
    script.ask(make_model(max_images=2), images=images)
    sent = sent_pictures(endpoint.exchanges[0].body["messages"][1])
    assert [stream for stream, _ in sent] == list(images[1:])


def test_picture_is_shrunk_when_it_is_too_large(endpoint, make_model, script):
    script.ask(make_model(image_max_pixels=100_000, image_max_bytes=30_000), images=(jpeg(1600, 1200),))
    ((stream, rgb),) = sent_pictures(endpoint.exchanges[0].body["messages"][1])
    assert rgb.shape[0] * rgb.shape[1] <= 100_000 and len(stream) <= 30_000
    assert abs(rgb.shape[1] / rgb.shape[0] - 4 / 3) < 0.02


@pytest.mark.parametrize("stream", [b"", b"nonsense", jpeg()[:-200]])
def test_picture_is_left_out_with_a_note_when_it_cannot_be_decoded(endpoint, make_model, script, stream):
    assert script.ask(make_model(), images=(stream,))[-1].report == "Yes."
    assert "cannot be decoded" in endpoint.exchanges[0].body["messages"][1]["content"]


def test_picture_follows_as_a_message_when_the_model_looks(endpoint, make_model, script, allow_list):
    picture = jpeg()
    endpoint.play(script.call(("look", {})), script.say("I see noise."))
    assert script.ask(make_model(Surroundings(allow_list, look=lambda: picture)))[-1].report == "I see noise."
    *_, answer, shown = endpoint.exchanges[1].body["messages"]
    assert answer["role"] == "tool" and "next message" in answer["content"]
    assert shown["role"] == "user" and sent_pictures(shown)[0][0] == picture


# --------------------------------------------------------------------------------------------------------------- MCP


def test_tools_of_an_mcp_server_are_used_when_it_is_configured(endpoint, make_model, script):
    pytest.importorskip("mcp", reason="the library mcp is not installed")
    program = Path(__file__).parents[1] / "tools" / "mcp_server.py"
    entries = ("", "lab=stdio:" + shlex.join([sys.executable, str(program), "stdio"]), "gone=stdio:/no/such/program")
    endpoint.play(script.call(("lab__add", {"a": 2, "b": 3})), script.say("It is five."))
    model = make_model(mcp_servers=entries, mcp_connect_timeout_s=20.0, tool_timeout_s=5.0)
    result = script.ask(model)[-1]
    assert result.report == "It is five." and answers(endpoint.exchanges[1]) == ["5"]
    assert "lab__add" in {tool["function"]["name"] for tool in endpoint.exchanges[0].body["tools"]}
    assert "gone" in result.data["notes"][0]
