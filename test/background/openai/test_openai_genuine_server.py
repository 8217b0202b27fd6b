"""The model against a server that others wrote, with a real language model behind it: tiny, with random weights."""

import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tml_ros.background import Cancel, ContextPackage, Partial, Result
from tml_ros.background.openai import OpenAIConfig, OpenAIModel
from tml_ros.background.protocol import Surroundings

NEEDED = ("torch", "transformers", "tokenizers", "fastapi", "uvicorn")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (transformers[serving])")

SERVER = Path(__file__).with_name("tiny_server.py")
START_S = 90.0
WORDS = 200


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Start the server once; give its address and the name of its model."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder.parent / "home")}
    command = [sys.executable, str(SERVER), str(folder), str(port)]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=environment, **pipes)
    too_slow = threading.Timer(START_S, process.kill)
    too_slow.start()
    said = []
    for line in process.stderr:
        said.append(line)
        if "Uvicorn running" in line:
            break
    too_slow.cancel()
    drain = threading.Thread(target=process.stderr.read, daemon=True)
    drain.start()
    try:
        assert said and "Uvicorn running" in said[-1], "".join(said)
        yield f"http://127.0.0.1:{port}/v1", str(folder)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def model(served, allow_list):
    url, name = served
    config = OpenAIConfig(base_url=url, model=name, api_key_env="", max_tokens=WORDS, seed=1, read_timeout_s=60.0)
    made = OpenAIModel(config, Surroundings(allow_list))
    yield made
    made.close()


def test_partial_comes_before_the_result_when_a_language_model_streams(model):
    came = [
        (time.monotonic(), update)
        for update in model.run(ContextPackage("Is the fridge cold?", context={"facts": {"fridge": 4}}), Cancel())
    ]
    (first_at, first), (last_at, last) = came[0], came[-1]
    partials = [update.text for _, update in came[:-1]]
    assert isinstance(first, Partial) and isinstance(last, Result)
    assert first_at < last_at and len(partials) >= 2
    assert "".join(partials) == last.report
    assert len(last.report.split()) > WORDS // 2 and "cut" in last.data


def test_task_ends_within_a_micro_turn_when_it_is_cancelled_while_a_language_model_streams(model):
    cancel = Cancel()
    updates = model.run(ContextPackage("Is the fridge cold?"), cancel)
    assert isinstance(next(updates), Partial)
    began = time.monotonic()
    cancel.set()
    assert list(updates) == []
    assert time.monotonic() - began < 0.2
    assert isinstance(list(model.run(ContextPackage("And now?"), Cancel()))[-1], Result)
