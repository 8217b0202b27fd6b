"""Scenarios: what comes in, when, and what is expected of the robot; suites of them with the thresholds that must hold.

Read from YAML (``load_suite``), with errors that name file, line, key and the nearest valid name. An input comes at a
set time or after something that the robot did, so the loop is closed; in a bag everything comes when it came. Nothing
here makes sound or runs a model: that is the business of ``stage``, ``runner`` and ``bag_runner``; what expectations
mean is said in ``expectations``.

Source: config/scenario.schema.json.
"""

import fnmatch
import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from tml_ros.background.scripted import ScriptedModel
from tml_ros.errors import ConfigError, SceneError, nearest_name
from tml_ros.evaluation.catalogue import MEASURES
from tml_ros.evaluation.expectations import Anchor, Expectation, read_expectation
from tml_ros.evaluation.generator import GENERATORS, generate
from tml_ros.evaluation.room import RoomConfig
from tml_ros.evaluation.scenario_schema import Document, Key, read_document
from tml_ros.evaluation.timeline import EVENTS
from tml_ros.records import MICRO_TURN_NS
from tml_ros.replay.scene import Video, parse_scene
from tml_ros.replay.scene_audio import synthesiser_for
from tml_ros.resources import find

__all__ = [
    "Bag",
    "Fault",
    "Input",
    "NoiseBed",
    "Recording",
    "Say",
    "Scenario",
    "Suite",
    "Threshold",
    "Trigger",
    "Typed",
    "find_suite",
    "load_suite",
    "shipped_suites",
]

DEFAULT_VOICE = "flite:slt"
_FOLDER = "config/scenarios"
_TURN_S = MICRO_TURN_NS / 1e9


# ---------------------------------------------------------------------------------------------------------- records


@dataclass(frozen=True, slots=True)
class Trigger:
    """When an input is sent: a time after the nth event of a kind. since: only events after this input's end count."""

    event: str
    delay_s: float = 0.0
    nth: int = 1
    since: str = ""


@dataclass(frozen=True, slots=True)
class Say:
    """A line for a synthesiser."""

    text: str
    voice: str = DEFAULT_VOICE
    speed: float = 1.0
    gain_db: float = 0.0


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording of a person. length_s None: to its end."""

    path: Path
    from_s: float = 0.0
    length_s: float | None = None
    gain_db: float = 0.0


@dataclass(frozen=True, slots=True)
class NoiseBed:
    """A steady noise until ``until_s``. gain_db: RMS in dB below full scale."""

    color: str
    until_s: float
    gain_db: float = -50.0


@dataclass(frozen=True, slots=True)
class Typed:
    """A line that the person types."""

    text: str


@dataclass(frozen=True, slots=True)
class Input:
    """Something that comes in, at a set time or after an event; of speech it is the voice that begins then."""

    name: str
    source: Say | Recording | NoiseBed | Typed
    at_s: float | None = None
    send_after: Trigger | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong in [at_s, until_s). kind: as in the schema; amount: its number, 1 where it has none."""

    kind: str
    at_s: float
    until_s: float
    amount: float = 1.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One conversation. video: as in a scene file. background: script of the background model, None: offline model."""

    name: str
    suite: str
    seed: int
    duration_s: float
    inputs: tuple[Input, ...]
    expectations: tuple[Expectation, ...]
    video: tuple[Video, ...] = ()
    faults: tuple[Fault, ...] = ()
    room: RoomConfig = field(default_factory=RoomConfig)
    background: tuple[Mapping[str, Any], ...] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bag:
    """A recording of a robot, to give what it gave before.

    duration_s: as the golden file has it. mark: hash of the golden file, by which a run knows that it is another one.
    """

    name: str
    suite: str
    bag: Path
    golden: Path
    duration_s: float = 0.0
    mark: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a measure must come to over a suite. model: pattern of the labels that it holds for."""

    measure: str
    at_most: float | None = None
    at_least: float | None = None
    model: str = "*"

    def concerns(self, label: str) -> bool:
        """Tell whether it holds for a model."""
        return fnmatch.fnmatchcase(label, self.model)

    def is_met(self, value: float | None) -> bool:
        """Tell whether a figure meets it; one that could not be measured does not."""
        if value is None or math.isnan(value):
            return False
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)


@dataclass(frozen=True, slots=True)
class Suite:
    """Scenarios of one kind, bags after them, and what must hold over all of them."""

    name: str
    title: str
    scenarios: tuple[Scenario | Bag, ...]
    thresholds: tuple[Threshold, ...]
    path: Path


# ---------------------------------------------------------------------------------------------------------- reading


def shipped_suites() -> dict[str, Path]:
    """Return the suites of this package by name, sorted."""
    return {path.stem: path for path in sorted(find(_FOLDER).glob("*.yaml"))}


