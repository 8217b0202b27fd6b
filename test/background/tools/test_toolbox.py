"""A model's call of a tool: checked, bounded, and an answer in any case."""

import asyncio
import json
import socket
import threading
import time

import pytest

from tml_ros.background.tools import Threads, Tool, Toolbox, ToolError

COUNT = {
    "type": "object",
    "properties": {"count": {"type": "integer", "minimum": 1}},
    "required": ["count"],
    "additionalProperties": False,
}


def run(call, arguments="{}", parameters=None, name="it", threads=None, **limits):
    toolbox = Toolbox([Tool("it", "", parameters or {"type": "object"}, call, **limits)], threads or Threads())
    return asyncio.run(toolbox.run(name, arguments))


def error(reply):
    assert reply.is_error
    return json.loads(reply.text)["error"]


def test_result_is_text_when_a_tool_returns_anything():
    assert run(lambda given: {"said": given["text"]}, '{"text": "h\u00e4"}').text == '{"said": "h\u00e4"}'
    assert run(lambda _: "plain").text == "plain"
    assert run(lambda _: "plain", "").is_error is False

    async def later(given):
        return [1, given]

    assert run(later).text == "[1, {}]"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("{}", "count"),
        ('{"count": 0}', "minimum"),
        ('{"count": "two"}', "integer"),
        ('{"count": NaN}', "NaN"),
        ('{"count": 1, "more": 1}', "more"),
        ("[1]", "object"),
        ("{count: 1", "JSON"),
        ("[" * 10_000, "JSON"),
        (" " * 30_000, "characters"),
    ],
)
def test_error_is_data_when_the_arguments_are_wrong(arguments, named):
    called = []
    assert named in error(run(called.append, arguments, COUNT))
    assert called == []


def test_nearest_tool_is_named_when_there_is_no_such_tool():
    assert "did you mean 'it'" in error(run(lambda _: "", name="itt"))


def test_error_is_data_when_a_tool_raises():
    def broken(_):
        raise ZeroDivisionError("by nothing")

    def refuse(_):
        raise ToolError("not now")

    assert error(run(broken)) == "ZeroDivisionError: by nothing"
    assert error(run(refuse)) == "not now"


def test_result_is_cut_with_a_note_when_it_is_long():
    text = run(lambda _: "x" * 1000, max_chars=100).text
    assert text.startswith("x" * 100 + "\n(cut: 100 of 1000") and len(text) < 150


def test_foreign_schema_is_not_fetched_when_it_refers_to_an_address():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/schema.json"
        assert address in error(run(lambda _: "", "{}", {"$ref": address}, timeout_s=1.0))
        with pytest.raises(BlockingIOError):
            listening.accept()


@pytest.mark.parametrize("is_async", [True, False])
def test_loop_goes_on_when_a_tool_never_returns(is_async):
    never = threading.Event()

    def hang(_):
        never.wait(30.0)

    async def hang_too(_):
        await asyncio.sleep(30.0)

    async def both():
        toolbox = Toolbox([Tool("it", "", {"type": "object"}, hang_too if is_async else hang, 0.1)], Threads())
        ticks = 0
        call = asyncio.create_task(toolbox.run("it", "{}"))
        while not call.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return call.result(), ticks

    began = time.monotonic()
    reply, ticks = asyncio.run(both())
    never.set()
    assert "did not answer within 0.1 s" in error(reply)
    assert ticks >= 3 and time.monotonic() - began < 2.0


def test_calls_are_refused_when_too_many_never_return():
    never, threads = threading.Event(), Threads(2)
    for _ in range(2):
        assert "did not answer" in error(run(lambda _: never.wait(30.0), threads=threads, timeout_s=0.05))
    assert "TooManyThreadsError" in error(run(lambda _: "", threads=threads))
    never.set()
    deadline = time.monotonic() + 5.0
    while (reply := run(lambda _: "again", threads=threads)).is_error and time.monotonic() < deadline:
        pass
    assert reply.text == "again"
