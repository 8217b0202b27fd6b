"""A scripted endpoint on a loopback socket, and models that use it with the real client library.

Each request plays the next script (the last one again when they run out). A script writes on the plain socket, so that
it can be as wrong as it likes: hang, break off, send garbage. What came in, and when a client left, is kept.
"""

import json
import select
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from tml_ros.background import Cancel, Surroundings
from tml_ros.background.openai import OpenAIConfig, OpenAIModel
from tml_ros.background.protocol import ContextPackage
from tml_ros.intents import AllowList

KEY = "sk-test-0123456789-secret"
PATIENCE_S = 10.0


@dataclass
class Exchange:
    """A request and its connection. left_at: time.monotonic() when the client closed the connection, 0 before."""

    connection: socket.socket
    headers: dict[str, str]
    body: dict[str, Any]
    left_at: float = 0.0
    left: threading.Event = field(default_factory=threading.Event)

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def chunk(self, data: bytes) -> None:
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def begin(self) -> None:
        self.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")

    def event(self, delta: dict[str, Any], finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        body = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        self.chunk(b"data: " + json.dumps(body).encode() + b"\n\n")

    def end(self) -> None:
        self.chunk(b"data: [DONE]\n\n")
        self.send(b"0\r\n\r\n")

    def wait(self, seconds: float) -> bool:
        """Wait for that long, or until the client leaves; return whether it has."""
        readable, _, _ = select.select([self.connection], [], [], seconds)
        return bool(readable) and not self.left.is_set() and self._leave()

    def hang(self) -> None:
        self.wait(PATIENCE_S)

    def _leave(self) -> bool:
        try:
            data = self.connection.recv(1)
        except ConnectionError:
            data = b""
        if not data:
            self.left_at = time.monotonic()
            self.left.set()
        return not data


Script = Callable[[Exchange], None]


def say(*pieces: str, finish: str = "stop", every_s: float = 0.0) -> Script:
    """Stream pieces of text."""

    def play(exchange: Exchange) -> None:
        exchange.begin()
        for piece in pieces:
            exchange.event({"content": piece})
            if every_s and exchange.wait(every_s):
                return
        exchange.event({}, finish)
        exchange.end()

    return play


def stream(*deltas: dict[str, Any], finish: str = "stop") -> Script:
    """Stream deltas as they are."""

    def play(exchange: Exchange) -> None:
        exchange.begin()
        for delta in deltas:
            exchange.event(delta)
        exchange.event({}, finish)
        exchange.end()

    return play


def call(*calls: tuple[str, Any], words: str = "") -> Script:
    """Call tools; arguments are cut into two pieces, as real servers do it."""
    deltas: list[dict[str, Any]] = [{"content": words}] if words else []
    for index, (name, given) in enumerate(calls):
        text = given if isinstance(given, str) else json.dumps(given)
        head = {"index": index, "id": f"call{index}", "type": "function"}
        deltas.append({"tool_calls": [{**head, "function": {"name": name, "arguments": text[:3]}}]})
        deltas.append({"tool_calls": [{"index": index, "function": {"arguments": text[3:]}}]})
    return stream(*deltas, finish="tool_calls")


def status(code: int, body: Any = None, **headers: str) -> Script:
    """Answer with a status and a JSON body."""
    content = json.dumps(body if body is not None else {"error": {"message": "scripted"}}).encode()
    lines = [f"HTTP/1.1 {code} Scripted", "Content-Type: application/json", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return raw("\r\n".join(lines).encode() + b"\r\n\r\n" + content)


def raw(data: bytes) -> Script:
    """Send bytes, and nothing more."""
    return lambda exchange: exchange.send(data)


class _Handler(socketserver.StreamRequestHandler):
    server: "_Server"

    def handle(self) -> None:
        while self._one():
            pass

    def _one(self) -> bool:
        if not (line := self.rfile.readline()) or not line.startswith(b"POST /v1/chat/completions"):
            return False
        headers = {}
        while (header := self.rfile.readline().strip()) != b"":
            name, _, value = header.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = json.loads(self.rfile.read(int(headers["content-length"])))
        exchange = Exchange(self.connection, headers, body)
        script = self.server.next_script(exchange)
        try:
            script(exchange)
        except OSError:
            exchange._leave()
        return False


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    next_script: Callable[[Exchange], Script]


class Endpoint:
    """The endpoint of a test."""

    def __init__(self, port: int = 0) -> None:
        self.exchanges: list[Exchange] = []
        self.came = threading.Condition()
        self._scripts: list[Script] = [say("Yes.")]
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.next_script = self._next
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def play(self, *scripts: Script) -> None:
        self._scripts = list(scripts)

    def wait_for(self, count: int) -> Exchange:
        """Return the request with that number, the first being 1, after it has come."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.exchanges) >= count, PATIENCE_S)
        return self.exchanges[count - 1]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _next(self, exchange: Exchange) -> Script:
        with self.came:
            self.exchanges.append(exchange)
            self.came.notify_all()
            return self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]


@pytest.fixture
def endpoint():
    """An endpoint that says yes until it is told otherwise."""
    server = Endpoint()
    yield server
    server.close()


@pytest.fixture(scope="session")
def allow_list() -> AllowList:
    return AllowList.load()


@pytest.fixture
def make_model(endpoint, allow_list, monkeypatch):
    """Make models on the endpoint that give up fast; they are closed at the end."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    made = []

    def make(surroundings: Surroundings | None = None, **changes: Any) -> OpenAIModel:
        values = {"base_url": endpoint.url, "model": "m", "connect_timeout_s": 1.0, "read_timeout_s": 5.0}
        values |= {"backoff_s": 0.01, "backoff_limit_s": 0.3, "tool_timeout_s": 0.5} | changes
        made.append(OpenAIModel(OpenAIConfig(**values), surroundings or Surroundings(allow_list)))
        return made[-1]

    yield make
    for model in made:
        model.close()


def ask(model: OpenAIModel, task: str = "Is it cold?", **fields: Any) -> list[Any]:
    """Return every update of a task."""
    return list(model.run(ContextPackage(task, **fields), Cancel()))


@pytest.fixture
def script():
    """The scripts, by name: test files cannot import this file."""
    return SimpleNamespace(say=say, stream=stream, call=call, status=status, raw=raw, ask=ask, key=KEY)
