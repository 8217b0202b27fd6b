"""Fixtures that every test may use."""

import importlib.util
import socket
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
LONGEST = "test_colcon.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the test that takes a minute and a half first, lest one of two processes waits for the other's."""
    items.sort(key=lambda item: item.path.name != LONGEST)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real third-party speech, video and bags; skips where they are absent."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no third-party material at {folder.name}/: it is not part of the repository")
    return folder


@pytest.fixture
def free_port() -> int:
    """A port of this computer that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def helpers() -> Callable[[str], ModuleType]:
    """Import a file by its path in the repository: test files cannot import one another."""

    def load(path: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(Path(path).stem, REPOSITORY / path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def audio_bag() -> Callable[..., Path]:
    """Return ``write(path, chunks)``: a bag with sound, 20 ms a chunk; a chunk names what of it is not the usual."""
    from tml_ros.bags import BagWriter

    def write(path: Path, chunks: list[dict], storage: str = "mcap") -> Path:
        with BagWriter(path, storage) as writer:
            for number, fields in enumerate(chunks):
                nanoseconds = 1_700_000_000_000_000_000 + number * 20_000_000
                tree = {
                    "header": {"stamp": {"sec": nanoseconds // 10**9, "nanosec": nanoseconds % 10**9}},
                    "stream_id": "mic",
                    "first_sample": number * 320,
                    "sample_rate": 16_000,
                    "channels": 1,
                    "encoding": "S16LE",
                    "data": bytes(640),
                }
                writer.write("/tml/audio/in", "tml_interfaces/msg/AudioChunk", tree | fields, nanoseconds + 20_000_000)
        return path

    return write
