"""One task: replies of the model and calls of tools in turn, until there is a result.

Knows the conversation with the endpoint; neither threads nor how the endpoint is reached.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from tml_ros.background.openai.chunks import Reader, Reply, ToolCall
from tml_ros.background.openai.config import OpenAIConfig
from tml_ros.background.openai.endpoint import Endpoint
from tml_ros.background.openai.faults import Fault
from tml_ros.background.openai.pictures import prepare
from tml_ros.background.openai.prompt import Message, picture_message
from tml_ros.background.openai.relay import Relay
from tml_ros.background.protocol import Progress, Result, Update
from tml_ros.background.tools import Effects, Threads, Tool, Toolbox, ToolReply

__all__ = ["Task"]

_DONE = "Done."
_RETRYING = Progress("waiting", status_text="The model server is busy, I am trying again.")


class Task:
    """A task in work.

    Thread: the loop's.
    """

    def __init__(
        self,
        config: OpenAIConfig,
        endpoint: Endpoint,
        threads: Threads,
        effects: Effects,
        give: Callable[[Update], None],
    ) -> None:
        self._config = config
        self._endpoint = endpoint
        self._threads = threads
        self._effects = effects
        self._give = give
        self._relay = Relay(give)
        self._reader = Reader(endpoint.where, config.max_reply_chars, self._relay.content, self._relay.thought)
        self._used: list[dict[str, Any]] = []

    async def run(
        self, messages: Sequence[Message], tools: Sequence[Tool], budget_s: float, notes: Sequence[str] = ()
    ) -> Result:
        """Return the result.

        Args:
            messages: what the conversation with the model begins with. notes: what people should know of the tools.

        Raises:
            Fault: there is none.
        """
        toolbox, deadline = Toolbox(tools, self._threads), time.monotonic() + budget_s
        try:
            reply = await self._converse(list(messages), toolbox, deadline)
        finally:
            self._relay.close()
        return self._result(reply, notes)

    async def _converse(self, messages: list[Message], toolbox: Toolbox, deadline: float) -> Reply:
        offered = [_offer(tool) for tool in toolbox.tools]
        rounds = self._config.max_tool_rounds if offered else 0
        for number in range(rounds + 1):
            reply = await self._endpoint.reply(
                messages,
                offered,
                may_call=number < rounds,
                listener=self._reader,
                deadline=deadline,
                on_retry=partial(self._give, _RETRYING),
            )
            self._relay.end_of_reply()
            if not reply.calls or number == rounds:
                break
            messages.append(_said(reply))
            for call in reply.calls:
                messages.append(await self._use(call, toolbox))
            messages += await self._seen()
        return reply

    async def _use(self, call: ToolCall, toolbox: Toolbox) -> Message:
        self._give(Progress(f"using {call.name}", status_text=toolbox.status_text(call.name)))
        answer = await toolbox.run(call.name, call.arguments)
        self._used.append(_record(answer))
        return {"role": "tool", "tool_call_id": call.call_id, "content": answer.text}

    async def _seen(self) -> list[Message]:
        """Return the pictures that the tools of this round have brought, as a message."""
        streams, self._effects.pictures = self._effects.pictures, []
        if not streams:
            return []
        limits = self._config.image_max_pixels, self._config.image_max_bytes
        return [picture_message([await self._threads.call(prepare, stream, *limits) for stream in streams])]

    def _result(self, reply: Reply, notes: Sequence[str]) -> Result:
        effects, report = self._effects, self._relay.report
        if not report and not (effects.intents or effects.timers):
            raise Fault(
                "The model that I think with gave no answer.",
                f"the reply of {self._endpoint.where.host} has no words (finish reason {reply.finish_reason[:40]!r}, "
                f"{len(self._used)} tool calls); raise openai.max_tokens or openai.max_tool_rounds, or change model",
            )
        data: dict[str, Any] = {"tools": self._used, "model": self._config.model}
        if notes:
            data["notes"] = list(notes)
        if reply.finish_reason == "length":
            data["cut"] = "the reply reached openai.max_tokens"
        return Result(report or _DONE, data, tuple(effects.intents), tuple(effects.timers), tuple(effects.contradicts))


def _offer(tool: Tool) -> Message:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def _said(reply: Reply) -> Message:
    calls = [
        {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": _echo(call.arguments)}}
        for call in reply.calls
    ]
    return {"role": "assistant", "content": reply.content, "tool_calls": calls}


def _echo(arguments: str) -> str:
    """Return arguments as they can be sent back: some servers fail on what is no JSON object."""
    try:
        return arguments if isinstance(json.loads(arguments), Mapping) else "{}"
    except (ValueError, RecursionError):
        return "{}"


def _record(answer: ToolReply) -> dict[str, Any]:
    record: dict[str, Any] = {"name": answer.name, "ok": not answer.is_error, "elapsed_s": round(answer.elapsed_s, 3)}
    return record | ({"error": answer.text} if answer.is_error else {})
