"""One reply from an endpoint with the OpenAI chat completions interface, streamed, with bounded attempts.

Nothing is tried again once a part of a reply has arrived. Redirects are not followed, so that a conversation goes where
the configuration says and nowhere else. Knows neither tools nor speech.
"""

import asyncio
import logging
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai

from tml_ros.background.openai.chunks import Reader, Reply
from tml_ros.background.openai.config import OpenAIConfig
from tml_ros.background.openai.faults import Fault, Where, explain
from tml_ros.background.openai.prompt import Message
from tml_ros.errors import ConfigError

__all__ = ["Endpoint"]

_NO_KEY = "none"
_MAX_REPLY_BYTES = 32 * 1024 * 1024  # a line without an end would otherwise fill the memory


class Endpoint:
    """The configured endpoint.

    Thread: made by any, used by the one that runs the loop.
    """

    def __init__(self, config: OpenAIConfig) -> None:
        """Check the configuration; nothing is connected yet.

        Raises:
            ConfigError: no endpoint or model, an address that is none, or a key that no header can carry.
        """
        _quieten_wire_log()
        key = _key(config.api_key_env)
        self.where = Where(_host(config.base_url), _model(config), key)
        self._config = config
        self._client = openai.AsyncOpenAI(
            base_url=config.base_url,
            api_key=key or _NO_KEY,
            max_retries=0,
            http_client=self._http_client(),
        )

    async def reply(
        self,
        messages: Sequence[Message],
        tools: Sequence[Message],
        *,
        may_call: bool,
        listener: Reader,
        deadline: float,
        on_retry: Callable[[], None],
    ) -> Reply:
        """Return a reply after its last piece; pieces go to the listener as they come.

        Args:
            may_call: whether the model may call tools. deadline: time.monotonic() after which no attempt begins.
            on_retry: called before each further attempt.

        Raises:
            Fault: there is no reply.
        """
        request = self._request(messages, tools, may_call)
        for attempt in range(self._config.max_retries + 1):
            try:
                return await self._attempt(request, listener)
            except Fault as fault:
                pause_s = self._pause_s(attempt, fault)
                is_last = attempt == self._config.max_retries
                if is_last or not fault.can_retry or pause_s is None or time.monotonic() + pause_s > deadline:
                    raise
            on_retry()
            await asyncio.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()

    async def _attempt(self, request: Message, listener: Reader) -> Reply:
        listener.begin()
        try:
            opened: Any = await self._client.chat.completions.create(**request)
            async with opened as stream:
                async for chunk in stream:
                    listener.take(chunk)
            return listener.finish()
        except Exception as err:
            raise explain(err, self.where, listener.has_begun) from err

    def _pause_s(self, attempt: int, fault: Fault) -> float | None:
        """Return how long to wait, None when the endpoint asks for longer than we are ready to."""
        limit_s = self._config.backoff_limit_s
        if fault.retry_after_s is not None:
            return fault.retry_after_s if fault.retry_after_s <= limit_s else None
        return min(limit_s, self._config.backoff_s * 2.0**attempt) * random.uniform(0.5, 1.0)

    def _request(self, messages: Sequence[Message], tools: Sequence[Message], may_call: bool) -> Message:
        config = self._config
        request: Message = {"model": config.model, "messages": list(messages), "stream": True}
        if tools:
            request |= {"tools": list(tools), "tool_choice": "auto" if may_call else "none"}
        if config.max_tokens:
            request["max_tokens"] = config.max_tokens
        if config.temperature >= 0:
            request["temperature"] = config.temperature
        if config.seed >= 0:
            request["seed"] = config.seed
        return request

    def _http_client(self) -> httpx2.AsyncClient:
        config = self._config
        return openai.DefaultAsyncHttpx2Client(
            follow_redirects=False,
            headers={"Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(config.read_timeout_s, connect=config.connect_timeout_s),
            event_hooks={"response": [self._limit_size]},
        )

    async def _limit_size(self, response: httpx2.Response) -> None:
        response.stream = _Limited(response.stream, self.where)


class _Limited(httpx2.AsyncByteStream):
    """A body that ends with a fault when it gets too long."""

    def __init__(self, stream: Any, where: Where) -> None:
        self._stream = stream
        self._where = where

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._stream:
            size += len(piece)
            if size > _MAX_REPLY_BYTES:
                raise self._where.too_long(f"{_MAX_REPLY_BYTES} bytes")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


def _quieten_wire_log() -> None:
    """Keep the transport's DEBUG log off where nobody has asked for it by name: it shows headers, keys included."""
    logger = logging.getLogger("httpcore2")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


def _host(base_url: str) -> str:
    """Return host and port of an address. The address itself is never shown: it might hold credentials."""
    if not base_url:
        raise ConfigError(
            "openai.base_url is empty: no endpoint is configured, and nothing leaves this machine; set it to one, such "
            "as http://localhost:8000/v1, or use background.backend offline"
        )
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError as err:
        raise ConfigError("openai.base_url is no address; expected one such as http://localhost:8000/v1") from err
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError("openai.base_url must begin with http:// or https:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise ConfigError("openai.base_url holds credentials; put the key into the variable of openai.api_key_env")
    return f"{host}:{port}" if port else host


def _model(config: OpenAIConfig) -> str:
    if not config.model:
        raise ConfigError("openai.model is empty; set it to a model that the endpoint lists under /models")
    return config.model


def _key(variable: str) -> str:
    key = os.environ.get(variable, "").strip() if variable else ""
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError(f"the environment variable {variable} holds characters that no key has; set it again")
    return key
