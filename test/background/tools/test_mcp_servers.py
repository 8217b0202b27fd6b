"""Tools of real MCP servers: programs on stdio, and one over HTTP."""

import asyncio
import os
import shlex
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tml_ros.background.tools import Threads, Toolbox
from tml_ros.background.tools.mcp import McpServers, ServerAddress, parse_server
from tml_ros.errors import ConfigError

SERVER = Path(__file__).with_name("mcp_server.py")
pytest.importorskip("mcp", reason="the library mcp is not installed")


def stdio(*arguments, name="lab"):
    return f"{name}=stdio:" + shlex.join([sys.executable, str(SERVER), *map(str, arguments)])


@asynccontextmanager
async def servers(*entries, connect_s=20.0, call_s=5.0):
    """Servers that are closed in the loop that has opened them."""
    made = McpServers(entries, connect_timeout_s=connect_s, call_timeout_s=call_s, max_chars=500)
    try:
        yield made
    finally:
        await made.close()


async def toolbox_of(made):
    tools, notes = await made.tools()
    return Toolbox(tools, Threads()), notes


@contextmanager
def http_server():
    """An MCP server over HTTP in a process of its own, when it listens; gives its process and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(SERVER), "http", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert any("running on" in line for line in process.stderr), "the server has ended"
        yield process, f"lab=http://127.0.0.1:{port}/mcp"
    finally:
        process.kill()
        process.communicate()


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def check_everything(entry, is_stdio):
    async with servers(entry) as made:
        tools, notes = await toolbox_of(made)
        assert notes == []
        assert {f"lab__{name}" for name in ("add", "fail", "die", "hang", "flood", "environment")} == {
            tool.name for tool in tools.tools
        }
        add = tools.tools[0]
        assert add.parameters["required"] == ["a", "b"] and len(add.description) == 500
        assert (await tools.run("lab__add", '{"a": 2, "b": 3}')).text == "5"
        assert "required" in (await tools.run("lab__add", '{"a": 2}')).text
        failed = await tools.run("lab__fail", "{}")
        assert failed.is_error and "no such sample" in failed.text
        assert "(cut: 500 of 100000" in (await tools.run("lab__flood", "{}")).text
        if is_stdio:
            assert "OPENAI_API_KEY" not in (await tools.run("lab__environment", "{}")).text
        assert (await tools.run("lab__add", '{"a": 2, "b": 4}')).text == "6"


def test_tools_work_when_the_server_is_a_program(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    asyncio.run(check_everything(stdio("stdio"), is_stdio=True))


def test_tools_work_when_the_server_is_reached_over_http():
    with http_server() as (_, entry):
        asyncio.run(check_everything(entry, is_stdio=False))


def test_call_is_an_error_when_the_tool_hangs():
    async def check():
        async with servers(stdio("stdio"), call_s=0.3) as made:
            tools, _ = await toolbox_of(made)
            assert "within 0.3 s" in (await tools.run("lab__hang", "{}")).text
            assert (await tools.run("lab__add", '{"a": 1, "b": 1}')).text == "2"

    asyncio.run(check())


def test_server_is_started_again_when_it_has_died():
    async def check():
        async with servers(stdio("stdio")) as made:
            tools, _ = await toolbox_of(made)
            assert (await tools.run("lab__die", "{}")).is_error
            assert "gone" in (await tools.run("lab__add", '{"a": 1, "b": 1}')).text
            tools, notes = await toolbox_of(made)
            assert notes == [] and (await tools.run("lab__add", '{"a": 1, "b": 1}')).text == "2"

    asyncio.run(check())


def test_call_is_an_error_when_the_http_server_has_died():
    async def check(entry, process):
        async with servers(entry, connect_s=2.0) as made:
            tools, _ = await toolbox_of(made)
            assert (await tools.run("lab__add", '{"a": 1, "b": 1}')).text == "2"
            process.kill()
            process.wait()
            assert (await tools.run("lab__add", '{"a": 1, "b": 1}')).is_error
            assert (await made.tools())[0] == []

    with http_server() as (process, entry):
        asyncio.run(check(entry, process))


def test_others_work_when_a_server_cannot_be_started():
    async def check():
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            entries = (
                "none=stdio:/no/such/program --flag",
                stdio("quit", name="quits"),
                f"down=http://127.0.0.1:{closed.getsockname()[1]}/mcp",
                stdio("stdio"),
            )
            async with servers(*entries) as made:
                tools, notes = await toolbox_of(made)
                assert (await tools.run("lab__add", '{"a": 1, "b": 1}')).text == "2"
                assert [note.split()[5] for note in notes] == ["none", "quits", "down"]
                began = time.monotonic()
                assert len((await made.tools())[1]) == 3  # left alone for a while, with the same note
                assert time.monotonic() - began < 0.1

    asyncio.run(check())


def test_program_is_gone_when_it_never_answers(tmp_path):
    async def check():
        async with servers(stdio("mute", tmp_path / "pid"), connect_s=1.5) as made:
            tools, notes = await made.tools()
            assert tools == [] and "no answer within 1.5 s" in notes[0]

    asyncio.run(check())
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_program_is_gone_when_the_servers_are_closed(tmp_path):
    async def check():
        async with servers(stdio("stdio", tmp_path / "pid")) as made:
            assert len((await made.tools())[0]) == 6
            assert is_alive(int((tmp_path / "pid").read_text()))

    asyncio.run(check())
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_entry_is_read_when_it_is_right():
    assert parse_server("a=stdio:run 'two words' --x=1") == ServerAddress("a", ("run", "two words", "--x=1"))
    assert parse_server("b-2=https://host/mcp?x=1") == ServerAddress("b-2", url="https://host/mcp?x=1")


@pytest.mark.parametrize("entry", ["a", "=stdio:run", "a b=stdio:run", "a=stdio:", "a=stdio:'x", "a=ftp://x", "a=run"])
def test_entry_is_refused_when_it_is_wrong(entry):
    with pytest.raises(ConfigError, match="NAME=stdio"):
        McpServers([entry], connect_timeout_s=1.0, call_timeout_s=1.0, max_chars=100)


def test_entries_are_refused_when_a_name_comes_twice():
    with pytest.raises(ConfigError, match="differ"):
        McpServers(["a=stdio:x", "a=stdio:y"], connect_timeout_s=1.0, call_timeout_s=1.0, max_chars=100)
