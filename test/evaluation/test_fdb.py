"""The measures against hand-made words, and against the published examples where they are."""

import json
import math
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tml_ros.errors import InputError
from tml_ros.evaluation.catalogue import MEASURES
from tml_ros.evaluation.fdb import (
    WANTED,
    Behaviour,
    SampleKind,
    Utterance,
    Word,
    backchannels,
    behaviour,
    divergence,
    interruption_latency_s,
    is_takeover,
    judge,
    overlaps,
    read_human_backchannels,
    read_sample,
    read_words,
    response_latency_s,
    silenced_after_s,
    stop_latencies_s,
    turn_taking_latency_s,
    voice_segments,
    voiced_words,
    words_within,
)
from tml_ros.evaluation.results import figure

SAMPLES = {
    "pause": "pause_handling_example/1",
    "turn": "smooth_turn_taking_example/1",
    "interruption": "user_interruption_example/1",
}
PLAN = "First I take the cup. Then I go to the kitchen."


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


# -------------------------------------------------------------------------------------------------------------- v1.5


def test_overlap_is_measured_on_merged_segments():
    user = [(2.0, 2.5), (3.1, 4.0)]  # 0.6 s apart: one
    robot = [(0.0, 2.2), (2.7, 3.5), (4.01, 5.0)]  # 0.5 s apart: one; 0.51 s: another
    assert overlaps(user, robot) == [(2.0, 3.5)]
    assert stop_latencies_s(user, robot) == [1.5]
    assert stop_latencies_s(user, [(5.0, 6.0)]) == []


def test_response_is_the_next_start_when_the_person_has_ended():
    assert response_latency_s(4.0, [(0.0, 3.0), (5.5, 6.0)]) == 1.5
    assert response_latency_s(4.0, [(3.9, 4.6), (5.0, 6.0)]) is None  # it went on, the gap is too short for another


def test_short_bid_is_not_heeded_when_only_the_person_stops():
    assert stop_latencies_s([(2.0, 2.3)], [(0.0, 9.0)]) == pytest.approx([0.3])
    assert silenced_after_s(2.0, [(0.0, 9.0)]) == 7.0
    assert silenced_after_s(2.0, [(0.0, 2.4)]) == pytest.approx(0.4)
    assert silenced_after_s(2.0, [(2.5, 3.0)]) is None
    assert silenced_after_s(2.5, [(0.0, 2.4)]) is None


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ([Utterance("Stopping.", 3.0, 3.5)], Behaviour.RESPOND),
        ([Utterance("Sorry? I missed that.", 3.0, 4.0)], Behaviour.UNCERTAIN),
        ([Utterance("Then I go to the kitchen.", 3.0, 5.0)], Behaviour.RESUME),
        ([Utterance("As I said, then I go to the kitchen.", 3.0, 5.0)], Behaviour.RESUME),
        ([Utterance("Then I go to the kitchen.", 3.0, 3.2, is_cut=True)], Behaviour.UNKNOWN),
        ([Utterance("Then I go to the office.", 3.0, 5.0)], Behaviour.RESPOND),
        ([Utterance("Stopping.", 9.0, 9.5)], Behaviour.UNKNOWN),
        ([], Behaviour.UNKNOWN),
    ],
)
def test_behaviour_is_told_from_what_is_said_when_the_robot_was_cut(later, expected):
    assert behaviour([Utterance(PLAN, 0.0, 2.2, is_cut=True), *later], (2.0, 3.0)) is expected


def test_robot_resumed_when_it_was_never_cut_and_responded_when_it_answers_after_its_end():
    whole = Utterance(PLAN, 0.0, 4.0)
    assert behaviour([whole], (2.0, 2.4)) is Behaviour.RESUME
    assert behaviour([whole, Utterance("You are welcome.", 4.5, 5.5)], (2.0, 2.4)) is Behaviour.RESPOND
    assert behaviour([whole, Utterance("To the kitchen.", 4.5, 5.5)], (2.0, 2.4)) is Behaviour.RESPOND
    assert behaviour([whole], (0.0, 0.4)) is Behaviour.RESUME  # it began with the sound: no answer to it
    assert behaviour([whole], (4.5, 5.0)) is Behaviour.UNKNOWN


