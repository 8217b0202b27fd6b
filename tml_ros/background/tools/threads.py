"""Run what may block beside an asyncio loop, in threads that never hold up the loop or the end of the process."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Threads", "TooManyThreadsError"]


class TooManyThreadsError(Exception):
    """Too many calls have not returned."""


class Threads:
    """A thread for each call. A call that never returns keeps its thread, so their number is limited.

    The standard executors will not do: they wait for their threads when the process ends.
    """

    def __init__(self, limit: int = 16) -> None:
        self._places = threading.Semaphore(limit)
        self._limit = limit

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what the function returns. A cancel leaves its thread behind.

        Raises:
            TooManyThreadsError: as many calls as allowed have not returned yet.
        """
        if not self._places.acquire(blocking=False):
            raise TooManyThreadsError(f"{self._limit} calls have not returned yet")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def work() -> None:
            try:
                result, error = function(*arguments), None
            except BaseException as err:
                result, error = None, err
            self._places.release()
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(_settle, future, result, error)

        threading.Thread(target=work, name="tml-tool", daemon=True).start()
        return await future


def _settle(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))
