"""Scenes say in every micro-turn what shall follow, not before it can be known, and the same each time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tml_ros.duplex.native.markup import encode
from tml_ros.duplex.native.vocabulary import Vocabulary
from tml_ros.errors import ConfigError, InputError
from tml_ros.records import DelegationDraft, Floor, IntentDraft, SpeechText, TextSource, TranscriptEvent
from tml_ros.resources import find
from tml_ros.training import overlap_sounds
from tml_ros.training.conversation import Conversation
from tml_ros.training.corpus import Corpus, Part, export, save
from tml_ros.training.corpus_clips import word_ends
from tml_ros.training.corpus_texts import COMMAND_WORDS
from tml_ros.training.meanings import Meanings
from tml_ros.training.scenes import EASY, FULL, SKILLS, WEIGHTS, compose, joined, stage_at, stream, streams

SENTENCES = ("move forward ten meters", "remind me to stir every four minutes", "where is the spill kit")
QUIET = replace(FULL, snr_db=(60.0, 60.0), talk=0.0, canceller=0.0)


def part(kind: str, text: str, rng: np.random.Generator, split: str = "train", seconds: float = 0.0):
    """Return noise in place of words, a third of a second for each, with a gap in the middle of what is paused."""
    length = round(16000 * (seconds or 0.33 * max(1, len(text.split()))))
    sound = 0.1 * rng.standard_normal(length).astype(np.float32)
    speech = ((0, length),)
    if kind in ("paused", "talk"):
        speech = ((0, length // 2 - 1600), (length // 2 + 1600, length))
        sound[speech[0][1] : speech[1][0]] = 0
    return Part(kind, text, "somebody", split, 0, 0, speech, word_ends(text, speech)), sound


def pieces():
    rng = np.random.default_rng(0)
    for split in ("train", "held"):
        for text in (*COMMAND_WORDS, "cat", "happy", "bed"):
            yield part("word", text, rng, split)
        for kind, texts in (
            ("sentence", SENTENCES),
            ("paused", ("bring me the blue beaker",)),
            ("talk", ("we were at home all day and then we went out",)),
            ("reply", ("going left", "let me check", "okay", "uh huh")),
            ("hum", ("yeah", "")),
            ("cough", ("",)),
            ("knock", ("",)),
        ):
            for text in texts:
                yield part(kind, text, rng, split)
        for _ in range(2):
            yield part("robot", "", rng, split, seconds=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("corpus")
    save(path, pieces())
    return path


@pytest.fixture(scope="module")
def corpus(folder) -> Corpus:
    return Corpus.load(folder)


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.load(find("models/micro/tokenizer.json"))


def scenes(corpus: Corpus, skill: str, count: int = 6, stage=QUIET) -> list[Conversation]:
    return [compose(corpus, {skill: 1.0}, 0, index, stage) for index in range(count)]


def records(scene: Conversation, *kinds: type) -> list[tuple[int, object]]:
    return [(t, one) for t, target in enumerate(scene.targets) for one in target.records if isinstance(one, kinds)]


# --------------------------------------------------------------------------------------------------- all skills


@pytest.mark.parametrize("skill", SKILLS)
def test_every_record_can_be_put_out_when_a_scene_is_composed(corpus, vocabulary, skill):
    for scene in scenes(corpus, skill, 3, FULL):
        assert scene.skill == skill
        assert scene.audio.dtype == np.float32
        assert np.abs(scene.audio).max() <= 1
        for _, record in records(scene, object):
            encode(vocabulary, record)


def test_a_scene_is_the_same_when_seed_and_index_are(corpus):
    one, again, other = (compose(corpus, WEIGHTS, 3, index) for index in (5, 5, 6))

    np.testing.assert_array_equal(one.audio, again.audio)
    assert repr(one.targets) == repr(again.targets)
    assert len(one.audio) != len(other.audio) or not np.array_equal(one.audio, other.audio)


@pytest.mark.parametrize("skill", ["word", "sentence", "pause", "barge_in"])
def test_nothing_follows_before_the_turn_is_over_when_somebody_speaks(corpus, skill):
    for scene in scenes(corpus, skill):
        for turn, _ in records(scene, IntentDraft, DelegationDraft, SpeechText):
            assert scene.targets[turn].turn_end == 1.0
            after = scene.targets[turn + 1].user_speaking  # the end may lie within this micro-turn
            assert scene.targets[turn].user_speaking != 1.0 or after != 1.0 or skill == "barge_in"


def test_words_are_not_heard_before_they_are_said_when_they_have_times(corpus):
    for scene in scenes(corpus, "sentence"):
        begun = next(t for t, target in enumerate(scene.targets) if target.user_speaking == 1.0)
        heard = records(scene, TranscriptEvent)
        assert heard[0][0] >= begun
        assert len({turn for turn, _ in heard[:3]}) > 1  # and not all of them at once


def test_the_floor_is_the_robots_when_it_is_heard_and_nobody_interrupts(corpus):
    for skill in ("reply", "backchannel", "delegate"):
        for scene in scenes(corpus, skill):
            playing = np.flatnonzero(scene.playing)
            assert len(playing) or skill == "delegate"
            assert all(scene.targets[t].floor is Floor.SPEAK for t in playing)


# ------------------------------------------------------------------------------------------------------- skills


def test_a_word_has_the_grammars_intent_when_it_is_a_command(corpus):
    meanings, found = Meanings(), 0
    for scene in scenes(corpus, "word", 16):
        heard = records(scene, TranscriptEvent)
        for turn, draft in records(scene, IntentDraft):
            before = [one.text for at, one in heard if at <= turn]
            # Words that were run together may mean something as a whole, too.
            wanted = [meanings.of(" ".join(before[-count:])).records for count in (1, 2, 3)]
            assert any(draft in records_ for records_ in wanted)
            found += 1
    assert found > 10


def test_an_answer_comes_within_two_micro_turns_when_a_word_ends(corpus):
    for scene in scenes(corpus, "sentence", stage=replace(QUIET, room=0.0, resize=0.0)):
        for turn, _ in records(scene, SpeechText):
            last = max(t for t in range(turn + 1) if scene.targets[t].user_speaking == 1.0)
            assert turn - last <= 2
            assert scene.targets[turn].floor is Floor.SPEAK


def test_a_pause_is_no_end_when_the_sentence_goes_on(corpus):
    pauses = 0
    for scene in scenes(corpus, "pause"):
        for turn, target in enumerate(scene.targets):
            if target.user_speaking == 0.0 and target.turn_end == 0.0:
                pauses += 1
                assert target.floor is Floor.LISTEN
                assert not [one for one in target.records if not isinstance(one, TranscriptEvent)], turn
    assert pauses > 5


def test_the_robot_yields_within_two_micro_turns_when_it_is_interrupted(corpus):
    for scene in scenes(corpus, "barge_in", 10):
        floors = [target.floor for target in scene.targets]
        stop = floors.index(Floor.YIELD)
        onset = max(
            t for t in range(stop + 1) if scene.targets[t].turn_end == 0.0 and scene.targets[t - 1].turn_end != 0.0
        )
        assert stop - onset <= 2
        assert scene.playing[onset]
        assert not scene.playing[stop + 2] or floors[stop + 2] is Floor.SPEAK  # what answers the bid


def test_some_interrupted_speech_is_a_report_when_scenes_are_drawn(corpus):
    for skill in ("barge_in", "backchannel"):
        reports = [
            [source for lines in scene.texts.values() for source, _ in lines] for scene in scenes(corpus, skill, 12)
        ]
        assert all(set(sources) <= {TextSource.BACKGROUND} for sources in reports)
        assert 2 <= sum(map(bool, reports)) <= 10


def test_nothing_is_said_or_done_when_nobody_wants_anything(corpus):
    for scene in scenes(corpus, "none"):
        assert all(target.floor is Floor.LISTEN for target in scene.targets)
        assert not records(scene, IntentDraft, DelegationDraft, SpeechText)


def test_the_robot_shows_that_it_listens_when_somebody_talks_for_long(corpus):
    said = [one for scene in scenes(corpus, "backchannel_out") for one in records(scene, SpeechText)]

    assert said
    assert all(one.text == "Uh-huh." for _, one in said)


def test_typed_words_have_the_effect_of_spoken_ones_when_they_come_in(corpus):
    for scene in scenes(corpus, "typed"):
        turn, lines = min(scene.texts.items())
        assert lines[0][0] is TextSource.USER
        first = records(scene, object)[0]
        assert first[1] in Meanings().of(lines[0][1]).all
        assert turn <= first[0] <= turn + 1


def test_only_what_is_kept_aside_sounds_when_it_is_for_measuring(corpus):
    silenced = [p for p in corpus.parts if p.split != "held" and p.kind != "reply"]
    sound = np.concatenate([np.round(corpus.sound(p) * 32768).astype(np.int16) for p in corpus.parts])
    for p in silenced:
        sound[p.begin : p.begin + p.length] = 0
    without = Corpus(corpus.parts, sound)
    stage = replace(QUIET, held=True)
    for skill in ("word", "sentence", "barge_in"):
        scene, same = (compose(c, {skill: 1.0}, 0, 1, stage) for c in (corpus, without))
        speaking = np.repeat([target.user_speaking == 1.0 for target in scene.targets], 3200)
        np.testing.assert_allclose(scene.audio[speaking], same.audio[speaking], atol=0.05)


def test_speech_is_louder_than_noise_by_the_ratio_when_one_is_given(corpus):
    stage = replace(QUIET, snr_db=(10.0, 10.0), room=0.0, level_db=(0.0, 0.0))
    ratios = []
    for scene in scenes(corpus, "word", 10, stage):
        power = np.mean(scene.audio.reshape(-1, 3200) ** 2, axis=1)
        noise = [p for p, t in zip(power, scene.targets, strict=True) if t.speech_present == 0.0]
        ratios.append(10 * np.log10(0.01 / (np.mean(noise) + 1e-12)))

    assert np.median(ratios) == pytest.approx(10, abs=3)


# ---------------------------------------------------------------------------------------------- streams, stages


def test_streams_have_their_length_and_are_the_same_when_one_resumes(corpus):
    found = streams(corpus, WEIGHTS, 0, 60, first=2, step=2)
    one, after = next(found), next(found)

    assert one.conversation.turns == after.conversation.turns == 60
    assert one.skills[0][1] == 0 and one.skills[-1][2] == 60
    np.testing.assert_array_equal(after.conversation.audio, stream(corpus, WEIGHTS, 0, 60, 4).conversation.audio)


def test_everything_moves_along_when_scenes_are_joined(corpus):
    first, second = compose(corpus, {"none": 1}, 0, 1, QUIET), compose(corpus, {"typed": 1}, 0, 1, QUIET)
    both = joined([first, second])

    assert both.skill == "mixed"
    assert set(both.texts) == {first.turns + turn for turn in second.texts}
    assert [one.records for one in both.targets] == [one.records for one in first.targets + second.targets]
    np.testing.assert_array_equal(both.audio[len(first.audio) :], second.audio)


def test_a_turn_stays_over_when_the_next_scene_does_not_know_of_it(corpus):
    first, second = compose(corpus, {"sentence": 1}, 0, 1, QUIET), compose(corpus, {"typed": 1}, 0, 1, QUIET)
    both = joined([first, second])

    assert first.targets[-1].turn_end == 1.0 and np.isnan(second.targets[0].turn_end)
    assert both.targets[first.turns].turn_end == 1.0


def test_a_stage_lies_between_when_the_curriculum_is_half_way():
    half = stage_at(0.5)

    assert EASY.snr_db[0] > half.snr_db[0] > FULL.snr_db[0]
    assert (stage_at(0), stage_at(1)) == (EASY, FULL)


def test_skills_that_do_not_exist_are_refused_when_they_have_a_weight(corpus):
    with pytest.raises(ConfigError, match=r"barge_inn.*barge_in"):
        compose(corpus, {"barge_inn": 1.0}, 0, 0)


# ------------------------------------------------------------------------------------------------------- corpus


def test_an_exported_corpus_sounds_alike_when_it_is_loaded_elsewhere(folder, corpus, tmp_path):
    save(tmp_path / "hums", [(Part("hum", "", "made", "train", 0, 0), overlap_sounds.hum(np.random.default_rng(0)))])
    export(tmp_path / "hums", tmp_path / "small")
    there, here = Corpus.load(tmp_path / "small"), Corpus.load(tmp_path / "hums")
    one, other = there.sound(there.parts[0]), here.sound(here.parts[0])

    assert len(one) == len(other)
    assert np.corrcoef(one, other)[0, 1] > 0.9
    assert not (tmp_path / "small" / "sound.part").exists()


def test_a_corpus_of_what_there_was_is_left_when_making_it_is_interrupted(tmp_path):
    def interrupted():
        for number, piece in enumerate(pieces()):
            if number == 5:
                raise KeyboardInterrupt
            yield piece

    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / "begun", interrupted())
    found, whole = Corpus.load(tmp_path / "begun"), list(pieces())[:5]
    assert [one.text for one in found.parts] == [one.text for one, _ in whole]
    last = found.sound(found.parts[-1])
    assert np.abs(last - whole[-1][1]).max() < 1e-4 and found.seconds * 16_000 == sum(len(one) for _, one in whole)


def test_a_folder_without_a_corpus_is_refused_when_it_is_loaded(tmp_path):
    with pytest.raises(InputError, match="corpus_build"):
        Corpus.load(tmp_path)
