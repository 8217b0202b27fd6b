"""Training goes on after a kill to the same weights, several processes learn as one, and words are learned."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tml_ros.duplex.native.checkpoint import load_checkpoint, locate_checkpoint, read_manifest
from tml_ros.duplex.native.transformer import InteractionTransformer
from tml_ros.duplex.native.vocabulary import Vocabulary
from tml_ros.errors import ConfigError, ModelError
from tml_ros.training.encoding import Encoder
from tml_ros.training.fitting import Fitting, fit_scenes
from tml_ros.training.learner import Learner, LearnerOptions
from tml_ros.training.objective import Emphasis, Objective
from tml_ros.training.parallel import Place
from tml_ros.training.prefetch import Batches, BatchMaker
from tml_ros.training.probe import probe
from tml_ros.training.settings import OptimizerSettings, TrainSettings, load_settings
from tml_ros.training.snapshots import Snapshot, Snapshots
from tml_ros.training.source import Tones
from tml_ros.training.trainer import Trainer

HERE = Place(0, 1, torch.device("cpu"))
TINY = locate_checkpoint("tiny")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.load(TINY / "tokenizer.json")


@pytest.fixture
def model() -> InteractionTransformer:
    return InteractionTransformer.created(read_manifest(TINY).shape, seed=0)


def short(**changes) -> TrainSettings:
    tiny = load_settings("tiny")
    return replace(tiny, stages=(replace(tiny.stages[0], steps=4, rows=2),), workers=0, **changes)


@pytest.fixture(scope="module")
def apart(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Trainings in processes of their own: killed three times, in a pair, and alone."""
    folder = tmp_path_factory.mktemp("apart")
    command = [sys.executable, str(repository / "test" / "training" / "apart.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, cwd=repository)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_weights_are_the_same_to_the_bit_when_training_was_killed_three_times(apart):
    assert apart["kills"] == 3
    assert apart["killed"] == apart["whole"]


def test_two_processes_learn_as_one_when_they_share_the_rows(apart):
    assert apart["codes"] == [0, 0, 0]
    assert apart["pair"] == pytest.approx(apart["alone"], rel=1e-4)
    assert apart["apart"] < 1e-4


def test_batches_are_those_of_the_trainer_itself_when_workers_make_them(model):
    settings = short()
    made = []
    for workers in (0, 2):
        maker = BatchMaker(replace(settings, workers=workers), model.shape, str(TINY / "tokenizer.json"))
        with Batches.running(maker, 1) as batches:
            made.append([batches.take(step) for step in (1, 2, 3)])
    for one, two in zip(*made, strict=True):
        assert torch.equal(one.inputs.levels, two.inputs.levels)
        assert torch.equal(one.targets.text, two.targets.text)


def test_words_are_heard_by_streaming_when_scenes_were_taught(model, vocabulary):
    stage = replace(load_settings("tiny").stages[0], snr_db=(40.0, 40.0))
    scenes = [row[0] for row in Tones().batch(stage, 0, 0, 3, 10)]
    before = probe(model.eval(), scenes, vocabulary).score("tone", "intent")
    fitting = Fitting(steps=70, rows=3, optimizer=OptimizerSettings(rate=6e-3, warmup_steps=5, weight_decay=0.0))
    after = probe(fit_scenes(model, vocabulary, scenes, fitting), scenes, vocabulary).score("tone", "intent")
    assert before.hits == 0 and before.trials == after.trials >= 4
    assert after.hits == after.trials and after.false == 0


def test_other_parameters_stay_to_the_bit_when_some_are_trained(model, vocabulary):
    before = {name: each.clone() for name, each in model.state_dict().items()}
    scenes = [row[0] for row in Tones().batch(load_settings("tiny").stages[0], 0, 0, 2, 8)]
    fit_scenes(model, vocabulary, scenes, Fitting(steps=2, rows=2), is_trainable=lambda name: "attention" in name)
    changed = {name for name, each in model.state_dict().items() if not torch.equal(each, before[name])}
    assert changed and all("attention" in name for name in changed)


def test_quiet_and_floors_count_as_much_as_they_are_given(model, vocabulary):
    rows = Tones().batch(load_settings("tiny").stages[0], 0, 0, 2, 10)
    batch = Encoder(model.shape, vocabulary).batch(rows, 10)
    plain, _ = Objective(model)(batch, Emphasis())
    quiet, _ = Objective(model)(batch, Emphasis(quiet=0.5))
    floors, _ = Objective(model)(batch, Emphasis(floors={"speak": 3.0}))
    sums, counts = plain.sums.sum(1), plain.counts.sum(1)
    text = (sums[1] + 0.5 * sums[2]) / (counts[1] + 0.5 * counts[2])
    wanted = sums[0] / counts[0] + text + 0.3 * sums[3] / counts[3]
    assert torch.isclose(quiet.value, wanted)
    assert torch.equal(floors.sums, plain.sums) and not torch.isclose(floors.value, plain.value)


def test_training_goes_on_only_as_it_was_begun(tmp_path):
    settings = short(save_s=0.0)
    Trainer(settings, tmp_path, HERE, lambda line: None).run(seconds=0)
    assert Snapshots(tmp_path / "state").steps() == [1]
    with pytest.raises(ModelError, match="--resume"):
        Trainer(settings, tmp_path, HERE).run()
    with pytest.raises(ConfigError, match="seed 1"):
        Trainer(replace(settings, seed=2), tmp_path, HERE).run(resume=True)
    outcome = Trainer(replace(settings, log_steps=2), tmp_path, HERE, lambda line: None).run(resume=True)
    assert outcome.step == 4 and outcome.checkpoint is not None
    assert load_checkpoint(outcome.checkpoint)[0].trained
    assert list((tmp_path / "curves").iterdir())


def test_half_a_snapshot_is_never_read_when_it_was_cut_off(tmp_path):
    snapshots = Snapshots(tmp_path, keep=2)
    assert snapshots.load({}) is None
    for step in (1, 2, 3):
        snapshots.save(Snapshot(step, 1.5, {"seed": 1}, {"a": torch.full((2,), float(step))}))
    (tmp_path / ".00000004.part").mkdir()
    assert snapshots.steps() == [2, 3]
    found = snapshots.load({"seed": 1})
    assert found is not None and found.tensors["a"].tolist() == [3.0, 3.0] and found.seconds == 1.5


def test_loss_that_is_no_number_ends_training(model, vocabulary):
    with torch.no_grad():
        model.norm.weight.fill_(float("nan"))
    rows = Tones().batch(load_settings("tiny").stages[0], 0, 0, 1, 6)
    learner = Learner(model, LearnerOptions(OptimizerSettings(rate=1e-3), 1))
    with pytest.raises(ModelError, match="lower optimizer"):
        learner.learn(Encoder(model.shape, vocabulary).batch(rows, 6), Emphasis())


def test_training_files_load_when_they_are_shipped(repository):
    names = [path.stem for path in (repository / "config" / "train").glob("*.yaml")]
    assert "tiny" in names and all(load_settings(name).steps > 0 for name in names)


def test_nearest_key_is_named_when_one_is_unknown(repository, tmp_path):
    text = (repository / "config" / "train" / "tiny.yaml").read_text()
    path = tmp_path / "odd.yaml"
    path.write_text(text.replace("workers:", "worker:"))
    with pytest.raises(ConfigError, match="did you mean 'workers'"):
        load_settings(str(path))
