"""Forty seconds of a real camera's and microphone's load over DDS, with the cascade at work: no sample may be lost.

On a machine of its own no deadline is missed. On two cores that others use as well a step of 70 ms has taken 250: one
micro-turn in a hundred may be late, all the others may not. A machine on which a step that recognises takes half of the
deadline or more is too slow for the cascade, and is held to keeping up without losing anything. Lest slow nodes pass
for such a machine, their steps are compared with those of the model alone on the same sound.

Every other ten seconds a task runs on the background node, which may not slow the micro-turns down.
"""

import time
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="rclpy is not installed: run `make setup`")

from std_msgs.msg import String

from tml_interfaces.msg import MicroTurnMetrics, Transcript
from tml_ros.duplex import DuplexModel, SessionInfo, create_model
from tml_ros.nodes.qos import OUTPUT_QOS
from tml_ros.records import MICRO_TURN_NS, MICRO_TURN_SAMPLES, MicroTurn
from tml_ros.session.config import EngineConfig
from tml_ros.speech import create_synthesiser

SECONDS = 40
PERIOD_S = 10
NEWS = [{"after_s": 0.05, "progress": {"stage": "search", "status_text": f"step {n}"}} for n in range(190)]
SCRIPT = {"tasks": [{"match": "gloves", "updates": [*NEWS, {"result": {"report": ""}}]}]}


def percentiles(seconds: list[float]) -> dict[int, float]:
    """Percentile to milliseconds."""
    return {p: float(np.percentile(seconds, p)) * 1e3 for p in (50, 90, 99, 100)}


def steps(model: DuplexModel, wave: np.ndarray) -> list[float]:
    """Seconds of each step of a model that hears a wave, [N] int16, and has the process to itself."""
    stream, took = model.open(SessionInfo("alone", 0)), []
    for number, audio in enumerate(np.split(wave.astype(np.float32) / 32_768, len(wave) // MICRO_TURN_SAMPLES)):
        turn = MicroTurn(number, number * MICRO_TURN_NS, (number + 1) * MICRO_TURN_NS, audio, 1.0)
        began = time.perf_counter()
        stream.step(turn)
        took.append(time.perf_counter() - began)
    stream.close()
    return took


@pytest.mark.timeout(180)
def test_no_sample_is_lost_and_deadlines_are_kept_when_sound_and_pictures_are_played_live(graph):
    voice = create_synthesiser("flite", "slt").synthesise("turn left")
    wave = np.concatenate([np.zeros(48_000), voice])
    wave = np.pad(wave, (0, PERIOD_S * 16_000 - len(wave)))
    noisy = wave * 32_767 + np.random.default_rng(0).normal(0.0, 20.0, len(wave))
    noisy = np.clip(noisy, -32_768, 32_767).astype(np.int16)
    cascade, twice = create_model("cascade"), np.tile(noisy, 2)
    by_itself = steps(cascade, twice)
    np.save(graph.folder / "wave.npy", noisy)
    (graph.folder / "script.yaml").write_text(yaml.safe_dump(SCRIPT))
    graph.start_background(f"scripted.script:={graph.folder / 'script.yaml'}")
    graph.start_interaction("delegation.filler_after_s:=60.0")
    metrics = graph.collect(MicroTurnMetrics, "micro_turn", OUTPUT_QOS["micro_turn"])
    transcripts = graph.collect(Transcript, "transcript", OUTPUT_QOS["transcript"])
    typed = graph.client.create_publisher(String, "text/in", 10)
    script = Path(__file__).with_name("load_publisher.py")
    publisher = graph.start(str(script), str(SECONDS), str(graph.folder / "wave.npy"), log="load.log")
    for number in range(1, SECONDS // PERIOD_S, 2):
        begin = number * PERIOD_S * 5
        graph.wait(lambda begin=begin: len(metrics) >= begin, "the next ten seconds", timeout_s=30.0)
        typed.publish(String(data="order some gloves"))
    graph.wait(lambda: publisher.poll() is not None, "the end of the load", timeout_s=SECONDS + 60.0)
    graph.spin(0.5)
    assert publisher.returncode == 0, graph.log_text("load.log")
    parts: list[list[float]] = [[], []]
    for m in metrics:
        parts[m.window_seq // (PERIOD_S * 5) % 2].append(m.inference_sec)
    alone, without, during = map(percentiles, [by_itself + steps(cascade, twice), *parts])
    missed = sum(m.deadline_missed for m in metrics)
    age = percentiles([m.ingest_age_sec for m in metrics])
    print(
        f"{len(metrics)} micro-turns, inference in ms alone {alone}, without a task {without}, with one {during}, "
        f"age {age}, {missed} late; {graph.log_text('load.log').strip()}"
    )
    counters = {pair.key: int(pair.value) for pair in metrics[-1].counters}
    assert counters["delegations"] == SECONDS // PERIOD_S // 2 and "failed_delegations" not in counters
    assert len(metrics) >= SECONDS * 5 - 4
    assert [m.missing_samples for m in metrics[2:] if m.missing_samples] == []
    assert [m.window_seq for m in metrics] == list(range(len(metrics)))
    assert sum(m.frames for m in metrics) >= 2 * 0.9 * len(metrics)
    assert sum(t.final and t.speaker == "user" and t.text == "turn left" for t in transcripts) >= 3
    engine = EngineConfig()
    assert max(m.queue_depth for m in metrics) < engine.shorten_depth
    if 2 * max(alone[100], without[90]) <= engine.deadline_ms:
        assert missed <= len(metrics) // 100
    assert without[90] <= 4 * alone[90] + 5.0
    # p99 of 150 is the second largest: docs/lab_notes.md has longer runs. This notices what is plainly wrong.
    assert during[90] <= 1.5 * without[90] + 5.0
