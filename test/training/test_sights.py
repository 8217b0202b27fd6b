"""Training scenes of what is seen: what shall be said when, and that nothing is said of look-alikes."""

import numpy as np
import pytest

from tml_ros.records import CountDraft, Floor, SpeechText, TextSource
from tml_ros.sights import PHRASES, SightEvent, SightKind, make_scene
from tml_ros.training.sights import due_turn, sight_conversation, sight_conversations, skill_of


def said(conversation) -> list[tuple[int, str]]:
    return [
        (turn, record.text)
        for turn, target in enumerate(conversation.targets)
        for record in target.records
        if isinstance(record, SpeechText)
    ]


@pytest.mark.parametrize(("theme", "index"), [("hazards", 4), ("eyewear", 4), ("desk", 3)])
def test_warning_begins_within_two_micro_turns_when_something_shows(theme, index):
    scene = make_scene(11, index, theme, 8.0)
    conversation = sight_conversation(scene, seed=1, size=(80, 60))
    wanted = [event for event in scene.truth() if event.kind in PHRASES and event.begin_s < 7.0]
    assert wanted
    for event in wanted:
        turns = [turn for turn, words in said(conversation) if words == PHRASES[event.kind]]
        first = int(event.begin_s / 0.2)
        assert any(first <= turn <= first + 4 for turn in turns), (event, turns)
        assert any(conversation.targets[turn].floor is Floor.SPEAK for turn in turns)


def test_nothing_is_said_when_there_are_only_look_alikes():
    for index in range(2):
        conversation = sight_conversation(make_scene(11, index, "quiet", 8.0), seed=index, size=(80, 60))
        assert conversation.skill == "sight_nothing"
        assert all(target.floor is Floor.LISTEN and not target.records for target in conversation.targets)


@pytest.mark.parametrize(("seed", "asks"), [(0, True), (1, False)])
def test_repetitions_are_counted_when_somebody_asked(seed, asks):
    conversation = sight_conversation(make_scene(11, 2, "exercise", 8.0), seed, size=(40, 30))
    counts = [record for target in conversation.targets for record in target.records if isinstance(record, CountDraft)]
    asked = [text for lines in conversation.texts.values() for source, text in lines if source is TextSource.USER]
    assert bool(asked) is asks
    assert [draft.count for draft in counts] == ([1, 2] if asks else [])
    assert all(draft.what in asked[0] for draft in counts)


def test_event_is_due_after_the_frame_that_shows_it():
    taken = {turn: 0.2 * turn for turn in range(20)}
    assert due_turn(SightEvent(SightKind.FLAME, 1.0, 2.0), taken) == 6
    assert due_turn(SightEvent(SightKind.FLAME, 1.1, 2.0), taken) == 7
    assert due_turn(SightEvent(SightKind.REPETITION, 0.0, 1.0, what="squats", number=1), taken) == 5
    assert due_turn(SightEvent(SightKind.FLAME, 9.0, 9.5), taken) is None


def test_skill_is_the_first_special_event_when_somebody_enters_before():
    events = [SightEvent(SightKind.PERSON_ENTERS, 0.0, 2.0), SightEvent(SightKind.SPILL, 1.0, 2.0)]
    assert (skill_of(events), skill_of(events[:1]), skill_of([])) == (
        "sight_spill",
        "sight_person_enters",
        "sight_nothing",
    )


def test_scenes_are_the_same_when_the_seed_is():
    one, two = (next(sight_conversations(7, 13, duration_s=8.0)) for _ in range(2))
    assert one.targets == two.targets and np.array_equal(one.audio, two.audio)
    assert one.turns == 40 and 36 <= len(one.frames) <= 40
    assert all(np.array_equal(one.frames[turn], two.frames[turn]) for turn in one.frames)
