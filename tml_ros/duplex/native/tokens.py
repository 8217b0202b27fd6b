"""The marker tokens: what in the shared vocabulary is not text, and what it stands for.

Markers take the first ids of every vocabulary, in the order below, so that weights, grammar and tokenizer agree without
asking each other. Text pieces follow. An output line of the model reads, for example:

    <intent> __intent_move__ <slot> direction <is> forward <slot> distance <is> 10 <done>
    <say> moving forward <done>

Nothing here knows tensors or the tokenizer.
"""

from enum import IntEnum

from tml_ros.records import Floor, TextSource

__all__ = ["FLOOR_MARKERS", "MARKER_NAMES", "OPENING_MARKERS", "OUTPUT_BANNED", "SOURCE_MARKERS", "Marker"]


class Marker(IntEnum):
    """Ids of the markers. END closes a micro-turn's text, DONE closes what an opening marker began."""

    END = 0
    OUT = 1
    LISTEN = 2
    HOLD = 3
    SPEAK = 4
    BACKCHANNEL = 5
    YIELD = 6
    SAY = 7
    INTENT = 8
    DELEGATE = 9
    TIMER = 10
    COUNT = 11
    HEARD = 12
    SLOT = 13
    IS = 14
    REPEAT = 15
    DONE = 16
    USER = 17
    BACKGROUND = 18
    TIMER_DUE = 19
    CUE = 20
    SPARE_1 = 21
    SPARE_2 = 22
    SPARE_3 = 23


MARKER_NAMES = tuple(f"<{marker.name.lower()}>" for marker in Marker)

FLOOR_MARKERS = {
    Marker.LISTEN: Floor.LISTEN,
    Marker.HOLD: Floor.HOLD,
    Marker.SPEAK: Floor.SPEAK,
    Marker.BACKCHANNEL: Floor.BACKCHANNEL,
    Marker.YIELD: Floor.YIELD,
}

SOURCE_MARKERS = {
    TextSource.USER: Marker.USER,
    TextSource.BACKGROUND: Marker.BACKGROUND,
    TextSource.TIMER: Marker.TIMER_DUE,
    TextSource.CUE: Marker.CUE,
}

OPENING_MARKERS = (Marker.SAY, Marker.INTENT, Marker.DELEGATE, Marker.TIMER, Marker.COUNT, Marker.HEARD)

# What a text position never puts out: it stands for inputs, for the floor, or for nothing yet.
OUTPUT_BANNED = (Marker.OUT, *FLOOR_MARKERS, *SOURCE_MARKERS.values(), Marker.SPARE_1, Marker.SPARE_2, Marker.SPARE_3)