def find_suite(name: str) -> Path:
    """Return the file of a suite: one of this package by its name, or a path.

    Raises:
        ConfigError: it is neither; names the nearest suite.
    """
    known = shipped_suites()
    if name in known:
        return known[name]
    path = Path(name).expanduser()
    if path.is_file():
        return path
    hint = nearest_name(name, known) or f"; known: {', '.join(known)}"
    raise ConfigError(f"{name!r} is neither a suite of this package nor a file{hint}")


def load_suite(path: Path, data: Path | None = None) -> Suite:
    """Read a suite file and make what it generates; the same file, data and version of this package give the same.

    Args:
        data: folder with recordings of people (docs/scenarios.md says how it is laid out); without it what is made of
            recordings is left out.

    Raises:
        SceneError: the file is missing or wrong; names file, line, key and the nearest valid name.
    """
    document = read_document(path)
    content = document.content
    scenarios = [
        _Reader(document, ("scenarios", number), one, data).scenario()
        for number, one in enumerate(content.get("scenarios", []))
    ]
    for number, block in enumerate(content.get("generate", [])):
        scenarios += _generated(document, ("generate", number), block, data)
    names: set[str] = set()
    for number, one in enumerate(scenarios):
        if one.name in names:
            document.fail(("scenarios", number, "name"), f"two scenarios are named {one.name!r}; rename one")
        names.add(one.name)
    bags = [_Reader(document, ("bags", number), one, data).bag() for number, one in enumerate(content.get("bags", []))]
    for number, bag in enumerate(bags):
        if bag.name in names:
            document.fail(("bags", number, "name"), f"{bag.name!r} is taken; give the bag another name")
        names.add(bag.name)
    thresholds = tuple(_threshold(document, number, one) for number, one in enumerate(content.get("thresholds", [])))
    return Suite(content["suite"], content["title"], (*scenarios, *bags), thresholds, path)


def _generated(document: Document, key: Key, block: Mapping[str, Any], data: Path | None) -> Iterator[Scenario]:
    kind = block["kind"]
    if kind not in GENERATORS:
        document.unknown((*key, "kind"), kind, "generator", GENERATORS)
    voices = tuple(block.get("voices", ()))
    for voice in voices:
        _check_voice(document, (*key, "voices"), voice)
    try:
        made = generate(kind, block.get("seed", 0), block.get("count"), voices, data)
    except (OSError, KeyError, ValueError, ConfigError) as err:
        document.fail(key, f"cannot be made from the data in {data}: {err!r}; check the folder")
    for one in made:
        yield _Reader(document, key, one, data, is_made=True).scenario()


def _threshold(document: Document, number: int, item: Mapping[str, Any]) -> Threshold:
    if item["measure"] not in MEASURES:
        document.unknown(("thresholds", number, "measure"), item["measure"], "measure", MEASURES)
    return Threshold(item["measure"], item.get("at_most"), item.get("at_least"), item.get("model", "*"))


def _check_voice(document: Document, key: Key, voice: str) -> None:
    try:
        synthesiser_for(voice)
    except ConfigError as err:
        document.fail(key, str(err))


