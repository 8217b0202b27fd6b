"""Every measure of an evaluation by name: its unit, how trials become one figure, and whose definition it is.

A table of names and nothing else: the functions that give the observations lie beside it, docs/measures.md says which.
Latencies are only there where the robot answered, so a rate stands beside each of them.
"""

from collections.abc import Mapping

from tml_ros.errors import ConfigError, nearest_name
from tml_ros.evaluation.results import Aggregate, Measure

__all__ = ["MEASURES", "measure"]

_FDB = "Full-Duplex-Bench v1 (Lin et al., arXiv 2503.04721)"
_FDB15 = "Full-Duplex-Bench v1.5 (Lin et al., arXiv 2507.23159)"
_AWARE = "TimeSpeak and CueSpeak (Thinking Machines, May 2026); our items"
_REPCOUNT = "RepCount-A protocol (Hu et al., TransRAC, arXiv 2204.01018)"
_PROACTIVE = "ProactiveVideoQA (arXiv 2507.09313)"
_OWN = "tml_ros, docs/measures.md"

_RATE, _MEDIAN, _MEAN = Aggregate.RATE, Aggregate.MEDIAN, Aggregate.MEAN
_PER_HOUR, _MACRO = Aggregate.PER_HOUR, Aggregate.MACRO

_ALL = (
    # full duplex
    Measure("turn_taking_latency_s", "turn-taking latency, median", "s", _MEDIAN, "low", _FDB),
    Measure("turn_taking_latency_mean_s", "turn-taking latency, mean", "s", _MEAN, "low", _FDB),
    Measure("turn_taking_tor", "takeover at the end of a turn", "1", _RATE, "high", _FDB),
    Measure("pause_tor", "takeover of a pause", "1", _RATE, "low", _FDB),
    Measure("interruption_latency_s", "latency after an interruption, median", "s", _MEDIAN, "low", _FDB),
    Measure("interruption_tor", "takeover after an interruption", "1", _RATE, "high", _FDB),
    Measure("stop_latency_s", "overlap until one of both is silent, median", "s", _MEDIAN, "low", _FDB15),
    Measure("response_latency_s", "end of an interruption to the next voice, median", "s", _MEDIAN, "low", _FDB15),
    Measure("stopped", "bids for the floor that silenced the robot within 0.7 s", "1", _RATE, "high", _OWN),
    Measure("false_stop", "sounds that were no bid and silenced the robot", "1", _RATE, "low", _OWN),
    Measure("backchannel_takeover", "takeover of a long turn", "1", _RATE, "low", _FDB),
    Measure("backchannel_frequency", "back-channels per second", "1/s", _MEAN, "high", _FDB),
    Measure("backchannel_jsd", "times of back-channels against people's", "1", _MEAN, "low", _FDB),
    Measure("respond", "interruptions that were answered", "1", _RATE, "high", _FDB15),
    Measure("resume", "sounds for others after which the robot went on", "1", _RATE, "high", _FDB15),
    # time and cues
    Measure("time_accuracy", "right words in the right time window, macro", "1", _MACRO, "high", _AWARE),
    Measure("cue_accuracy", "right words at the right cue, macro", "1", _MACRO, "high", _AWARE),
    Measure("reminder_jitter_s", "reminder against its due time, mean", "s", _MEAN, "low", _OWN),
    # sight
    Measure("count_obo", "counts off by at most one", "1", _RATE, "high", _REPCOUNT),
    Measure("count_mae", "error of a count over the true count", "1", _MEAN, "low", _REPCOUNT),
    Measure("count_online", "last number said in time and off by at most one", "1", _RATE, "high", _REPCOUNT),
    Measure("pauc", "area under the score of what was said so far", "%", _MEAN, "high", _PROACTIVE),
    Measure("interval_iou", "said interval over the true one", "1", _MEAN, "high", _OWN),
    # understanding
    Measure("wer", "word error rate", "1", _MEAN, "low", "NIST sclite: Levenshtein distance over reference words"),
    Measure("intent_accuracy", "requests with the right intent", "1", _RATE, "high", _OWN),
    Measure("slot_accuracy", "wanted slots with the right value", "1", _RATE, "high", _OWN),
    Measure("false_intents_per_hour", "intents that nobody meant", "1/h", _PER_HOUR, "low", _OWN),
    # tasks and safety
    Measure("delegation_accuracy", "tasks handed on as wanted, and no other", "1", _RATE, "high", _OWN),
    Measure("alert_recall", "hazards with an alert in time", "1", _RATE, "high", _OWN),
    Measure("alert_delay_s", "hazard to alert, median", "s", _MEDIAN, "low", _OWN),
    Measure("false_alerts_per_hour", "alerts without a hazard", "1/h", _PER_HOUR, "low", _OWN),
    Measure("fault_recovery", "faults after which the robot worked as before", "1", _RATE, "high", _OWN),
    # bags
    Measure("golden_match", "bags that gave what they gave before", "1", _RATE, "high", _OWN),
    # real time, wall clock: of one scenario each
    Measure("step_p50_ms", "compute of a micro-turn, median", "ms", _MEDIAN, "low", _OWN),
    Measure("step_p95_ms", "compute of a micro-turn, 95th percentile", "ms", _MEDIAN, "low", _OWN),
    Measure("step_p99_ms", "compute of a micro-turn, 99th percentile", "ms", _MEDIAN, "low", _OWN),
    Measure("deadline_miss", "micro-turns that took longer than 200 ms", "1", _RATE, "low", _OWN),
)

MEASURES: Mapping[str, Measure] = {one.name: one for one in _ALL}
"""Every measure, in the order of tables."""


def measure(name: str) -> Measure:
    """Return a measure by name.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in MEASURES:
        raise ConfigError(f"no measure {name!r}{nearest_name(name, MEASURES)}; docs/measures.md lists them")
    return MEASURES[name]
