"""The tools that every robot has: documents, topics, the camera, intents, timers, and taking back what was said.

Nothing here acts: what a task wants done is collected in ``Effects``, as proposals. Knows neither ROS nor models.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from tml_ros.background.protocol import Surroundings
from tml_ros.background.tools.toolbox import Tool, ToolError
from tml_ros.errors import nearest_name
from tml_ros.intents import IntentSpec
from tml_ros.records import IntentDraft, TimerDraft

__all__ = ["Documents", "Effects", "Passage", "builtin_tools", "robot_utterances"]

_MAX_INTENTS = 20
_MAX_TIMERS = 20
_MAX_LOOKS = 4
_MAX_PASSAGES = 8
_DAY_S = 86_400.0


class Passage(Protocol):
    """A piece of a document. score: higher fits better."""

    source: str
    heading: str
    text: str
    score: float


class Documents(Protocol):
    """An index over documents."""

    def search(self, query: str, count: int) -> tuple[Any, ...]:
        """Return at most ``count`` passages, the best first.

        Thread: any.
        """


@dataclass(slots=True)
class Effects:
    """What a task wants to happen, in order. pictures: streams that the model asked to see and has not seen yet."""

    intents: list[IntentDraft] = field(default_factory=list)
    timers: list[TimerDraft] = field(default_factory=list)
    contradicts: list[int] = field(default_factory=list)
    pictures: list[bytes] = field(default_factory=list)
    looks: int = 0


def robot_utterances(context: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the ids of what the robot said, as far as the context has it."""
    lines = context.get("conversation")
    said = [line for line in lines if isinstance(line, Mapping)] if isinstance(lines, list | tuple) else []
    ids = [line.get("utterance_id") for line in said if line.get("speaker") == "robot"]
    return tuple(number for number in ids if isinstance(number, int) and not isinstance(number, bool))


def builtin_tools(
    surroundings: Surroundings,
    effects: Effects,
    *,
    documents: Documents | None = None,
    utterances: Iterable[int] = (),
    can_see: bool = True,
    timeout_s: float = 8.0,
    max_chars: int = 4000,
) -> list[Tool]:
    """Return the tools of one task; those that have nothing to work on are left out.

    Args:
        effects: where the tools put what the task wants. utterances: ids that may be taken back.
        can_see: whether pictures can be shown to the model. timeout_s, max_chars: see ``Tool``.
    """
    tools = [_timer_tool(effects)]
    if documents is not None:
        tools.append(_documents_tool(documents))
    if surroundings.topics:
        tools.append(_topic_tool(surroundings))
    if can_see:
        tools.append(_look_tool(surroundings, effects))
    if surroundings.allow_list.specs:
        tools.append(_intent_tool(surroundings, effects))
    known = tuple(dict.fromkeys(utterances))
    if known:
        tools.append(_correction_tool(known, effects))
    return [replace(tool, timeout_s=timeout_s, max_chars=max_chars) for tool in tools]


def _documents_tool(documents: Documents) -> Tool:
    def search(arguments: dict[str, Any]) -> Any:
        passages = documents.search(arguments["query"], arguments.get("count", 3))
        found = [{"source": one.source, "heading": one.heading, "text": one.text} for one in passages]
        return {"passages": found} if found else {"passages": [], "note": "nothing fits; try other words"}

    return Tool(
        "search_documents",
        "Search the documents of this lab (instructions, safety sheets, inventories) by words. Name the source used.",
        _object(
            {
                "query": {"type": "string", "minLength": 1, "maxLength": 500},
                "count": {"type": "integer", "minimum": 1, "maximum": _MAX_PASSAGES},
            },
            ["query"],
        ),
        search,
        status_text="I am looking through the documents.",
    )


def _topic_tool(surroundings: Surroundings) -> Tool:
    def read(arguments: dict[str, Any]) -> Any:
        topic = arguments["topic"]
        if topic not in surroundings.topics:
            hint = nearest_name(topic, surroundings.topics)
            raise ToolError(f"{topic!r} is closed{hint}; open: {', '.join(surroundings.topics)}")
        message = surroundings.read_topic(topic)
        if message is None:
            raise ToolError(f"no message has come on {topic} yet")
        return message

    return Tool(
        "read_topic",
        "Read the newest message of a topic of the robot, such as a sensor reading.",
        _object({"topic": {"type": "string", "enum": list(surroundings.topics)}}, ["topic"]),
        read,
        status_text="I am reading the sensors.",
    )


