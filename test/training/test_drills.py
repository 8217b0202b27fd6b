"""Drills and echoes: rows full of speech, measured once, the same each time, and heard anew when they come again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tml_ros.duplex.native.checkpoint import locate_checkpoint, read_manifest
from tml_ros.duplex.native.dmel import LogMel, quantise
from tml_ros.duplex.native.inputs import ABSENT
from tml_ros.duplex.native.transformer import InteractionTransformer
from tml_ros.training.corpus import Part, save
from tml_ros.training.corpus_texts import COMMAND_WORDS
from tml_ros.training.drills import Drills, _Splits
from tml_ros.training.echoes import Echoes
from tml_ros.training.encoding import Batch
from tml_ros.training.objective import Objective
from tml_ros.training.settings import Stage, load_settings
from tml_ros.training.spelling import distance, letter_errors
from tml_ros.training.trainer import emphasis_of

SHAPE = read_manifest(locate_checkpoint("micro")).shape
STAGE = Stage("letters", 1, 2, 20, {"drill": 1.0}, part="sound")
_LETTERS = "abcdefghijklmnopqrstuvwxyz'"


def pieces():
    rng = np.random.default_rng(0)
    for split in ("train", "held"):
        for kind, texts in (
            ("word", COMMAND_WORDS),
            ("sentence", ("go on",)),
            ("paused", ("go on",)),
            ("talk", ("so it is",)),
            ("cough", ("",)),
            ("knock", ("",)),
        ):
            for text in texts:
                sound = 0.1 * rng.standard_normal(8000).astype(np.float32)
                ends = tuple((np.arange(len(text.split())) + 1) * 8000 // max(1, len(text.split())))
                yield Part(kind, text, "somebody", split, 0, 0, ((0, 8000),), tuple(map(int, ends))), sound


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("corpus")
    save(path, pieces())
    return path


@pytest.fixture(scope="module")
def drills(folder) -> Drills:
    return Drills(folder, SHAPE)


def test_spectra_are_those_of_the_sound_when_a_part_is_looked_up(drills):
    part = drills.spectra.corpus.parts[3]
    sound = torch.from_numpy(np.pad(drills.spectra.corpus.sound(part), (0, 1600))).view(1, -1, 3200)
    exact = LogMel(SHAPE.mel_channels)(sound, torch.ones(sound.shape[:2], dtype=torch.bool)).flatten(0, 2)[:50]
    found = torch.from_numpy(drills.spectra.of(part)).double()
    assert found.shape == (50, SHAPE.mel_channels)
    assert (quantise(found, SHAPE) != quantise(exact, SHAPE)).double().mean() < 0.01


def test_rows_hold_the_letters_of_all_that_is_said_when_they_are_drilled(drills):
    rows = drills.arrays(STAGE, 0, range(3), 20)
    again = drills.arrays(STAGE, 0, range(2, 3), 20)
    assert np.array_equal(rows["levels"][2:], again["levels"])
    for spelled, aligned in zip(rows["spelled"], rows["aligned"], strict=True):
        letters = [letter for letter in spelled if letter != ABSENT]
        assert len(letters) >= 6
        heard = {letter for letter in aligned.flatten().tolist() if letter}
        assert heard <= set(letters) and len(heard) > len(set(letters)) // 2
    assert rows["aligned"].shape == (3, 20, SHAPE.audio_tokens)


def test_a_long_part_is_cut_behind_a_word_when_the_row_ends(drills, folder):
    text = "we went on and on until the end"
    ends = tuple(int(end) for end in np.linspace(0, 96_000, 9)[1:])
    sound = 0.1 * np.random.default_rng(1).standard_normal(96_000).astype(np.float32)
    save(folder / "long", [(Part("talk", text, "somebody", "train", 0, 0, ((0, 96_000),), ends), sound)])
    stage = Stage("talk", 1, 1, 20, {"talk": 1.0}, part="sound")
    rows = Drills(folder / "long", SHAPE).arrays(stage, 0, range(4), 20)
    whole = text.replace(" ", "")
    for row in rows["spelled"]:
        letters = "".join(_LETTERS[letter - 1] for letter in row if letter != ABSENT)
        words = [sum(map(len, text.split()[:count])) for count in range(1, 8)]
        assert whole.startswith(letters) and len(letters) in words


def test_a_stage_has_the_drills_that_it_names_when_it_is_of_that_part(drills):
    stage = Stage("words", 1, 2, 20, {"sentence": 1.0}, part="sound")
    rows = drills.arrays(stage, 0, range(4), 20)
    spelled = {"".join(_LETTERS[letter - 1] for letter in row if letter != ABSENT) for row in rows["spelled"]}
    assert {row.replace("goon", "").replace("go", "") for row in spelled} == {""}  # the last one may be cut


def test_a_program_with_few_voices_is_heard_more_than_it_has_parts(folder, tmp_path):
    sound, voices = np.zeros(16_000, np.float32), ["espeak:a"] * 30 + ["flite:b"] * 10 + ["festival:c"]
    parts = [Part("sentence", "go on", name, "train", 0, 0, ((0, 16_000),), (8000, 16_000)) for name in voices]
    save(tmp_path / "few", [(part, sound) for part in parts])
    some, rng = Drills(tmp_path / "few", SHAPE), np.random.default_rng(0)
    splits = _Splits("train", "train")
    drawn = [some._of_program("sentence", rng, splits)[0].voice for _ in range(400)]
    assert 140 < drawn.count("espeak:a") < 200
    assert drawn.count("flite:b") > 140 and drawn.count("festival:c") > 35


def test_drills_are_learned_beside_scenes_when_a_stage_wants_both(folder):
    from tml_ros.training.prefetch import BatchMaker

    settings = load_settings("balance", corpus=folder)
    stage = Stage("both", 2, 2, 20, {"none": 1.0}, drills=3)
    settings = replace(settings, stages=(stage,), preset="micro")
    made = BatchMaker(settings, SHAPE, str(locate_checkpoint("micro") / "tokenizer.json")).open().arrays(1)
    batch = Batch.of(made, settings.skills)
    assert batch.drilled is not None and len(batch.skill) == 2 and len(batch.drilled.skill) == 3
    model = InteractionTransformer.created(SHAPE, seed=0)
    objective = Objective(model)
    alone, both = (
        objective(replace(batch, drilled=drilled), emphasis_of(stage))[0].total for drilled in (None, batch.drilled)
    )
    assert not torch.isclose(alone, both)
    both.backward()
    assert model.sound.audio.grad.abs().sum() > 0


def test_only_the_sound_learns_when_a_stage_is_of_that_part(drills):
    from tml_ros.training.learner import Learner, LearnerOptions
    from tml_ros.training.settings import OptimizerSettings

    model = InteractionTransformer.created(SHAPE, seed=0)
    before = {name: each.clone() for name, each in model.named_parameters()}
    arrays = drills.arrays(STAGE, 0, range(2), 20) | {"letters": np.arange(20, 48)}
    batch = Batch.of(arrays, ["drill"])
    learner = Learner(model, LearnerOptions(OptimizerSettings(rate=3e-3, warmup_steps=0, weight_decay=0.0), 12))
    losses = [float(learner.learn(batch, emphasis_of(STAGE)).measured.value) for _ in range(6)]
    assert losses[-1] < losses[0]
    changed = {name for name, each in model.named_parameters() if not torch.equal(each, before[name])}
    assert {"sound.audio", "sound.project.weight", "embedding.weight"} <= changed
    assert all(name.startswith(("sound.", "embedding.")) for name in changed)
    wrong, letters = letter_errors(model.eval(), batch)
    assert letters == int((batch.spelled != ABSENT).sum()) and wrong > 0


def test_a_batch_is_heard_anew_when_it_comes_again(drills):
    made = []

    def make(number: int):
        made.append(number)
        return {"levels": np.full((1, 2, 20, SHAPE.mel_channels), 3 + number % 9, np.uint8), "number": np.array(number)}

    echoes = Echoes(drills.spectra, SHAPE, make)
    first, again, other = (echoes.arrays(step, 2, 0) for step in (0, 40, 80))
    assert (first["number"], again["number"], other["number"]) == (0, 0, 40)
    assert not np.array_equal(first["levels"], again["levels"]) and made == [0, 40]
    assert np.array_equal(Echoes(drills.spectra, SHAPE, make).arrays(40, 2, 0)["levels"], again["levels"])
    assert again["levels"].dtype == np.uint8 and again["levels"].max() < SHAPE.mel_levels


@pytest.mark.parametrize(("one", "other", "apart"), [("stop", "top", 1), ("", "no", 2), ("left", "left", 0)])
def test_distance_counts_letters_when_words_differ(one, other, apart):
    assert distance([_LETTERS.index(c) for c in one], [_LETTERS.index(c) for c in other]) == apart


def test_the_shipped_files_are_read_when_the_model_is_trained():
    letters, micro = load_settings("letters"), load_settings("micro")
    assert {stage.part for stage in letters.stages} == {"sound"}
    assert letters.shape["sound_layers"] > 0 and micro.start_from
