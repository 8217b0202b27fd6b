"""``tml bench safety`` as somebody runs it: real nodes, one hand in a zone, and a line of JSON at the end."""

import json
import subprocess
import sys
from pathlib import Path


def test_alert_is_found_and_heard_when_the_command_shows_a_hand(repository: Path, tmp_path: Path):
    command = [sys.executable, "-m", "tml_ros.cli.main", "bench", "safety", "--tours", "1", "--blocks", "plain"]
    command += ["--kinds", "1", "--out", str(tmp_path), "--json"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout, done.stderr
    line = json.loads(done.stdout.splitlines()[-1])
    plain = line["blocks"]["plain"]
    assert (plain["events"], plain["found"], plain["heard"], line["false_alerts"]) == (1, 1, 1, [])
    assert list(line["kinds"]) == ["hand_in_zone"] and line["ratios"] == {}
    assert done.returncode == bool(line["faults"])
    (event,) = json.loads((tmp_path / "events.json").read_text())
    assert 0.0 < event["to_topic_s"] < 3.0
