"""Skills of a checkpoint: what is played, what counts as right, what a threshold costs, and the command as a whole."""

import csv
import json

import numpy as np
import pytest
import soundfile

from tml_ros.cli.main import main
from tml_ros.errors import ConfigError, InputError
from tml_ros.evaluation.clips import spoken
from tml_ros.evaluation.runner import ModelSpec
from tml_ros.evaluation.skills import find_material
from tml_ros.evaluation.skills.barge_in import BargeIn
from tml_ros.evaluation.skills.bench import Bench
from tml_ros.evaluation.skills.carriers import Carriers, sentences
from tml_ros.evaluation.skills.commands import Commands
from tml_ros.evaluation.skills.counts import Trial, curve, operating_points
from tml_ros.evaluation.skills.meaning import Wanted, judged
from tml_ros.evaluation.skills.run import pick_items
from tml_ros.evaluation.skills.streams import placed_stream
from tml_ros.evaluation.skills.subject import Draft
from tml_ros.records import IntentDraft, TimerDraft

GO = Wanted("__intent_move_by__", {"goal": "forward", "other_data": {"distance_m": 10}})


def draft(at_s, confidence=1.0, **data):
    return Draft(at_s, IntentDraft("__intent_move_by__", data, confidence))


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """A folder of data sets as it lies beside a check-out: two commands, a word that is none, noise, a sentence."""
    folder = tmp_path_factory.mktemp("data") / "speech" / "few"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).normal(0.0, 0.05, 16000 * 4).astype(np.float32)
    sounds = {text: spoken("flite:slt", text) for text in ("go", "left", "cat", "the weather was fine")}
    rows = [(text if " " not in text else "<speech>", sound) for text, sound in sounds.items()] + [("<noise>", noise)]
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "transcript", "speaker", "split"])
        for number, (text, sound) in enumerate(rows):
            soundfile.write(folder / f"{number}.wav", sound, 16000)
            writer.writerow([f"{number}.wav", text, "slt", "heldout"])
    return folder.parent


@pytest.fixture(scope="module")
def material(speech):
    return find_material(speech, None, None, "heldout", 1)


def test_voice_lies_where_it_is_said_to_and_ten_decibels_over_the_noise_when_a_stream_is_made(material):
    word = spoken("flite:slt", "left")
    stream = placed_stream([("left", "slt", word)] * 3, material.kind("noise"), (2.0, 3.0), 10.0, seed=1)
    noise = placed_stream([("left", "slt", word * 0)] * 3, material.kind("noise"), (2.0, 3.0), 10.0, seed=1)
    assert len(stream.audio) % 3200 == 0 and len(stream.placed) == 3
    for one in stream.placed:
        part = slice(round(one.start_s * 16000), round(one.end_s * 16000))
        voice = (stream.audio - noise.audio[: len(stream.audio)])[part]
        ratio_db = 10 * np.log10(np.mean(voice**2) / np.mean(noise.audio**2))
        assert ratio_db == pytest.approx(10.0, abs=0.3)
    again = placed_stream([("left", "slt", word)] * 3, material.kind("noise"), (2.0, 3.0), 10.0, seed=1)
    assert np.array_equal(stream.audio, again.audio) and stream.placed == again.placed


def test_trial_is_a_hit_only_when_every_slot_is_right_and_nothing_wrong_is_suggested():
    right = draft(2.0, 0.9, goal="forward", other_data={"distance_m": 10.0})
    short, other = draft(2.2, 0.8, goal="forward"), draft(2.2, 0.5, goal="left")
    assert judged(GO, [right], "w", 1.6).is_hit() and judged(GO, [right], "w", 1.6).late_s == 0.4
    assert not judged(GO, [short], "w", 1.6).is_hit() and not judged(GO, [], "w", 1.6).is_hit()
    both = judged(GO, [right, other], "w", 1.6)
    assert not both.is_hit() and both.is_hit(0.6) and not both.is_hit(0.95)


