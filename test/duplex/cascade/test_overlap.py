"""The shipped overlap classifier on voices that it was not trained on, and what it does with damaged files."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tml_ros.duplex.cascade.overlap import OverlapClassifier
from tml_ros.errors import ModelError
from tml_ros.speech.synthesis import EspeakSynthesiser, FliteSynthesiser
from tml_ros.training.overlap_sounds import COUGHS, hum

BEFORE, LOOK_MS = 1024, 460
VOICES = (FliteSynthesiser("awb"), EspeakSynthesiser("en-us+m4"), EspeakSynthesiser("en-gb+f4", pitch=60))


@pytest.fixture(scope="module")
def classifier(repository: Path) -> OverlapClassifier:
    return OverlapClassifier.load(repository / "models" / "overlap")


def heard(sound: np.ndarray, until_ms: int = LOOK_MS) -> np.ndarray:
    """Put a sound behind 64 ms of a quiet room, cut it at a time after its onset, at a usual level."""
    first = int(np.argmax(np.abs(sound) > 0.02 * np.abs(sound).max()))
    length = BEFORE + until_ms * 16
    out = 0.0005 * np.random.default_rng(0).standard_normal(length)
    piece = sound[first:][: until_ms * 16]
    out[BEFORE : BEFORE + len(piece)] += piece * (0.1 / np.sqrt(np.mean(piece**2)))
    return out.astype(np.float32)


def share(classifier: OverlapClassifier, sounds: list[np.ndarray], until_ms: int = LOOK_MS) -> float:
    """Return the share of sounds that are taken for a bid."""
    return float(np.mean([classifier.probability(heard(sound, until_ms)) >= 0.5 for sound in sounds]))


def spoken(*texts: str) -> list[np.ndarray]:
    return [voice.synthesise(text) for voice in VOICES for text in texts]


def test_bids_are_recognised_when_460_ms_are_heard(classifier):
    bids = spoken("stop talking now", "wait a minute please", "hey robot, go left", "what did you say", "put it down")

    assert share(classifier, bids) >= 0.9


def test_back_channels_are_no_bids_when_they_are_over(classifier):
    words = spoken("yeah", "okay", "sure", "i see", "uh-huh", "aha")

    assert share(classifier, words, 600) <= 0.2


def test_hums_and_coughs_are_no_bids_at_any_look(classifier):
    rng = np.random.default_rng(77)
    sounds = [hum(rng) for _ in range(20)] + [COUGHS["cough"](rng) for _ in range(20)]

    assert max(share(classifier, sounds, time) for time in (250, 450, 650)) <= 0.1


def test_silence_and_noise_are_no_bids(classifier):
    noise = 0.01 * np.random.default_rng(3).standard_normal(9600).astype(np.float32)

    assert classifier.probability(np.zeros(9600, np.float32)) < 0.5
    assert classifier.probability(noise.astype(np.float32)) < 0.5


def test_too_little_sound_is_no_bid(classifier):
    assert classifier.probability(np.ones(1599, np.float32)) == 0.0


def test_answer_stays_a_probability_when_samples_are_no_numbers(classifier):
    sound = np.full(8000, np.nan, np.float32)
    sound[::7] = np.inf

    assert 0.0 <= classifier.probability(sound) <= 1.0


def test_level_matters_little_when_the_sound_is_the_same(classifier):
    sound = heard(spoken("stop talking now")[0])

    assert classifier.probability(sound) == pytest.approx(classifier.probability(sound * np.float32(0.3)), abs=0.2)


def test_answer_is_the_same_to_the_bit_when_asked_in_another_process(classifier, repository):
    code = (
        "import numpy as np\n"
        "from tml_ros.duplex.cascade.overlap import OverlapClassifier\n"
        "model = OverlapClassifier.load('models/overlap')\n"
        "sound = 0.1 * np.random.default_rng(5).standard_normal(9000).astype(np.float32)\n"
        "print([model.probability(sound[:n].astype(np.float32)).hex() for n in (3000, 6000, 9000)])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    sound = (0.1 * np.random.default_rng(5).standard_normal(9000).astype(np.float32)).astype(np.float32)

    assert found.stdout.strip() == str([classifier.probability(sound[:n]).hex() for n in (3000, 6000, 9000)])


def stored(repository: Path) -> dict[str, np.ndarray]:
    with np.load(repository / "models" / "overlap" / "weights.npz", allow_pickle=False) as file:
        return dict(file)


def test_loading_fails_clearly_when_the_file_is_truncated(repository, tmp_path):
    whole = (repository / "models" / "overlap" / "weights.npz").read_bytes()
    (tmp_path / "weights.npz").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(ModelError, match=r"no readable \.npz"):
        OverlapClassifier.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY", b"not an archive"])
def test_loading_fails_clearly_when_the_file_is_something_else(tmp_path, content):
    (tmp_path / "weights.npz").write_bytes(content)

    with pytest.raises(ModelError, match=r"no readable \.npz"):
        OverlapClassifier.load(tmp_path)


def test_loading_fails_clearly_when_the_file_is_absent(tmp_path):
    with pytest.raises(ModelError, match="no weights of the overlap classifier"):
        OverlapClassifier.load(tmp_path)


def test_nothing_is_unpickled_when_the_file_holds_objects(repository, tmp_path):
    weights = stored(repository) | {"last.bias": np.array([{}], object)}
    np.savez(tmp_path / "weights.npz", **weights)

    with pytest.raises(ModelError, match=r"no readable \.npz"):
        OverlapClassifier.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("last.weight", np.zeros((95, 1), np.float32), "last.weight"),
        ("last.bias", np.zeros(1, np.float64), "float64"),
        ("layer0.bias", np.full(96, np.nan, np.float32), "no numbers"),
        ("surplus", np.zeros(1, np.float32), "more than this network has"),
    ],
)
def test_loading_fails_clearly_when_the_weights_are_of_another_network(repository, tmp_path, name, array, message):
    np.savez(tmp_path / "weights.npz", **(stored(repository) | {name: array}))

    with pytest.raises(ModelError, match=message):
        OverlapClassifier.load(tmp_path)


def test_weights_are_small(repository):
    assert (repository / "models" / "overlap" / "weights.npz").stat().st_size < 1_000_000
