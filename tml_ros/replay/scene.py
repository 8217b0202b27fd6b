"""Scene files: what a microphone hears, a camera sees and a person types, written down in YAML.

This module reads and checks them; making sound, pictures and bags of them is the business of ``scene_audio``,
``scene_video`` and ``make_bag``. Every time is kept in nanoseconds since the start of the scene.

Source: config/scene.schema.json.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from tml_ros.errors import SceneError
from tml_ros.records import SAMPLE_RATE_HZ
from tml_ros.replay.scene_schema import check_schema

__all__ = [
    "DEFAULT_START_NS",
    "Noise",
    "RenderEvent",
    "RenderedVideo",
    "Scene",
    "Sound",
    "SoundFile",
    "Speech",
    "Topics",
    "TypedText",
    "Video",
    "VideoFile",
    "load_scene",
    "parse_scene",
]

DEFAULT_START_NS = 1_700_000_000_000_000_000
DEFAULT_NOISE_DB = -50.0
DEFAULT_SIZE = (640, 480)


@dataclass(frozen=True, slots=True)
class SoundFile:
    """A recording. until_ns None: to its end. channel None: on all channels of the scene.

    rate_hz, encoding, file_channels: of headerless PCM, None for a file with a header. file_channel None: the mean,
    or channel by channel when the file has as many channels as the scene.
    """

    at_ns: int
    until_ns: int | None
    gain_db: float
    channel: int | None
    path: Path
    from_s: float = 0.0
    rate_hz: int | None = None
    encoding: str | None = None
    file_channels: int = 1
    file_channel: int | None = None


@dataclass(frozen=True, slots=True)
class Speech:
    """A text for a synthesiser. voice: a flite voice, or ``espeak:`` and a voice of espeak-ng."""

    at_ns: int
    until_ns: int | None
    gain_db: float
    channel: int | None
    text: str
    voice: str = "slt"
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Noise:
    """A steady noise. gain_db: RMS in dB below full scale. color: white, pink or hum (50 Hz mains)."""

    at_ns: int
    until_ns: int | None
    gain_db: float
    channel: int | None
    color: str = "white"


Sound = SoundFile | Speech | Noise


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A film, a picture or a folder of pictures, shown in [at_ns, until_ns). size None: its own."""

    at_ns: int
    until_ns: int
    rate_hz: float
    size: tuple[int, int] | None
    path: Path
    from_s: float = 0.0
    source_hz: float | None = None
    loop: bool = False


@dataclass(frozen=True, slots=True)
class RenderEvent:
    """Something that happens in a rendered picture in [at_ns, until_ns)."""

    at_ns: int
    until_ns: int
    what: str


@dataclass(frozen=True, slots=True)
class RenderedVideo:
    """A picture that is drawn, shown in [at_ns, until_ns). size: width, height."""

    at_ns: int
    until_ns: int
    rate_hz: float
    size: tuple[int, int]
    render: str
    events: tuple[RenderEvent, ...] = ()


Video = VideoFile | RenderedVideo


@dataclass(frozen=True, slots=True)
class TypedText:
    """A line that the person types."""

    at_ns: int
    text: str


@dataclass(frozen=True, slots=True)
class Topics:
    """Names of the topics, and how sound and pictures are cut into messages."""

    namespace: str = "tml"
    audio: str = "audio/in"
    reference: str = "audio/reference"
    image: str = "image"
    text: str = "text/in"
    chunk_ms: float = 20.0
    image_transport: str = "raw"
    jpeg_quality: int = 90

    def resolve(self, name: str) -> str:
        """Return the absolute name of a topic."""
        return name if name.startswith("/") else "/" + "/".join(filter(None, [self.namespace.strip("/"), name]))


@dataclass(frozen=True, slots=True)
class Scene:
    """A checked scene. name: that of its file, without suffix. start_ns: absolute time of its start."""

    name: str
    duration_ns: int
    seed: int = 0
    start_ns: int = DEFAULT_START_NS
    rate_hz: int = SAMPLE_RATE_HZ
    channels: int = 1
    encoding: str = "S16LE"
    audio: tuple[Sound, ...] = ()
    reference: tuple[Sound, ...] = ()
    video: tuple[Video, ...] = ()
    text: tuple[TypedText, ...] = ()
    topics: Topics = field(default_factory=Topics)


