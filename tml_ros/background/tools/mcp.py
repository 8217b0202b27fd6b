"""Tools of MCP servers, over stdio or streamable HTTP.

A server that cannot be started, dies or hangs costs its tools and a note, never the task. A server program gets none of
our environment but PATH, HOME and the like, so no key. What servers say of their tools is bounded, and is shown to the
model only. Sampling, elicitation, resources and prompts are not offered.

Source: the Model Context Protocol, through the library ``mcp``.
"""

import asyncio
import contextlib
import json
import logging
import os
import re
import shlex
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jsonschema

from tml_ros.background.tools.toolbox import Tool, ToolError
from tml_ros.errors import ConfigError

if TYPE_CHECKING:
    import mcp

__all__ = ["McpServers", "ServerAddress", "parse_server"]

_MAX_TOOLS = 64
_MAX_PAGES = 10
_MAX_DESCRIPTION_CHARS = 500
_MAX_SCHEMA_CHARS = 6000
_TRY_AGAIN_S = 30.0  # a server that could not be reached is left alone for so long
_CLOSE_S = 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a server is: a command to be started, or a url."""

    name: str
    command: tuple[str, ...] = ()
    url: str = ""


def parse_server(entry: str) -> ServerAddress:
    """Read ``NAME=stdio:COMMAND ARGUMENTS`` or ``NAME=http://HOST:PORT/PATH``.

    Raises:
        ConfigError: it is neither.
    """
    name, _, target = entry.partition("=")
    if re.fullmatch(r"[A-Za-z0-9_-]{1,20}", name):
        if target.startswith(("http://", "https://")):
            return ServerAddress(name, url=target)
        with contextlib.suppress(ValueError):
            command = shlex.split(target.removeprefix("stdio:"))
            if target.startswith("stdio:") and command:
                return ServerAddress(name, command=tuple(command))
    raise ConfigError(
        f"mcp_servers: {name!r} must be NAME=stdio:COMMAND ARGUMENTS or NAME=http://HOST:PORT/PATH, with a name of at "
        "most 20 letters, digits, - and _"
    )


class McpServers:
    """The servers of one model; connected when tools are asked for the first time.

    Thread: made by any, used by the one that runs the loop.
    """

    def __init__(
        self, entries: Iterable[str], *, connect_timeout_s: float, call_timeout_s: float, max_chars: int
    ) -> None:
        """Read the entries; empty ones are left out.

        Raises:
            ConfigError: an entry is wrong, or a name comes twice.
        """
        addresses = [parse_server(entry) for entry in entries if entry]
        names = [address.name for address in addresses]
        if len(set(names)) < len(names):
            raise ConfigError(f"mcp_servers: names must differ, got {', '.join(names)}")
        self._connections = [_Connection(address, connect_timeout_s) for address in addresses]
        self._call_timeout_s = call_timeout_s
        self._max_chars = max_chars

    async def tools(self) -> tuple[list[Tool], list[str]]:
        """Return the tools of all servers that answer, and notes on what is missing."""
        opened = await asyncio.gather(*(connection.open() for connection in self._connections))
        tools, notes = [], []
        for connection, (listed, note) in zip(self._connections, opened, strict=True):
            if note:
                notes.append(note)
            for one in listed[:_MAX_TOOLS]:
                made = self._tool(connection, one)
                if isinstance(made, Tool):
                    tools.append(made)
                else:
                    notes.append(made)
        return tools, notes

    async def close(self) -> None:
        """Close every connection and stop the programs."""
        await asyncio.gather(*(connection.close() for connection in self._connections))

    def _tool(self, connection: "_Connection", listed: "mcp.types.Tool") -> Tool | str:
        """Return a tool, or why it cannot be offered."""
        name = f"{connection.address.name}__{listed.name}"
        schema = listed.input_schema
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            return f"a tool of {connection.address.name} is left out: its name {name[:80]!r} cannot be offered"
        if len(json.dumps(schema, default=str)) > _MAX_SCHEMA_CHARS:
            return f"{name} is left out: its schema has more than {_MAX_SCHEMA_CHARS} characters"
        try:
            jsonschema.Draft202012Validator.check_schema(schema)
        except jsonschema.SchemaError as err:
            return f"{name} is left out: its schema is wrong ({err.message[:200]})"

        async def call(arguments: dict[str, Any]) -> str:
            return await connection.call(listed.name, arguments)

        description = (listed.description or "")[:_MAX_DESCRIPTION_CHARS]
        return Tool(name, description, schema, call, self._call_timeout_s, self._max_chars)


class _Connection:
    """One server. A task of its own holds the connection, because it must be closed by whoever has opened it."""

    def __init__(self, address: ServerAddress, timeout_s: float) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._lock: asyncio.Lock | None = None
        self._keepers: set[asyncio.Task[None]] = set()  # more than one while an old connection is being closed
        self._stop: asyncio.Event | None = None
        self._client: mcp.Client | None = None
        self._listed: list[mcp.types.Tool] = []
        self._failed_at: float | None = None
        self._note = ""

    async def open(self) -> "tuple[list[mcp.types.Tool], str]":
        """Return the tools, and a note when the server is not there."""
        self._lock = self._lock or asyncio.Lock()
        async with self._lock:
            if self._client is not None:
                return self._listed, ""
            if self._failed_at is None or time.monotonic() - self._failed_at > _TRY_AGAIN_S:
                await self._connect()
            return (self._listed, "") if self._client is not None else ([], self._note)

    async def call(self, tool: str, arguments: dict[str, Any]) -> str:
        """Return what a tool returns, as text.

        Raises:
            ToolError: the tool or the server failed.
        """
        client = self._client
        if client is None:
            raise ToolError(f"the server {self.address.name} is gone")
        try:
            result = await client.call_tool(tool, arguments)
        except Exception as err:
            self._drop(client)
            raise ToolError(f"{self.address.name}: {type(err).__name__}: {err}") from err
        text = _text(result)
        if result.is_error:
            raise ToolError(text)
        return text

    async def close(self) -> None:
        """Close the connection; a program that does not end is killed."""
        self._drop(self._client)
        if self._keepers:
            await asyncio.wait(set(self._keepers), timeout=_CLOSE_S)

    async def _connect(self) -> None:
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        keeper = asyncio.create_task(self._keep(started, self._stop))
        self._keepers.add(keeper)
        keeper.add_done_callback(self._keepers.discard)
        try:
            done, _ = await asyncio.wait([started], timeout=self._timeout_s)
        except asyncio.CancelledError:
            keeper.cancel()
            raise
        why = f"no answer within {self._timeout_s:g} s" if not done else _reason(started.exception())
        if not why:
            self._failed_at = None
            return
        keeper.cancel()
        self._failed_at = time.monotonic()
        self._note = f"the tools of MCP server {self.address.name} are missing: {why}; check openai.mcp_servers"
        _log.warning("%s", self._note)

    async def _keep(self, started: "asyncio.Future[None]", stop: asyncio.Event) -> None:
        try:
            with open(os.devnull, "w", encoding="utf-8") as nowhere:
                async with self._new_client(sys.__stderr__ or nowhere) as client:
                    self._listed = await _list_tools(client)
                    self._client = client
                    if not started.done():
                        started.set_result(None)
                    await stop.wait()
        except BaseException as err:
            if not started.done():
                started.set_exception(ConnectionError(_reason(err)))
                started.exception()  # whoever waits may have given up
            if not isinstance(err, Exception | BaseExceptionGroup):
                raise
        finally:
            if self._stop is stop:
                self._client = None

    def _new_client(self, errors: Any) -> "mcp.Client":
        import mcp

        if self.address.url:
            return mcp.Client(self.address.url)
        command, *arguments = self.address.command
        parameters = mcp.StdioServerParameters(command=command, args=arguments)
        return mcp.Client(mcp.stdio_client(parameters, errlog=errors))

    def _drop(self, client: "mcp.Client | None") -> None:
        """Give a connection up; the next task makes a new one."""
        if self._client is client and self._stop is not None:
            self._client = None
            self._stop.set()


async def _list_tools(client: "mcp.Client") -> "list[mcp.types.Tool]":
    tools: list[mcp.types.Tool] = []
    cursor = None
    for _ in range(_MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if cursor is None or len(tools) >= _MAX_TOOLS:
            break
    return tools


def _text(result: "mcp.types.CallToolResult") -> str:
    parts = [block.text if block.type == "text" else f"({block.type} left out)" for block in result.content]
    if not parts and result.structured_content is not None:
        return json.dumps(result.structured_content, ensure_ascii=False)
    return "\n".join(parts)


def _reason(err: BaseException | None) -> str:
    """Return the innermost reason in one line, empty for None."""
    while isinstance(err, BaseExceptionGroup):
        err = err.exceptions[0]
    return " ".join(f"{type(err).__name__}: {err}".split())[:200] if err is not None else ""
