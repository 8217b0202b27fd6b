"""A server with OpenAI's realtime interface as a duplex model.

Sound goes out all the time; the server finds the turns and answers faster than it can be said. What it says is handed
out micro-turn by micro-turn; when it hears the person begin, the rest is dropped and it is told how much was heard.
It takes typed text, and no pictures: those would cost a turn each.
"""

import logging
from collections import Counter
from urllib.parse import quote

from tml_ros.devices.resampler import Resampler
from tml_ros.duplex.protocol import DuplexStream, SessionInfo
from tml_ros.duplex.remote.address import Address
from tml_ros.duplex.remote.link import Link, Message, websocket_client
from tml_ros.duplex.remote.realtime_events import (
    Event,
    RealtimeConfig,
    append,
    read_event,
    session_update,
    truncate,
    typed,
)
from tml_ros.duplex.remote.stream import RemoteStream, is_paced
from tml_ros.duplex.remote.voice import BLOCK, SERVER_RATE_HZ, Voice
from tml_ros.records import (
    SAMPLE_RATE_HZ,
    Floor,
    MicroTurn,
    MicroTurnOutput,
    SpeechText,
    TextSource,
    TranscriptEvent,
    UserState,
)

__all__ = ["RealtimeModel", "RealtimeTalk"]

_MOST_TURNS = 16  # of the person, that wait for their words
_BETA_HEADERS = {"OpenAI-Beta": "realtime=v1"}
_log = logging.getLogger(__name__)


class RealtimeModel:
    """A server with OpenAI's realtime interface, over its WebSocket. Not deterministic."""

    name = "realtime"
    config_type = RealtimeConfig

    def __init__(self, config: RealtimeConfig) -> None:
        """Check the configuration; nothing is connected before a session begins.

        Raises:
            ConfigError: no address, or a wrong one.
            MissingDependencyError: websockets is absent.
        """
        url = config.url
        if url and config.model:
            url += f"{'&' if '?' in url else '?'}model={quote(config.model, safe='')}"
        self._config = config
        self._address = Address.of(self.name, url, config.api_key_env, "wss://api.openai.com/v1/realtime")
        websocket_client(self.name)

    def open(self, info: SessionInfo) -> DuplexStream:
        """Begin a session: a connection of its own."""
        headers = _BETA_HEADERS if self._config.dialect == "beta" else {}
        link = Link(self._address, self._config.connect_timeout_s, headers)
        talk = RealtimeTalk(self._config, self._address)
        return RemoteStream(self._config, talk, link, paced=is_paced(self._config, info))

    def close(self) -> None:
        """Do nothing: connections are closed with their sessions."""


