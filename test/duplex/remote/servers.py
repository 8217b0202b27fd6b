"""Small servers that speak the protocols of a Moshi and of a realtime server, over real sockets.

Written from the protocols' descriptions; they hear no speech. Each handler runs in a thread of its own per connection.
"""

import base64
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

FRAME = 1920


@contextlib.contextmanager
def running(handler: Callable[[ServerConnection], None], **options: object) -> Iterator[str]:
    """Serve on a free port of this machine; give its address."""

    def handle(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            handler(connection)

    with serve(handle, "127.0.0.1", 0, compression=None, close_timeout=0.2, **options) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/api/chat"
        server.shutdown()
        thread.join(5.0)


@contextlib.contextmanager
def deaf() -> Iterator[str]:
    """Take connections and never say a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"ws://127.0.0.1:{server.getsockname()[1]}"


def echoing_moshi(words: dict[int, str]) -> Callable[[ServerConnection], None]:
    """Send every frame of 80 ms back, and pieces of text before the frames that they are for."""
    import sphn

    def handler(connection: ServerConnection) -> None:
        reader, writer = sphn.OpusStreamReader(24_000), sphn.OpusStreamWriter(24_000)
        heard, number = np.zeros(0, np.float32), 0
        connection.send(b"\x00")
        for message in connection:
            assert message[0] == 1
            heard = np.concatenate([heard, reader.append_bytes(message[1:])])
            while len(heard) >= FRAME:
                if number in words:
                    connection.send(b"\x02" + words[number].encode())
                connection.send(b"\x01" + writer.append_pcm(heard[:FRAME]))
                heard, number = heard[FRAME:], number + 1

    return handler


class RealtimeServer:
    """Answers what is typed with a tone, faster than it can be said. events: all that came, by type."""

    def __init__(self, seconds: float = 2.0, *, beta: bool = False, on_text: tuple[dict, ...] = ()) -> None:
        self.events: list[dict] = []
        self.headers: Mapping[str, str] = {}
        self.path = ""
        self._seconds = seconds
        self._names = ("response.audio", "response.audio_transcript")
        if not beta:
            self._names = ("response.output_audio", "response.output_audio_transcript")
        self._on_text = on_text
        self._answers = 0

    def of(self, kind: str) -> list[dict]:
        """The events of a type."""
        return [event for event in self.events if event["type"] == kind]

    def __call__(self, connection: ServerConnection) -> None:
        self.headers = connection.request.headers
        self.path = connection.request.path
        self._send(connection, type="session.created", session={})
        for message in connection:
            event = json.loads(message)
            self.events.append(event)
            if event["type"] == "response.create":
                for one in self._on_text:
                    self._send(connection, **one)
                self._answer(connection)

    def _answer(self, connection: ServerConnection) -> None:
        self._answers += 1
        item = {"item_id": f"item_{self._answers}", "content_index": 0}
        sound, words = self._names
        pcm = np.rint(8000 * np.sin(np.arange(round(24_000 * self._seconds)) * 2 * np.pi * 440 / 24_000)).astype("<i2")
        self._send(connection, type="response.created", response={})
        for number, part in enumerate(np.array_split(pcm, 4)):
            self._send(connection, type=f"{words}.delta", delta=(" one", " two", " th", "ree")[number], **item)
            self._send(connection, type=f"{sound}.delta", delta=base64.b64encode(part.tobytes()).decode(), **item)
        self._send(connection, type=f"{sound}.done", **item)
        self._send(connection, type="rate_limits.updated", rate_limits=[])
        self._send(connection, type="response.done", response={"status": "completed"})

    def _send(self, connection: ServerConnection, **event: object) -> None:
        connection.send(json.dumps(event))
