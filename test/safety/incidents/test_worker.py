"""Recording behind a queue: nobody waits, alerts are never dropped, faults do not end it."""

import threading

import pytest

from tml_ros.clock import SystemClock
from tml_ros.safety.incidents import IncidentWorker, read_summary


@pytest.fixture
def worker(bench):
    made = IncidentWorker(bench.recorder, SystemClock(), queue_mb=0.1)
    yield made
    made.stop()


def test_incident_is_on_disk_when_the_worker_is_stopped(bench, tools, worker):
    worker.start()
    worker.put(*tools.picture(1))
    worker.put(*tools.alert_message(tools.ALERT))
    assert worker.stop()
    summary = read_summary(bench.folder / bench.names[0])
    assert summary["end"] == "the recorder was stopped"
    assert summary["messages"] == {"/tml/image/compressed": 1, "/tml/safety_alert": 1}


def test_pictures_go_first_and_alerts_stay_when_the_disk_is_slow(bench, tools, worker):
    """The thread has not begun: whatever comes has to wait."""
    for _ in range(40):
        worker.put(*tools.picture(1))
    for _ in range(300):
        worker.put(*tools.audio(1))
    for number in range(60):
        worker.put(*tools.alert_message(tools.replace(tools.ALERT, alert_id=f"a{number}")))
    assert worker.queue_bytes < 330_000
    dropped = bench.recorder.dropped
    assert dropped["dropped_pictures"] == 40 - 11 and dropped["dropped_messages"] > 100
    worker.start()
    assert worker.stop()
    summary = read_summary(bench.folder / bench.names[0])
    assert len(summary["alerts"]) == 60


def test_caller_does_not_wait_when_the_recorder_does(bench, tools, worker, monkeypatch):
    gate, entered = threading.Event(), threading.Event()

    def hang(message):
        entered.set()
        gate.wait(20)

    monkeypatch.setattr(bench.recorder, "take", hang)
    worker.start()
    worker.put(*tools.audio(1))
    assert entered.wait(20)
    worker.put(*tools.audio(1))  # returns
    gate.set()


def test_recording_goes_on_when_a_message_makes_it_fail(bench, tools, worker, monkeypatch, caplog):
    take = bench.recorder.take

    def fail_once(message):
        monkeypatch.setattr(bench.recorder, "take", take)
        raise RuntimeError("a fault")

    monkeypatch.setattr(bench.recorder, "take", fail_once)
    worker.start()
    worker.put(*tools.audio(1))
    worker.put(*tools.alert_message(tools.ALERT))
    assert worker.stop()
    assert len(bench.names) == 1 and bench.recorder.counters["faults"] == 1
    assert "a fault" in caplog.text
