"""Health of the nodes as diagnostic_msgs statuses."""

from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from tml_ros.records import TurnMetrics

__all__ = ["describe_background", "describe_health"]

_ERRORS = ("dropped_windows", "model_errors", "publish_errors")
_WARNINGS = (
    "bad_images",
    "bad_stamps",
    "clock_jumps",
    "deadline_missed",
    "echo_failures",
    "gaps",
    "late_messages",
    "nonfinite_samples",
    "overload_dropped_images",
    "rejected_intents",
    "synthesis_failures",
)


def describe_health(
    name: str, newest: TurnMetrics | None, counters: Mapping[str, int], silent_topics: list[str]
) -> DiagnosticStatus:
    """Return one status. counters: totals by name. silent_topics: topics with a publisher from which nothing came."""
    status = DiagnosticStatus(name=f"{name}: micro-turns", hardware_id="tml_ros")
    status.level, status.message = _judge(newest, counters, silent_topics)
    values = {name: str(count) for name, count in sorted(counters.items())}
    if newest is not None:
        values |= {
            "session_id": newest.session_id,
            "window_seq": str(newest.window_seq),
            "inference_ms": f"{newest.inference_sec * 1e3:.1f}",
            "ingest_age_ms": f"{newest.ingest_age_sec * 1e3:.1f}",
            "queue_depth": str(newest.queue_depth),
            "erle_db": f"{newest.erle_db:.1f}",
            "echo_delay_ms": f"{newest.echo_delay_sec * 1e3:.0f}",
        }
    status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
    return status


def describe_background(name: str, backend: str, running: int | None, counters: Mapping[str, int]) -> DiagnosticStatus:
    """Return one status. running: tasks that are worked on, None when the node takes none."""
    status = DiagnosticStatus(name=f"{name}: tasks", hardware_id="tml_ros")
    faults = [name for name in ("model_errors", "message_errors") if counters.get(name)]
    if faults:
        status.level, status.message = DiagnosticStatus.WARN, _listed(faults, counters)
    elif running is None:
        status.level, status.message = DiagnosticStatus.WARN, "not active: no task is taken"
    else:
        status.level, status.message = DiagnosticStatus.OK, f"{running} tasks running"
    values = {"backend": backend, "running": str(running or 0)} | {key: str(counters[key]) for key in sorted(counters)}
    status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
    return status


def _judge(newest: TurnMetrics | None, counters: Mapping[str, int], silent: list[str]) -> tuple[bytes, str]:
    failed = [name for name in _ERRORS if counters.get(name)]
    if failed:
        return DiagnosticStatus.ERROR, _listed(failed, counters)
    refused = [name for name in counters if name.startswith("refused_") and counters[name]]
    first = f"{_listed(refused, counters)}; " if refused else ""
    if silent:
        topics = ", ".join(silent)
        return DiagnosticStatus.WARN, (
            f"{first}{topics} has a publisher, but nothing arrives; check its QoS, and for large images the Fast DDS "
            "profile (config/fastdds.xml)"
        )
    if newest is None:
        return DiagnosticStatus.WARN, f"{first}no micro-turn yet: waiting for sound or pictures"
    noted = refused + [name for name in _WARNINGS if counters.get(name)]
    if noted:
        return DiagnosticStatus.WARN, _listed(noted, counters)
    return DiagnosticStatus.OK, "working"


def _listed(names: list[str], counters: Mapping[str, int]) -> str:
    return ", ".join(f"{counters[name]} {name}" for name in names)
