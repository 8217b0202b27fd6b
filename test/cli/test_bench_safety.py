"""What ``tml bench safety`` concludes from the latencies that it has measured, and which options it refuses."""

import json

import pytest
from rich.console import Console

from tml_ros.cli.bench_safety import _conclude
from tml_ros.cli.main import main
from tml_ros.evaluation.alert_latency import Latency

FAST = [Latency("flame", "plain", 0.25, 0.1), Latency("flame", "stalled", 0.26, 0.1)]


def conclude(latencies: list[Latency], false: list[str], capsys) -> tuple[int, dict]:
    code = _conclude(latencies, false, {"tasks": 3}, Console(quiet=True), is_shift=False)
    return code, json.loads(capsys.readouterr().out)


def test_nothing_is_wrong_when_alerts_are_soon_and_the_same_in_every_block(capsys):
    code, line = conclude(FAST, [], capsys)
    assert (code, line["faults"], line["tasks"]) == (0, [], 3)
    assert line["ratios"] == {"stalled": pytest.approx(1.04)}
    assert line["blocks"]["plain"]["alert_median_ms"] == 250.0


@pytest.mark.parametrize(
    ("latencies", "false", "fault"),
    [
        (FAST, ["flame"], "1 false alerts"),
        ([Latency("flame", "plain", None, None)], [], "plain: of 1 events 0 were told"),
        ([Latency("flame", "plain", 0.25, None)], [], "plain: of 1 events 1 were told and 0 heard"),
        ([Latency("flame", "plain", 0.5, 0.1)], [], "alert_median_ms is 500"),
        ([Latency("flame", "plain", 0.25, 0.4)], [], "sound_p95_ms is 400"),
        ([FAST[0], Latency("flame", "stalled", 0.3, 0.1)], [], "stalled: the median is 1.2"),
    ],
)
def test_fault_is_told_and_the_code_is_one_when_a_figure_is_not_as_it_has_to_be(latencies, false, fault, capsys):
    code, line = conclude(latencies, false, capsys)
    assert code == 1 and any(fault in one for one in line["faults"])


def test_options_are_refused_when_nothing_would_be_shown(capsys, tmp_path):
    assert main(["bench", "safety", "--tours", "0", "--out", str(tmp_path / "out")]) == 1
    assert "--fps and --tours must be above 0" in capsys.readouterr().err
