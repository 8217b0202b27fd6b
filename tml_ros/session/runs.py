"""Processes that are timed: which of them run, since when, and how long the earlier ones took.

What is running and the history are kept in memory, and in an SQLite file where one is named, so that both survive a
restart. The file holds names, times and durations, no words that were heard. A file that fails later on is given up
with a warning: timing goes on in memory. It looks at no clock but the times that it is given.
"""

import logging
import sqlite3
import statistics
from collections import Counter, deque
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from tml_ros.errors import ConfigError

__all__ = ["Run", "Runs"]

_MOST_NAMES = 200
_MOST_OF_A_NAME = 20
_MOST_KEPT = 1_000  # in the file
_USUAL = 5  # runs that tell what is usual
_LONGEST_NS = 7 * 86_400_000_000_000  # what is said to run for longer was started on another clock, or forgotten
_VERSION = 1
_TABLE = """
CREATE TABLE IF NOT EXISTS runs (
    name TEXT NOT NULL,
    started_ns INTEGER NOT NULL,
    duration_ns INTEGER,
    limit_ns INTEGER,
    than TEXT NOT NULL DEFAULT ''
)
"""
_BEGIN = "INSERT INTO runs (started_ns, limit_ns, than, name) VALUES (?, ?, ?, ?)"
_CHANGE = "UPDATE runs SET started_ns = ?, limit_ns = ?, than = ? WHERE name = ? AND duration_ns IS NULL"
_FORGET = "DELETE FROM runs WHERE name = ? AND duration_ns IS NULL"
_DONE = "INSERT INTO runs (name, started_ns, duration_ns) VALUES (?, ?, ?)"
_FORGET_OLD = "DELETE FROM runs WHERE duration_ns NOT NULL AND rowid <= (SELECT max(rowid) FROM runs) - ?"
_HISTORY = "SELECT name, duration_ns FROM runs WHERE duration_ns NOT NULL ORDER BY rowid"
_RUNNING = "SELECT name, started_ns, limit_ns, than FROM runs WHERE duration_ns IS NULL ORDER BY rowid"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Run:
    """A process that runs. limit_ns: how long it may take until somebody is told, None: no matter how long.

    than: what the limit is, ``last``, ``usual`` or empty. is_told: it was told that the limit is passed.
    """

    name: str
    started_ns: int
    limit_ns: int | None = None
    than: str = ""
    is_told: bool = False

    def is_over(self, now_ns: int) -> bool:
        """Tell whether it takes longer than it may."""
        return self.limit_ns is not None and now_ns - self.started_ns > self.limit_ns


