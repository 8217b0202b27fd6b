"""Lessons: scenes of what was labelled, each with what should follow, and an adapter that learns them."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open

from tml_ros.duplex.native.adapters import read_header
from tml_ros.errors import InputError
from tml_ros.intents import Grammar, load_intents
from tml_ros.intents.labels import Label
from tml_ros.records import IntentDraft, SpeechText
from tml_ros.training.corpus import LESSON, Corpus
from tml_ros.training.lessons import Lessons, Recording
from tml_ros.training.tuning import Course, Tuning, tune

ATHENA = Label(0.5, 1.0, "Athena!", "__intent_greet__", {"recipient": "speaker"}, "Here.")
NOTHING = Label(2.0, 2.6, "never you mind that")


@pytest.fixture(scope="module")
def corpus(helpers) -> Corpus:
    made = helpers("test/training/test_scenes.py").pieces()
    parts, sounds, begin = [], [], 0
    for part, sound in made:
        parts.append(replace(part, begin=begin, length=len(sound)))
        sounds.append((sound * 32767).astype(np.int16))
        begin += len(sound)
    return Corpus(parts, np.concatenate(sounds))


def recording(*labels: Label) -> Recording:
    noise = np.random.default_rng(0).normal(0.0, 0.1, 16000 * 4).astype(np.float32)
    return Recording("bag", noise, labels)


@pytest.fixture(scope="module")
def lessons(corpus) -> Lessons:
    return Lessons([recording(ATHENA, NOTHING)], corpus, Grammar(load_intents()), voices=2)


def records(lessons: Lessons, kind: type, count: int = 12) -> list:
    scenes = [lessons.scene(index) for index in range(count)]
    return [one for scene in scenes for target in scene.targets for one in target.records if isinstance(one, kind)]


def test_what_was_labelled_follows_and_old_commands_come_between_when_lessons_are_made(lessons):
    intents = records(lessons, IntentDraft)
    taught = [one for one in intents if one.intent == "__intent_greet__"]
    assert len(taught) >= 5 and all(one.data == {"recipient": "speaker"} for one in taught)
    assert {one.intent for one in intents} > {"__intent_greet__"}
    assert "Here." in {one.text for one in records(lessons, SpeechText)}
    assert lessons.texts == ("athena", "never you mind that")


def test_lesson_is_the_same_every_time_and_rehearsal_is_of_old_skills(lessons):
    first, again = lessons.scene(3), lessons.scene(3)
    assert np.array_equal(first.audio, again.audio) and first.skill == LESSON
    assert [one.records for one in first.targets] == [one.records for one in again.targets]
    assert not np.array_equal(first.audio[:3200], lessons.scene(4).audio[:3200])
    assert lessons.rehearsal(0).skill != LESSON


def test_reason_is_told_when_labels_contradict_each_other_or_are_empty(corpus):
    grammar = Grammar(load_intents())
    other = Label(2.0, 2.5, "athena", reply="No.")
    for labels, reason in (
        ((ATHENA, other), "something else than before"),
        ((Label(0.5, 1.0),), "nothing is labelled"),
        ((Label(0.5, 1.0, "", "__intent_greet__"),), "what was said is missing"),
        ((Label(30.0, 31.0, "athena"),), "the recording ends before it"),
    ):
        with pytest.raises(InputError, match=reason):
            Lessons([recording(*labels)], corpus, grammar)


def test_intents_file_is_enough_when_it_says_all_that_should_follow(corpus, lessons):
    intents = load_intents()
    go = Label(0.5, 1.0, "Stop!", Grammar(intents).parse("stop").intent)
    assert Lessons([recording(go, NOTHING)], corpus, Grammar(intents), voices=2).are_read
    assert not lessons.are_read  # nothing says what "athena" means
    told = replace(go, reply="Never.")
    assert not Lessons([recording(told)], corpus, Grammar(intents), voices=2).are_read


def test_lessons_are_saved_beside_what_was_known(lessons, corpus, tmp_path):
    lessons.save(tmp_path)
    saved = Corpus.load(tmp_path)
    assert saved.texts(LESSON) == ["athena", "never you mind that"]
    assert len(saved.parts) == len(corpus.parts) + len(saved.all(LESSON))
    assert np.allclose(saved.sound(saved.parts[-1]), corpus.sound(corpus.parts[-1]), atol=1e-4)


def test_only_spelling_is_learned_when_the_intents_file_says_the_rest(corpus, repository, helpers, tmp_path):
    folder = helpers("test/duplex/native/conftest.py").with_stem(repository / "models" / "tiny", tmp_path, 1)
    lessons = Lessons([recording(NOTHING)], corpus, Grammar(load_intents()), voices=2)
    tuning, said = Tuning(Course(2, 2, 4.0, 1e-3), Course(5, 2, 4.0, 1e-3), turns=4, rank=2, threads=1), []
    done = tune(str(folder), lessons, tmp_path / "lab.safetensors", tuning, said.append)
    assert done.steps == 2 and said[-1].startswith("step 2 of 2, loss of new words spelled ")
    with safe_open(done.adapter, framework="pt") as file:
        assert {name.split(".")[0] for name in file.keys()} == {"sound"}  # noqa: SIM118


def test_adapter_is_written_and_the_same_again_when_lessons_are_taught(lessons, repository, tmp_path):
    tuning, said, found = Tuning(answering=Course(1, 2, 4.0, 1e-3), turns=4, rank=2, threads=1), [], []
    for name in ("a", "b"):
        path = tmp_path / name / "lab.safetensors"
        assert tune(str(repository / "models" / "tiny"), lessons, path, tuning, said.append).steps == 1
        found.append(path)
    assert said[-1].startswith("step 1 of 1, loss of lessons ")
    assert read_header(found[0]).teaches == ("athena", "never you mind that")
    assert found[0].read_bytes() == found[1].read_bytes()
