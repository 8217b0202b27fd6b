"""What a bag gave once, to be held against what it gives now: one line of JSON per micro-turn, no wall clock in it.

The first line says how the bag was played, so that it is played in the same way again. ``sound`` and ``digest`` are
hashes: the first of what was said as sound, the second of every published field, also of those that no other field
shows. Both hold for one machine and its synthesiser; elsewhere they can be left out of the comparison.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tml_ros.errors import ConfigError, InputError, nearest_name
from tml_ros.records import MICRO_TURN_NS, SpeechPiece
from tml_ros.replay.run import ReplayOptions, ReplayResult, replay
from tml_ros.replay.runlog import RunLog, TurnRow
from tml_ros.session import TurnRecords
from tml_ros.wire import Digest, to_tree

__all__ = ["FIELDS", "Difference", "Golden", "compare", "golden_path", "make_golden", "read_golden"]

FIELDS = (
    "turn",
    "at_s",
    "floor",
    "agent",
    "user",
    "overlap",
    "heard",
    "said",
    "intents",
    "alerts",
    "frames",
    "missing_samples",
    "late_messages",
    "sound",
    "digest",
)
_VERSION = 1
_MARK = "tml_golden"
_HASH_CHARS = 16
_TURN_S = MICRO_TURN_NS / 1e9
_NOT_SHOWN = {
    "sound": "the sound of the robot's voice differs; another synthesiser or machine? then --ignore sound",
    "digest": "published fields differ that are not shown here, such as ids, counters or confidences",
}


@dataclass(frozen=True, slots=True)
class Golden:
    """A recorded answer. values, topics, background: as in ReplayOptions. turns: one mapping of FIELDS each."""

    bag: str
    values: Mapping[str, Any]
    turns: tuple[Mapping[str, Any], ...]
    topics: Mapping[str, str] = field(default_factory=dict)
    background: str = "auto"

    @property
    def options(self) -> ReplayOptions:
        """How to play the bag again."""
        return ReplayOptions(values=self.values, topics=self.topics, background=self.background)

    def write(self, path: Path) -> None:
        """Write the file.

        Raises:
            ConfigError: it is there and something else, or cannot be written.
        """
        head = {
            _MARK: _VERSION,
            "bag": self.bag,
            "background": self.background,
            "topics": dict(self.topics),
            "values": dict(self.values),
        }
        try:
            if path.exists() and not _is_golden(path):
                raise ConfigError(f"{path} is there and no golden file; name another with --out, or remove it")
            path.write_text("".join(f"{json.dumps(line)}\n" for line in (head, *self.turns)), encoding="utf-8")
        except OSError as err:
            raise ConfigError(f"cannot write {path}: {err.strerror}; name another place with --out") from err


@dataclass(frozen=True, slots=True)
class Difference:
    """The first micro-turn that is not as expected.

    fields: name, expected and found value of each that differs. heard: the words that were heard last before its end.
    differing: how many micro-turns differ, ``of`` how many.
    """

    turn: int
    at_s: float
    fields: tuple[tuple[str, Any, Any], ...]
    heard: str
    differing: int
    of: int

    def as_dict(self) -> dict[str, Any]:
        """Return it for a line of JSON."""
        fields = {name: {"expected": expected, "got": got} for name, expected, got in self.fields}
        return {"turn": self.turn, "at_s": self.at_s, "differing": self.differing, "of": self.of, "fields": fields}

    def __str__(self) -> str:
        """Return it as lines for a person: - is expected, + is what came."""
        lines = [
            f"micro-turn {self.turn} ({self.at_s:.1f} to {self.at_s + _TURN_S:.1f} s) is the first of "
            f"{self.differing} that differ, of {self.of}"
        ]
        if self.heard:
            lines.append(f"  last heard: {self.heard}")
        shown = [one for one in self.fields if one[0] not in _NOT_SHOWN]
        width = max((len(name) for name, *_ in shown), default=0)
        for name, expected, got in shown:
            lines.append(f"  {name:<{width}} - {_plain(expected)}")
            lines.append(f"  {'':<{width}} + {_plain(got)}")
        lines += [f"  {_NOT_SHOWN[name]}" for name, *_ in self.fields if name in _NOT_SHOWN]
        return "\n".join(lines)


def golden_path(bag: Path) -> Path:
    """Return where the golden file of a bag lies unless somebody says otherwise: beside it."""
    return bag.parent / f"{bag.absolute().name}.golden.jsonl"


def make_golden(
    bag: Path, options: ReplayOptions, on_turn: Callable[[RunLog, float], None] | None = None
) -> tuple[Golden, ReplayResult]:
    """Play a bag and return what it gives.

    Args:
        on_turn: as in ``replay``.

    Raises:
        ConfigError: the background is a port of one's own, which no file can name.
        BagError, ModelError, MissingDependencyError: as ``replay``.
    """
    if not isinstance(options.background, str):
        raise ConfigError("a golden file needs a background by its name: auto, recorded, offline or none")
    recorder = _Recorder()
    result = replay(bag, options, on_turn, recorder.add)
    values = dict(options.values) | {"model": result.model}
    golden = Golden(bag.absolute().name, values, tuple(recorder.turns), dict(options.topics), options.background)
    return golden, result


def read_golden(path: Path) -> Golden:
    """Read a golden file.

    Raises:
        InputError: it is missing, or a line of it is not what ``write`` writes.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"cannot read golden file {path}: {err}; `tml golden BAG` writes one") from err
    head = _object(path, 1, lines[0] if lines else "")
    if head.get(_MARK) != _VERSION:
        raise InputError(
            f"{path}:1: expected a golden file of version {_VERSION}, got {head.get(_MARK)!r}; write it anew with "
            "`tml golden BAG`"
        )
    values, topics = (_mapping(path, head, name) for name in ("values", "topics"))
    turns = [_object(path, number, line) for number, line in enumerate(lines[1:], start=2)]
    for number, turn in enumerate(turns, start=2):
        if set(turn) != set(FIELDS):
            wrong = ", ".join(sorted(set(turn) ^ set(FIELDS)))
            raise InputError(f"{path}:{number}: missing or unknown: {wrong}; write it anew with `tml golden BAG`")
    return Golden(str(head.get("bag", "")), values, tuple(turns), topics, str(head.get("background", "auto")))