class Runs:
    """The processes of one robot, over all of its sessions.

    Thread: one caller at a time, whichever thread it is.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Read what is in a file, or begin anew. path: None keeps everything in memory.

        Raises:
            ConfigError: the file cannot be used.
        """
        self.counters: Counter[str] = Counter()
        self.running: dict[str, Run] = {}
        self._took: dict[str, deque[int]] = {}
        self._last = ""
        self._file = None if path is None else _open(path)
        if self._file is not None:
            self._read(self._file)

    @property
    def newest(self) -> Run | None:
        """The process that was started last and still runs."""
        return next(reversed(self.running.values()), None)

    def knows(self, name: str) -> bool:
        """Tell whether something of that name runs or ran."""
        return name in self.running or name in self._took

    def start(self, name: str, now_ns: int) -> None:
        """Begin; what runs by that name already is begun anew."""
        self._drop(name)
        self._keep(Run(name, now_ns))
        if len(self.running) > _MOST_NAMES:
            self._drop(next(iter(self.running)))

    def stop(self, name: str, now_ns: int) -> int:
        """End what runs and return how long it took, in ns."""
        run = self.running.pop(name)
        took_ns = max(0, now_ns - run.started_ns)
        self._add(name, took_ns)
        self._write(
            (_FORGET, (name,)),
            (_DONE, (name, run.started_ns, took_ns)),
            (_FORGET_OLD, (_MOST_KEPT,)),
        )
        return took_ns

    def watch(self, name: str, limit_ns: int, than: str) -> None:
        """Let it be told when what runs takes longer."""
        self._keep(replace(self.running[name], limit_ns=limit_ns, than=than, is_told=False))

    def overdue(self, now_ns: int) -> list[Run]:
        """Return, once each, what takes longer than it may."""
        late = [run for run in self.running.values() if run.is_over(now_ns) and not run.is_told]
        for run in late:
            self.running[run.name] = replace(run, is_told=True)
        return late

    def last_ns(self, name: str = "") -> int | None:
        """Return how long the last one took; name: the last of these, or the very last when there is none of them."""
        took = self._took.get(name) or self._took.get(self._last)
        return took[-1] if took else None

    def took_ns(self, name: str) -> int | None:
        """Return how long the last one of exactly that name took, None when there was none."""
        took = self._took.get(name)
        return took[-1] if took else None

    def usual_ns(self, name: str = "") -> int | None:
        """Return the median of the last five, chosen as for ``last_ns``."""
        took = self._took.get(name) or self._took.get(self._last)
        return round(statistics.median(list(took)[-_USUAL:])) if took else None

    def last_name(self, name: str = "") -> str:
        """Return what ``last_ns`` and ``usual_ns`` are about."""
        return name if name in self._took else self._last

    def move(self, by_ns: int) -> None:
        """Take note that the clock was set back: what has run until now has run as long as it had."""
        for run in list(self.running.values()):
            self._keep(replace(run, started_ns=run.started_ns + by_ns))

    def check(self, now_ns: int) -> None:
        """Forget what cannot have been started on this clock: in the future, or more than a week ago."""
        for run in list(self.running.values()):
            if not 0 <= now_ns - run.started_ns <= _LONGEST_NS:
                self.counters["forgotten_runs"] += 1
                self._drop(run.name)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    # -------------------------------------------------------------------------------------------------- keeping

    def _keep(self, run: Run) -> None:
        statement = _CHANGE if run.name in self.running else _BEGIN
        self.running[run.name] = run
        self._write((statement, (run.started_ns, run.limit_ns, run.than, run.name)))

    def _drop(self, name: str) -> None:
        if self.running.pop(name, None) is not None:
            self._write((_FORGET, (name,)))

    def _add(self, name: str, took_ns: int) -> None:
        took = self._took.pop(name, deque(maxlen=_MOST_OF_A_NAME))
        took.append(took_ns)
        self._took[name] = took
        self._last = name
        if len(self._took) > _MOST_NAMES:
            del self._took[next(iter(self._took))]

    def _read(self, file: sqlite3.Connection) -> None:
        for name, took_ns in file.execute(_HISTORY):
            self._add(name, took_ns)
        self.running = {name: Run(name, *values) for name, *values in file.execute(_RUNNING)}

    def _write(self, *statements: tuple[str, tuple[object, ...]]) -> None:
        """Write all of it or nothing."""
        if self._file is None:
            return
        try:
            with self._file:
                for statement, values in statements:
                    self._file.execute(statement, values)
        except sqlite3.Error as err:
            self.counters["history_errors"] += 1
            _log.warning("time.history_file cannot be written any more, timing goes on in memory: %s", err)
            self.close()


def _open(path: Path) -> sqlite3.Connection:
    """Open or make a file that only its owner may read."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        file = sqlite3.connect(path, timeout=1.0, check_same_thread=False)
    except (OSError, sqlite3.Error) as err:
        raise ConfigError(
            f"time.history_file {path} cannot be opened: {err}; name a file in a folder of yours"
        ) from err
    try:
        with closing(file.execute("PRAGMA user_version")) as found:
            (version,) = found.fetchone()
        if version not in (0, _VERSION):
            raise ConfigError(
                f"time.history_file {path} is of version {version}, expected {_VERSION}; name another file"
            )
        with file:
            file.execute(_TABLE)
            file.execute(f"PRAGMA user_version = {_VERSION}")
        file.execute(_HISTORY).close()
        file.execute(_RUNNING).close()
    except sqlite3.Error as err:
        file.close()
        raise ConfigError(
            f"time.history_file {path} holds no history of this package: {err}; name another file"
        ) from err
    except ConfigError:
        file.close()
        raise
    return file
