"""``tml bench native``: every figure is there, and a step is worth having beside running everything anew."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tml_ros.cli.main import main

KEYS = {
    "checkpoint commit compile context_s cpu deadline_misses deadline_ms device edge_turns frame machine max_ms "
    "naive_ms naive_turns paired_growth p50_ms p95_ms p99_ms precision python resident_growth resident_mb "
    "speedup_over_naive state_mb text_tokens_per_turn threads time_growth tokens_per_turn torch turns voice"
}


@pytest.fixture(scope="module")
def figures(repository: Path) -> dict:
    """Half a minute of context and 20 s that are timed, with the smallest model."""
    command = [
        sys.executable,
        "-m",
        "tml_ros.cli.main",
        "bench",
        "native",
        "--preset",
        "tiny",
        "--turns",
        "100",
        "--context-s",
        "30",
    ]
    made = subprocess.run(command, capture_output=True, text=True, check=True, cwd=repository, timeout=200)
    assert "times faster than running the context anew" in made.stdout
    return json.loads(made.stdout.splitlines()[-1])


def test_every_figure_is_there_when_the_model_is_timed(figures):
    assert figures.keys() == set(" ".join(KEYS).split())
    assert 0 < figures["p50_ms"] <= figures["p95_ms"] <= figures["p99_ms"] <= figures["max_ms"]
    assert (figures["turns"], figures["context_s"], figures["naive_turns"]) == (100, 30.0, 150)
    # 12 patches, 5 of sound, clock, OUT, floor and 6 of text
    assert (figures["tokens_per_turn"], figures["text_tokens_per_turn"]) == (26.0, 6)


def test_step_is_much_faster_than_running_half_a_minute_anew_when_both_are_timed_in_one_run(figures):
    assert figures["speedup_over_naive"] >= 8


def test_cost_stays_the_same_when_rings_wrap_many_times(figures):
    # a short look at what `--turns 18000` measures: docs/lab_notes.md has the hour. Steps of the old session and of a
    # fresh one take turns: `time_growth`, the run's end over its beginning, also shows what else the machine did then
    assert figures["paired_growth"] < 1.25
    assert figures["resident_growth"] < 1.05  # the allocator settles in the first minutes


def test_less_is_run_when_the_options_say_so(capsys):
    options = ("--preset", "tiny", "--turns", "5", "--context-s", "0", "--text-tokens", "2", "--no-frame", "--voice")
    assert main(["bench", "native", *options, "--skip-naive", "--dtype", "int8", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["text_tokens_per_turn"], found["tokens_per_turn"] >= 10, found["frame"]) == (2, True, False)
    assert (found["precision"], found["voice"], "naive_ms" in found) == ("int8", True, False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--turns", "0"), "--turns and --threads must be at least 1"),
        (("--text-tokens", "-1"), "at least 0, got 500, 1, 60 and -1"),
        (("--preset", "absent"), "no checkpoint 'absent'"),
        (("--preset", "base"), "base"),
    ],
)
def test_command_ends_with_one_line_when_it_cannot_be_run(options, message, capsys):
    assert main(["bench", "native", *options]) == 1
    assert message in capsys.readouterr().err