def test_reminder_is_right_when_its_times_are_and_most_of_its_words():
    wanted = Wanted(timer=TimerDraft("check the temperature", 240.0, 240.0))
    assert wanted.is_met(Draft(1.0, TimerDraft("check the temperature", 240.0, 240.0)))
    assert not wanted.is_met(Draft(1.0, TimerDraft("check the temperature", 240.0)))
    assert not wanted.is_met(Draft(1.0, TimerDraft("close it", 240.0, 240.0)))


def test_curve_trades_hits_for_false_ones_when_the_threshold_rises():
    trials = [Trial("w", (0.9,)), Trial("w", (0.6,)), Trial("w", (0.95,), (0.7,)), Trial("w", ())]
    points = curve(trials, false=[0.5, 0.8], minutes=10.0)
    found = {one["threshold"]: (one["hits"], one["false"]) for one in points}
    assert found == {0.0: (2, 2), 0.5: (2, 2), 0.6: (2, 1), 0.7: (1, 1), 0.8: (2, 1), 0.9: (2, 0), 0.95: (1, 0)}
    none, one = operating_points(points, (0.0, 1.0))
    assert (none["threshold"], one["threshold"]) == (0.9, 0.9)
    assert operating_points(curve(trials, [], 0.0), (1.0,)) == [None]


def test_every_sentence_has_a_meaning_and_other_values_for_another_voice():
    drawn = [list(sentences(seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] and len(drawn[0]) == 28
    assert len({one.text for one in drawn[0]} & {one.text for one in drawn[2]}) < 9
    assert all(one.wanted.timer or one.wanted.data for one in drawn[0])


def test_silence_hears_no_word_and_suggests_nothing_when_people_talk(material):
    bench, item = Bench({"silence": ModelSpec("silence", "silence")}), Commands()
    figures = item.figures([item.play(material, number, bench, "silence") for number in range(item.pieces(material))])
    bench.close()
    assert (figures["hits"], figures["trials"], figures["false"], figures["false_per_10_min"]) == (0, 2, 0, 0.0)
    assert figures["minutes"] > 0.1 and figures["other_words_taken_for_commands"]["trials"] == 0


def test_cascade_understands_a_sentence_when_it_is_said_in_a_quiet_room(material):
    bench = Bench({"cascade": ModelSpec("cascade", "cascade")})
    (trial,) = Carriers().play(material, 1, bench, "cascade")
    bench.close()
    assert trial.is_hit() and 0.0 < trial.late_s < 2.0


def test_robot_that_never_listens_is_not_stopped_when_somebody_cuts_in(material):
    bench = Bench({"silence": ModelSpec("silence", "silence")})
    figures = BargeIn().figures([BargeIn().play(material, 0, bench, "silence")])
    bench.close()
    assert (figures["hits"], figures["trials"], figures["was_not_speaking"]) == (0, 2, 0)
    assert (figures["back_channels"]["hits"], figures["back_channels"]["trials"]) == (1, 1)


def test_line_has_a_key_for_each_item_when_an_untrained_checkpoint_is_evaluated(repository, speech, capsys):
    command = ["eval", str(repository / "models" / "tiny"), "--speech", str(speech), "--split", "heldout"]
    options = [
        "--limit",
        "1",
        "--only",
        "1",
        "turn_taking",
        "--model",
        "native",
        "--model",
        "silence",
        "--workers",
        "1",
    ]
    assert main([*command, *options]) == 1
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    for name in ("item_1_commands", "item_3_turn_taking"):
        assert {"hits", "trials", "figure", "met", "silence"} <= line[name].keys() and not line[name]["met"]
    assert line["item_1_commands"]["curve"] and line["item_3_turn_taking"]["silence"]["hits"] == 0


def test_reason_is_told_when_recordings_split_or_item_are_absent(speech, tmp_path, repository, capsys):
    with pytest.raises(InputError, match="no recordings in"):
        find_material(tmp_path, None, None, "dev", None)
    with pytest.raises(InputError, match="nothing of the split 'dev'"):
        find_material(speech, None, None, "dev", None)
    with pytest.raises(ConfigError, match=r"no item 'comands'.*commands"):
        pick_items(["comands"])
    assert main(["eval", str(repository / "models" / "tiny"), "--speech", str(tmp_path)]) == 1
    assert "--speech DIR" in capsys.readouterr().err
