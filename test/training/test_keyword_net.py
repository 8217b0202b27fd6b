"""Rows for the keyword network, with what is to be told in them, and a network that learns from them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tml_ros.duplex.native.spotting import CHANNELS, FRAMES_PER_TOKEN, HEARD_FRAMES, KeywordNet
from tml_ros.training import keyword_rows
from tml_ros.training.corpus import Part, save
from tml_ros.training.corpus_texts import COMMAND_WORDS
from tml_ros.training.keyword_net import Settings, main, train
from tml_ros.training.keyword_rows import UNASKED, Rows, _answers, _Said, is_kept_aside
from tml_ros.training.spectra import bent


def pieces():
    rng = np.random.default_rng(0)
    for number, text in enumerate([*COMMAND_WORDS, "cat", ""]):
        for voice, is_real in (("anna", True), ("espeak:a", False)):
            tone = np.sin(np.arange(6000) * (0.05 + 0.02 * number)).astype(np.float32)
            yield Part("word", text, voice, "train", 0, 0, ((0, 6000),), (6000,), is_real), 0.1 * tone
    for kind, text, is_real in (("talk", "", True), ("meeting", "", True), ("sentence", "go on", False)):
        sound = 0.1 * rng.standard_normal(32_000).astype(np.float32)
        yield Part(kind, text, "berta", "train", 0, 0, ((0, 32_000),), (), is_real), sound
    yield Part("cough", "", "made", "train", 0, 0), 0.1 * rng.standard_normal(4000).astype(np.float32)
    yield Part("word", "go", "carl", "dev", 0, 0, ((0, 6000),), (6000,), True), np.zeros(6000, np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("corpus")
    save(path, pieces())
    return path


def test_the_same_seed_makes_the_same_row(folder):
    one, again, other = (Rows(folder).row(600, (seed, 1)) for seed in (3, 3, 4))
    assert one.frames.shape == (600, CHANNELS) and one.frames.dtype == np.float32
    assert one.told.shape == ((600 - HEARD_FRAMES) // FRAMES_PER_TOKEN + 1,)
    assert np.array_equal(one.frames, again.frames) and np.array_equal(one.told, again.told)
    assert not np.array_equal(one.frames, other.frames)


def test_rows_hold_every_word_and_much_that_is_none(folder):
    rows = Rows(folder)
    told = np.concatenate([rows.row(800, (0, number)).told for number in range(120)])
    assert set(np.unique(told)) == {UNASKED, *range(len(COMMAND_WORDS) + 1)}
    assert 0.5 < (told == 0).mean() < 0.9 and 0.02 < (told > 0).mean() < 0.2


def told_at(told, second):
    """What is to be told of a row of 8 s at a time."""
    return told[round((second / 0.01 - HEARD_FRAMES) / FRAMES_PER_TOKEN)]


def test_a_word_is_told_a_moment_after_its_end_when_it_is_alone():
    told = _answers([_Said(0, 0, 200), _Said(5, 300, 350)], 800)  # ends at 3.5 s
    assert [told_at(told, at) for at in (2.9, 3.4, 3.6, 3.8, 4.0, 4.2, 4.6)] == [0, UNASKED, UNASKED, 5, 5, UNASKED, 0]
    assert set(np.unique(told)) == {UNASKED, 0, 5}


@pytest.mark.parametrize(
    ("before_s", "behind_s", "wanted"),
    [(0.1, 2.0, 0), (2.0, 0.1, 0), (0.25, 2.0, UNASKED), (2.0, 0.3, UNASKED), (0.4, 0.5, 5)],
)
def test_a_word_in_the_middle_of_others_is_not_told(before_s, behind_s, wanted):
    begin, end = 300, 350
    around = [
        _Said(0, 100, begin - round(before_s * 100)),
        _Said(5, begin, end),
        _Said(0, end + round(behind_s * 100), 700),
    ]
    assert told_at(_answers(around, 800), 3.5 + 0.4) == wanted


def test_under_a_row_lies_the_noise_of_a_microphone(folder, monkeypatch):
    def faintest(level_dbfs):
        monkeypatch.setattr(keyword_rows, "_HISS_SHARE", 1.0)
        monkeypatch.setattr(keyword_rows, "_HISS_DBFS", (level_dbfs, level_dbfs))
        rows = Rows(folder)
        return min(float(np.quantile(rows.row(400, (0, number)).frames[:, -1], 0.05)) for number in range(10))

    white = Rows(folder)._spectra.of_sound(np.random.default_rng(0).standard_normal(64_000).astype(np.float32))
    floor = float(np.quantile(white[:, -1], 0.05))
    assert faintest(-50.0) == pytest.approx(floor - 50 * np.log(10) / 10, abs=0.3)
    assert faintest(-120.0) < floor - 60 * np.log(10) / 10


def test_a_bent_voice_begins_and_ends_as_it_was_and_is_uneven_in_between():
    rng, ramp = np.random.default_rng(0), np.arange(60, dtype=np.float32)
    later, higher = bent(np.tile(ramp[:, None], 80), rng), bent(np.tile(np.arange(80, dtype=np.float32), (60, 1)), rng)
    for voice, even in ((later[:, 0], ramp), (higher[0], np.arange(80))):
        assert voice.dtype == np.float32 and voice[[0, -1]] == pytest.approx(even[[0, -1]], abs=1e-3)
        assert (np.diff(voice) > -1e-4).all() and 0.3 < np.abs(voice - even).max() < 12
    assert bent(np.zeros((1, 80), np.float32), rng).shape == (1, 80)


def test_some_people_are_kept_aside(folder, monkeypatch):
    voices = {f"speaker {number}" for number in range(1000)}
    aside = [voice for voice in voices if is_kept_aside(Part("word", "go", voice, "train", 0, 0, real=True))]
    assert 60 < len(aside) < 150
    assert not is_kept_aside(Part("word", "go", aside[0], "train", 0, 0))  # no person
    monkeypatch.setattr(keyword_rows, "is_kept_aside", lambda part: part.voice == "anna")
    rows = Rows(folder)
    assert rows._people == {} and {part.voice for parts in rows._made.values() for part in parts} == {"espeak:a"}


def test_a_network_learns_words_and_the_command_goes_on_from_it(folder, tmp_path, capsys):
    settings = Settings(steps=12, batch=2, workers=0)
    rows = Rows(folder)
    one, again = train(rows, settings), train(rows, settings)
    for name, weights in one.state_dict().items():
        assert torch.equal(weights, again.state_dict()[name])
    one.save(tmp_path / "one")
    arguments = ["--corpus", str(folder), "--steps", "1", "--workers", "0", "--batch", "2"]
    main([*arguments, "--out", str(tmp_path / "two"), "--from", str(tmp_path / "one")])
    assert KeywordNet.load(tmp_path / "two").words == COMMAND_WORDS
    row = rows.row(800, (9,))
    losses = [
        torch.nn.functional.cross_entropy(
            net(torch.from_numpy(row.frames)[None])[0], torch.from_numpy(row.told).clamp(0)
        )
        for net in (KeywordNet(COMMAND_WORDS).eval(), one)
    ]
    assert losses[1] < losses[0]