def test_only_an_interruption_wants_a_response():
    assert {name for name, wanted in WANTED.items() if wanted is Behaviour.RESPOND} == {"user_interruption"}


TIMES = st.integers(0, 400).map(lambda tenths: tenths / 10)
SPANS = st.lists(st.tuples(TIMES, TIMES).map(lambda pair: tuple(sorted(pair))), max_size=6)


@given(SPANS, SPANS)
def test_overlaps_lie_in_both_voices_and_apart(user, robot):
    found = overlaps(user, robot)
    assert all(one[1] <= other[0] for one, other in pairwise(found))
    for start, end in found:
        assert min(a for a, _ in user) <= start < end <= max(b for _, b in robot)


# ----------------------------------------------------------------------------------------------------------- folders


@pytest.fixture
def folder(tmp_path):
    """A turn-taking sample, 48 kHz in and 16 kHz out."""
    soundfile.write(tmp_path / "input.wav", np.zeros(96_000), 48_000, subtype="PCM_16")
    soundfile.write(tmp_path / "output.wav", np.zeros(32_000), 16_000, subtype="PCM_16")
    chunks = [{"text": " Hello", "timestamp": [1.5, 2.0]}, {"text": " you", "timestamp": [2.0, 2.6]}]
    (tmp_path / "output.json").write_text(json.dumps({"text": " Hello you", "chunks": chunks}))
    (tmp_path / "turn_taking.json").write_text('[{"timestamp": [1.2, 1.4]}]')
    return tmp_path


def observed(found):
    return {one.measure: one.value for one in found}


def test_sample_is_judged_when_its_folder_is_whole(folder):
    sample = read_sample(folder)
    assert (sample.kind, len(sample.heard), len(sample.said)) == (SampleKind.TURN_TAKING, 32_000, 32_000)
    assert sample.words == (Word("Hello", 1.5, 2.0), Word("you", 2.0, 2.6))
    latency_s = pytest.approx(0.3)
    assert observed(judge(sample)) == {
        "turn_taking_tor": 1.0,
        "turn_taking_latency_s": latency_s,
        "turn_taking_latency_mean_s": latency_s,
    }


def test_sample_without_events_is_judged_for_back_channels(folder):
    (folder / "turn_taking.json").unlink()
    sample = read_sample(folder)
    assert sample.kind is SampleKind.BACKCHANNEL
    expected = {"backchannel_takeover": 0.0, "backchannel_frequency": 0.0, "backchannel_jsd": 1.0}
    assert observed(judge(sample, [1.0, 2.0])) == expected
    assert "backchannel_jsd" not in observed(judge(sample))


