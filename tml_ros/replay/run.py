"""Play a bag through a model offline: the node's own engine on the bag's clock, so that the answers are the same.

``paced`` plays it at the speed of life and measures when every answer could have been heard; otherwise it runs as fast
as the machine allows and answers leave at the ends of their windows. Either way the published records are the same.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tml_ros.background import BackgroundPort, create_background
from tml_ros.background.config import BackgroundConfig, surroundings
from tml_ros.background.inline import InlineBackground
from tml_ros.background.recorded import RecordedBackground
from tml_ros.bags import BagReader, BagWriter
from tml_ros.clock import BagClock
from tml_ros.config import load_parameter_file
from tml_ros.errors import ConfigError
from tml_ros.media.jpeg import thumbnail
from tml_ros.records import MICRO_TURN_NS, DelegationEvent, MicroTurn, SpeechPiece
from tml_ros.replay.inputs import find_audio_info, find_inputs
from tml_ros.replay.runlog import RunLog
from tml_ros.session import TurnRecords
from tml_ros.session.build import Assembly, build
from tml_ros.session.ingest import Ingest
from tml_ros.windowing import ClosedWindow, MicroTurnAssembler
from tml_ros.wire import OUTPUT_TYPES, Digest, Published, published, to_tree

__all__ = ["ReplayOptions", "ReplayResult", "read_values", "replay"]

_THUMBNAIL_EVERY_NS = 1_000_000_000
_OF_THE_NODE = ("autostart", "use_sim_time")


def read_values(path: Path) -> dict[str, Any]:
    """Read the interaction node's parameter file; what only a node has a use for is left out.

    Raises:
        ConfigError: the file is missing or wrong.
    """
    values = load_parameter_file(path, "interaction")
    return {name: value for name, value in values.items() if name not in _OF_THE_NODE}


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """How to play. topics: input name to topic. out: folder for a bag of all that was published, or None.

    background: who works on delegated tasks: ``recorded`` (what the bag holds of the topic delegation), ``offline``
    (the documents and plans of the example lab), ``auto`` (the first where the bag has it, otherwise the second),
    ``none``, or a port of your own. Only what gives the same every time keeps the digest the same.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    topics: Mapping[str, str] = field(default_factory=dict)
    paced: bool = False
    out: Path | None = None
    pictures: bool = False
    background: str | BackgroundPort = "auto"


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What came of a replay. digest: of every published field but the wall-clock ones."""

    log: RunLog
    digest: str
    model: str
    seconds: float
    wall_seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return the line that ``tml replay --json`` ends with."""
        factor = self.seconds / self.wall_seconds if self.wall_seconds > 0 else 0.0
        return {"digest": self.digest, "model": self.model, "realtime_factor": round(factor, 2), **self.log.summary()}


def replay(
    path: Path,
    options: ReplayOptions,
    on_turn: Callable[[RunLog, float], None] | None = None,
    on_records: Callable[[TurnRecords], None] | None = None,
) -> ReplayResult:
    """Play one bag.

    Args:
        on_turn: called after every micro-turn with the log and the share of the bag that is done, 0 to 1.
        on_records: called with every micro-turn and what is published of it.

    Raises:
        BagError: the bag is missing, damaged or holds neither sound nor pictures.
        ConfigError, ModelError, MissingDependencyError: the model cannot be made from the options.
    """
    with ExitStack() as stack:
        reader = stack.enter_context(BagReader(path))
        inputs = find_inputs(path, reader.info, options.topics)
        clock = BagClock()
        assembly = build(options.values, clock, _background(options, reader))
        stack.callback(assembly.model.close)
        stack.callback(assembly.engine.close)
        writer = stack.enter_context(BagWriter(options.out / "bag")) if options.out else None
        player = _Player(assembly, clock, options, writer, on_records)
        began = time.monotonic()
        ingest = Ingest(MicroTurnAssembler(assembly.config.window), player.play, assembly.config.audio_input)
        info_topics = find_audio_info(reader.info, inputs)
        ingest.audio.awaits_info = bool(info_topics)
        for message in reader.messages([*inputs, *info_topics]):
            if options.paced:
                player.wait_for(message.log_ns)
            if message.topic in info_topics:
                ingest.take_audio_info(message.message)
            else:
                ingest.take(inputs[message.topic], message.message, message.log_ns)
            if on_turn is not None and player.has_news():
                on_turn(player.log, _share(message.log_ns, reader.info.start_ns, reader.info.end_ns))
        ingest.flush()
        wall_seconds = time.monotonic() - began
    seconds = len(player.log.turns) * MICRO_TURN_NS / 1e9
    return ReplayResult(player.log, player.digest.hexdigest(), assembly.config.model, seconds, wall_seconds)


