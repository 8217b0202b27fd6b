"""The measures against hand-made words, and against the published examples where they are."""

import json
import math

import pytest

from tml_ros.errors import InputError
from tml_ros.evaluation.fdb import (
    Word,
    backchannels,
    divergence,
    interruption_latency_s,
    is_takeover,
    read_words,
    turn_taking_latency_s,
    words_within,
)


def words(*times):
    return [Word("w", start, end) for start, end in times]


def test_silence_is_no_takeover():
    assert not is_takeover([])


def test_short_utterance_is_no_takeover_until_it_has_four_words_or_lasts_a_second():
    assert not is_takeover(words((0.0, 0.3), (0.3, 0.6), (0.6, 0.99)))
    assert is_takeover(words((0.0, 0.3), (0.3, 0.6), (0.6, 1.0)))
    assert is_takeover(words((0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8)))


def test_latency_is_floored_and_only_there_when_the_turn_was_taken():
    assert turn_taking_latency_s(words((2.5, 4.0)), 2.0) == 0.5
    assert turn_taking_latency_s(words((1.5, 4.0)), 2.0) == 0.0
    assert turn_taking_latency_s(words((2.5, 2.9)), 2.0) is None


def test_interruption_counts_only_words_after_it():
    said = words((0.0, 3.0), (5.5, 7.0))
    assert interruption_latency_s(said, 5.0) == 0.5
    assert words_within(said, 0.0, 5.0) == said[:1]


def test_backchannel_is_short_and_a_long_segment_or_four_words_are_a_takeover():
    short = backchannels([(1.0, 1.5), (4.0, 4.4)], words((1.0, 1.5), (4.0, 4.4)), 10.0)
    assert (short.takeover, short.starts_s, short.per_second) == (False, (1.0, 4.0), 0.2)
    assert backchannels([(1.0, 4.1)], words((1.0, 4.1)), 10.0).takeover
    four = words((1.0, 1.2), (1.2, 1.4), (1.4, 1.6), (1.6, 1.9))
    assert backchannels([(1.0, 1.9)], four, 10.0).takeover


def test_divergence_is_0_when_alike_and_1_when_there_are_no_backchannels():
    assert divergence([0.1, 0.3], [1.0, 1.0]) == 0.0
    assert divergence([], [1.0, 1.0]) == 1.0
    assert divergence([0.1], [0.0, 1.0]) == pytest.approx(math.sqrt(math.log(2)))


def test_bad_file_is_explained(tmp_path):
    path = tmp_path / "output.json"
    path.write_text('{"text": "no chunks"}')
    with pytest.raises(InputError, match="chunks"):
        read_words(path)


def test_golden_values_when_the_published_examples_are_here(shared_data):
    folder = shared_data / "fdb_examples"
    assert is_takeover(read_words(folder / "pause_handling_example/1/output.json"))

    taking = folder / "smooth_turn_taking_example/1"
    gap_s = json.loads((taking / "turn_taking.json").read_text())[0]["timestamp"][0]
    assert turn_taking_latency_s(read_words(taking / "output.json"), gap_s) == pytest.approx(1.35, abs=0.005)

    cut_in = folder / "user_interruption_example/1"
    end_s = json.loads((cut_in / "interrupt.json").read_text())[0]["timestamp"][1]
    said = read_words(cut_in / "output.json")
    assert len(said) == 32
    assert said[-1].end_s - said[0].start_s == pytest.approx(10.90, abs=0.005)
    assert interruption_latency_s(said, end_s) == pytest.approx(4.08, abs=0.005)
