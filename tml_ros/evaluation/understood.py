"""What a scenario as a whole observes: intents against those wanted, alerts against hazards, and what nobody wanted.

Every scenario observes these, whatever its expectations name: an intent that nobody meant is false wherever it comes.

Source: understanding.py and awareness.py, which hold the definitions.
"""

import json
import math
from collections.abc import Sequence

from tml_ros.evaluation.awareness import Due, Event, observe_alerts
from tml_ros.evaluation.expectations import Expectation
from tml_ros.evaluation.matchers import fits_intent
from tml_ros.evaluation.results import Observation
from tml_ros.evaluation.timeline import Timeline
from tml_ros.evaluation.understanding import Proposed, WantedIntent, observe_intents
from tml_ros.records import AlertState, IntentProposal

__all__ = ["observe_alerts_of", "observe_intents_of", "unexpected_intents"]


def unexpected_intents(expectations: Sequence[Expectation], timeline: Timeline) -> list[IntentProposal]:
    """Return the proposals that no expectation asks for or allows."""
    allowed = [one.wanted for one in expectations if one.kind == "intent" and one.at_most]
    return [
        proposal
        for _, proposal in timeline.intents
        if not (proposal.is_withdrawn or any(fits_intent(proposal, one) for one in allowed))
    ]


def observe_intents_of(expectations: Sequence[Expectation], timeline: Timeline, hours: float) -> list[Observation]:
    """Return accuracy of the wanted intents and their slots, and the false intents of a scenario that long."""
    wanted = []
    for one in expectations:
        if one.kind == "intent" and one.at_least and not one.wanted.get("withdrawn"):
            window = one.window(timeline)
            low_s, high_s = (window.low_s, window.high_s) if window else (math.inf, math.inf)
            wanted.append(WantedIntent(one.wanted["name"], one.wanted.get("data", {}), low_s, high_s))
    proposed = [
        Proposed(one.intent, json.loads(one.data), at_s) for at_s, one in timeline.intents if not one.is_withdrawn
    ]
    false = len(unexpected_intents(expectations, timeline))
    return [*observe_intents(wanted, proposed), Observation("false_intents_per_hour", float(false), weight=hours)]


def observe_alerts_of(expectations: Sequence[Expectation], timeline: Timeline, hours: float) -> list[Observation]:
    """Return recall and delay of the alerts that are wanted, and the false ones. Only what is raised counts."""
    raised = [(at_s, one) for at_s, one in timeline.alerts if one.state is AlertState.RAISED]
    hazards, never = [], 0
    for one in expectations:
        if one.kind == "alert" and one.at_least and one.wanted.get("state", "raised") == "raised":
            window = one.window(timeline)
            if window is None:
                never += 1
            else:
                hazards.append(Due(one.wanted.get("rule", ""), window.low_s, window.high_s))
    rules = {hazard.name for hazard in hazards}
    events = [Event(alert.rule if alert.rule in rules or "" not in rules else "", at_s) for at_s, alert in raised]
    return [*(Observation("alert_recall", 0.0) for _ in range(never)), *observe_alerts(hazards, events, hours)]
