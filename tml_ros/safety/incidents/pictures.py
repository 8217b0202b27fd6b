"""Pictures on their way into the ring and out of it: thinned, as JPEGs, with faces blurred before they are written.

What cannot be decoded is kept as it came, unless faces are to be blurred: then it is left out, for nobody knows what is
in it. Knows the picture messages by their fields; no bag, no alert.
"""

from collections import Counter
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tml_ros import wire
from tml_ros.bags import tree_to_message, typestore
from tml_ros.bags.decoding import deserialize
from tml_ros.errors import TmlError
from tml_ros.media import to_rgb
from tml_ros.records import StampedImage
from tml_ros.safety.incidents.config import PictureConfig
from tml_ros.safety.incidents.faces import FaceBlur
from tml_ros.safety.incidents.message import IMAGE_TYPES
from tml_ros.safety.incidents.ring import Entry

__all__ = ["Pictures"]

_RAW, _COMPRESSED = IMAGE_TYPES
_ALERT = "tml_interfaces/msg/SafetyAlert"
_DUE_EARLY = 0.1  # of the period: cameras jitter
_UNBLURRED_QUALITY = 85


class Pictures:
    """Prepares pictures. Thread: one at a time.

    Attributes:
        counters: totals since the start, by name.
    """

    def __init__(self, config: PictureConfig) -> None:
        """Get ready.

        Raises:
            MissingDependencyError: faces are to be blurred and OpenCV came without what finds them.
        """
        self.counters: Counter[str] = Counter()
        self._quality = config.jpeg_quality
        self._period_ns = round(1e9 / config.max_rate_hz)
        self._due_ns: dict[str, int] = {}
        self._blur = FaceBlur(config.face_search_width) if config.blur_faces else None

    def into_ring(self, entry: Entry) -> Entry | None:
        """Return a picture as it is kept; None for one too many."""
        if entry.at_ns < self._due_ns.get(entry.topic, 0):
            self.counters["pictures_thinned"] += 1
            return None
        self._due_ns[entry.topic] = entry.at_ns + round(self._period_ns * (1 - _DUE_EARLY))
        if entry.type != _RAW or not self._quality:
            return entry
        try:
            message, image = _read(entry)
            jpeg = self._encode(to_rgb(image))
        except (TmlError, ValueError) as err:
            return self._unreadable(entry, err)
        tree = {"header": message.header, "format": "jpeg", "data": jpeg}
        return Entry(entry.at_ns, f"{entry.topic}/compressed", _COMPRESSED, _serialize(tree, _COMPRESSED))

    def onto_disk(self, entry: Entry) -> Entry | None:
        """Return a message as it may be written; None where a picture in it must not be."""
        if self._blur is None or entry.type not in (*IMAGE_TYPES, _ALERT):
            return entry
        try:
            if entry.type == _ALERT:
                return self._blur_evidence(entry)
            message, image = _read(entry)
            tree = {"header": message.header, "format": "jpeg", "data": self._blurred(to_rgb(image), entry.at_ns)}
            return replace(entry, data=_serialize(tree, _COMPRESSED))
        except (TmlError, ValueError):
            self.counters["pictures_left_out"] += 1
            return None

    def faces(self) -> int:
        """Return how many faces were blurred so far, each in each picture."""
        return self._blur.faces if self._blur else 0

    def _blur_evidence(self, entry: Entry) -> Entry:
        """Blur the picture in an alert; leave one out that cannot be read, never the alert."""
        message = deserialize(typestore(), entry.type, entry.data)
        kept = []
        for picture in message.evidence:
            try:
                jpeg = self._blurred(to_rgb(wire.compressed_image(picture, 0)), entry.at_ns)
                kept.append(replace(picture, format="jpeg", data=np.frombuffer(jpeg, np.uint8)))
            except (TmlError, ValueError):
                self.counters["pictures_left_out"] += 1
        return replace(entry, data=bytes(typestore().serialize_cdr(replace(message, evidence=kept), entry.type)))

    def _blurred(self, rgb: NDArray[np.uint8], at_ns: int) -> bytes:
        assert self._blur is not None
        self._blur.blur(rgb, at_ns)
        return self._encode(rgb)

    def _encode(self, rgb: NDArray[np.uint8]) -> bytes:
        bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        quality = [cv2.IMWRITE_JPEG_QUALITY, self._quality or _UNBLURRED_QUALITY]
        return bytes(cv2.imencode(".jpg", bgr, quality)[1].tobytes())

    def _unreadable(self, entry: Entry, err: Exception) -> Entry | None:
        self.counters["bad_pictures"] += 1
        return None if self._blur else entry


def _read(entry: Entry) -> tuple[Any, StampedImage]:
    message = deserialize(typestore(), entry.type, entry.data)
    return message, (wire.image if entry.type == _RAW else wire.compressed_image)(message, 0)


def _serialize(tree: dict[str, Any], type_name: str) -> bytes:
    return bytes(typestore().serialize_cdr(tree_to_message(typestore(), type_name, tree), type_name))
