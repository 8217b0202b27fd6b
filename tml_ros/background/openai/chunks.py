"""Read the chunks of a streamed reply: words, thoughts, tool calls, the reason of its end.

The client library does not check what an endpoint sends, so everything is checked here. Knows no network.

Source: OpenAI API reference, chat completion chunk; ``reasoning_content`` and ``reasoning`` as vLLM, llama.cpp and
others send them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tml_ros.background.openai.faults import Fault, Where
from tml_ros.background.protocol import Outcome

__all__ = ["Reader", "Reply", "ToolCall"]

_MAX_CALLS = 16
_MAX_NAME_CHARS = 100


@dataclass(slots=True)
class ToolCall:
    """A call that the model makes. arguments: JSON as the model wrote it, not checked."""

    call_id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class Reply:
    """A whole reply. content: as it was streamed."""

    content: str = ""
    refusal: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    finish_reason: str = ""


class Reader:
    """Puts a task's replies together, one after the other. max_chars holds for all of them."""

    def __init__(
        self, where: Where, max_chars: int, on_content: Callable[[str], None], on_thought: Callable[[], None]
    ) -> None:
        self.has_begun = False
        self._where = where
        self._max_chars = max_chars
        self._chars = 0
        self._on_content = on_content
        self._on_thought = on_thought
        self._reply = Reply()

    def begin(self) -> None:
        """Forget the reply before."""
        self.has_begun = False
        self._reply = Reply()

    def take(self, chunk: Any) -> None:
        """Read a chunk.

        Raises:
            Fault: it is none, or the reply gets too long.
        """
        choices = getattr(chunk, "choices", None)
        if not isinstance(choices, list):
            raise self._where.unreadable("a chunk without choices")
        self.has_begun = True
        for choice in choices[:1]:
            delta = getattr(choice, "delta", None)
            if delta is not None:
                self._delta(delta)
            self._reply.finish_reason = _text(choice, "finish_reason") or self._reply.finish_reason

    def finish(self) -> Reply:
        """Return the reply.

        Raises:
            Fault: it has no end, or the endpoint withholds it.
        """
        if not self.has_begun:
            raise self._where.unreadable("no chunk at all")
        if not self._reply.finish_reason:
            raise self._where.broke_off("it ended without a finish reason")
        if self._reply.refusal or self._reply.finish_reason == "content_filter":
            raise Fault(
                "I would rather not answer that.",
                f"{self._where.host} refused ({self._where.said(self._reply.refusal or 'content filter')}); ask for "
                "something else, or use another model",
                outcome=Outcome.REFUSED,
            )
        self._reply.calls = [call for call in self._reply.calls if call.name]
        return self._reply

    def _delta(self, delta: Any) -> None:
        if _text(delta, "reasoning_content") or _text(delta, "reasoning"):
            self._on_thought()
        self._reply.refusal += self._counted(_text(delta, "refusal"))
        content = self._counted(_text(delta, "content"))
        if content:
            self._reply.content += content
            self._on_content(content)
        calls = getattr(delta, "tool_calls", None)
        for piece in calls if isinstance(calls, list) else ():
            self._call(piece)

    def _call(self, piece: Any) -> None:
        call = self._call_of(getattr(piece, "index", None), _text(piece, "id"))
        function = getattr(piece, "function", None)
        call.name = call.name or _text(function, "name")[:_MAX_NAME_CHARS]
        call.arguments += self._counted(_text(function, "arguments"))

    def _call_of(self, given: Any, call_id: str) -> ToolCall:
        """Return the call that a piece belongs to; some servers give no index, others no id."""
        calls: list[ToolCall] = self._reply.calls
        is_new = not calls or bool(call_id and call_id != calls[-1].call_id)
        index = given if isinstance(given, int) else len(calls) - (0 if is_new else 1)
        if not 0 <= index <= len(calls):
            raise self._where.unreadable(f"tool call {index} after {len(calls)}")
        if index == len(calls):
            if len(calls) == _MAX_CALLS:
                raise self._where.too_long(f"{_MAX_CALLS} tool calls at once")
            calls.append(ToolCall(call_id or f"call_{index}"))
        return calls[index]

    def _counted(self, text: str) -> str:
        self._chars += len(text)
        if self._chars > self._max_chars:
            raise self._where.too_long(f"openai.max_reply_chars ({self._max_chars})")
        return text


def _text(holder: Any, name: str) -> str:
    """Return a text field, empty when it is none; half surrogate pairs, which cannot be sent, become ``?``."""
    value = getattr(holder, name, None)
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else ""
