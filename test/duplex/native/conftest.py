"""Small models and made-up conversations for the tests of the native model."""

import shutil
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml

from tml_ros.duplex.native.checkpoint import make_untrained
from tml_ros.duplex.native.inputs import ABSENT, StreamInputs
from tml_ros.duplex.native.losses import LossWeights
from tml_ros.duplex.native.seeing import SightNet
from tml_ros.duplex.native.shape import NativeShape
from tml_ros.duplex.native.tokens import Marker
from tml_ros.duplex.native.transformer import InteractionTransformer
from tml_ros.duplex.native.vocabulary import Vocabulary

torch.set_num_threads(1)
MODELS = Path(__file__).resolve().parents[3] / "models"


def with_stem(preset: Path, folder: Path, layers: int) -> Path:
    """Make a checkpoint with so many layers in the stem of sound, otherwise as another, with random weights."""
    bare = shutil.copytree(preset, folder / "preset")
    (bare / "model.safetensors").unlink()
    content = yaml.safe_load((bare / "config.yaml").read_text())
    del content["files"]["model.safetensors"]
    content["shape"] |= {"sound_layers": layers, "sound_kernel": 3}
    (bare / "config.yaml").write_text(yaml.safe_dump(content))
    make_untrained(bare, folder / "model", seed=5)
    return folder / "model"


@pytest.fixture(scope="session")
def tiny_shape() -> NativeShape:
    """The shape of the preset ``tiny``."""
    return NativeShape.from_mapping(yaml.safe_load((MODELS / "tiny" / "config.yaml").read_text())["shape"])


@pytest.fixture(scope="session")
def tiny_model(tiny_shape: NativeShape) -> InteractionTransformer:
    """A tiny model with random weights; nobody changes it."""
    return InteractionTransformer.created(tiny_shape, seed=0).requires_grad_(False)


@pytest.fixture(scope="session")
def made_up():
    """Return ``make(shape, batch, turns, seed)``: a conversation in which everything comes and goes."""

    def make(shape: NativeShape, batch: int, turns: int, seed: int = 0) -> StreamInputs:
        source = torch.Generator().manual_seed(seed)

        def sometimes(probability: float, *more: int) -> torch.Tensor:
            return torch.rand(batch, turns, *more, generator=source) < probability

        size = (batch, turns, *shape.picture_size, 3)
        words = torch.randint(len(Marker), shape.vocabulary, (batch, turns, shape.text_in_tokens), generator=source)
        said = sometimes(0.3, 1) & sometimes(0.6, shape.text_in_tokens)
        return StreamInputs(
            audio=torch.randn(batch, turns, 3200, generator=source) * 0.1,
            audio_present=sometimes(0.8),
            playing=sometimes(0.5),
            reference=torch.randn(batch, turns, 3200, generator=source) * 0.1,
            reference_present=sometimes(0.4),
            frames=torch.randint(0, 256, size, dtype=torch.uint8, generator=source),
            frame_present=sometimes(0.6),
            text=torch.where(said, words, ABSENT),
        )

    return make


@pytest.fixture(scope="session")
def kit(helpers) -> ModuleType:
    """The lesson, how it is taught and how it is examined."""
    return helpers("test/duplex/native/lesson.py")


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """The vocabulary of the preset ``tiny``."""
    return Vocabulary.load(MODELS / "tiny" / "tokenizer.json")


@pytest.fixture(scope="session")
def net() -> SightNet:
    """A network for pictures with random weights; nobody changes it."""
    torch.manual_seed(0)
    return SightNet().eval().requires_grad_(False)


@pytest.fixture(scope="session")
def lesson(kit, tiny_shape, vocabulary):
    """Conversations with what the model shall do in them."""
    return kit.make_lesson(tiny_shape, vocabulary)


@pytest.fixture(scope="session")
def learned_model(kit, tiny_shape, lesson) -> InteractionTransformer:
    """A tiny model that knows the lesson by heart; takes seconds to make, nobody changes it."""
    return kit.train(tiny_shape, lesson, LossWeights())
