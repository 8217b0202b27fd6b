"""What failed, scenario by scenario: the expectations, both sides on one time line, and the sound to listen to.

Only of the models that were asked for: a baseline fails on purpose. Sound is put into the page up to a budget; all of
it lies beside the page.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from tml_ros.evaluation.campaign import Outcome
from tml_ros.evaluation.report_plots import axis_ticks
from tml_ros.evaluation.report_tables import section_html, table_html
from tml_ros.evaluation.results import ScenarioResult
from tml_ros.evaluation.store import Store
from tml_ros.records import MICRO_TURN_NS, SAMPLE_RATE_HZ
from tml_ros.replay.report_tables import escape

__all__ = ["SOUND_BUDGET_BYTES", "failures_html", "timeline_svg"]

SOUND_BUDGET_BYTES = 32_000_000
MOST_DETAILS = 400

_WIDTH = 1100
_LEFT, _RIGHT = 92, 12
_WAVE, _BAND = 44, 18
_PEAKS_HZ = 25
_TURN_S = MICRO_TURN_NS / 1e9
_CHAR_PX = 6.3
_SHADES = {
    "listen": "rest",
    "hold": "soft robot",
    "speak": "robot",
    "backchannel": "soft robot",
    "yield": "soft person",
}

Frame = Mapping[str, Any]
Sound = NDArray[np.float32]


def failures_html(outcome: Outcome, store: Store) -> str:
    """Return what failed, errors first; a sentence where nothing did."""
    failures = outcome.failures()
    number = len(failures) + sum(more for _, more in failures)
    title = f"Failed scenarios <small>{number}</small>"
    if not failures:
        return section_html("failed", title, "", '<p class="none">None in this run.</p>')
    left = SOUND_BUDGET_BYTES
    parts = []
    for result, more in failures[:MOST_DETAILS]:
        path = store.sound(result)
        sound = path.read_bytes() if path else b""
        where = path.relative_to(store.folder).as_posix() if path else ""
        player = _player(sound, where, is_inside=len(sound) <= left)
        left -= len(sound) if len(sound) <= left else 0
        parts.append(_details(result, more, store, player))
    note = "Left ear: what the robot heard; right ear: what it said."
    if len(failures) > MOST_DETAILS:
        note += f" The first {MOST_DETAILS} of {len(failures)}."
    return section_html("failed", title, note, "\n".join(parts))


def _player(sound: bytes, where: str, *, is_inside: bool) -> str:
    if not sound:
        return ""
    if not is_inside:
        return f"<p>Sound: <code>{escape(where)}</code></p>"
    data = base64.b64encode(sound).decode("ascii")
    return f'<audio controls preload="none" src="data:audio/flac;base64,{data}"></audio>'


def _details(result: ScenarioResult, more: int, store: Store, player: str) -> str:
    frames, path = store.frames(result), store.sound(result)
    both = soundfile.read(path, dtype="float32", always_2d=True)[0] if path else np.zeros((0, 2), np.float32)
    missed = [check for check in result.checks if not check.passed]
    why = result.error or "; ".join(f"{check.name}: {check.detail}" for check in missed)
    marks = [(check.at_s, check.name) for check in missed if check.at_s is not None]
    drawing = timeline_svg(frames, both[:, 0], both[:, 1], marks, result.seconds) if frames else ""
    rows = [
        ("", (escape(one.name), "met" if one.passed else '<span class="missed">missed</span>', escape(one.detail)))
        for one in result.checks
    ]
    others = f", and {more} more like it" if more else ""
    checks = table_html(("expected", "", "found"), rows, "expectations") if rows else ""
    return (
        f"<details><summary>{escape(result.suite)} / {escape(result.scenario)}, {escape(result.model)}: "
        f"{result.verdict.value}{others} <small>{escape(why)}</small></summary>{player}{drawing}{checks}</details>"
    )


# ---------------------------------------------------------------------------------------------------------- timeline


def timeline_svg(
    frames: Sequence[Frame], heard: Sound, said: Sound, marks: Sequence[tuple[float, str]], seconds: float
) -> str:
    """Return both sides of a scenario on one time line.

    Args:
        frames: one mapping a micro-turn.
        heard: [N] float32 at 16 kHz, empty where it was not kept.
        said: the same of what the robot said.
        marks: time and name of what was not as expected.
        seconds: length of the time line.
    """
    scale = (_WIDTH - _LEFT - _RIGHT) / max(seconds, _TURN_S)
    lanes = (
        _wave("heard", heard, "person", scale) + _texts(frames, "heard", scale),
        _bands("person", frames, "user_state", lambda state: "person" if state == "speaking" else "rest", scale),
        _wave("said", said, "robot", scale) + _texts(frames, "said", scale),
        _bands("floor", frames, "floor", lambda floor: _SHADES.get(floor, "rest"), scale),
        _events(frames, scale),
    )
    parts, y = [], 4
    for lane, height in zip(lanes, (_WAVE + 16, _BAND + 8, _WAVE + 16, _BAND + 8, _BAND), strict=True):
        parts.append(f'<g transform="translate(0 {y})">{lane}</g>')
        y += height
    drawn = "".join(parts) + _axis(seconds, y, scale) + "".join(_mark(at, name, y, scale) for at, name in marks)
    return (
        f'<svg class="drawing" viewBox="0 0 {_WIDTH} {y + 18}" role="img" '
        f'aria-label="what was heard and said, and who had the floor">{drawn}</svg>'
    )


def _caption(name: str, y: float) -> str:
    return f'<text class="lane" x="0" y="{y:.0f}">{name}</text>'


def _wave(name: str, sound: Sound, kind: str, scale: float) -> str:
    """Return the outline of a sound; a line where there is none."""
    middle = _WAVE / 2
    caption = _caption(name, middle + 4)
    rule = f'<line class="rule" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{middle:.0f}" y2="{middle:.0f}"></line>'
    size = SAMPLE_RATE_HZ // _PEAKS_HZ
    if len(sound) < size:
        return caption + rule
    groups = np.abs(sound[: len(sound) // size * size]).reshape(-1, size).max(axis=1)
    tall = groups / max(0.02, float(groups.max())) * (middle - 1)
    xs = _LEFT + (np.arange(len(tall)) + 0.5) / _PEAKS_HZ * scale
    above = [f"{x:.1f},{middle - height:.1f}" for x, height in zip(xs, tall, strict=True)]
    below = [f"{x:.1f},{middle + height:.1f}" for x, height in zip(xs[::-1], tall[::-1], strict=True)]
    return f'{caption}{rule}<polygon class="{kind} wave" points="{" ".join(above + below)}"></polygon>'


def _texts(frames: Sequence[Frame], field: str, scale: float) -> str:
    """Return the words where they began, each as far as the next leaves room."""
    runs: list[tuple[int, str]] = []
    before = ""
    for place, text in enumerate(str(frame.get(field) or "") for frame in frames):
        if text and before:
            # what was heard is put in anew as it grows, what is said comes piece by piece
            runs[-1] = runs[-1][0], text if field == "heard" else f"{runs[-1][1]} {text}"
        elif text:
            runs.append((place, text))
        before = text
    ends = [*(place for place, _ in runs[1:]), len(frames)]
    return "".join(_text(place, end, text, scale) for (place, text), end in zip(runs, ends, strict=False))


def _text(place: int, end: int, text: str, scale: float) -> str:
    room = int((end - place) * _TURN_S * scale / _CHAR_PX)
    shown = text if len(text) <= room else text[: max(0, room - 1)] + "…"
    x = _LEFT + place * _TURN_S * scale
    return f'<text class="muted" x="{x:.1f}" y="{_WAVE + 11}">{escape(shown)}<title>{escape(text)}</title></text>'


def _bands(name: str, frames: Sequence[Frame], field: str, shade: Callable[[str], str], scale: float) -> str:
    """Return the stretches in which a state did not change."""
    parts = [_caption(name, 13)]
    first = 0
    for place in range(1, len(frames) + 1):
        state = str(frames[first].get(field, "")).lower()
        if place == len(frames) or str(frames[place].get(field, "")).lower() != state:
            x, width = _LEFT + first * _TURN_S * scale, (place - first) * _TURN_S * scale
            parts.append(
                f'<rect class="{shade(state)}" x="{x:.1f}" y="0" width="{width - 1:.1f}" height="{_BAND}" rx="2">'
                f"<title>{escape(state)}, {first * _TURN_S:.1f} to {place * _TURN_S:.1f} s</title></rect>"
            )
            first = place
    return "".join(parts)


def _events(frames: Sequence[Frame], scale: float) -> str:
    """Return a diamond for every intent and a triangle for every alert; what it was in its title."""
    parts = [_caption("events", 13)]
    for place, frame in enumerate(frames):
        x = _LEFT + (place + 1) * _TURN_S * scale
        for field, kind, shape in (("intents", "ink", "l5,5l-5,5l-5,-5Z"), ("alerts", "alarm", "l6,10h-12Z")):
            for one in frame.get(field) or ():
                title = f"{(place + 1) * _TURN_S:.1f} s: {one}"
                parts.append(f'<path class="{kind}" d="M{x:.1f},3{shape}"><title>{escape(title)}</title></path>')
    return "".join(parts)


def _axis(seconds: float, y: float, scale: float) -> str:
    return "".join(
        f'<line class="grid" x1="{_LEFT + tick * scale:.1f}" x2="{_LEFT + tick * scale:.1f}" y1="0" y2="{y}"></line>'
        f'<text class="muted" x="{_LEFT + tick * scale:.1f}" y="{y + 13}" text-anchor="middle">{tick:g} s</text>'
        for tick in axis_ticks(seconds)
        if tick <= seconds
    )


def _mark(at_s: float, name: str, y: float, scale: float) -> str:
    x = _LEFT + at_s * scale
    return f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{y}"><title>{escape(name)}</title></line>'