def _look_tool(surroundings: Surroundings, effects: Effects) -> Tool:
    def look(_: dict[str, Any]) -> Any:
        if effects.looks >= _MAX_LOOKS:
            raise ToolError(f"{_MAX_LOOKS} pictures were taken already; answer with what they show")
        stream = surroundings.look()
        if stream is None:
            raise ToolError("no picture has come from the camera")
        effects.looks += 1
        effects.pictures.append(stream)
        return "The newest picture follows in the next message."

    return Tool("look", "See what the robot's camera shows now.", _object({}, []), look, status_text="Let me look.")


def _intent_tool(surroundings: Surroundings, effects: Effects) -> Tool:
    def propose(arguments: dict[str, Any]) -> Any:
        draft = IntentDraft(arguments["intent"], arguments.get("data", {}))
        rejection = surroundings.allow_list.check(draft)
        if rejection is not None:
            raise ToolError(f"not proposed: {rejection.detail}")
        if len(effects.intents) >= _MAX_INTENTS:
            raise ToolError(f"not proposed: {_MAX_INTENTS} actions are proposed already")
        effects.intents.append(draft)
        return {"proposed": draft.intent, "number": len(effects.intents)}

    specs = surroundings.allow_list.specs
    known = "\n".join(f"- {name}: {spec.description} data: {_data_hint(spec)}" for name, spec in specs.items())
    return Tool(
        "propose_intent",
        "Propose an action of the robot. Call it once for each action, in the order in which they are to be done. It "
        f"is a proposal that may be turned down. The actions:\n{known}",
        _object({"intent": {"type": "string", "enum": list(specs)}, "data": {"type": "object"}}, ["intent"]),
        propose,
    )


def _timer_tool(effects: Effects) -> Tool:
    def set_timer(arguments: dict[str, Any]) -> Any:
        if len(effects.timers) >= _MAX_TIMERS:
            raise ToolError(f"{_MAX_TIMERS} timers are set already")
        timer = TimerDraft(arguments["text"], float(arguments["after_s"]), float(arguments.get("repeat_s", 0.0)))
        effects.timers.append(timer)
        return {"set": timer.text, "after_s": timer.after_s, "repeat_s": timer.repeat_s}

    return Tool(
        "set_timer",
        "Have the robot say something later. repeat_s: again after that many seconds, 0 or left out: once.",
        _object(
            {
                "text": {"type": "string", "minLength": 1, "maxLength": 300},
                "after_s": {"type": "number", "minimum": 1, "maximum": _DAY_S},
                "repeat_s": {"type": "number", "anyOf": [{"const": 0}, {"minimum": 1}], "maximum": _DAY_S},
            },
            ["text", "after_s"],
        ),
        set_timer,
    )


def _correction_tool(known: tuple[int, ...], effects: Effects) -> Tool:
    def correct(arguments: dict[str, Any]) -> Any:
        for number in arguments["utterance_ids"]:
            if number not in effects.contradicts:
                effects.contradicts.append(int(number))
        return {"corrected": list(effects.contradicts), "note": "now say what is right"}

    return Tool(
        "correct_earlier_statement",
        "Mark what the robot said earlier as wrong, by utterance_id; then say what is right.",
        _object(
            {"utterance_ids": {"type": "array", "items": {"type": "integer", "enum": list(known)}, "minItems": 1}},
            ["utterance_ids"],
        ),
        correct,
    )


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _data_hint(spec: IntentSpec) -> str:
    """Return the schema of an intent's data in short: slots in place, and nothing that only a validator needs."""
    slots = spec.data_schema.get("$defs", {})

    def resolved(node: Any) -> Any:
        if isinstance(node, Mapping):
            reference = node.get("$ref")
            if isinstance(reference, str):
                return resolved(slots.get(reference.rpartition("/")[2], {}))
            return {key: resolved(value) for key, value in node.items()}
        return [resolved(value) for value in node] if isinstance(node, list) else node

    shown = {key: spec.data_schema[key] for key in ("properties", "required") if key in spec.data_schema}
    return json.dumps(resolved(shown), ensure_ascii=False)
