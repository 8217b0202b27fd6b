"""What pictures show is told once while it goes on, in time and by name."""

import copy
import shutil

import numpy as np
import pytest
import torch

from tml_ros.duplex.native.config import NativeConfig
from tml_ros.duplex.native.model import NativeModel
from tml_ros.duplex.native.noticing import Gathering, SightStream
from tml_ros.duplex.native.seeing import KINDS
from tml_ros.duplex.protocol import SessionInfo
from tml_ros.records import MICRO_TURN_NS, AlertState, Floor, Frame, MicroTurn
from tml_ros.sights import PHRASES, SightKind

AT_ONE = dict.fromkeys(KINDS, 1.0)
SILENCE = np.zeros(3200, np.float32)
FLAME = KINDS.index(SightKind.FLAME)


def logits(**given: float) -> list[float]:
    return [given.get(str(kind), -6.0) for kind in KINDS]


def told(gathering: Gathering, rows: list[list[float]]) -> list[list[str]]:
    return [[str(kind) for kind in gathering.look(row)] for row in rows]


def test_what_begins_is_told_once_and_again_after_it_was_gone_for_eight_pictures():
    seen, nothing = logits(flame=6.0), logits()
    gathering = Gathering(AT_ONE)
    assert told(gathering, [nothing, seen, seen, seen]) == [[], [], ["flame"], []]
    assert told(gathering, [nothing] * 7 + [seen] * 2) == [[]] * 9
    assert told(gathering, [nothing] * 8 + [seen] * 2) == [[]] * 9 + [["flame"]]


def test_one_picture_alone_is_doubted_unless_the_one_before_left_it_open():
    gathering = Gathering(AT_ONE)
    assert told(gathering, [logits(), logits(flame=6.0), logits(), logits()]) == [[]] * 4
    assert told(gathering, [logits(flame=-2.9), logits(flame=6.0)]) == [[], ["flame"]]


def test_what_is_doubtful_is_neither_told_nor_gone():
    gathering = Gathering(AT_ONE)
    doubtful = logits(flame=0.9)
    assert told(gathering, [logits(), doubtful, doubtful]) == [[]] * 3
    assert told(gathering, [logits(flame=1.0)] + [doubtful] * 20 + [logits(flame=4.0)]) == [["flame"]] + [[]] * 21
    assert gathering.confidence(SightKind.FLAME) == pytest.approx(0.982, abs=1e-3)


def test_picture_that_is_shown_again_and_again_is_told_once(net):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (60, 80, 3), np.uint8) for _ in range(3)]
    stream = SightStream(net, dict.fromkeys(KINDS, 99.0))
    shown = [0, 1, 1, 1, 1, 2, 2, 2]
    assert [stream.look(pictures[number]) for number in shown] == [
        [], [], [], [SightKind.FROZEN], [], [], [], [SightKind.FROZEN]
    ]  # fmt: skip


@pytest.fixture
def stream(net, repository, tmp_path):
    """A session of a model that learned without pictures, whose network is sure of a flame."""
    sure = copy.deepcopy(net)
    with torch.no_grad():
        sure.last.weight.zero_()
        sure.direct.weight.zero_()
        sure.last.bias.fill_(-6.0)
        sure.last.bias[FLAME] = 6.0
    sure.save(tmp_path, AT_ONE)
    blind = shutil.copytree(repository / "models" / "tiny", tmp_path / "blind")
    manifest = blind / "config.yaml"
    manifest.write_text(manifest.read_text().replace("trained: false", "trained: false\nsees: false"))
    config = NativeConfig(checkpoint=str(blind), sights=str(tmp_path))
    return NativeModel(config).open(SessionInfo("a", 0))


def seen(number: int) -> MicroTurn:
    picture = np.random.default_rng(number).integers(0, 255, (60, 80, 3), np.uint8)
    begin_ns, end_ns = number * MICRO_TURN_NS, (number + 1) * MICRO_TURN_NS
    return MicroTurn(number, begin_ns, end_ns, SILENCE, 1.0, frames=(Frame(begin_ns, picture),))


@pytest.mark.parametrize(("turns", "words"), [(3, [PHRASES[SightKind.FLAME]]), (8, [])])
def test_warning_is_published_at_once_and_said_when_the_robot_is_free_unless_it_is_old_by_then(stream, turns, words):
    stream._is_open = True  # an utterance of its own goes on
    outs = [stream.step(seen(number)) for number in range(turns)]
    assert [len(out.alerts) for out in outs][:3] == [0, 1, 0] and not any(out.speech for out in outs)
    stream._is_open = False
    assert [one.text for one in stream.step(seen(turns)).speech] == words


def test_model_warns_once_of_what_its_network_sees_and_gives_the_transformer_no_pictures(stream):
    told, alerts = [], []
    for number in range(4):
        assert stream.inputs(seen(number)).frames is None
        out = stream.step(seen(number))
        told += [(number, out.floor) for one in out.speech if one.text == PHRASES[SightKind.FLAME]]
        alerts += out.alerts
    assert told == [(1, Floor.SPEAK)]
    assert [(alert.rule, alert.category, alert.state) for alert in alerts] == [
        ("seen_flame", "flame", AlertState.RAISED)
    ]
    assert 0.5 < alerts[0].confidence < 0.999