class _Reader:
    """Turns one checked scenario or bag into records; keeps what its errors have to name."""

    def __init__(
        self, document: Document, key: Key, item: Mapping[str, Any], data: Path | None, *, is_made: bool = False
    ) -> None:
        self._document = document
        self._key = key
        self._item = item
        self._data = data
        self._is_made = is_made
        self._names: list[str] = []

    def scenario(self) -> Scenario:
        item = self._item
        inputs = tuple(self._input(("input", number), one) for number, one in enumerate(item["input"]))
        expectations = tuple(
            self._expectation(("expect", number), one, number) for number, one in enumerate(item["expect"])
        )
        return Scenario(
            name=item["name"],
            suite=self._document.content["suite"],
            seed=item.get("seed", 0),
            duration_s=math.ceil(round(item["duration_s"] / _TURN_S, 6)) * _TURN_S,
            inputs=inputs,
            expectations=expectations,
            video=self._video(),
            faults=tuple(self._fault(("faults", number), one) for number, one in enumerate(item.get("faults", []))),
            room=self._room(),
            background=self._background(),
            tags=dict(item.get("tags", {})),
        )

    def bag(self) -> Bag:
        bag, golden = (self._path((key,), self._item[key]) for key in ("bag", "golden"))
        content = golden.read_bytes() if golden.is_file() else b""  # whether it is a golden file is told when it is run
        turns = max(0, content.count(b"\n") - 1)
        return Bag(
            name=self._item.get("name", bag.name),
            suite=self._document.content["suite"],
            bag=bag,
            golden=golden,
            duration_s=round(turns * _TURN_S, 3),
            mark=hashlib.sha256(content).hexdigest(),
        )

    def _input(self, key: Key, item: Mapping[str, Any]) -> Input:
        name = item.get("name", f"input_{key[-1]}")
        if name in self._names or name in EVENTS or name == "start":
            self._fail((*key, "name"), f"{name!r} is taken; choose another")
        trigger = self._trigger((*key, "send_after"), item["send_after"]) if "send_after" in item else None
        at_s = item.get("at_s")
        if at_s is not None and at_s >= self._item["duration_s"]:
            limit = self._item["duration_s"]
            self._fail((*key, "at_s"), f"got {at_s}, expected less than duration_s ({limit}); lengthen the scenario")
        source = self._source(key, item)
        self._names.append(name)
        return Input(name, source, None if at_s is None else float(at_s), trigger)

    def _source(self, key: Key, item: Mapping[str, Any]) -> Say | Recording | NoiseBed | Typed:
        if "text" in item:
            return Typed(item["text"])
        gain_db = float(item.get("gain_db", -50.0 if "noise" in item else 0.0))
        if "noise" in item:
            return NoiseBed(item["noise"], float(item.get("until_s", self._item["duration_s"])), gain_db)
        if "say" in item:
            voice = item.get("voice", DEFAULT_VOICE)
            _check_voice(self._document, (*self._key, *key, "voice"), voice)
            return Say(item["say"], voice, float(item.get("speed", 1.0)), gain_db)
        return Recording(
            self._path((*key, "file"), item["file"]), item.get("from_s", 0.0), item.get("length_s"), gain_db
        )

    def _trigger(self, key: Key, item: Mapping[str, Any]) -> Trigger:
        since = item.get("since", "")
        if since and since not in self._names:
            self._unknown((*key, "since"), since, "input before this one", self._names)
        self._check_event((*key, "event"), item["event"])
        return Trigger(item["event"], float(item.get("delay_s", 0.0)), item.get("nth", 1), since)

    def _expectation(self, key: Key, item: Mapping[str, Any], number: int) -> Expectation:
        anchor = item.get("after", "start")
        if anchor in self._names:
            anchor = f"{anchor}.end"
        self._check_event((*key, "after"), anchor, also=("start", *self._names))
        for kind in ("hit", "miss", "latency", "jitter"):
            for name in _listed(item.get(kind, ())):
                if name not in MEASURES:
                    self._unknown((*key, kind), name, "measure", MEASURES)
        number_since = item.get("said_number", {}).get("elapsed_since", "start")
        self._check_event((*key, "said_number", "elapsed_since"), number_since, also=("start", *self._names))
        try:
            return read_expectation(item, Anchor(anchor), number)
        except re.error as err:
            self._fail(key, f"{err.pattern!r} is no regular expression: {err.msg}; escape what is meant literally")
        except ConfigError as err:
            self._fail(key, str(err))

    def _check_event(self, key: Key, name: str, also: Sequence[str] = ()) -> None:
        ends = [f"{one}.{side}" for one in self._names for side in ("start", "end")]
        if name not in EVENTS and name not in ends and name not in also:
            self._unknown(key, name, "event", [*EVENTS, *ends, *also])

    def _video(self) -> tuple[Video, ...]:
        videos = [dict(one) for one in self._item.get("video", [])]
        if not videos:
            return ()
        for number, one in enumerate(videos):
            if "file" in one:
                one["file"] = str(self._path(("video", number, "file"), one["file"]))
        scene = {"duration_s": self._item["duration_s"], "seed": self._item.get("seed", 0), "video": videos}
        try:
            return parse_scene(scene, source=self._item["name"], folder=self._document.path.parent).video
        except SceneError as err:
            self._fail(("video",), str(err))

    def _fault(self, key: Key, item: Mapping[str, Any]) -> Fault:
        at_s = float(item["at_s"])
        until_s = float(item.get("until_s", at_s + _TURN_S))
        if until_s <= at_s:
            self._fail((*key, "until_s"), f"got {until_s:g}, expected more than at_s ({at_s:g})")
        (kind,) = set(item) - {"at_s", "until_s"}
        return Fault(kind, at_s, until_s, float(item[kind]))

    def _room(self) -> RoomConfig:
        values = self._document.content.get("defaults", {}) | self._item.get("room", {})
        return RoomConfig(seed=self._item.get("seed", 0), **values)

    def _background(self) -> tuple[Mapping[str, Any], ...] | None:
        if "background" not in self._item:
            return None
        tasks = tuple(self._item["background"])
        try:
            ScriptedModel.of(*tasks)
        except ConfigError as err:
            self._fail(("background",), str(err))
        return tasks

    def _path(self, key: Key, name: str) -> Path:
        folders = [self._document.path.parent, *([self._data] if self._data else []), Path()]
        for folder in folders:
            if (folder / Path(name).expanduser()).exists():
                return (folder / Path(name).expanduser()).resolve()
        looked = ", ".join(dict.fromkeys(str(folder.resolve()) for folder in folders))
        self._fail(key, f"no file {name!r} in {looked}; name a file that is there, or give the folder of the data")

    def _where(self, key: Key) -> Key:
        return self._key if self._is_made else (*self._key, *key)

    def _fail(self, key: Key, reason: str) -> NoReturn:
        self._document.fail(self._where(key), reason)

    def _unknown(self, key: Key, name: str, what: str, known: Sequence[str] | Mapping[str, Any]) -> NoReturn:
        self._document.unknown(self._where(key), name, what, known)


def _listed(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value
