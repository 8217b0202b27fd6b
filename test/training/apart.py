"""Trainings in processes of their own, forked from this one so that torch is imported once; prints one line of JSON.

python apart.py FOLDER
"""

import hashlib
import json
import os
import random
import signal
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch._dynamo  # optimisers import it, and curves the next: once is enough
import torch.utils.tensorboard
from safetensors.torch import load_file

from tml_ros.training.parallel import joined
from tml_ros.training.settings import TrainSettings, load_settings
from tml_ros.training.trainer import Trainer

KILLS = 3


def short(**changes) -> TrainSettings:
    """A few steps of the tiny training, each of them saved."""
    tiny = load_settings("tiny")
    stages = (replace(tiny.stages[0], steps=6, rows=4), replace(tiny.stages[1], steps=6, rows=4))
    return replace(tiny, stages=stages, workers=0, save_s=0.0, log_steps=3, **changes)


def train(settings: TrainSettings, out: Path) -> None:
    with joined("cpu") as place:
        Trainer(settings, out, place, lambda line: None).run(resume=True)


def forked(settings: TrainSettings, out: Path, **environment: str) -> int:
    """Train in a process of its own; return its number."""
    pid = os.fork()
    if pid:
        return pid
    os.environ.update(environment)
    train(settings, out)
    os._exit(0)


def kill_somewhere(pid: int, out: Path, chance: random.Random) -> bool:
    """Kill a training a while after it has saved something; return whether it was still running."""
    before = newest(out)
    while newest(out) == before:
        time.sleep(0.001)
    time.sleep(chance.uniform(0.0, 0.1))
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def newest(out: Path) -> str:
    return max((path.parent.name for path in out.glob("state/0*/state.json")), default="")


def digest(out: Path) -> str:
    return hashlib.sha256((out / "checkpoint" / "model.safetensors").read_bytes()).hexdigest()


def apart(one: Path, two: Path) -> float:
    """Return how far the weights of two trainings are from each other at most."""
    a, b = (load_file(out / "checkpoint" / "model.safetensors") for out in (one, two))
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def losses(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "metrics.jsonl").read_text().splitlines()]


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    chance, settings = random.Random(7), short(shape={})  # with experts
    killed, whole, pair = folder / "killed", folder / "whole", folder / "pair"
    kills = sum(kill_somewhere(forked(settings, killed), killed, chance) for _ in range(KILLS))
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    going = [forked(settings, pair, RANK=str(rank), **group) for rank in range(2)]
    going.append(forked(settings, killed))
    train(settings, whole)
    found = {"kills": kills, "codes": [os.waitpid(pid, 0)[1] for pid in going]}
    found |= {"killed": digest(killed), "whole": digest(whole), "apart": apart(pair, whole)}
    print(json.dumps(found | {"pair": losses(pair), "alone": losses(whole)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