def _background(options: ReplayOptions, reader: BagReader) -> BackgroundPort | None:
    """Return who works on tasks, on the bag's time."""
    chosen = options.background
    if not isinstance(chosen, str):
        return chosen
    events = [topic for topic, one in reader.info.topics.items() if one.type == OUTPUT_TYPES["delegation"]]
    if chosen == "auto":
        chosen = "recorded" if events else "offline"
    if chosen == "none":
        return None
    if chosen == "recorded":
        found = (published("delegation", message.message) for message in reader.messages(events)) if events else ()
        return RecordedBackground(event for event in found if isinstance(event, DelegationEvent))
    if chosen != "offline":
        raise ConfigError(f"background must be auto, recorded, offline or none in a replay, got {chosen!r}")
    return InlineBackground(create_background("offline", {}, surroundings(BackgroundConfig())))


def _share(now_ns: int, start_ns: int, end_ns: int) -> float:
    return (now_ns - start_ns) / max(1, end_ns - start_ns)


class _Player:
    """Runs closed windows one by one and gathers what they give."""

    def __init__(
        self,
        assembly: Assembly,
        clock: BagClock,
        options: ReplayOptions,
        writer: BagWriter | None,
        on_records: Callable[[TurnRecords], None] | None,
    ) -> None:
        self.log = RunLog(assembly.config.model)
        self.digest = Digest()
        self._assembly = assembly
        self._clock = clock
        self._options = options
        self._writer = writer
        self._on_records = on_records
        self._origin: tuple[int, int] | None = None
        self._next_picture_ns = 0
        self._reported = 0

    def has_news(self) -> bool:
        """Tell, once per micro-turn, that one was added."""
        added = len(self.log.turns) != self._reported
        self._reported = len(self.log.turns)
        return added

    def wait_for(self, log_ns: int) -> None:
        """Wait until a message of that time would have come, counted from the first one."""
        if self._origin is None:
            self._origin = (log_ns, time.monotonic_ns())
        due_ns = self._origin[1] + log_ns - self._origin[0]
        time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)

    def play(self, window: ClosedWindow) -> None:
        """Run one window."""
        self._clock.set_ns(window.turn.end_ns)
        done = self._assembly.process(window)
        self._gather(done, self._delay_ns(window.turn.end_ns))

    def _delay_ns(self, end_ns: int) -> int:
        """Return by how much the answer of a window came after the window's end, 0 when not paced."""
        if self._origin is None:
            return 0
        return max(0, time.monotonic_ns() - self._origin[1] - (end_ns - self._origin[0]))

    def _gather(self, done: TurnRecords, delay_ns: int) -> None:
        self.log.add_heard(done.turn.start_ns, done.turn.audio)
        if self._options.pictures:
            self._add_picture(done.turn)
        for record in done.records:
            topic, type_name, tree = to_tree(record)
            self.digest.add(topic, tree)
            if self._writer is not None:
                self._writer.write(f"/tml/{topic}", type_name, tree, done.turn.end_ns)
            self.log.add(_delayed(record, delay_ns))
        if self._on_records is not None:
            self._on_records(done)

    def _add_picture(self, turn: MicroTurn) -> None:
        if turn.frames and turn.frames[-1].stamp_ns >= self._next_picture_ns:
            self._next_picture_ns = turn.frames[-1].stamp_ns + _THUMBNAIL_EVERY_NS
            self.log.add_picture(turn.frames[-1].stamp_ns, thumbnail(turn.frames[-1].rgb))


def _delayed(record: Published, delay_ns: int) -> Published:
    """Move the first piece of speech to the time at which it really could leave the loudspeaker."""
    if delay_ns and isinstance(record, SpeechPiece):
        return replace(record, stamp_ns=record.stamp_ns + delay_ns)
    return record
