"""Tools that a model may call: arguments are checked, time and size are bounded, and whatever goes wrong is data.

A model's call never raises and never hangs. What the tools do is not known here, nor which model calls them.
"""

import asyncio
import inspect
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema
import referencing

from tml_ros.background.tools.threads import Threads
from tml_ros.errors import nearest_name

__all__ = ["Tool", "ToolError", "ToolReply", "Toolbox"]

_MAX_ARGUMENT_CHARS = 20_000
_MAX_ERROR_CHARS = 500


class ToolError(Exception):
    """What a tool raises to tell the model why there is no result."""


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that a model may call.

    parameters: JSON schema (2020-12) of an object. call: gets the checked arguments and returns text or anything that
    JSON can hold; a coroutine function, or a plain function, which runs in a thread of its own. status_text: what the
    robot may say while it runs.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    call: Callable[[dict[str, Any]], Any]
    timeout_s: float = 8.0
    max_chars: int = 4000
    status_text: str = ""


@dataclass(frozen=True, slots=True)
class ToolReply:
    """What goes back to the model. text: the result, or ``{"error": ...}``."""

    name: str
    text: str
    is_error: bool
    elapsed_s: float


class Toolbox:
    """The tools of one task."""

    def __init__(self, tools: Iterable[Tool], threads: Threads) -> None:
        """Take tools. Of two with the same name the first counts."""
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            self._tools.setdefault(tool.name, tool)
        self._threads = threads

    @property
    def tools(self) -> tuple[Tool, ...]:
        """Every tool, in the order in which they were given."""
        return tuple(self._tools.values())

    def status_text(self, name: str) -> str:
        """Return what may be said while a tool runs, empty for an unknown one."""
        tool = self._tools.get(name)
        return tool.status_text if tool else ""

    async def run(self, name: str, arguments: str) -> ToolReply:
        """Call a tool. arguments: JSON, as the model wrote it."""
        began = time.monotonic()
        try:
            tool = self._tool(name)
            text, is_error = _bounded(await self._call(tool, _arguments(tool, arguments)), tool.max_chars), False
        except Exception as err:
            text, is_error = json.dumps({"error": _reason(err)}, ensure_ascii=False), True
        return ToolReply(name, text, is_error, time.monotonic() - began)

    def _tool(self, name: str) -> Tool:
        if name not in self._tools:
            known = ", ".join(self._tools) or "none"
            raise ToolError(f"there is no tool {name[:100]!r}{nearest_name(name[:100], self._tools)}; known: {known}")
        return self._tools[name]

    async def _call(self, tool: Tool, arguments: dict[str, Any]) -> Any:
        try:
            async with asyncio.timeout(tool.timeout_s) as limit:
                if inspect.iscoroutinefunction(tool.call):
                    return await tool.call(arguments)
                return await self._threads.call(tool.call, arguments)
        except TimeoutError as err:
            if not limit.expired():
                raise
            raise ToolError(f"{tool.name} did not answer within {tool.timeout_s:g} s") from err


def _arguments(tool: Tool, text: str) -> dict[str, Any]:
    if len(text) > _MAX_ARGUMENT_CHARS:
        raise ToolError(f"the arguments have {len(text)} characters; at most {_MAX_ARGUMENT_CHARS} are taken")
    try:
        arguments = json.loads(text, parse_constant=_refuse_constant) if text.strip() else {}
    except (ValueError, RecursionError) as err:
        raise ToolError(f"the arguments are not valid JSON: {err}") from err
    # an empty registry: a schema that came from elsewhere must not make us fetch what it refers to
    validator = jsonschema.Draft202012Validator(tool.parameters, registry=referencing.Registry())
    error = jsonschema.exceptions.best_match(validator.iter_errors(arguments))
    if error is not None:
        where = ".".join(map(str, error.absolute_path))
        raise ToolError(f"wrong arguments for {tool.name}: {f'{where}: ' if where else ''}{error.message}")
    if not isinstance(arguments, dict):
        raise ToolError(f"the arguments must be a JSON object, got {type(arguments).__name__}")
    return arguments


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _bounded(result: Any, max_chars: int) -> str:
    text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, default=str)
    text = text.encode("utf-8", "replace").decode("utf-8")
    if len(text) <= max_chars:
        return text
    return f"{text[:max_chars]}\n(cut: {max_chars} of {len(text)} characters)"


def _reason(err: Exception) -> str:
    text = str(err) if isinstance(err, ToolError) else f"{type(err).__name__}: {err}"
    return text[:_MAX_ERROR_CHARS]
