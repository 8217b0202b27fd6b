"""Where a server is and what opens it.

The key never gets into a message or a log: what others say is cut, and the key is struck out of it.
"""

import os
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from tml_ros.errors import ConfigError

__all__ = ["Address"]

_MOST_SAID_CHARS = 200


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """A checked address. model: name of the duplex model, whose parameters messages name. host: with the port.

    socket: host and port, as sockets want them.
    """

    model: str
    url: str
    host: str
    socket: tuple[str, int]
    key: str = ""

    @classmethod
    def of(cls, model: str, url: str, api_key_env: str, example: str) -> "Address":
        """Check an address and fetch the key.

        Raises:
            ConfigError: there is none, it is malformed or holds credentials, the variable holds no key, or the key
                would travel in the clear.
        """
        if not url:
            raise ConfigError(
                f"{model}.url is empty: no server is configured, and nothing leaves this machine; set it to one, such "
                f"as {example}"
            )
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as err:
            raise ConfigError(f"{model}.url is no address; expected one such as {example}") from err
        if parts.scheme not in ("ws", "wss") or not host:
            raise ConfigError(f"{model}.url must begin with ws:// or wss:// and name a host, such as {example}")
        if parts.username is not None or parts.password is not None:
            raise ConfigError(f"{model}.url holds credentials; put the key into the variable of {model}.api_key_env")
        key = _key(model, api_key_env)
        if key and parts.scheme == "ws" and not _is_here(host):
            raise ConfigError(
                f"the key of {model}.api_key_env would travel to {host} in the clear; use wss://, or no key"
            )
        usual = 443 if parts.scheme == "wss" else 80
        return cls(model, url, f"{host}:{port}" if port else host, (host, port or usual), key)

    @property
    def headers(self) -> dict[str, str]:
        """What goes with the request."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def said(self, text: object) -> str:
        """Return what somebody said, in one line, cut, without the key."""
        line = " ".join(str(text).split())
        return (line.replace(self.key, "***") if self.key else line)[:_MOST_SAID_CHARS]


def _key(model: str, variable: str) -> str:
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(f"{model}.api_key_env names {variable}, which is not set; export it, or leave the name empty")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError(f"the environment variable {variable} holds characters that no key has; set it again")
    return key


def _is_here(host: str) -> bool:
    """Tell whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
