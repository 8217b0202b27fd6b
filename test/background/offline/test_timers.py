"""Requests for a timer in words."""

import pytest

from tml_ros.background.offline.amounts import plain, say_duration, seconds
from tml_ros.background.offline.timers import timer_result
from tml_ros.records import TimerDraft


@pytest.mark.parametrize(
    ("text", "timer"),
    [
        ("remind me to check the titration in ten minutes", TimerDraft("Remember to check the titration.", 600.0)),
        ("remind me to stir every five minutes", TimerDraft("Remember to stir.", 300.0, 300.0)),
        ("Remind me in 5 minutes to check my sample, please.", TimerDraft("Remember to check your sample.", 300.0)),
        ("every minute remind me to stir", TimerDraft("Remember to stir.", 60.0, 60.0)),
        ("in two hours remind me to go home", TimerDraft("Remember to go home.", 7200.0)),
        ("could you please remind me to drink in an hour", TimerDraft("Remember to drink.", 3600.0)),
        ("set a timer for two and a half hours", TimerDraft("Your time is up.", 9000.0)),
        ("set a timer for an hour and a half", TimerDraft("Your time is up.", 5400.0)),
        ("set a timer for half an hour", TimerDraft("Your time is up.", 1800.0)),
        ("set a timer for one second", TimerDraft("Your time is up.", 1.0)),
        ("start a ten minute timer", TimerDraft("Your time is up.", 600.0)),
        ("start a thirty second timer", TimerDraft("Your time is up.", 30.0)),
        ("tell me when five minutes are up", TimerDraft("Your time is up.", 300.0)),
        ("remind me to leave in one hour and thirty minutes", TimerDraft("Remember to leave.", 5400.0)),
    ],
)
def test_a_timer_is_made_when_it_is_asked_for(text, timer):
    result = timer_result(plain(text))
    assert result.timers == (timer,)
    assert result.intents == ()
    assert result.data == {"kind": "timer", "text": timer.text, "after_s": timer.after_s, "repeat_s": timer.repeat_s}


@pytest.mark.parametrize(
    "text", ["remind me to drink", "remind me in the lab", "set a timer", "where is the timer", "stop"]
)
def test_no_timer_is_made_when_no_time_is_said(text):
    assert timer_result(plain(text)) is None


@pytest.mark.parametrize("text", ["set a timer for nine hundred hours", "set a timer for zero seconds"])
def test_it_is_refused_when_the_time_is_out_of_bounds(text):
    result = timer_result(plain(text))
    assert result.timers == ()
    assert result.report == "I can keep time from 1 second to 24 hours."


def test_what_will_happen_is_said_when_a_timer_repeats():
    assert timer_result(plain("remind me to stir every minute")).report == "I will remind you to stir every minute."
    assert timer_result(plain("set a timer for 90 seconds")).report == "I will tell you in 1 minute and 30 seconds."


@pytest.mark.parametrize("value", [1.0, 59.0, 60.0, 90.0, 3600.0, 5430.0, 86_400.0])
def test_a_duration_is_read_back_when_it_was_said(value):
    assert seconds(say_duration(value).replace(",", " and")) == value
