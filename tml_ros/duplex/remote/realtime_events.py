"""The events of an OpenAI-style realtime server: those that are sent, as JSON, and what is read of those that come.

Two dialects are in use: ``ga`` (the interface as it was released) and ``beta`` (the one before it, which many others
have). They differ in the layout of the session and in the names of a few events; both names are read.

Source: OpenAI API reference, Realtime client events and server events.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tml_ros.config import param
from tml_ros.duplex.remote.config import RemoteConfig
from tml_ros.duplex.remote.voice import SERVER_RATE_HZ
from tml_ros.media.pcm import encode

__all__ = ["Event", "RealtimeConfig", "append", "read_event", "session_update", "truncate", "typed"]

_BETA_NAMES = {
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
}


@dataclass(frozen=True, slots=True)
class RealtimeConfig(RemoteConfig):
    """Where the server is, and what the session is like."""

    model: str = param("", "Name of the server's model, added to the address as ?model=; empty: the server's own")
    dialect: str = param(
        "ga", "Layout of the session: ga as OpenAI has it now, beta as many others do", choices=("ga", "beta")
    )
    instructions: str = param("", "What the model is told about itself; empty: the server's own")
    voice: str = param("", "Voice, as the server names it; empty: the server's own")
    transcription_model: str = param(
        "", "Model that writes down what the person says, such as gpt-4o-mini-transcribe; empty: nobody does"
    )
    turn_detection: str = param(
        "server_vad", "How the server finds the end of a turn", choices=("server_vad", "semantic_vad")
    )


@dataclass(frozen=True, slots=True)
class Event:
    """What came. kind: the ``type``, by its name in the dialect ``ga``."""

    kind: str
    fields: Mapping[str, Any]

    def text(self, *path: str) -> str:
        """Return a text in nested objects, empty where there is none."""
        found: Any = self.fields
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        return found if isinstance(found, str) else ""

    def milliseconds(self, name: str) -> int | None:
        """Return a time, None where there is none."""
        found = self.fields.get(name)
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    def sound(self) -> NDArray[np.float32] | None:
        """Return the ``delta`` as sound, [N] float32 at 24 kHz; None where it is none."""
        try:
            data = base64.b64decode(self.text("delta"), validate=True)
        except (binascii.Error, ValueError):
            return None
        if not data or len(data) % 2:
            return None
        return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32_768)


def read_event(message: str | bytes) -> Event | None:
    """Read a message; None where it is no event."""
    try:
        found = json.loads(message)
    except (ValueError, RecursionError):
        return None
    kind = found.get("type") if isinstance(found, dict) else None
    return Event(_BETA_NAMES.get(kind, kind), found) if isinstance(kind, str) else None


def session_update(config: RealtimeConfig) -> str:
    """Return the event that says how the session is to be; the server's defaults hold for what is empty."""
    turns = {"type": config.turn_detection, "create_response": True, "interrupt_response": True}
    transcription = {"model": config.transcription_model} if config.transcription_model else None
    if config.dialect == "beta":
        session: dict[str, Any] = {
            "modalities": ["audio", "text"],
            "input_audio_format": "pcm16",
            "output_audio_format": "pcm16",
            "input_audio_transcription": transcription,
            "turn_detection": turns,
            "voice": config.voice,
        }
    else:
        sound = {"type": "audio/pcm", "rate": SERVER_RATE_HZ}
        heard = {"format": sound, "turn_detection": turns, "transcription": transcription}
        session = {
            "type": "realtime",
            "output_modalities": ["audio"],
            "audio": {"input": _filled(heard), "output": _filled({"format": sound, "voice": config.voice})},
        }
    return _event("session.update", session=_filled(session | {"instructions": config.instructions}))


def append(sound: NDArray[np.float32]) -> str:
    """Return the event that brings sound. sound: [N] float32 at 24 kHz."""
    return _event("input_audio_buffer.append", audio=base64.b64encode(encode(sound, "S16LE")).decode())


def truncate(item_id: str, heard_s: float) -> str:
    """Return the event that says how much of an utterance was heard."""
    return _event("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=int(heard_s * 1000))


def typed(text: str) -> Sequence[str]:
    """Return the events that bring what the person typed, and ask for an answer."""
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    return _event("conversation.item.create", item=item), _event("response.create")


def _event(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind} | fields)


def _filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}
