"""The folder of the incidents: each is there whole or not at all, all together within the quota.

    FOLDER/000012_20261128T173941Z_spill/   an incident: bag (mcap, metadata.yaml) and incident.json
    FOLDER/.open/NAME/ and NAME.json        the one that is being written, and its summary so far
    FOLDER/.trash/                          what is being removed

Incidents are numbered, and the lowest number is the oldest, whatever the clock said. What a crash leaves in ``.open``
becomes an incident without a bag at the next start, so that its alerts are not lost. It knows neither a ring nor when
an incident begins or ends.
"""

import fcntl
import logging
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tml_ros.errors import BagError, ConfigError
from tml_ros.safety.incidents.config import DiskConfig
from tml_ros.safety.incidents.disk import move, remove, size_of, sync, write_whole
from tml_ros.safety.incidents.incident_bag import IncidentBag
from tml_ros.safety.incidents.summary import (
    MAX_ALERTS,
    SUMMARY_FILE,
    AlertKey,
    IncidentSummary,
    key_of,
    read_summary,
    summary_text,
)

__all__ = ["IncidentStore"]

_NAME = re.compile(r"(\d{6,})_\d{8}T\d{6}Z_[a-z0-9-]+")
_DAY_S = 86_400.0
_JUMP_S = 3600.0
_PENDING = 1_100_000  # bytes of an mcap file that may wait in memory for the disk
_log = logging.getLogger(__name__)