class RealtimeTalk:
    """The protocol; see ``Talk``."""

    always_sends = False

    def __init__(self, config: RealtimeConfig, address: Address) -> None:
        self.outbox: list[Message] = []
        self.counters: Counter[str] = Counter()
        self._config = config
        self._address = address
        self._up = Resampler(SAMPLE_RATE_HZ, SERVER_RATE_HZ)
        self._voice = Voice()
        self._is_ready = False
        self._is_thinking = False
        self._has_bid = False
        self._user = UserState.SILENT
        self._sent = 0
        self._began_ns = 0
        self._times_ms: dict[str, list[int]] = {}
        self._heard: dict[str, str] = {}
        self._transcripts: list[tuple[str, str, bool]] = []

    @property
    def is_ready(self) -> bool:
        """Whether the server has opened the session."""
        return self._is_ready

    @property
    def is_owed(self) -> bool:
        """Whether an answer is on its way, and too little of it is here."""
        return self._is_thinking and (self._voice.is_short or not self._voice)

    def take(self, message: Message) -> None:
        """Take in an event; those that say nothing to a robot are left out."""
        event = read_event(message)
        if event is None:
            self.counters["malformed_messages"] += 1
            return
        match event.kind:
            case "session.created":
                self._is_ready = True
                self.outbox.append(session_update(self._config))
            case "input_audio_buffer.speech_started":
                self._has_bid, self._user = True, UserState.SPEAKING
                self._note_time(event, "audio_start_ms")
            case "input_audio_buffer.speech_stopped":
                self._user = UserState.SILENT
                self._note_time(event, "audio_end_ms")
            case "error":
                self._complain("server_errors", event.text("error", "message"))
            case kind if kind.startswith("response."):
                self._take_response(event)
            case kind if kind.startswith("conversation.item.input_audio_transcription."):
                self._take_transcript(event)

    def hear(self, turn: MicroTurn) -> None:
        """Put sound and what was typed into the outbox."""
        self.outbox.append(append(self._up.process(turn.audio, BLOCK)))
        self._sent += len(turn.audio)
        self._began_ns = turn.end_ns - self._sent * 1_000_000_000 // SAMPLE_RATE_HZ
        for text in turn.texts:
            if text.source is TextSource.USER:
                self.outbox += typed(text.text)
            else:
                self.counters["ignored_texts"] += 1

    def say(self, turn: MicroTurn) -> MicroTurnOutput:
        """Return the next 200 ms of the answer, or fall silent for somebody who has begun to speak."""
        transcripts, self._transcripts = [self._transcript(*one, turn) for one in self._transcripts], []
        has_bid, self._has_bid = self._has_bid, False
        if has_bid and (turn.is_playing or self._voice):
            self._interrupt(turn)
            return MicroTurnOutput(Floor.YIELD, self._user, transcripts=tuple(transcripts))
        piece = self._voice.take()
        if piece is None:
            waits = self._is_thinking and not turn.is_playing
            floor = Floor.SPEAK if turn.is_playing else Floor.HOLD if waits else Floor.LISTEN
            return MicroTurnOutput(floor, self._user, transcripts=tuple(transcripts))
        speech = (SpeechText(piece.text, last=piece.last),)
        return MicroTurnOutput(Floor.SPEAK, self._user, speech, piece.audio, transcripts=tuple(transcripts))

    def break_off(self) -> None:
        """Say what is here, and wait for nothing more."""
        self._voice.end()
        self._is_ready = self._is_thinking = self._has_bid = False
        self._user = UserState.UNKNOWN

    def _take_response(self, event: Event) -> None:
        key = event.text("item_id")
        match event.kind:
            case "response.created":
                self._is_thinking = True
            case "response.output_audio.delta":
                sound = event.sound()
                if sound is None:
                    self.counters["malformed_messages"] += 1
                elif not self._voice.add_sound(key, sound):
                    self.counters["late_messages"] += 1
            case "response.output_audio_transcript.delta":
                self.counters["late_messages"] += not self._voice.add_words(key, event.text("delta"))
            case "response.output_audio.done":
                self._voice.end(key)
            case "response.done":
                self._is_thinking = False
                self._voice.end()
                if event.text("response", "status") == "failed":
                    self._complain("failed_responses", event.text("response", "status_details", "error", "message"))

    def _take_transcript(self, event: Event) -> None:
        key = event.text("item_id")
        if event.kind.endswith(".delta"):
            self._heard[key] = self._heard.get(key, "") + event.text("delta")
            self._transcripts.append((key, self._heard[key].strip(), False))
        elif event.kind.endswith(".completed"):
            self._heard.pop(key, None)
            self._transcripts.append((key, event.text("transcript").strip(), True))
        elif event.kind.endswith(".failed"):
            self._complain("failed_transcripts", event.text("error", "message"))

    def _note_time(self, event: Event, name: str) -> None:
        milliseconds = event.milliseconds(name)
        if milliseconds is not None:
            self._times_ms.setdefault(event.text("item_id"), []).append(milliseconds)
            while len(self._times_ms) > _MOST_TURNS:  # nobody writes them down
                self._times_ms.pop(next(iter(self._times_ms)))

    def _transcript(self, key: str, text: str, is_final: bool, turn: MicroTurn) -> TranscriptEvent:
        """Return words with the times of their sound, as far as the server has told them."""
        times_ns = [self._began_ns + one * 1_000_000 for one in self._times_ms.get(key, ())]
        start_ns = times_ns[0] if times_ns else turn.start_ns
        end_ns = times_ns[1] if len(times_ns) > 1 else turn.end_ns
        if is_final:
            self._times_ms.pop(key, None)
        return TranscriptEvent("user", text, is_final, 1.0 if is_final else 0.0, start_ns, max(start_ns, end_ns))

    def _interrupt(self, turn: MicroTurn) -> None:
        """Drop the rest of the answer, and tell the server how much of it the loudspeaker has played."""
        cut = self._voice.cut()
        self._is_thinking = False
        if cut is None:
            return
        key, heard_s = cut
        if turn.playback is not None:
            heard_s = min(heard_s, turn.playback.samples_played / SAMPLE_RATE_HZ)
        self.outbox.append(truncate(key, heard_s))

    def _complain(self, counter: str, said: str) -> None:
        if not self.counters[counter]:
            _log.warning("%s says: %s; further ones are counted", self._address.host, self._address.said(said))
        self.counters[counter] += 1
