"""An MCP server for tests, run as ``mcp_server.py stdio``, ``mcp_server.py http PORT`` or with a way to fail.

Ways to fail: ``mute`` reads nothing and never answers; ``quit`` ends at once with an error. In all modes but http the
process id is written to the file named by the second argument, where there is one.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

MODE, *REST = sys.argv[1:]
if MODE != "http" and REST:
    Path(REST[0]).write_text(str(os.getpid()))
if MODE == "quit":
    sys.exit("cannot start")
if MODE == "mute":
    time.sleep(60.0)

from mcp.server.mcpserver import MCPServer  # noqa: E402
from mcp.server.mcpserver.exceptions import ToolError  # noqa: E402

server = MCPServer("test")


@server.tool(description="Add two numbers. " + "And explain it at length. " * 100)
def add(a: int, b: int) -> str:
    return str(a + b)


@server.tool()
def fail() -> str:
    raise ToolError("no such sample")


@server.tool()
def die() -> str:
    os._exit(1)


@server.tool()
async def hang() -> str:
    await asyncio.sleep(60.0)
    return "late"


@server.tool()
def flood() -> str:
    return "x" * 100_000


@server.tool()
def environment() -> str:
    return ",".join(sorted(os.environ))


if MODE == "http":
    server.run("streamable-http", host="127.0.0.1", port=int(REST[0]))
else:
    server.run("stdio")
