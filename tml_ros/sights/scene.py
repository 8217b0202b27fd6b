"""A scene as pictures at any rate and size, and its exact truth, from a stage.

Frames and truth come from the same drawing code; a frame depends on its time and the scene alone. It does not choose
what happens.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

from tml_ros.errors import ConfigError
from tml_ros.sights.acts import Act, Sitter, Vessel
from tml_ros.sights.camera import Lens
from tml_ros.sights.canvas import Canvas, Point, bend
from tml_ros.sights.labels import FACE, LABEL_SIZE, LabelCanvas, Role, label, role_of, shares
from tml_ros.sights.places import texture
from tml_ros.sights.stage import Stage
from tml_ros.sights.truth import EVIDENCE, WHOLE, Box, Evidence, SightEvent, SightKind, find_events

__all__ = ["NEWCOMER", "SIZE", "SLOUCHER", "SightScene"]

SIZE = (320, 240)
"""Width and height of a picture where nothing else is asked for."""
DARK_LUMA = 24.0
VESSEL_SHARE = 0.004
EYES_SHARE = 0.125
NEWCOMER, SLOUCHER = 1, 2

_BY_ROLE = {Role.FLAME: SightKind.FLAME, Role.SMOKE: SightKind.SMOKE, Role.SPILL: SightKind.SPILL}
_PERSON = (Role.PERSON, Role.FEET, *FACE)


class SightScene:
    """One scene. Thread: one caller at a time."""

    def __init__(self, stage: Stage, seed: int) -> None:
        """Prepare to draw. seed: of surface and noise."""
        self._stage = stage
        self._seed = seed
        self._sets: dict[tuple[int, int], _Set] = {}

    @property
    def theme(self) -> str:
        """What the scene is about."""
        return self._stage.theme

    @property
    def duration_s(self) -> float:
        """Length of the scene."""
        return self._stage.duration_s

    @cached_property
    def zone(self) -> tuple[Point, ...]:
        """Corners of the zone, shares of width and height of the picture; empty when there is none."""
        if not self._stage.zone:
            return ()
        corners = bend(self._stage.view, self._stage.zone) / (640.0, 480.0)
        return tuple((float(x), float(y)) for x, y in corners)

    def times(self, fps: float) -> NDArray[np.float64]:
        """Return the times of all frames at a rate, seconds.

        Raises:
            ConfigError: the rate is no positive number.
        """
        if not fps > 0.0:
            raise ConfigError(f"fps must be above 0, got {fps}; use 10")
        return np.arange(int(self.duration_s * fps + 1e-6)) / fps

    def frames(self, fps: float = 10.0, size: tuple[int, int] = SIZE) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """Yield (time in seconds, picture [H, W, 3] uint8 RGB) of all frames. size: width, height."""
        for time_s in self.times(fps):
            yield float(time_s), self.picture(float(time_s), size)

    def picture(self, time_s: float, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
        """Return the picture [H, W, 3] uint8 RGB that is shown at a time. size: width, height."""
        if size not in self._sets:
            self._sets[size] = _Set(self._stage, size, self._seed)
        return self._sets[size].take(self.taken_at(time_s))

    def taken_at(self, time_s: float) -> float:
        """Return when the picture was taken that is shown at a time; before that time while the camera is frozen."""
        return self._stage.camera.time_of(time_s)

    def truth(self, fps: float = 10.0) -> tuple[SightEvent, ...]:
        """Return what can be seen to happen when frames are taken at a rate."""
        times = [float(time_s) for time_s in self.times(fps)]
        frames: list[tuple[float, Evidence]] = []
        taken_s = -1.0
        for time_s in times:
            before_s, taken_s = taken_s, self.taken_at(time_s)
            frames.append((time_s, self._evidence(taken_s, is_frozen=before_s == taken_s)))
        present = [actor for kind, actor in frames[0][1].values if kind is SightKind.PERSON_ENTERS]
        events = (*find_events(frames, present), *self._repetitions())
        return tuple(sorted(events, key=lambda event: (event.begin_s, event.kind, event.actor)))

    def labels(self, time_s: float) -> NDArray[np.uint8]:
        """Return what each pixel of a map [120, 160] belongs to at a time, as ``labels.label`` counts."""
        canvas = LabelCanvas(self._stage.view)
        for act in self._stage.behind:
            if act.is_active(time_s):
                canvas.mark(0)
                act.draw(canvas, time_s)
        if self._stage.behind and self._stage.has_cover:
            canvas.image[self._cover_labels] = 0
        for act in self._stage.acts:
            if act.is_active(time_s):
                canvas.mark(0)
                act.draw(canvas, time_s)
        return canvas.image

    def marks(self, labels: NDArray[np.uint8], time_s: float) -> NDArray[np.uint8]:
        """Return what is true of the person at each pixel, [120, 160]: NEWCOMER, SLOUCHER or their sum, else 0.

        Args:
            labels: of that time, from ``labels``.
            time_s: of the picture.
        """
        roles, actors = labels % 16, labels // 16
        is_person = np.isin(roles, _PERSON)
        least = EVIDENCE[SightKind.SLOUCHING]
        slouching = [
            actor
            for actor in np.unique(actors[is_person]).tolist()
            if any(act.lean_at(time_s) >= least for act in self._sitters(actor))
        ]
        came, slouches = (~np.isin(actors, sorted(self._present)), np.isin(actors, slouching))
        return np.where(is_person, NEWCOMER * came + SLOUCHER * slouches, 0).astype(np.uint8)

    @cached_property
    def _present(self) -> set[int]:
        """Actors whose persons are there in the first frame."""
        parts = [role_of(number) for number in shares(self.labels(self.taken_at(0.0)))]
        return {actor for role, actor in parts if role in _PERSON}

    @cached_property
    def _cover_labels(self) -> NDArray[np.bool_]:
        canvas = LabelCanvas(self._stage.view)
        canvas.image[...] = 255
        self._stage.cover(canvas)
        hidden: NDArray[np.bool_] = canvas.image != 255
        return hidden

    @cached_property
    def _zone_mask(self) -> NDArray[np.bool_]:
        mask = np.zeros((LABEL_SIZE[1], LABEL_SIZE[0]), np.uint8)
        if self.zone:
            corners = np.rint(np.array(self.zone) * LABEL_SIZE - 0.5).astype(np.int32)
            cv2.fillPoly(mask, [corners], (1,))
        return mask.astype(bool)

    @cached_property
    def _vessels(self) -> set[int]:
        """Actors of the vessels that can be seen before anything happens."""
        found = {role_of(number): share for number, share in shares(self.labels(0.0)).items()}
        return {actor for (role, actor), share in found.items() if role is Role.VESSEL and share >= VESSEL_SHARE}

    @cached_property
    def _luma(self) -> float:
        """Mean luma of the empty scene in full light, 0 to 255."""
        image = _painted(self._stage, LABEL_SIZE)
        return float(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)).mean())

    def _evidence(self, time_s: float, is_frozen: bool) -> Evidence:
        camera = self._stage.camera
        values: dict[tuple[SightKind, int], tuple[float, Box]] = {}
        covered, light = camera.covered(time_s), camera.light.at(time_s)
        values[SightKind.LENS_COVERED, 0] = (covered, WHOLE)
        values[SightKind.FROZEN, 0] = (float(is_frozen), WHOLE)
        values[SightKind.TOO_DARK, 0] = (DARK_LUMA / max(0.1, self._luma * light), WHOLE)
        blind = covered >= EVIDENCE[SightKind.LENS_COVERED] or values[SightKind.TOO_DARK, 0][0] >= 1.0
        if not blind:
            self._add_acts(values, self.labels(time_s), time_s)
        return Evidence(values, blind)

    def _add_acts(self, values: dict[Any, tuple[float, Box]], labels: NDArray[np.uint8], time_s: float) -> None:
        found, inside = shares(labels), shares(labels, self._zone_mask) if self.zone else {}
        for number, share in found.items():
            role, actor = role_of(number)
            if role in _BY_ROLE:
                values[_BY_ROLE[role], actor] = (share, _box(labels == number))
            if role is Role.EYES and self._stage.is_lab:
                face = sum(found.get(label(part, actor), 0.0) for part in FACE)
                bare = share >= EYES_SHARE * face
                values[SightKind.GOGGLES_MISSING, actor] = (face if bare else 0.0, _box(labels == number))
        for act in self._stage.acts:
            if isinstance(act, Vessel) and act.actor in self._vessels:
                values[SightKind.OBJECT_AWAY, act.actor] = (
                    act.away(time_s),
                    _box(labels == label(Role.VESSEL, act.actor)),
                )
        for number, share in inside.items():
            role, actor = role_of(number)
            kind = {Role.FEET: SightKind.PERSON_IN_ZONE, Role.HAND: SightKind.HAND_IN_ZONE}.get(role)
            if kind is not None:
                values[kind, actor] = (share, _box((labels == number) & self._zone_mask))
        for actor in {role_of(number)[1] for number in found if role_of(number)[0] in _PERSON}:
            parts = [label(role, actor) for role in _PERSON]
            share, box = sum(found.get(part, 0.0) for part in parts), _box(np.isin(labels, parts))
            values[SightKind.PERSON_ENTERS, actor] = (share, box)
            values.pop((SightKind.HAND_IN_ZONE, actor), None)  # the hands of those who walk through count as theirs
            for act in self._sitters(actor):
                values[SightKind.SLOUCHING, actor] = (act.lean_at(time_s) if share >= 0.02 else 0.0, box)

    def _sitters(self, actor: int) -> Iterator[Sitter]:
        acts: tuple[Act, ...] = (*self._stage.behind, *self._stage.acts)
        return (act for act in acts if isinstance(act, Sitter) and act.actor == actor)

    def _repetitions(self) -> Iterator[SightEvent]:
        for repetitions, actor in self._stage.repetitions:
            marks = [mark_s for mark_s in repetitions.marks_s if mark_s < self.duration_s]
            if len(marks) < 2:
                continue
            box = _whole_box([self.labels(t) for t in np.linspace(marks[0], marks[1], 8)], actor)
            for number in range(1, len(marks)):
                yield SightEvent(
                    SightKind.REPETITION, marks[number - 1], marks[number], box, actor, repetitions.what, number
                )


class _Set:
    """A stage painted for one size of picture."""

    def __init__(self, stage: Stage, size: tuple[int, int], seed: int) -> None:
        self._stage = stage
        self._lens = Lens(stage.camera, size, seed)
        self._still = _painted(stage, size)
        texture(self._still, Generator(PCG64([seed, 3])))
        self._back = self._still
        self._mask: NDArray[np.uint8] | None = None
        if stage.behind:
            self._back = _painted(stage, size, is_whole=False)
            texture(self._back, Generator(PCG64([seed, 3])))
            self._mask = _opaque(stage, size)

    def take(self, time_s: float) -> NDArray[np.uint8]:
        acts = [act for act in self._stage.behind if act.is_active(time_s)]
        canvas = Canvas((self._back if acts else self._still).copy(), self._stage.view)
        for act in acts:
            act.draw(canvas, time_s)
        if acts and self._mask is not None:
            cv2.copyTo(self._still, self._mask, canvas.image)
        for act in self._stage.acts:
            if act.is_active(time_s):
                act.draw(canvas, time_s)
        return self._lens.take(canvas.image, time_s)


def _painted(stage: Stage, size: tuple[int, int], *, is_whole: bool = True) -> NDArray[np.uint8]:
    canvas = Canvas(np.zeros((size[1], size[0], 3), np.uint8), stage.view)
    stage.paint(canvas)
    if is_whole:
        stage.cover(canvas)
    return canvas.image


def _opaque(stage: Stage, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return [H, W] uint8, 255 where what stands before the acts behind hides them."""
    black, white = (Canvas(np.full((size[1], size[0], 3), level, np.uint8), stage.view) for level in (0, 255))
    stage.cover(black)
    stage.cover(white)
    shines = cv2.absdiff(black.image, white.image).max(axis=2)
    return np.where(shines < 200, 255, 0).astype(np.uint8)


def _box(mask: NDArray[np.bool_]) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return WHOLE
    height, width = mask.shape
    left, up, right, down = columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height
    return (float(left), float(up), float(right), float(down))


def _whole_box(maps: list[NDArray[np.uint8]], actor: int) -> Box:
    masks = [(labels // 16 == actor) & (labels % 16 > 0) for labels in maps]
    return _box(np.any(masks, axis=0))
