"""Messages of any origin into the assembler: bad ones are refused, counted and explained once.

Messages are read by their attributes only (see ``tml_ros.wire``), so rclpy's and a bag's pass through the same code.
"""

import logging
from collections.abc import Callable
from typing import Any

from tml_ros import wire
from tml_ros.errors import InputError
from tml_ros.media import validate
from tml_ros.media.foreign_audio import AudioInputConfig, ForeignAudio
from tml_ros.records import StampedImage, TextInput
from tml_ros.windowing import ClosedWindow, MicroTurnAssembler

__all__ = ["Ingest"]

_DEFAULTS = AudioInputConfig()
_MAX_TEXT = 10_000
_log = logging.getLogger(__name__)


class Ingest:
    """Feeds one assembler and hands every window that closes to ``submit``.

    ``audio``: reads what comes on ``audio/in``, whatever message it is.

    Thread: one caller at a time.
    """

    def __init__(
        self,
        assembler: MicroTurnAssembler,
        submit: Callable[[ClosedWindow], None],
        audio: AudioInputConfig = _DEFAULTS,
    ) -> None:
        self.audio = ForeignAudio(audio)
        self._assembler = assembler
        self._submit = submit
        self._explained: set[str] = set()
        self._handlers: dict[str, Callable[[Any, int], list[ClosedWindow]]] = {
            "audio/in": lambda m, ns: assembler.add_audio(self.audio.read(m, ns)),
            "audio/reference": lambda m, ns: assembler.add_reference(wire.audio_chunk(m, ns)),
            "image": lambda m, ns: self._add_image(wire.image(m, ns)),
            "image/compressed": lambda m, ns: self._add_image(wire.compressed_image(m, ns)),
            "text/in": self._add_text,
            "playback": lambda m, ns: assembler.add_playback(wire.playback_report(m)),
        }

    def take(self, topic: str, message: Any, received_ns: int) -> None:
        """Take in a message. topic: one of ``wire.INPUT_TYPES``. received_ns: its time if it carries none."""
        self._assembler.count(f"received_{topic.replace('/', '_')}")
        if topic != "audio/in":
            self._handle(topic, message, received_ns)
            return
        for ready, ready_ns in self.audio.ready(message, received_ns):
            self._handle(topic, ready, ready_ns)

    def take_audio_info(self, message: Any) -> None:
        """Take in what the sound of ``audio/in`` is made of, where a message of its own says so."""
        try:
            held = self.audio.set_info(message)
        except InputError as err:
            self.refuse("audio/in", err)
            return
        for waiting, received_ns in held:
            self._handle("audio/in", waiting, received_ns)

    def flush(self) -> None:
        """Hand over everything that waits; the streams have ended."""
        for waiting, received_ns in self.audio.release():
            self._handle("audio/in", waiting, received_ns)
        for window in self._assembler.flush():
            self._submit(window)

    def refuse(self, topic: str, err: InputError) -> None:
        """Count a bad message; explain each kind once, for a stream that is wrong is wrong 50 times a second."""
        self._assembler.count(f"refused_{topic.replace('/', '_')}")
        if str(err) not in self._explained and len(self._explained) < 100:
            self._explained.add(str(err))
            _log.warning("message on %s refused, and every further one like it: %s", topic, err)

    def _handle(self, topic: str, message: Any, received_ns: int) -> None:
        try:
            closed = self._handlers[topic](message, received_ns)
        except InputError as err:
            self.refuse(topic, err)
            return
        for window in closed:
            self._submit(window)

    def _add_image(self, image: StampedImage) -> list[ClosedWindow]:
        validate(image)
        return self._assembler.add_image(image)

    def _add_text(self, message: Any, received_ns: int) -> list[ClosedWindow]:
        text = str(message.data).strip()
        if not text:
            raise InputError("the text is empty; expected a line to read")
        if len(text) > _MAX_TEXT:
            raise InputError(f"the text has {len(text)} characters; at most {_MAX_TEXT} are read, send less")
        return self._assembler.add_text(TextInput(received_ns, text))
