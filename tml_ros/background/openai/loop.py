"""An asyncio loop on a thread of its own, and work on it that other threads can follow and withdraw."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["Job", "LoopThread"]


class Job:
    """A coroutine at work on the loop.

    Thread: any.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._loop = loop
        self._make = make
        self._task: asyncio.Task[None] | None = None
        self._on_done: Callable[[], None] = lambda: None
        self.done = threading.Event()

    def start(self, on_done: Callable[[], None] = lambda: None) -> None:
        """Begin. on_done: called on the loop at the end, however it ends.

        Raises:
            RuntimeError: the loop is closed.
        """
        self._on_done = on_done
        self._loop.call_soon_threadsafe(self._begin)

    def cancel(self) -> None:
        """Withdraw the work; does nothing when it is over."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: it is over
            self._loop.call_soon_threadsafe(self._withdraw)

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._make())
        self._task.add_done_callback(self._end)

    def _withdraw(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _end(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            task.exception()  # the work reports its errors itself
        self.done.set()
        self._on_done()


class LoopThread:
    """The loop.

    Thread: any.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def job(self, make: Callable[[], Coroutine[Any, Any, None]]) -> Job:
        """Return work that can be started. make: called on the loop."""
        return Job(self._loop, make)

    def close(self, last: Callable[[], Coroutine[Any, Any, None]], timeout_s: float) -> None:
        """Do the last work, then withdraw what is left and end the thread, within about ``timeout_s``."""
        job = self.job(last)
        try:
            job.start()
        except RuntimeError:
            return
        job.done.wait(timeout_s)
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(1.0)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            if left:
                self._loop.run_until_complete(asyncio.wait(left, timeout=0.5))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()
