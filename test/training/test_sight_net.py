"""Rendered pictures with what is to be said of them, and a network that learns from them the same way every time."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tml_ros.duplex.native.seeing import FINE, KINDS, ROLES, SightNet, coarse
from tml_ros.errors import InputError
from tml_ros.sights import SightKind, make_scene
from tml_ros.sights.labels import Role
from tml_ros.training.sight_net import Settings, begin_from, begins, main, train
from tml_ros.training.sight_pictures import ROLE_BITS, TURNS, UNASKED, Shown, load, render
from tml_ros.training.sight_report import choose, tallies
from tml_ros.training.sight_watching import logits_of, watch

SEED = 31


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> list[Shown]:
    folder = tmp_path_factory.mktemp("pictures")
    render(folder, SEED, range(6, 8), workers=2)  # hazards, and nothing but look-alikes
    return load(folder)


def test_kinds_are_those_of_the_truth_at_each_picture(scenes):
    scene, made = make_scene(SEED, 6), scenes[0]
    events = [event for event in scene.truth() if event.kind in KINDS]
    assert events
    for event in events:
        column = KINDS.index(event.kind)
        inside = (made.times >= event.begin_s) & (made.times <= event.end_s)  # index 6 is divisible by three
        assert inside.any() and (made.kinds[inside, column] == 1)[made.mapped[inside]].all()
        first = int(np.flatnonzero(inside)[0])
        assert made.fresh[first, column] >= 1 or not made.mapped[first]


def test_scenes_of_what_is_rare_are_drawn_when_more_are_asked_for(tmp_path):
    main(["--pictures", str(tmp_path), "--scenes", "0", "--held", "0", "--more", "1"])
    (made,) = load(tmp_path / "learnt")
    drawn = make_scene(51, 50_000, "hazards")
    assert len(made.events) == len(drawn.truth()) > 0
    assert np.array_equal(made.pictures[99], drawn.picture(19.8 + made.times[0], FINE[::-1]))


def test_nothing_is_asked_of_what_is_not_quite_there_yet_or_any_more():
    nothing = np.zeros((100, 1, 1), np.uint8)
    events = np.array([[list(SightKind).index(SightKind.FLAME), 4.0, 6.0]], np.float32)
    made = Shown(nothing, nothing, nothing[0], np.arange(100, dtype=np.float32) * 0.2, events)
    flame = made.kinds[:, KINDS.index(SightKind.FLAME)].tolist()
    assert flame[17:23] == [0, 0, 0, 1, 1, 1] and flame[29:35] == [1, 1, UNASKED, UNASKED, 0, 0]
    assert made.fresh[19:23, KINDS.index(SightKind.FLAME)].tolist() == [0, 1, 2, 3]
    assert made.mapped.all() and not (made.kinds[:, KINDS.index(SightKind.SPILL)]).any()


def test_only_faults_are_asked_while_the_camera_is_blind():
    nothing = np.zeros((100, 1, 1), np.uint8)
    numbers = [list(SightKind).index(kind) for kind in (SightKind.LENS_COVERED, SightKind.FLAME)]
    events = np.array([[numbers[0], 4.0, 6.0], [numbers[1], 4.0, 6.0]], np.float32)
    made = Shown(nothing, nothing, nothing[0], np.arange(100, dtype=np.float32) * 0.2, events)
    kinds = dict(zip(KINDS, made.kinds[25].tolist(), strict=True))
    assert kinds[SightKind.LENS_COVERED] == 1 and kinds[SightKind.TOO_DARK] == 0
    assert all(kinds[kind] == UNASKED for kind in KINDS[:8])
    assert not made.mapped[15:36].any() and made.mapped[:14].all()


def test_same_weights_are_learned_from_the_same_pictures(scenes):
    torch.set_num_threads(1)
    nets = [train(scenes, Settings(steps=3, batch=4)) for _ in range(2)]
    for name, tensor in nets[0].state_dict().items():
        assert torch.equal(tensor, nets[1].state_dict()[name]), name
    assert logits_of(nets[0], scenes[0]).shape == (TURNS, len(KINDS))


def test_maps_are_learned_within_a_few_pictures(scenes):
    """That is what kinds are told from; once, kinds were learned in their place, and nothing of a face was drawn."""
    torch.set_num_threads(1)
    net, scene = train(scenes[:1], Settings(steps=40, batch=8)), scenes[0]
    pictures = torch.tensor(scene.pictures[[0, 50, 70, 90]]).permute(0, 3, 1, 2).float() / 255.0
    small = coarse(pictures)
    drawn = net(pictures[1:], small[1:], small[:1].expand(3, -1, -1, -1)).maps[:, :ROLES].argmax(1)
    spilled = torch.from_numpy(scene.roles[[50, 70, 90]] % (1 << ROLE_BITS)) == Role.SPILL
    assert spilled.float().mean() > 0.001
    assert (drawn == Role.SPILL)[spilled].float().mean() > 0.2  # 0.42; none with maps weighed as they once were


def test_scenes_are_watched_by_several_processes_as_by_one(scenes, tmp_path):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = SightNet().eval()
    net.save(tmp_path, dict.fromkeys(KINDS, 0.0))
    found = watch(tmp_path, Path(scenes[0].pictures.filename).parent, workers=2)
    assert len(found) == 2
    for one, scene in zip(found, scenes, strict=True):
        np.testing.assert_allclose(one, logits_of(net, scene), atol=1e-4)


def test_weights_of_a_smaller_network_are_where_a_larger_one_begins(tmp_path):
    torch.manual_seed(0)
    before = SightNet()
    smaller = {name: each for name, each in before.state_dict().items() if not name.startswith("face.")}
    smaller["direct.weight"] = smaller["direct.weight"][:, :-2].contiguous()
    save_file(smaller, tmp_path / "model.safetensors")
    after = begin_from(tmp_path)
    assert torch.equal(after.hidden.weight, before.hidden.weight)
    assert torch.equal(after.direct.weight[:, :-2], before.direct.weight[:, :-2])
    assert not after.direct.weight[:, -2:].any()


_TOGETHER = """
import hashlib, sys
from pathlib import Path
from torch.nn.utils import parameters_to_vector
from tml_ros.training.parallel import joined
from tml_ros.training.sight_net import Settings, train
from tml_ros.training.sight_pictures import load
with joined("cpu") as place:
    net = train(load(Path(sys.argv[1])), Settings(steps=2, batch=2), place=place)
