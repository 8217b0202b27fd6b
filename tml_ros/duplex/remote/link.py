"""A WebSocket to a server, on threads of its own: what is sent and what comes waits in bounded queues.

A link that fails says why and stays down; it never raises into the thread that uses it. Neither redirects nor proxies
are followed, so that sound goes where the configuration says and nowhere else. It knows no protocol.
"""

import logging
import queue
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tml_ros.duplex.remote.address import Address
from tml_ros.errors import MissingDependencyError

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

__all__ = ["Link", "Message", "websocket_client"]

Message = str | bytes

_MOST_UNSENT = 50  # messages, about ten seconds of sound: a server that takes none for so long is as good as dead
_MOST_UNREAD_BYTES = 64 * 1024 * 1024  # nobody reads them any more
_MOST_BYTES = 4 * 1024 * 1024  # of one message
_CLOSE_S = 0.5


class Link:
    """One connection, tried once.

    Thread: ``send``, ``take``, ``wait``, ``give_up`` and ``close`` by one at a time.
    """

    def __init__(self, address: Address, timeout_s: float, headers: dict[str, str] | None = None) -> None:
        """Begin to connect; returns at once.

        Raises:
            MissingDependencyError: the package websockets is absent.
        """
        self.address = address
        self._connect = websocket_client(address.model)
        self._timeout_s = timeout_s
        self._headers = address.headers | (headers or {})
        self._unsent: queue.Queue[Message | None] = queue.Queue(_MOST_UNSENT)
        self._unread: deque[Message] = deque()
        self._unread_bytes = 0
        self._changed = threading.Condition()
        self._connection: ClientConnection | None = None
        self._is_closing = False
        self._fault = ""
        self._threads = [
            threading.Thread(target=work, name=f"tml-{address.model}-{kind}", daemon=True)
            for kind, work in (("receive", self._receive), ("send", self._send))
        ]
        self._threads[0].start()

    @property
    def fault(self) -> str:
        """Why the link is down, with the remedy; empty while it is up or on its way."""
        return self._fault

    def send(self, message: Message) -> bool:
        """Queue a message; False, and nothing is queued, when the link is down or the server takes nothing."""
        if self._fault:
            return False
        try:
            self._unsent.put_nowait(message)
        except queue.Full:
            return False
        return True

    def take(self) -> list[Message]:
        """Return what has come since the last call, in order."""
        with self._changed:
            messages = list(self._unread)
            self._unread.clear()
            self._unread_bytes = 0
        return messages

    def wait(self, timeout_s: float) -> bool:
        """Wait for a message or for the end of the link; tell whether there is one of them."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._unread or self._fault), timeout_s)

    def give_up(self, why: str) -> None:
        """Take the link down because of what came, or did not come, over it."""
        with self._changed:
            self._fault = why
        threading.Thread(target=self.close, name=f"tml-{self.address.model}-close", daemon=True).start()

    def close(self) -> None:
        """End the connection, within about a second."""
        self._is_closing = True
        self._end_sending()
        if self._connection is not None:
            self._connection.close()
        for thread in self._threads:
            if thread.is_alive() and self._connection is not None:  # one that still connects ends by itself
                thread.join(_CLOSE_S)

    def _receive(self) -> None:
        try:
            # the library follows no redirect away from a socket that is open already
            with (
                socket.create_connection(self.address.socket, self._timeout_s) as opened,
                self._connect(
                    self.address.url,
                    sock=opened,
                    additional_headers=self._headers,
                    open_timeout=self._timeout_s,
                    close_timeout=_CLOSE_S,
                    compression=None,
                    max_size=_MOST_BYTES,
                    logger=_quiet_logger(),
                ) as connection,
            ):
                self._connection = connection
                self._threads[1].start()
                if self._is_closing:
                    return
                for message in connection:
                    self._add(message)
            self._fail(f"{self.address.host} closed the connection; look at its log")
        except Exception as err:
            self._fail(_explain(err, self.address))
        finally:
            self._end_sending()

    def _send(self) -> None:
        try:
            while (message := self._unsent.get()) is not None and self._connection is not None:
                self._connection.send(message)
        except Exception as err:
            self._fail(_explain(err, self.address))

    def _end_sending(self) -> None:
        """Wake the thread that sends, whatever still waits for it."""
        with suppress(queue.Full):  # then it waits for the server, and the end of the connection wakes it
            self._unsent.put_nowait(None)

    def _add(self, message: Message) -> None:
        with self._changed:
            self._unread.append(message)
            self._unread_bytes += len(message)
            is_too_much = self._unread_bytes > _MOST_UNREAD_BYTES
            self._changed.notify_all()
        if is_too_much:
            raise _Overrun

    def _fail(self, why: str) -> None:
        with self._changed:
            if not (self._fault or self._is_closing):
                self._fault = why
            self._changed.notify_all()


class _Overrun(Exception):
    """More messages than anybody reads."""


def websocket_client(model: str) -> Callable[..., Any]:
    """Return what connects.

    Raises:
        MissingDependencyError: the package websockets is absent.
    """
    try:
        from websockets.sync.client import connect
    except ImportError as err:
        raise MissingDependencyError(
            f"the model {model} needs the package websockets; pip install 'tml_ros[{model}]'"
        ) from err
    return connect


def _quiet_logger() -> logging.Logger:
    """Return a logger without the library's DEBUG lines, which show headers, keys included."""
    logger = logging.getLogger(f"{__name__}.wire")
    logger.setLevel(logging.WARNING)
    return logger


def _explain(err: Exception, address: Address) -> str:
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

    host, model = address.host, address.model
    if isinstance(err.__cause__, InvalidStatus):  # a redirect
        err = err.__cause__
    match err:
        case InvalidStatus():
            return _refused(err.response.status_code, address)
        case InvalidHandshake():
            return f"{host} is no WebSocket server ({address.said(err)}); check {model}.url"
        case ConnectionClosed():
            return f"the connection to {host} broke off ({address.said(err)}); look at its log"
        case TimeoutError():
            return f"{host} did not take the connection within {model}.connect_timeout_s; check host and port"
        case OSError():
            return f"cannot connect to {host} ({address.said(err)}); start the server, or check {model}.url"
        case _Overrun():
            return f"{host} sent {_MOST_UNREAD_BYTES} bytes that nobody read; step the session, or close it"
    return f"unexpected {type(err).__name__} with {host}: {address.said(err)}; please report this"


def _refused(status: int, address: Address) -> str:
    said, model = f"{address.host} answered {status} instead of opening a WebSocket", address.model
    if status in (401, 403):
        return f"{said}; set the environment variable that {model}.api_key_env names to a valid key"
    if 300 <= status < 400:
        return f"{said}; redirects are not followed, set {model}.url to where it points"
    return f"{said}; check the path in {model}.url, and the server's load and limits"