class IncidentStore:
    """Keeps one folder. Thread: one at a time; one store a folder, in all processes.

    Attributes:
        known: alerts that were in the folder when it was opened, by what tells them apart.
        homes: alert id to its newest incident in the folder and its highest severity there, likewise.
        removed: incidents that gave way since then.
    """

    def __init__(
        self,
        folder: Path,
        config: DiskConfig,
        *,
        now_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the folder, make it where it is not there, and tidy up what a crash has left.

        Raises:
            ConfigError: it cannot be made or written to, or another recorder uses it.
        """
        self._folder = folder.expanduser().absolute()
        self._config = config
        self._now_s, self._monotonic_s = now_s, monotonic_s
        self._began_s = now_s() - monotonic_s()
        self._open_folder, self._trash = self._folder / ".open", self._folder / ".trash"
        self.removed = 0
        try:
            self._lock = self._take_folder()
            self._tidy_up()
        except OSError as err:
            raise ConfigError(
                f"folder {self._folder} of the incidents cannot be used ({err}); name another one in `folder`, or mend "
                "its permissions or the disk"
            ) from err
        self._sizes = {name: size_of(self._folder / name) for name in self._listed()}
        taken = [*self._sizes, *(note.stem for note in self._open_folder.glob("[0-9]*.json"))]
        self._next = max(map(_number, taken), default=0) + 1
        self.known: set[AlertKey] = set()
        self.homes: dict[str, tuple[str, int]] = {}
        self._read_known()

    @property
    def folder(self) -> Path:
        """Where the incidents are."""
        return self._folder

    @property
    def names(self) -> list[str]:
        """Names of the incidents that are whole, the oldest first."""
        return sorted(self._sizes, key=_number)

    @property
    def bytes(self) -> int:
        """Room that all of them take."""
        return sum(self._sizes.values())

    @property
    def free_bytes(self) -> int:
        """Room on the disk."""
        return shutil.disk_usage(self._folder).free

    def close(self) -> None:
        """Let the folder go."""
        self._lock.close()

    # ---------------------------------------------------------------------------------------------- one incident

    def new_summary(self, rule: str) -> IncidentSummary:
        """Return the summary of an incident that begins now, with a name of its own. rule: shown in the name."""
        now_s = self._now_s()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(max(0.0, now_s)))
        word = re.sub(r"[^a-z0-9]+", "-", rule.lower()).strip("-")[:40] or "alert"
        name = f"{self._next:06d}_{stamp}_{word}"
        self._next += 1
        return IncidentSummary(name, now_s)

    def note(self, summary: IncidentSummary) -> None:
        """Write down an incident that goes on, so that its alerts survive a crash.

        Raises:
            OSError: the disk does not take it.
        """
        write_whole(self._open_folder / f"{summary.name}.json", summary.text())

    def begin_bag(self, summary: IncidentSummary) -> IncidentBag:
        """Begin the bag of an incident.

        Raises:
            BagError: the disk does not take it.
        """
        return IncidentBag(self._open_folder / summary.name)

    def finish(self, summary: IncidentSummary, bag: IncidentBag | None) -> None:
        """Give an incident its place; without a bag only its summary is kept.

        Raises:
            BagError, OSError: the disk does not take it; ``drop_bag`` and try again without.
        """
        staged = self._open_folder / summary.name
        if bag is not None:
            bag.complete()
            summary.bag_bytes = size_of(staged)
        else:
            staged.mkdir(exist_ok=True)
        write_whole(staged / SUMMARY_FILE, summary.text())
        move(staged, self._folder / summary.name)
        self._sizes[summary.name] = size_of(self._folder / summary.name)
        remove(self._open_folder / f"{summary.name}.json")

    def drop_bag(self, summary: IncidentSummary, bag: IncidentBag | None) -> None:
        """Remove a bag that cannot be completed."""
        if bag is not None:
            bag.abort()
        remove(self._open_folder / summary.name)

    def amend(self, name: str, alert: dict[str, Any]) -> bool:
        """Add what became of an alert to an incident that is over; return whether that was possible.

        Raises:
            OSError: the disk does not take it.
        """
        try:
            content = read_summary(self._folder / name)
        except BagError:
            return False
        if len(content["alerts"]) >= MAX_ALERTS:
            return False
        content["alerts"].append(alert)
        write_whole(self._folder / name / SUMMARY_FILE, summary_text(content))
        return True

    # ------------------------------------------------------------------------------------------------------ room

    def make_room(self, wanted: int, open_bytes: int = 0) -> str:
        """Remove the oldest incidents until there is room.

        Args:
            wanted: bytes that are to be written.
            open_bytes: what the open incident takes already.

        Returns:
            Why there is none, empty when there is. Nothing is removed where that would not help.
        """
        self._forget_removed()
        quota, reserve = (round(mb * 1e6) for mb in (self._config.quota_mb, self._config.reserve_mb))
        over_quota = self.bytes + open_bytes + wanted - quota
        short = reserve + wanted + _PENDING - self.free_bytes
        if max(over_quota, short) > self.bytes:
            if short > self.bytes:
                return (
                    f"the disk has {self.free_bytes / 1e6:.0f} MB free, and {reserve / 1e6:.0f} MB are kept for others"
                )
            return f"quota_mb {self._config.quota_mb:g} is used up by this incident alone"
        while self._sizes and (
            self.bytes + open_bytes + wanted > quota or self.free_bytes < reserve + wanted + _PENDING
        ):
            self._remove(self.names[0])
        return ""

    def has_room(self) -> bool:
        """Tell whether the disk has more room than is kept for others."""
        return self.free_bytes > self._config.reserve_mb * 1e6 + _PENDING

    def expire(self) -> None:
        """Remove incidents that are older than the retention, by the times of their files.

        A clock that jumped since the start tells no age: then nothing is removed.
        """
        if not self._config.retention_days or abs(self._now_s() - self._monotonic_s() - self._began_s) > _JUMP_S:
            return
        oldest_s = self._now_s() - self._config.retention_days * _DAY_S
        for name in self.names:
            try:
                if (self._folder / name / SUMMARY_FILE).stat().st_mtime < oldest_s:
                    self._remove(name)
            except OSError:
                continue

    def _remove(self, name: str) -> None:
        target = self._trash / name
        try:
            (self._folder / name).rename(target)
        except OSError as err:
            _log.warning("incident %s cannot be removed: %s", name, err)
        remove(target)
        self._sizes.pop(name, None)
        self.removed += 1

    def _forget_removed(self) -> None:
        """Follow a person who removed incidents."""
        there = self._listed()
        for name in [name for name in self._sizes if name not in there]:
            del self._sizes[name]

    # --------------------------------------------------------------------------------------------------- opening

    def _take_folder(self) -> Any:
        for folder in (self._folder, self._open_folder, self._trash):
            folder.mkdir(parents=True, exist_ok=True)
        lock = (self._folder / ".lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            lock.close()
            raise ConfigError(
                f"another recorder writes into {self._folder}, expected one recorder a folder; stop it, or name "
                "another `folder`"
            ) from err
        return lock

    def _tidy_up(self) -> None:
        """Remove what is in the way first, which makes room, then keep the summaries of what was interrupted."""
        for rest in [*self._trash.iterdir(), *self._open_folder.iterdir()]:
            if rest.suffix != ".json" or not _NAME.fullmatch(rest.stem):
                remove(rest)
        for note in sorted(self._open_folder.iterdir()):
            try:
                self._keep_interrupted(note)
                remove(note)
            except OSError as err:
                _log.warning("summary %s stays where it is until the next start: %s", note, err)
        sync(self._folder)

    def _keep_interrupted(self, note: Path) -> None:
        """Make an incident without a bag of the summary that a crash has left; what was whole already stays."""
        if (self._folder / note.stem / SUMMARY_FILE).is_file():
            return
        try:
            content = read_summary(note)
        except BagError as err:
            _log.warning("%s", err)
            return
        content |= {
            "has_bag": False,
            "why_no_bag": "the recorder was ended while it wrote the bag",
            "end": "interrupted",
        }
        staged = self._open_folder / note.stem
        staged.mkdir(exist_ok=True)
        write_whole(staged / SUMMARY_FILE, summary_text(content))
        move(staged, self._folder / note.stem)
        _log.warning("incident %s was interrupted: its bag is lost, its summary is kept", note.stem)

    def _listed(self) -> set[str]:
        return {path.name for path in self._folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()}

    def _read_known(self) -> None:
        for name in self.names:
            try:
                alerts = read_summary(self._folder / name)["alerts"]
            except BagError as err:
                _log.warning("%s", err)
                continue
            self.known |= {key_of(one) for one in alerts}
            for one in alerts:
                ident = str(one["alert_id"])
                self.homes[ident] = name, max(int(one["severity"]), self.homes.get(ident, ("", 0))[1])


def _number(name: str) -> int:
    return int(name.partition("_")[0])
