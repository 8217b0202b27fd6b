"""A tiny training run learns, gives the same weights twice, and torch and numpy agree."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tml_ros.duplex.cascade import overlap
from tml_ros.duplex.cascade.overlap import BANDS, OverlapClassifier, log_mel
from tml_ros.errors import InputError
from tml_ros.training import overlap_scenes, overlap_sounds
from tml_ros.training.overlap import collect
from tml_ros.training.overlap_clips import Clip, Counts, onset
from tml_ros.training.overlap_net import OverlapNet, Settings, TrainingSet, _warped, export, normalise, train
from tml_ros.training.overlap_report import Thresholds, answers, bids, false_stops, looks
from tml_ros.training.overlap_scenes import AFTER, BEFORE, Example


def sound(seed: int, is_bid: bool) -> np.ndarray:
    """Return a hum, or noise that changes its colour like words do."""
    rng = np.random.default_rng(seed)
    out = 0.001 * rng.standard_normal(BEFORE + AFTER)
    piece = overlap_sounds.hum(rng)
    if is_bid:
        piece = np.concatenate([overlap_sounds.hum(rng)[:1600], 0.1 * np.diff(rng.standard_normal(4801))])
    out[BEFORE : BEFORE + len(piece)] += piece[:AFTER]
    return out.astype(np.float32)


def made(count: int, first_seed: int) -> list[Example]:
    return [
        Example("bid" if i % 2 else "hum", "made", sound(first_seed + i, bool(i % 2)), 0 if i % 2 else -1, 400, 1.0)
        for i in range(count)
    ]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def net() -> OverlapNet:
    return train(TrainingSet(made(64, 0)), Settings(epochs=5, batch=8, rate=1e-2), lambda _: None)


def test_a_short_run_learns_when_the_sounds_differ(net):
    held = made(20, 1000)
    seen = looks(held, answers(net, TrainingSet(held)))
    wanted = Thresholds(0.5, 0.5, 0.5)

    assert bids(held, seen, wanted)[1] >= 0.8
    assert false_stops(held, seen, wanted)["hum"] <= 0.2


def test_weights_are_the_same_when_the_seed_is():
    runs = [train(TrainingSet(made(16, 0)), Settings(epochs=1, batch=8, seed=s), lambda _: None) for s in (3, 3, 4)]
    first, second, other = map(export, runs)

    assert all((first[name] == second[name]).all() for name in first)
    assert any((first[name] != other[name]).any() for name in first)


def test_a_voice_from_a_smaller_throat_is_made_by_stretching_the_mel_scale():
    tone = torch.zeros(1, 3, BANDS)
    tone[:, :, 20] = 1.0
    low, same, high = (_warped(tone, torch.tensor([[factor]])) for factor in (1.12, 1.0, 0.88))

    assert torch.allclose(same, tone, atol=1e-5)
    assert [int(part[0, 0].argmax()) for part in (low, same, high)] == [19, 20, 21]


def test_a_short_bid_counts_more_than_a_long_one():
    short, long = (Example("bid", "made", sound(0, True), 0, ms, 1.0) for ms in (250, 900))
    weights = TrainingSet([short, long, *made(2, 0)]).weights

    assert weights[0].max() > weights[1].max() > 0


def test_the_shipped_code_answers_as_torch_does(net):
    example = made(1, 50)[0]
    with torch.no_grad():
        logits = net(normalise(torch.from_numpy(log_mel(example.sound))[None]))[0]
    classifier = OverlapClassifier(export(net))

    for moment in (10, 30, 50):
        samples = (2 * moment + 1) * overlap.HOP_SAMPLES + 400
        expected = torch.sigmoid(logits[moment]).item()
        assert classifier.probability(example.sound[:samples]) == pytest.approx(expected, abs=1e-4)


def test_features_are_the_same_in_torch_and_numpy():
    mel = log_mel(sound(0, True))

    np.testing.assert_allclose(normalise(torch.from_numpy(mel)[None])[0], overlap.normalise(mel), atol=1e-5)


def test_a_later_sample_changes_no_earlier_answer(net):
    mel = torch.from_numpy(log_mel(sound(0, True)))[None]
    changed = mel.clone()
    changed[:, 80:] += 3
    with torch.no_grad():
        before, after = net(normalise(mel)), net(normalise(changed))

    assert torch.equal(before[:, :40], after[:, :40])
    assert not torch.equal(before[:, 40:], after[:, 40:])


def test_words_after_a_back_channel_are_a_bid_from_then_on():
    example = Example("bid", "made", sound(0, True), 500, 1200, 1.0)
    data = TrainingSet([example, *made(2, 0)])
    onset_frame = BEFORE // overlap.HOP_SAMPLES

    assert data.labels[0, onset_frame + 40] == 0
    assert data.labels[0, onset_frame + 65] == 1
    assert data.weights[0, onset_frame + 52] == 0


def test_looks_end_when_the_sound_is_over():
    example = Example("hum", "made", np.zeros(1, np.float32), -1, 200, 1.0)
    late = np.zeros((1, 200), np.float32)
    late[:, 30:] = 1.0

    assert looks([example], late).max() == 0
    assert looks([replace(example, length_ms=900)], late)[0, :, 2].min() == 1


def test_onset_is_found_when_noise_comes_before_it():
    rng = np.random.default_rng(0)
    noisy = (0.001 * rng.standard_normal(16_000)).astype(np.float32)
    noisy[8000:12_000] += 0.1 * np.sin(np.arange(4000) / 5)

    assert onset(noisy) == pytest.approx(8000, abs=320)


@pytest.mark.parametrize("make_sound", [overlap_sounds.hum, overlap_sounds.cough, overlap_sounds.knock])
def test_made_sounds_are_sound_and_the_same_when_the_seed_is(make_sound):
    for seed in range(30):
        one, two = (make_sound(np.random.default_rng(seed)) for _ in range(2))
        assert one.dtype == np.float32
        assert np.isfinite(one).all()
        assert 0.03 < len(one) / 16_000 < 4
        assert (one == two).all()


def test_scenes_hold_every_clip_and_mere_echo(monkeypatch):
    pytest.importorskip("livekit")
    monkeypatch.setattr(overlap_scenes, "_OVER_ROBOT", 1.0)
    rng = np.random.default_rng(0)
    clips = [Clip("hum", "made", overlap_sounds.hum(rng), -1, False) for _ in range(6)]
    lines = [0.1 * rng.standard_normal(16_000).astype(np.float32) for _ in range(4)]

    found, again = (list(overlap_scenes.examples(clips, lines, np.random.default_rng(1))) for _ in range(2))

    assert [example.kind for example in found].count("hum") == 6
    assert [example.kind for example in found].count("echo") == 1
    assert all(example.sound.shape == (BEFORE + AFTER,) for example in found)
    assert all((one.sound == two.sound).all() for one, two in zip(found, again, strict=True))


def test_training_says_what_is_missing_when_there_is_no_speech(tmp_path):
    with pytest.raises(InputError, match="no speech in"):
        collect(tmp_path, Counts(), 0)