def load_scene(path: Path) -> Scene:
    """Read a scene file. Files named in it are looked for beside it, then in the working directory.

    Raises:
        SceneError: The file is absent, not YAML, against the schema, or names a file that is absent.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as err:
        raise SceneError(f"cannot read scene file {path}: {err}; give the path of a YAML scene file") from err
    except yaml.YAMLError as err:
        raise SceneError(f"{path} is not valid YAML: {' '.join(str(err).split())}") from err
    return parse_scene(document, source=str(path), folder=path.parent, name=path.stem)


def parse_scene(document: Any, *, source: str = "scene", folder: Path = Path(), name: str = "scene") -> Scene:
    """Check a scene that was read from YAML or JSON and turn it into records.

    Args:
        document: the mapping; anything else is refused.
        source: what to call it in errors, usually the file name.
        folder: where relative file names are looked for first.

    Raises:
        SceneError: It is against the schema, its times are inconsistent, or it names a file that is absent.
    """
    check_schema(document, source)
    return _Reader(document, source, folder).scene(name)


class _Reader:
    """Turns one checked document into records; keeps what its errors have to name."""

    def __init__(self, document: Mapping[str, Any], source: str, folder: Path) -> None:
        self._document = document
        self._source = source
        self._folder = folder
        self._duration_ns = _ns(document["duration_s"])

    def scene(self, name: str) -> Scene:
        document = self._document
        return Scene(
            name=name,
            duration_ns=self._duration_ns,
            seed=document.get("seed", 0),
            start_ns=document.get("start_time_ns", DEFAULT_START_NS),
            rate_hz=document.get("sample_rate_hz", SAMPLE_RATE_HZ),
            channels=document.get("channels", 1),
            encoding=document.get("encoding", "S16LE"),
            audio=tuple(self._sound(key, item) for key, item in self._items("audio")),
            reference=tuple(self._sound(key, item) for key, item in self._items("reference")),
            video=self._videos(),
            text=tuple(TypedText(self._at(key, item), item["text"]) for key, item in self._items("text")),
            topics=self._topics(),
        )

    def _items(self, section: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for index, item in enumerate(self._document.get(section, [])):
            yield f"{section}[{index}]", item

    def _topics(self) -> Topics:
        topics = Topics(**self._document.get("topics", {}))
        used: dict[str, str] = {}
        for key in ("audio", "reference", "image", "text"):
            name = topics.resolve(getattr(topics, key))
            if name in used:
                self._fail(f"topics.{key}", name, f"which topics.{used[name]} has already; choose another")
            used[name] = key
        return topics

    def _sound(self, key: str, item: dict[str, Any]) -> Sound:
        at_ns, until_ns = self._at(key, item), self._until(key, item)
        channel = item.get("channel")
        channels = self._document.get("channels", 1)
        if channel is not None and channel >= channels:
            self._fail(f"{key}.channel", channel, f"expected less than the scene's channels ({channels})")
        gain_db = float(item.get("gain_db", DEFAULT_NOISE_DB if "noise" in item else 0.0))
        if "noise" in item:
            return Noise(at_ns, until_ns, gain_db, channel, item["noise"])
        if "say" in item:
            voice, speed = item.get("voice", "slt"), float(item.get("speed", 1.0))
            return Speech(at_ns, until_ns, gain_db, channel, item["say"], voice, speed)
        names = ("from_s", "rate_hz", "encoding", "file_channels", "file_channel")
        chosen = {name: item[name] for name in names if name in item}
        return SoundFile(at_ns, until_ns, gain_db, channel, self._path(key, item), **chosen)

    def _videos(self) -> tuple[Video, ...]:
        items = sorted(self._items("video"), key=lambda pair: float(pair[1]["at_s"]))
        starts = [self._at(key, item) for key, item in items]
        ends = [*starts[1:], self._duration_ns]
        for (key, item), at_ns, end_ns in zip(items, starts, ends, strict=False):
            if at_ns == end_ns:
                self._fail(f"{key}.at_s", item["at_s"], "another video starts then; there is one camera, remove one")
        return tuple(self._video(key, item, end_ns) for (key, item), end_ns in zip(items, ends, strict=False))

    def _video(self, key: str, item: dict[str, Any], next_ns: int) -> Video:
        at_ns, until_ns = self._at(key, item), self._until(key, item)
        shared = (at_ns, next_ns if until_ns is None else min(until_ns, next_ns), float(item.get("rate_hz", 10.0)))
        size = tuple(item["size"]) if "size" in item else None
        if "render" in item:
            events = tuple(self._events(key, item))
            return RenderedVideo(*shared, size or DEFAULT_SIZE, item["render"], events)
        chosen = {name: item[name] for name in ("from_s", "source_hz", "loop") if name in item}
        return VideoFile(*shared, size, self._path(key, item), **chosen)

    def _events(self, key: str, item: dict[str, Any]) -> Iterator[RenderEvent]:
        for index, event in enumerate(item.get("events", [])):
            until_ns = self._until(f"{key}.events[{index}]", event)
            yield RenderEvent(_ns(event["at_s"]), until_ns or self._duration_ns, event["what"])

    def _at(self, key: str, item: dict[str, Any]) -> int:
        at_ns = _ns(item["at_s"])
        if at_ns >= self._duration_ns:
            limit = self._document["duration_s"]
            self._fail(f"{key}.at_s", item["at_s"], f"expected less than duration_s ({limit}); lengthen the scene")
        return at_ns

    def _until(self, key: str, item: dict[str, Any]) -> int | None:
        if "until_s" not in item:
            return None
        if item["until_s"] <= item["at_s"]:
            self._fail(f"{key}.until_s", item["until_s"], f"expected more than at_s ({item['at_s']})")
        return min(_ns(item["until_s"]), self._duration_ns)

    def _path(self, key: str, item: dict[str, Any]) -> Path:
        name = Path(item["file"]).expanduser()
        for candidate in (self._folder / name, name):
            if candidate.exists():
                return candidate.resolve()
        places = dict.fromkeys([str(self._folder.resolve()), str(Path.cwd())])
        self._fail(f"{key}.file", item["file"], f"no such file in {' or '.join(places)}")

    def _fail(self, key: str, value: Any, reason: str) -> NoReturn:
        raise SceneError(f"{self._source}: {key}: got {value!r}, {reason}")


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
