"""What can go wrong with an endpoint, in words to be spoken and in words for whoever has to mend it.

The key never gets in: what an endpoint or a library says is cut, and the key is struck out of it.
"""

import email.utils
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

import httpx2
import openai

from tml_ros.background.protocol import Failure, Outcome

__all__ = ["Fault", "Where", "explain", "retry_after_s"]

_MAX_SAID_CHARS = 200
_UNREACHABLE = "I cannot reach the model that I think with."
_SLOW = "The model that I think with does not answer."
_BROKE_OFF = "The model that I think with broke off in the middle."
_UNREADABLE = "The model that I think with sent something that I cannot read."
_BUSY = "The model that I think with is too busy right now."
_REFUSED = "The model server refused my request."
_TOO_LONG = "The answer got far too long, so I stopped it."
_BROKEN = "Sorry, something went wrong while I was thinking about that."


class Fault(Exception):
    """An attempt that failed.

    report: may be spoken. error: for people. can_retry: another attempt may help. retry_after_s: what the endpoint
    asked for, or None.
    """

    def __init__(self, report: str, error: str, *, can_retry: bool = False, outcome: Outcome = Outcome.FAILED) -> None:
        super().__init__(error)
        self.report = report
        self.error = error
        self.can_retry = can_retry
        self.outcome = outcome
        self.retry_after_s: float | None = None

    @property
    def failure(self) -> Failure:
        """The fault as the end of a task."""
        return Failure(self.outcome, self.report, self.error)


@dataclass(frozen=True, slots=True, repr=False)
class Where:
    """Who was asked. host: with the port, without credentials. key: struck out of everything, never shown."""

    host: str
    model: str
    key: str

    def said(self, text: object) -> str:
        """Return what somebody said, in one line, cut, without the key."""
        line = " ".join(str(text).split())
        return (line.replace(self.key, "***") if self.key else line)[:_MAX_SAID_CHARS]

    def too_long(self, limit: str) -> Fault:
        """Return the fault of a reply beyond a limit."""
        return Fault(_TOO_LONG, f"the reply of {self.host} exceeds {limit}; it was stopped there")

    def unreadable(self, why: object) -> Fault:
        """Return the fault of a reply that is not what the interface promises."""
        return Fault(
            _UNREADABLE,
            f"{self.host} sent something else than chat completion chunks ({self.said(why)}); check that "
            "openai.base_url is the root of an OpenAI-compatible interface, usually ending in /v1",
        )

    def broke_off(self, why: object) -> Fault:
        """Return the fault of a reply that has no end."""
        return Fault(_BROKE_OFF, f"the stream of {self.host} broke off ({self.said(why)}); look at the server's log")


def explain(err: Exception, where: Where, has_begun: bool) -> Fault:
    """Say what an exception of the client means. has_begun: a part of the reply has arrived, so never try again."""
    fault = _explain(err, where, has_begun)
    fault.can_retry = fault.can_retry and not has_begun
    return fault


def _explain(err: Exception, where: Where, has_begun: bool) -> Fault:
    match err:
        case Fault():
            return err
        case openai.APIStatusError():
            return _status(err, where)
        case openai.APITimeoutError():
            return _timeout(err, where)
        case openai.APIConnectionError():
            return _connection(err, where, has_begun)
        case openai.APIResponseValidationError() | json.JSONDecodeError() | UnicodeDecodeError():
            return where.unreadable(type(err).__name__)
        case openai.APIError():
            return where.broke_off(f"it says: {err.message}")
        case _:
            return Fault(_BROKEN, f"unexpected {type(err).__name__} with {where.host}: {where.said(err)}")


def _timeout(err: openai.APITimeoutError, where: Where) -> Fault:
    if isinstance(err.__cause__, httpx2.ReadTimeout | httpx2.WriteTimeout):
        return Fault(
            _SLOW,
            f"{where.host} was silent for longer than openai.read_timeout_s; look at its load, or raise the parameter",
        )
    return Fault(
        _UNREACHABLE,
        f"{where.host} did not take the connection within openai.connect_timeout_s; check host, port and firewall",
        can_retry=True,
    )


def _connection(err: openai.APIConnectionError, where: Where, has_begun: bool) -> Fault:
    cause = err.__cause__
    if isinstance(cause, httpx2.RemoteProtocolError):
        if "disconnected" in str(cause) or has_begun:
            fault = where.broke_off(cause)
            fault.can_retry = True
            return fault
        return where.unreadable(cause)
    if has_begun:
        return where.broke_off(type(cause).__name__)
    return Fault(
        _UNREACHABLE,
        f"cannot connect to {where.host} ({where.said(cause or err)}); start the server, or check openai.base_url",
        can_retry=True,
    )


def _status(err: openai.APIStatusError, where: Where) -> Fault:
    status = err.status_code
    said = f"{where.host} answered {status} ({where.said(err.message)})"
    if status in (429, 500, 502, 503, 504):
        fault = Fault(_BUSY, f"{said}; look at its load and limits, or try again later", can_retry=True)
        fault.retry_after_s = retry_after_s(err.response.headers)
        return fault
    if status in (401, 403):
        return Fault(_REFUSED, f"{said}; set the environment variable that openai.api_key_env names to a valid key")
    if status == 404:
        return Fault(_REFUSED, f"{said}; check openai.base_url, and that it lists openai.model {where.model!r}")
    if 300 <= status < 400:
        return Fault(_REFUSED, f"{said}; redirects are not followed, set openai.base_url to where it points")
    return Fault(_REFUSED, f"{said}; check openai.model, and whether it takes tools and pictures (openai.use_tools)")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return how long an endpoint asks to wait, None when it does not say.

    Source: RFC 9110 section 10.2.3: seconds, or a date.
    """
    value = headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
