"""From evidence per frame to events, and labels that know what hides what."""

import numpy as np

from tml_ros.sights.labels import LabelCanvas, Role, label, role_of, shares
from tml_ros.sights.truth import WHOLE, Evidence, SightKind, find_events

KIND = SightKind.FLAME


def frames(values: str, kind: SightKind = KIND, blind: str = "") -> list[tuple[float, Evidence]]:
    """Make frames at 10 per second: + shows it, - does not; in blind, x is a frame that shows nothing."""
    hidden = blind.ljust(len(values))
    return [
        (number / 10, Evidence({(kind, 1): (float(value == "+"), (0.1, 0.1, 0.2, 0.2))}, hidden[number] == "x"))
        for number, value in enumerate(values)
    ]


def spans(found) -> list[tuple[float, float]]:
    return [(event.begin_s, event.end_s) for event in found]


def test_event_is_bridged_when_it_shows_again_within_a_second():
    assert spans(find_events(frames("---++++------++++---"))) == [(0.3, 1.6)]


def test_event_is_two_when_it_was_gone_for_longer():
    assert spans(find_events(frames("++++" + 12 * "-" + "++++"))) == [(0.0, 0.3), (1.6, 1.9)]


def test_event_is_none_when_it_shows_too_shortly():
    assert find_events(frames("--+--------------------")) == ()


def test_event_goes_on_when_there_is_still_some_of_it():
    faded = [(0.6, 1.0), (0.7, 0.0005), (2.0, 0.0005), (2.1, 0.0004), (3.9, 0.0001)]
    shown = [(number / 10, 1.0) for number in range(6)] + faded
    found = find_events([(time_s, Evidence({(KIND, 1): (value, WHOLE)})) for time_s, value in shown])
    assert spans(found) == [(0.0, 2.0)]


def test_event_goes_on_when_the_picture_was_covered():
    shown = "++++" + 20 * "-" + "--++++"
    assert spans(find_events(frames(shown, blind="    " + 20 * "x"))) == [(0.0, 2.9)]


def test_person_does_not_enter_when_it_was_there_from_the_start():
    shown = frames("++++" + 12 * "-" + "++++", SightKind.PERSON_ENTERS)
    assert spans(find_events(shown, present=[1])) == [(1.6, 1.9)]
    assert len(find_events(shown)) == 2


def test_label_is_hidden_when_something_is_drawn_before_it():
    canvas = LabelCanvas()
    canvas.mark(label(Role.FLAME, 3))
    canvas.polygon([(0, 0), (640, 0), (640, 480), (0, 480)], (0, 0, 0))
    whole = shares(canvas.image)
    canvas.mark(0)
    canvas.polygon([(0, 0), (320, 0), (320, 480), (0, 480)], (0, 0, 0))
    canvas.polygon([(320, 0), (640, 0), (640, 480), (320, 480)], (0, 0, 0), 0.2)
    assert whole == {label(Role.FLAME, 3): 1.0}
    assert abs(shares(canvas.image)[label(Role.FLAME, 3)] - 0.5) < 0.01
    assert role_of(label(Role.FLAME, 3)) == (Role.FLAME, 3)


def test_share_counts_only_what_is_inside_when_there_is_a_mask():
    canvas = LabelCanvas()
    canvas.mark(label(Role.HAND, 1))
    canvas.polygon([(0, 0), (640, 0), (640, 480), (0, 480)], (0, 0, 0))
    mask = np.zeros((120, 160), bool)
    mask[:30] = True
    assert shares(canvas.image, mask) == {label(Role.HAND, 1): 0.25}
    assert WHOLE == (0.0, 0.0, 1.0, 1.0)
