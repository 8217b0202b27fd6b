"""A minute of a real camera's and microphone's load over DDS, with the cascade at work: no sample may be lost."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: run `make setup`")

from tml_interfaces.msg import MicroTurnMetrics, Transcript
from tml_ros.nodes.qos import OUTPUT_QOS
from tml_ros.speech import create_synthesiser

SECONDS = 60


@pytest.mark.timeout(180)
def test_no_sample_is_lost_and_no_deadline_missed_when_a_minute_is_played_live(graph):
    voice = create_synthesiser("flite", "slt").synthesise("turn left")
    wave = np.concatenate([np.zeros(24_000), voice, np.zeros(120_000)])
    noisy = wave * 32_767 + np.random.default_rng(0).normal(0.0, 20.0, len(wave))
    np.save(graph.folder / "wave.npy", np.clip(noisy, -32_768, 32_767).astype(np.int16))
    graph.start_interaction()
    metrics = graph.collect(MicroTurnMetrics, "micro_turn", OUTPUT_QOS["micro_turn"])
    transcripts = graph.collect(Transcript, "transcript", OUTPUT_QOS["transcript"])
    script = Path(__file__).with_name("load_publisher.py")
    publisher = graph.start(str(script), str(SECONDS), str(graph.folder / "wave.npy"), log="load.log")
    graph.wait(lambda: publisher.poll() is not None, "the end of the load", timeout_s=SECONDS + 60.0)
    graph.spin(0.5)
    assert publisher.returncode == 0, graph.log_text("load.log")
    inference = np.array([m.inference_sec for m in metrics]) * 1e3
    age = np.array([m.ingest_age_sec for m in metrics]) * 1e3
    print(
        f"{len(metrics)} micro-turns, inference p50 {np.percentile(inference, 50):.0f} p99 "
        f"{np.percentile(inference, 99):.0f} max {inference.max():.0f} ms, age p50 {np.percentile(age, 50):.0f} p99 "
        f"{np.percentile(age, 99):.0f} ms; {graph.log_text('load.log').strip()}"
    )
    assert len(metrics) >= SECONDS * 5 - 4
    assert [m.missing_samples for m in metrics[2:] if m.missing_samples] == []
    assert [m.window_seq for m in metrics] == list(range(len(metrics)))
    assert sum(m.frames for m in metrics) >= 2 * 0.9 * len(metrics)
    assert sum(t.final and t.speaker == "user" and t.text == "turn left" for t in transcripts) >= 3
    assert sum(m.deadline_missed for m in metrics) == 0
