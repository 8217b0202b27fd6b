"""Show scenes to people: frames of a scene side by side, with the time and what the truth says there.

python -m tml_ros.sights.sheet OUT.png --seed 1 --index 3 --columns 6 --rows 4 [--theme hands]
"""

import argparse
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tml_ros.sights.scene import SIZE
from tml_ros.sights.themes import THEMES, make_scene
from tml_ros.sights.truth import SightEvent

__all__ = ["contact_sheet", "main"]


def contact_sheet(
    frames: Sequence[tuple[float, NDArray[np.uint8]]],
    truth: Sequence[SightEvent],
    columns: int,
    zone: Sequence[tuple[float, float]] = (),
) -> NDArray[np.uint8]:
    """Return one picture [H, W, 3] uint8 RGB of some frames (time, [h, w, 3] RGB) with what the truth says of each."""
    shown = [_captioned(time_s, rgb, truth, zone) for time_s, rgb in frames]
    blank = np.zeros_like(shown[0])
    shown += [blank] * (-len(shown) % columns)
    rows = [np.hstack(shown[at : at + columns]) for at in range(0, len(shown), columns)]
    return np.vstack(rows)


def _captioned(
    time_s: float, rgb: NDArray[np.uint8], truth: Sequence[SightEvent], zone: Sequence[tuple[float, float]]
) -> NDArray[np.uint8]:
    image = rgb.copy()
    size = np.array([image.shape[1], image.shape[0]])
    if zone:
        cv2.polylines(image, [np.rint(np.array(zone) * size).astype(np.int32)], True, (0, 255, 0), 1)
    cv2.putText(image, f"{time_s:.1f}", (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 0, 255), 1, cv2.LINE_AA)
    row = 0
    for event in truth:
        if event.begin_s <= time_s <= event.end_s:
            words = f"{event.kind} {event.number or ''}"
            cv2.putText(image, words, (50, 14 + 14 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 0, 0), 1, cv2.LINE_AA)
            corners = np.rint(np.array(event.box) * np.tile(size, 2)).astype(int)
            cv2.rectangle(
                image, (int(corners[0]), int(corners[1])), (int(corners[2]) - 1, int(corners[3]) - 1), (255, 255, 0), 1
            )
            row += 1
    return image


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a contact sheet: with --index the frames of one scene, else frames of one scene after the other."""
    parser = argparse.ArgumentParser(prog="python -m tml_ros.sights.sheet", description=main.__doc__)
    parser.add_argument("out", help="PNG to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--index", type=int, help="scene to show; without it one row per scene")
    parser.add_argument("--theme", choices=sorted(THEMES))
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument("--rows", type=int, default=4)
    options = parser.parse_args(arguments)
    rows: list[NDArray[np.uint8]] = []
    scenes = [options.index] if options.index is not None else range(options.rows)
    for index in scenes:
        scene = make_scene(options.seed, index, options.theme)
        number = options.columns * (options.rows if options.index is not None else 1)
        times = np.linspace(0.0, scene.duration_s - 0.1, number)
        frames = [(float(t), scene.picture(float(t), SIZE)) for t in times]
        rows.append(contact_sheet(frames, scene.truth(), options.columns))
    cv2.imwrite(options.out, np.asarray(cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)))


if __name__ == "__main__":
    main()
