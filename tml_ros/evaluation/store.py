"""An evaluation's folder: what was asked for, what is done, the verdicts, the frames, the sound of what failed.

    run.json                              what was asked for
    progress.jsonl                        a line as each scenario ends, in the order of their ends
    verdicts.jsonl                        one line a scenario and model, sorted; the same bytes for the same question
    frames/SUITE/SCENARIO/MODEL.jsonl     one line a micro-turn, with both clocks
    sound/SUITE/SCENARIO/MODEL.flac       left: what was heard, right: what was said; 16 kHz
    report.html, results.md               for people
    summary.json                          the last line of ``tml eval``

A run that was killed can go on: a scenario counts as done when its line in progress.jsonl is whole. It knows no model.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tml_ros.errors import ConfigError, InputError
from tml_ros.evaluation.results import ScenarioResult
from tml_ros.evaluation.workers import Finished
from tml_ros.records import SAMPLE_RATE_HZ

__all__ = ["Store", "read_results"]

Key = tuple[str, str, str]
_OWN = ("frames", "sound", "run.json", "progress.jsonl", "verdicts.jsonl", "summary.json", "report.html", "results.md")


class Store:
    """A folder that an evaluation writes.

    Thread: one caller at a time; one process.
    """

    def __init__(self, folder: Path, asked: Mapping[str, Any], *, resume: bool = False) -> None:
        """Begin in a folder, or go on in it.

        Args:
            folder: a new one, an empty one or one of an earlier evaluation, which is replaced without ``resume``.
            asked: what decides the verdicts, as plain values; only a run of the same can go on.

        Raises:
            ConfigError: the folder holds something else, or the run that is to go on asked for something else.
        """
        self.folder = folder
        self._asked = folder / "run.json"
        self._progress = folder / "progress.jsonl"
        self.done: dict[Key, ScenarioResult] = {}
        self._check_ours()
        if resume and self._asked.is_file():
            self._check_same(asked)
            self._read_progress()
        else:
            self._clear()
            folder.mkdir(parents=True, exist_ok=True)
            self._progress.touch()
            write_whole(self._asked, json.dumps(asked, indent=2, sort_keys=True) + "\n")

    def add(self, finished: Finished) -> None:
        """Keep what came of a scenario; its line in progress.jsonl is written last."""
        result, run = finished.run.result, finished.run
        frames = self.path("frames", result, ".jsonl")
        frames.parent.mkdir(parents=True, exist_ok=True)
        frames.write_text("".join(_line(frame) for frame in run.frames), encoding="utf-8")
        if len(run.heard) or len(run.said):
            self._write_sound(result, run.heard, run.said)
        with self._progress.open("a", encoding="utf-8") as progress:
            progress.write(_line({"result": result.to_json(), "wall_s": round(finished.wall_s, 3)}))
        self.done[_key(result)] = result

    def finish(self) -> list[ScenarioResult]:
        """Write the verdicts and return them, sorted by suite, scenario and model."""
        results = [self.done[key] for key in sorted(self.done)]
        write_whole(self.folder / "verdicts.jsonl", "".join(_line(result.to_json()) for result in results))
        return results

    def write(self, name: str, text: str) -> Path:
        """Write one of the files for people; it is whole or not there."""
        path = self.folder / name
        write_whole(path, text)
        return path

    def frames(self, result: ScenarioResult) -> list[dict[str, Any]]:
        """Return the micro-turns of a scenario; none where it could not be run."""
        path = self.path("frames", result, ".jsonl")
        return list(_lines(path)) if path.is_file() else []

    def sound(self, result: ScenarioResult) -> Path | None:
        """Return the file of what was heard and said, if it was kept."""
        path = self.path("sound", result, ".flac")
        return path if path.is_file() else None

    def path(self, kind: str, result: ScenarioResult, suffix: str) -> Path:
        """Return where a file of a scenario lies, whatever signs its names have."""
        suite, scenario, model = map(_plain, _key(result))
        return self.folder / kind / suite / scenario / f"{model}{suffix}"

    def _write_sound(self, result: ScenarioResult, heard: np.ndarray, said: np.ndarray) -> None:
        path = self.path("sound", result, ".flac")
        path.parent.mkdir(parents=True, exist_ok=True)
        both = np.zeros((max(len(heard), len(said)), 2), np.float32)
        both[: len(heard), 0] = heard
        both[: len(said), 1] = said
        soundfile.write(path, np.clip(both, -1.0, 1.0), SAMPLE_RATE_HZ, subtype="PCM_16")

    def _check_ours(self) -> None:
        if not self.folder.exists():
            return
        if not self.folder.is_dir() or (any(self.folder.iterdir()) and not self._asked.is_file()):
            raise ConfigError(f"{self.folder} holds no evaluation and is not empty; give another folder with --out")

    def _check_same(self, asked: Mapping[str, Any]) -> None:
        before = json.loads(self._asked.read_text(encoding="utf-8"))
        now = json.loads(json.dumps(asked))
        differing = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        if differing:
            raise ConfigError(
                f"the run in {self.folder} cannot go on: {', '.join(differing)} changed; ask for the same as in its "
                "run.json, or begin another with --out"
            )

    def _read_progress(self) -> None:
        """Take what is done, and cut off a line that was not written to its end."""
        text = self._progress.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            write_whole(self._progress, whole)
        for line in whole.splitlines():
            result = ScenarioResult.from_json(json.loads(line)["result"])
            self.done[_key(result)] = result

    def _clear(self) -> None:
        for name in _OWN:
            path = self.folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def read_results(path: Path) -> list[ScenarioResult]:
    """Read the verdicts of a run. path: its folder, or its verdicts.jsonl.

    Raises:
        InputError: there are none.
    """
    file = path / "verdicts.jsonl" if path.is_dir() else path
    try:
        return [ScenarioResult.from_json(one) for one in _lines(file)]
    except (OSError, ValueError) as err:
        raise InputError(f"no verdicts in {path} ({err}); expected the folder of a finished `tml eval`") from err


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is old or new, never half."""
    draft = path.with_name(path.name + ".part")
    draft.write_text(text, encoding="utf-8", newline="\n")
    draft.replace(path)


def _key(result: ScenarioResult) -> Key:
    return result.suite, result.scenario, result.model


def _line(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n"


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _plain(name: str) -> str:
    """Return a name that any file system takes; different names stay different."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:80].lstrip(".") or "_"
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
