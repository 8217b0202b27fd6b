"""The pictures of a window as frames; one that cannot be decoded is left out, counted, and said once."""

import logging
from collections import Counter
from collections.abc import Iterable
from typing import Literal

from tml_ros.errors import ImageFormatError
from tml_ros.media import to_rgb
from tml_ros.records import Frame, StampedImage

__all__ = ["decode_images"]

_log = logging.getLogger(__name__)


def decode_images(
    images: Iterable[StampedImage],
    backend: Literal["own", "cv_bridge"],
    counters: Counter[str],
    counter: str,
    trouble: str,
) -> tuple[Frame, ...]:
    """Return frames in order.

    Args:
        images: as they came.
        backend: decodes them.
        counters: where ``counter`` counts those that cannot be decoded.
        counter: its name.
        trouble: what becomes of such a picture, in words.
    """
    frames = []
    for image in images:
        try:
            frames.append(Frame(image.stamp_ns, to_rgb(image, backend)))
        except ImageFormatError as err:
            if not counters[counter]:
                _log.warning("%s, and every further one like it: %s", trouble, err)
            counters[counter] += 1
    return tuple(frames)