def test_latency_is_left_out_when_nothing_was_said(folder):
    (folder / "output.json").write_text('{"text": "", "chunks": []}')
    assert observed(judge(read_sample(folder))) == {"turn_taking_tor": 0.0}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("pause.json", "[]", r"more than one kind \(pause, turn_taking\); leave one of pause.json, turn_taking.json"),
        ("turn_taking.json", "[]", "holds no times"),
        ("turn_taking.json", '[{"timestamp": [1.0]}]', "no list of times"),
        ("turn_taking.json", "{", "no list of times"),
        ("output.json", '{"chunks": [{"text": "a", "timestamp": [1.0]}]}', "no list of words"),
        ("output.json", '{"chunks": [{"text": "a", "timestamp": [1.0, null]}]}', "no list of words"),
        ("output.wav", "", "audio file"),
    ],
)
def test_sample_is_refused_when_a_file_of_it_is_wrong(folder, name, text, message):
    (folder / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_sample(folder)


def test_histograms_are_refused_when_they_are_of_another_form(tmp_path):
    path = tmp_path / "human.json"
    path.write_text('{"0": [0.5, "x"]}')
    with pytest.raises(InputError, match="no histograms"):
        read_human_backchannels(path)


def test_there_is_no_voice_in_silence_and_none_that_ends_behind_the_sound():
    assert voice_segments(np.zeros(20_000, np.float32)) == []
    assert voice_segments(np.zeros(0, np.float32)) == []


class ScriptedVad:
    """Gives a probability for each frame of 32 ms, whatever it hears."""

    script: ClassVar[list[float]] = []

    def open(self):
        return self

    def push(self, audio):
        assert len(audio) == 512 * len(self.script)
        return self.script


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ([0.0] + [0.6] * 10 + [0.0], [(0.032, 0.352)]),
        ([0.0] + [0.6] * 7 + [0.0], []),  # below 250 ms
        ([0.6] + [0.4] * 9 + [0.0], [(0.0, 0.32)]),  # on at 0.5, off below 0.35
        ([0.4] * 10, []),
        ([0.6] * 5 + [0.0] * 3 + [0.6] * 5, [(0.0, 0.416)]),  # a gap of 96 ms
        ([0.6] * 8 + [0.0] * 4 + [0.6] * 8, [(0.0, 0.256), (0.384, 0.64)]),  # of 128 ms
    ],
)
def test_voice_has_hysteresis_and_no_crumbs(monkeypatch, script, expected):
    monkeypatch.setattr(ScriptedVad, "script", script)
    monkeypatch.setattr("tml_ros.duplex.cascade.vad.SileroVad", ScriptedVad)
    assert voice_segments(np.zeros(512 * len(script), np.float32)) == [pytest.approx(one) for one in expected]


def test_voice_without_words_takes_the_turn_when_it_lasts_a_second():
    assert not is_takeover(voiced_words([(1.0, 1.9)]))
    assert is_takeover(voiced_words([(1.0, 1.3), (1.7, 2.0)]))


# ------------------------------------------------------------------------------------------------------ golden values


def test_golden_values_when_the_published_examples_are_here(shared_data):
    samples = {kind: read_sample(shared_data / "fdb_examples" / name) for kind, name in SAMPLES.items()}
    observations = [one for sample in samples.values() for one in judge(sample)]
    figures = {name: figure(one, observations).value for name, one in MEASURES.items()}
    assert (figures["pause_tor"], figures["turn_taking_tor"], figures["interruption_tor"]) == (1.0, 1.0, 1.0)
    assert figures["turn_taking_latency_s"] == pytest.approx(1.35, abs=0.005)
    assert figures["turn_taking_latency_mean_s"] == pytest.approx(1.35, abs=0.005)
    assert figures["interruption_latency_s"] == pytest.approx(4.08, abs=0.005)

    said = samples["interruption"].words
    assert len(said) == 32
    assert said[-1].end_s - said[0].start_s == pytest.approx(10.90, abs=0.005)


def test_robot_yields_and_answers_late_when_it_is_interrupted_in_the_published_example(shared_data):
    sample = read_sample(shared_data / "fdb_examples" / SAMPLES["interruption"])
    user, robot = voice_segments(sample.heard), voice_segments(sample.said)
    assert all(latency_s < 0.2 for latency_s in stop_latencies_s(user, robot))
    assert user[-1][1] == pytest.approx(sample.events[0][1], abs=0.1)
    assert response_latency_s(user[-1][1], robot) == pytest.approx(4.08, abs=0.15)


def test_people_are_like_themselves_when_their_histograms_are_here(shared_data):
    people = read_human_backchannels(shared_data / "fdb_examples/icc_gt_distribution.json")
    assert len(people) == 55
    assert all(sum(weights) == pytest.approx(1.0) for weights in people.values())
    whole = [bin_ * 0.2 + 0.1 for bin_, weight in enumerate(people["0"]) for _ in range(round(weight * 5000))]
    assert divergence(whole, people["0"]) < 0.02
    assert divergence([0.1], people["0"]) > 0.7