def compare(
    expected: Sequence[Mapping[str, Any]], got: Sequence[Mapping[str, Any]], ignore: Collection[str] = ()
) -> Difference | None:
    """Return the first micro-turn that differs, None when none does.

    Args:
        ignore: fields that may differ.

    Raises:
        ConfigError: no such field.
    """
    for name in ignore:
        if name not in FIELDS:
            raise ConfigError(
                f"no field {name!r} to ignore{nearest_name(name, FIELDS)}; a golden file has {', '.join(FIELDS)}"
            )
    pairs = list(zip(expected, got, strict=False))
    differing = [number for number, pair in enumerate(pairs) if _unequal(*pair, ignore)]
    of, missing = max(len(expected), len(got)), abs(len(expected) - len(got))
    if not differing and not missing:
        return None
    first = differing[0] if differing else len(pairs)
    turn = (expected if len(expected) > first else got)[first]
    fields = _unequal(*pairs[first], ignore) if differing else (("micro-turns", len(expected), len(got)),)
    heard = next((one["heard"] for one in reversed(expected[: first + 1]) if one["heard"]), "")
    return Difference(turn["turn"], turn["at_s"], fields, heard, len(differing) + missing, of)


class _Recorder:
    """Turns what is published of a micro-turn into its line."""

    def __init__(self) -> None:
        self.turns: list[Mapping[str, Any]] = []
        self._log = RunLog("")

    def add(self, done: TurnRecords) -> None:
        """Take in one micro-turn."""
        digest, sound = Digest(), hashlib.sha256()
        has_sound = False
        for record in done.records:
            topic, _, tree = to_tree(record)
            digest.add(topic, tree)
            self._log.add(record)
            if isinstance(record, SpeechPiece) and len(record.audio):
                sound.update(tree["audio"]["data"])
                has_sound = True
        heard = sound.hexdigest()[:_HASH_CHARS] if has_sound else ""
        self.turns.append(_line(self._log.turns[-1]) | {"sound": heard, "digest": digest.hexdigest()[:_HASH_CHARS]})


def _line(row: TurnRow) -> dict[str, Any]:
    return {
        "turn": row.index,
        "at_s": round(row.end_s - _TURN_S, 4),
        "floor": row.floor,
        "agent": row.agent_state.lower(),
        "user": row.user_state.lower(),
        "overlap": row.overlap,
        "heard": row.heard,
        "said": row.said,
        "intents": list(row.intents),
        "alerts": list(row.alerts),
        "frames": row.frames,
        "missing_samples": row.missing_samples,
        "late_messages": row.late_messages,
    }


def _unequal(
    expected: Mapping[str, Any], got: Mapping[str, Any], ignore: Collection[str]
) -> tuple[tuple[str, Any, Any], ...]:
    names = (name for name in FIELDS if name not in ignore and expected[name] != got[name])
    return tuple((name, expected[name], got[name]) for name in names)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "nothing"
    return str(value) if value != "" else "nothing"


def _is_golden(path: Path) -> bool:
    """Tell whether a file is one of any version."""
    with path.open(encoding="utf-8", errors="replace") as file:
        try:
            return _MARK in _object(path, 1, file.readline())
        except InputError:
            return False


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as err:
        raise InputError(f"{path}:{number}: no JSON ({err}); write it anew with `tml golden BAG`") from err
    if not isinstance(found, dict):
        raise InputError(f"{path}:{number}: expected an object, got {line[:40]!r}; write it anew with `tml golden BAG`")
    return found


def _mapping(path: Path, head: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = head.get(name)
    if not isinstance(found, dict):
        raise InputError(f"{path}:1: {name} must be an object, got {found!r}; write it anew with `tml golden BAG`")
    return found
