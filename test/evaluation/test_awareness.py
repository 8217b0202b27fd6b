"""What was due against what came: pairing, items that count wholly or not at all, alerts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tml_ros.errors import InputError
from tml_ros.evaluation.awareness import Due, Event, is_kept, observe_alerts, observe_item, pair, reminder_jitter_s
from tml_ros.evaluation.catalogue import MEASURES
from tml_ros.evaluation.results import figure

BREATHE = [Due("breathe", at - 0.5, at + 0.5) for at in (4.0, 8.0, 12.0)]


def said(*times, name="breathe"):
    return [Event(name, at) for at in times]


def test_item_counts_when_everything_came_in_time():
    assert is_kept(BREATHE, said(4.2, 8.3, 12.4))
    assert is_kept(BREATHE, said(4.2, 8.1, 8.3, 12.4))  # twice in its window is no other time
    assert is_kept(BREATHE, [*said(4.2, 8.3, 12.4), Event("hello", 1.0)])


@pytest.mark.parametrize(
    "events",
    [
        said(),
        said(4.2, 8.3),
        said(4.2, 8.3, 12.5),  # the window is half-open
        said(4.2, 8.3, 12.4, 16.0),  # went on after it was asked to stop
        said(4.2, 8.3, 12.4, name="eat"),
    ],
)
def test_item_counts_for_nothing_when_one_of_words_and_time_is_wrong(events):
    assert not is_kept(BREATHE, events)


def test_accuracy_is_macro_when_there_are_several_kinds():
    once = [Due("tea", 1.0, 2.0)]
    found = [observe_item("time_accuracy", "repeat", BREATHE, said(4.2, 8.3, 12.4))]
    found += [observe_item("time_accuracy", "once", once, said(at, name="tea")) for at in (1.5, 3.0, 3.0, 3.0)]
    assert figure(MEASURES["time_accuracy"], found).value == (1.0 + 0.25) / 2


def test_item_is_refused_when_nothing_or_nothing_possible_is_due():
    with pytest.raises(InputError, match="at least one window"):
        observe_item("cue_accuracy", "once", [], [])
    with pytest.raises(InputError, match=r"'tea' is due in \[2.0, 2.0\) s, which is empty"):
        Due("tea", 2.0, 2.0)


def test_jitter_is_the_distance_from_the_due_time_when_it_came_at_all():
    assert reminder_jitter_s([4.0, 8.0, 12.0], [3.75, 8.5, 14.0], 1.0) == pytest.approx([0.25, 0.5])


def test_alerts_are_recalled_delayed_or_false():
    hazards = [Due("spill", 1.0, 4.0), Due("spill", 9.0, 12.0), Due("gloves", 1.0, 4.0)]
    alerts = [Event("spill", 1.5), Event("spill", 2.0), Event("spill", 6.0), Event("gloves", 5.0)]
    found = observe_alerts(hazards, alerts, hours=0.5)
    assert figure(MEASURES["alert_recall"], found).value == pytest.approx(1 / 3)
    assert figure(MEASURES["alert_delay_s"], found).value == 0.5
    assert figure(MEASURES["false_alerts_per_hour"], found).value == 4.0


def test_window_that_closes_first_is_met_first_when_there_are_several():
    long, short = Due("tea", 0.0, 10.0), Due("tea", 0.0, 3.0)
    assert pair([long, short], said(1.0, 5.0, name="tea")).missed == ()


TIMES = st.integers(0, 20).map(float)
WINDOWS = st.lists(
    st.builds(lambda name, at, n: Due(name, at, at + n), st.sampled_from("ab"), TIMES, st.integers(1, 6))
)
EVENTS = st.lists(st.builds(Event, st.sampled_from("ab"), TIMES), max_size=6)


def most_pairs(due, events):
    """Try everything."""
    if not events:
        return 0
    first, rest = events[0], events[1:]
    tries = [1 + most_pairs([*due[:n], *due[n + 1 :]], rest) for n, one in enumerate(due) if one.holds(first)]
    return max([most_pairs(due, rest), *tries])


@given(WINDOWS.map(lambda found: found[:5]), EVENTS)
def test_as_many_pairs_are_made_as_there_can_be(due, events):
    found = pair(due, events)
    assert all(one.holds(event) for one, event in found.met)
    assert len(found.met) + len(found.missed) == len(due)
    assert len(found.met) == most_pairs(due, events)
    assert not any(one.holds(event) for one in due for event in found.stray)
