"""Texts mean what the grammar says, and what voices say of them has times."""

import numpy as np
import pytest
import soundfile

from tml_ros.records import DelegationDraft, IntentDraft, SpeechText, TimerDraft
from tml_ros.training import acoustics
from tml_ros.training.corpus_build import Amounts, jobs
from tml_ros.training.corpus_clips import Job, real_parts, spoken_part, timed_ends, word_ends
from tml_ros.training.corpus_texts import Texts
from tml_ros.training.espeak_words import espeak
from tml_ros.training.meanings import FILLER, Meanings
from tml_ros.training.overlap_voices import LANGUAGES, common_words

MEANINGS = Meanings()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("remind me to check the temperature every four minutes", TimerDraft("check the temperature", 240.0, 240.0)),
        ("remind me in ten seconds to stir", TimerDraft("stir", 10.0)),
        ("every two minutes remind me to breathe", TimerDraft("breathe", 120.0, 120.0)),
        ("remind me to breathe", None),
        ("remind me to breathe in sixty hours", None),
        ("remind me to stir every purple minutes", None),
    ],
)
def test_a_reminder_is_a_timer_when_it_has_a_time(text, wanted):
    assert MEANINGS.of(text).records == ((wanted,) if wanted else ())


def test_a_command_is_the_grammars_when_a_rule_covers_it():
    answer = MEANINGS.of("bring me the blue beaker")

    assert answer.speech == (SpeechText("Bringing the blue beaker."),)
    draft = answer.records[0]
    assert isinstance(draft, IntentDraft)
    assert draft.data == {"object": "beaker", "recipient": "speaker", "other_data": {"color": "blue"}}


def test_a_question_is_handed_on_with_a_filler_when_no_rule_covers_it():
    answer = MEANINGS.of("why is the sky blue")

    assert answer.all == (SpeechText(FILLER), DelegationDraft("why is the sky blue"))


def test_talk_has_no_effect_when_it_is_drawn():
    texts = Texts(0, common_words())

    assert all(MEANINGS.of(texts.talk()).is_none for _ in range(50))


def test_paused_sentences_mean_something_as_a_whole_when_they_are_drawn():
    texts = Texts(1, common_words())
    drawn = [texts.paused() for _ in range(40)] + [texts.corrected() for _ in range(20)]

    assert all("," in said for said, _ in drawn)
    assert sum(not MEANINGS.of(means).is_none for _, means in drawn) > 45


def test_all_kinds_of_requests_come_when_many_sentences_are_drawn():
    texts = Texts(2, common_words())
    found = {type(one) for _ in range(120) for one in MEANINGS.of(texts.sentence()).records}

    assert found == {IntentDraft, TimerDraft, DelegationDraft}


def test_jobs_are_the_same_and_voices_kept_aside_when_drawn_again():
    amounts = Amounts().scaled(0.01)
    one, again = jobs(amounts, 0), jobs(amounts, 0)

    assert one == again
    assert {job.held for job in one} == {False, True}
    assert len({job.seed for job in one}) == len(one)


def test_a_word_ends_where_its_share_of_the_speech_does_when_there_is_a_gap():
    ends = word_ends("stop now", ((0, 10000), (50000, 60000)))

    assert ends[-1] == 60000
    assert 9000 <= ends[0] <= 52000


def test_a_voice_speaks_from_beginning_to_end_when_it_has_a_text():
    part, sound = spoken_part(Job("sentence", "turn left, please", (0, 1))) or pytest.fail("nothing was said")

    assert part.text == "turn left please"
    assert part.split == "train"
    assert part.speech[0][0] < 800
    assert len(sound) - 1600 <= part.word_ends[-1] <= len(sound)


def test_words_end_before_the_pause_when_the_synthesiser_tells_where_they_begin():
    ends = timed_ends("go, out of it", [(0, 0), (4, 9000), (11, 15000)], ((0, 4000), (8800, 20000)))

    assert ends == (4000, 12000, 15000, 20000)


def test_every_accent_speaks_when_the_library_is_asked():
    assert all(len(espeak("go", f"{language}+m3", 1.0, 50)[0]) > 1600 for language in LANGUAGES)


def test_held_voices_are_not_learnt_from_when_they_speak():
    names = {held: {spoken_part(Job("word", "go", (7, i), held))[0].voice for i in range(6)} for held in (False, True)}

    assert not names[False] & names[True]
    assert not any(name.endswith(("awb", "ked_diphone", "+m4", "+f4", "+klatt3")) for name in names[False])


def test_recordings_are_cut_to_their_word_when_there_is_silence_around(tmp_path):
    folder = tmp_path / "speech" / "gsc_v001_subset"
    folder.mkdir(parents=True)
    _, word = spoken_part(Job("word", "seven", (0, 3))) or pytest.fail("nothing was said")
    padded = np.concatenate([np.zeros(6000), word, np.zeros(5000)]) + 1e-4 * np.random.default_rng(0).normal(
        size=11000 + len(word)
    )
    soundfile.write(folder / "a.wav", padded, 16000)
    (folder / "labels.csv").write_text("path,transcript,speaker,split\na.wav,seven,me,dev\n")
    ((part, sound),) = real_parts(tmp_path)

    assert (part.kind, part.text, part.split, part.real) == ("word", "seven", "dev", True)
    assert abs(len(sound) - len(word)) < 1600


# ---------------------------------------------------------------------------------------------------- acoustics


def test_a_voice_gets_deeper_when_it_is_made_longer():
    tone = np.sin(2 * np.pi * 1000 * np.arange(8000) / 16000).astype(np.float32)
    longer = acoustics.resized(tone, 1.1)

    assert len(longer) == 8800
    assert np.argmax(np.abs(np.fft.rfft(longer))) * 16000 / 8800 == pytest.approx(1000 / 1.1, rel=0.01)
    assert np.std(longer) == pytest.approx(np.std(tone), rel=0.02)


@pytest.mark.parametrize("make", [acoustics.coloured, acoustics.music])
def test_a_background_has_its_level_when_it_is_made(make):
    levels = [np.sqrt(np.mean(make(48000, np.random.default_rng(seed)) ** 2)) for seed in range(8)]

    assert 0.05 < np.median(levels) < 0.2


def test_an_echo_is_weaker_than_the_robot_when_it_was_cancelled():
    robot = 0.1 * np.random.default_rng(0).standard_normal(32000).astype(np.float32)
    left = [np.std(acoustics.residual(robot, np.random.default_rng(seed))) for seed in range(8)]

    assert max(left) < 0.05
    assert min(left) > 0
