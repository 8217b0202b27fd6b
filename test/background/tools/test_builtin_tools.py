"""The tools that every robot has, on real surroundings."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from tml_ros.background import Surroundings
from tml_ros.background.tools import Effects, Threads, Toolbox, builtin_tools, robot_utterances
from tml_ros.intents import AllowList
from tml_ros.records import IntentDraft, TimerDraft


class Shelf:
    """An index of one document."""

    def search(self, query, count):
        fits = "acid" in query
        return (SimpleNamespace(source="acids.md", heading="Spills", text="Use sand.", score=1.0),)[: count * fits]


@pytest.fixture(scope="module")
def allow_list():
    return AllowList.load()


@pytest.fixture
def effects():
    return Effects()


@pytest.fixture
def use(allow_list, effects):
    """Call a tool and return its answer, as it stands or as JSON."""

    def call(name, surroundings=None, utterances=(3, 4), **arguments):
        around = surroundings or Surroundings(allow_list)
        tools = builtin_tools(around, effects, documents=Shelf(), utterances=utterances)
        text = asyncio.run(Toolbox(tools, Threads()).run(name, json.dumps(arguments))).text
        return json.loads(text) if text.startswith("{") else text

    return call


def names(surroundings, **given):
    return {tool.name for tool in builtin_tools(surroundings, Effects(), **given)}


def test_tools_are_left_out_when_they_have_nothing_to_work_on(allow_list):
    bare = Surroundings(allow_list)
    assert names(bare, can_see=False) == {"set_timer", "propose_intent"}
    full = Surroundings(allow_list, topics=("/tml/t",))
    more = {"look", "read_topic", "search_documents", "correct_earlier_statement"}
    assert names(full, documents=Shelf(), utterances=(1,)) == {"set_timer", "propose_intent"} | more


def test_passages_name_their_source_when_documents_are_searched(use):
    passage = {"source": "acids.md", "heading": "Spills", "text": "Use sand."}
    assert use("search_documents", query="acid spill") == {"passages": [passage]}
    assert use("search_documents", query="pens")["passages"] == []
    assert "error" in use("search_documents", query="acid", count=1000)


def test_topic_is_read_only_when_it_is_open(use, allow_list):
    asked = []

    def read(topic):
        asked.append(topic)
        return {"temperature": 4.0} if topic == "/fridge" else None

    around = Surroundings(allow_list, topics=("/fridge", "/door"), read_topic=read)
    assert use("read_topic", around, topic="/fridge") == {"temperature": 4.0}
    assert "no message" in use("read_topic", around, topic="/door")["error"]
    assert "/cmd_vel" in use("read_topic", around, topic="/cmd_vel")["error"]
    assert asked == ["/fridge", "/door"]


def test_picture_is_kept_for_the_next_message_when_the_model_looks(use, allow_list, effects):
    around = Surroundings(allow_list, look=lambda: b"jpeg")
    for _ in range(4):
        assert "next message" in use("look", around)
    assert "4 pictures" in use("look", around)["error"]
    assert effects.pictures == [b"jpeg"] * 4


def test_error_tells_when_there_is_no_picture(use, effects):
    assert "no picture" in use("look")["error"] and effects.pictures == []


def test_intents_are_collected_in_order_when_they_are_allowed(use, effects):
    grab, place = {"object": "cup"}, {"recipient": "table"}
    assert use("propose_intent", intent="__intent_grab_object__", data=grab)["number"] == 1
    assert "elephant" in use("propose_intent", intent="__intent_grab_object__", data={"object": "elephant"})["error"]
    assert "error" in use("propose_intent", intent="__intent_fly__", data={})
    assert use("propose_intent", intent="__intent_place_object__", data=place)["number"] == 2
    expected = [IntentDraft("__intent_grab_object__", grab), IntentDraft("__intent_place_object__", place)]
    assert effects.intents == expected


def test_intents_are_refused_when_there_are_too_many(use, effects):
    answers = [use("propose_intent", intent="__intent_stop_activity__") for _ in range(21)]
    assert effects.intents == [IntentDraft("__intent_stop_activity__", {})] * 20
    assert "20 actions" in answers[-1]["error"]


def test_every_intent_is_described_when_it_is_offered(allow_list):
    (tool,) = [one for one in builtin_tools(Surroundings(allow_list), Effects()) if one.name == "propose_intent"]
    for name, spec in allow_list.specs.items():
        assert f"- {name}: {spec.description}" in tool.description
    assert "$ref" not in tool.description


def test_timer_is_set_when_it_is_sane(use, effects):
    assert use("set_timer", text="the water boils", after_s=300)["set"] == "the water boils"
    use("set_timer", text="check", after_s=60, repeat_s=60)
    for wrong in ({"after_s": 0}, {"after_s": 1e9}, {"after_s": 60, "repeat_s": 0.001}, {"after_s": "soon"}):
        assert "error" in use("set_timer", text="x", **wrong)
    assert effects.timers == [TimerDraft("the water boils", 300.0), TimerDraft("check", 60.0, 60.0)]


def test_statement_is_taken_back_only_when_the_robot_made_it(use, effects):
    use("correct_earlier_statement", utterance_ids=[4, 3, 4])
    assert "error" in use("correct_earlier_statement", utterance_ids=[5])
    assert effects.contradicts == [4, 3]


def test_utterances_are_those_of_the_robot_when_the_context_is_odd():
    lines = [
        {"speaker": "robot", "utterance_id": 3},
        {"speaker": "user", "utterance_id": 4},
        {"speaker": "robot", "utterance_id": "5"},
        {"speaker": "robot", "utterance_id": True},
        "nonsense",
    ]
    assert robot_utterances({"conversation": lines}) == (3,)
    assert robot_utterances({}) == robot_utterances({"conversation": "x"}) == ()