print(hashlib.sha256(parameters_to_vector(net.parameters()).detach().numpy().tobytes()).hexdigest())
"""


def _learned(folder, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _TOGETHER, str(folder)]
    return subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True)


def test_two_processes_learn_the_same_weights_from_different_pictures(scenes, free_port):
    folder = Path(scenes[0].pictures.filename).parent
    together = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port)}
    started = [_learned(folder, RANK=str(rank), **together) for rank in range(2)] + [_learned(folder)]
    first, second, alone = (process.communicate(timeout=120)[0].strip() for process in started)
    assert len(first) == 64 and first == second != alone


def test_pictures_before_and_after_a_beginning_are_looked_at_most():
    nothing = np.zeros((100, 1, 1), np.uint8)
    events = np.array([[list(SightKind).index(SightKind.FLAME), begin_s, begin_s + 2.0] for begin_s in (0.3, 4.0)])
    made = Shown(nothing, nothing, nothing[0], np.arange(100, dtype=np.float32) * 0.2, events.astype(np.float32))
    found = np.flatnonzero(begins(made, KINDS.index(SightKind.FLAME))).tolist()
    assert found == [0, 1, 2, 3, 4, 16, 17, 18, 19, 20, 21, 22]


def test_what_is_told_in_time_and_of_nothing_is_counted(scenes):
    sure, nothing = (np.full((TURNS, len(KINDS)), value, np.float32) for value in (6.0, -6.0))
    perfect = np.where(scenes[0].kinds == 1, 6.0, -6.0).astype(np.float32)
    at_one = dict.fromkeys(KINDS, 1.0)
    silent = tallies(scenes, [nothing, nothing], at_one)
    right = tallies(scenes[:1], [perfect], at_one)
    loud = tallies(scenes[1:], [sure], at_one)
    assert sum(tally.told + tally.false for tally in silent.values()) == 0
    hazards = [right[kind] for kind in (SightKind.FLAME, SightKind.SMOKE, SightKind.SPILL)]
    assert sum(tally.of for tally in hazards) > 0
    assert all(tally.told == tally.of and not tally.false for tally in hazards)
    assert loud[SightKind.FLAME].false == 1
    assert set(choose(scenes, [nothing, nothing])) == set(KINDS)


def test_reason_is_told_when_there_are_no_pictures(tmp_path):
    with pytest.raises(InputError, match="--pictures"):
        load(tmp_path)
