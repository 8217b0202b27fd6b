"""How soon alerts came, from what was shown and what came back; and the bench on which it is shown."""

from dataclasses import dataclass

import numpy as np
import pytest

from tml_ros.evaluation.alert_latency import compare, figures, find_latencies
from tml_ros.evaluation.alert_stage import ALARM, KINDS, QUIET, lab_text, make_segments
from tml_ros.evaluation.shift_alerts import AlertEvent, Spoken
from tml_ros.intents import AllowList
from tml_ros.records import AlertState, SafetyAlert
from tml_ros.safety import load_lab

S = 1_000_000_000


@dataclass
class Shown:
    """Evidence."""

    kind: str
    begin_ns: int
    end_ns: int
    block: str = "plain"


def alert(rule: str, at_s: float, name: str, state: AlertState = AlertState.RAISED) -> AlertEvent:
    made = SafetyAlert(0, name, state, 1, rule, "", f"I see a {rule}.", 1.0, round(at_s * S), round(at_s * S))
    return AlertEvent(round(at_s * S), made)


def test_latency_is_from_evidence_to_topic_and_from_there_to_sound():
    shown = [Shown("flame", 10 * S, 13 * S), Shown("hand", 20 * S, 22 * S), Shown("flame", 30 * S, 33 * S)]
    alerts = [
        alert("flame", 10.4, "a"),
        alert("flame", 14.0, "a", AlertState.CLEARED),
        alert("hand", 25.2, "b"),  # too late
        alert("flame", 30.6, "c"),
    ]
    spoken = [Spoken(round(10.5 * S), "I see a flame.", round(10.5 * S), False)]
    found, false = find_latencies(shown, alerts, spoken)
    assert [(one.kind, one.to_topic_s, one.to_sound_s) for one in found] == [
        ("flame", pytest.approx(0.4), pytest.approx(0.1)),
        ("hand", None, None),
        ("flame", pytest.approx(0.6), None),
    ]
    assert false == ["hand"]
    made = figures(found)
    assert (made["events"], made["found"], made["heard"], made["alert_median_ms"]) == (3, 2, 1, 500.0)
    assert figures([])["alert_median_ms"] is None


def test_alert_before_its_evidence_is_false():
    found, false = find_latencies([Shown("flame", 10 * S, 13 * S)], [alert("flame", 9.9, "a")], [])
    assert found[0].to_topic_s is None and false == ["flame"]


def test_blocks_are_compared_by_their_medians():
    shown = [Shown("flame", at_s * S, (at_s + 2) * S, block) for at_s, block in ((10, "plain"), (20, "stalled"))]
    found, _ = find_latencies(shown, [alert("flame", 10.4, "a"), alert("flame", 20.6, "b")], [])
    assert compare(found, "plain") == {"stalled": 1.5}
    assert compare(found[1:], "plain") == {}


def test_evidence_begins_where_it_is_shown(tmp_path):
    segments = make_segments(5.0, (160, 120))
    assert [*segments] == [*KINDS, QUIET]
    for kind in KINDS:
        one = segments[kind]
        assert len(one.frames) == 35 and len(one.sound) == 7 * 16_000
        assert 1.0 < one.begin_s < 2.0 < one.end_s < 5.0
    alarm = segments[ALARM]
    first = round(alarm.begin_s * 16_000)
    assert np.abs(alarm.sound[:first]).max() < 0.02 < np.abs(alarm.sound[first : first + 100]).max()
    cover = segments["lens_covered"]
    at = round(cover.begin_s * 5)
    assert cover.frames[at].std() < 0.5 * cover.frames[at - 1].std()
    (tmp_path / "lab.yaml").write_text(lab_text())
    assert [rule.name for rule in load_lab(tmp_path / "lab.yaml", AllowList.load()).rules] == [*KINDS]
