"""What pictures show is gathered over a few of them and told once while it goes on."""

import copy

import numpy as np
import pytest
import torch

from tml_ros.duplex.native.config import NativeConfig
from tml_ros.duplex.native.model import NativeModel
from tml_ros.duplex.native.seeing import KINDS, Gathering, SightNet, Sights, SightStream
from tml_ros.duplex.protocol import SessionInfo
from tml_ros.errors import ModelError
from tml_ros.records import MICRO_TURN_NS, AlertState, Floor, Frame, MicroTurn
from tml_ros.sights import PHRASES, SightKind

AT_ONE = dict.fromkeys(KINDS, 1.0)
SILENCE = np.zeros(3200, np.float32)
FLAME = KINDS.index(SightKind.FLAME)


def logits(**given: float) -> list[float]:
    return [given.get(str(kind), -6.0) for kind in KINDS]


def told(gathering: Gathering, rows: list[list[float]]) -> list[list[str]]:
    return [[str(kind) for kind in gathering.look(row)] for row in rows]


@pytest.fixture(scope="module")
def net() -> SightNet:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return SightNet().eval().requires_grad_(False)


def test_what_begins_is_told_once_and_again_after_it_was_gone_for_two_seconds():
    seen, nothing = logits(flame=6.0), logits()
    gathering = Gathering(AT_ONE)
    assert told(gathering, [nothing, seen, seen, seen]) == [[], [], ["flame"], []]
    assert told(gathering, [nothing] * 4 + [seen] * 2) == [[]] * 6  # gone for less than two seconds
    assert told(gathering, [nothing] * 14 + [seen] * 2) == [[]] * 15 + [["flame"]]


def test_one_doubtful_picture_is_not_told():
    assert told(Gathering(AT_ONE), [logits(), logits(flame=3.0), logits(), logits()]) == [[]] * 4


def test_picture_that_is_shown_again_and_again_is_told_once(net):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (60, 80, 3), np.uint8) for _ in range(3)]
    stream = SightStream(net, dict.fromkeys(KINDS, 99.0))
    shown = [0, 1, 1, 1, 1, 2, 2, 2]
    assert [stream.look(pictures[number]) for number in shown] == [
        [], [], [], [SightKind.FROZEN], [], [], [], [SightKind.FROZEN]
    ]  # fmt: skip


def test_network_says_the_same_after_it_was_written_and_read(net, tmp_path):
    net.save(tmp_path, AT_ONE)
    sights = Sights(tmp_path)
    pictures = torch.rand(2, 3, 240, 320), torch.rand(2, 3, 120, 160), torch.rand(2, 3, 120, 160)
    for one, other in zip(net(*pictures), sights.net(*pictures), strict=True):
        assert torch.equal(one, other)
    maps, kinds = net(*pictures)
    assert maps.shape == (2, 14, 120, 160)
    assert kinds.shape == (2, len(KINDS))
    assert sights.thresholds == {str(kind): 1.0 for kind in KINDS}


@pytest.mark.parametrize("damage", ["missing", "no safetensors", "another kind", "no number"])
def test_reason_is_told_when_the_weights_do_not_fit(net, tmp_path, damage):
    if damage == "no safetensors":
        (tmp_path / "model.safetensors").write_bytes(b"nothing")
    elif damage == "another kind":
        net.save(tmp_path, {"flame": 1.0})
    elif damage == "no number":
        other = SightNet()
        with torch.no_grad():
            other.last.bias[0] = float("nan")
        other.save(tmp_path, AT_ONE)
    with pytest.raises(ModelError, match=str(tmp_path)):
        Sights(tmp_path)


@pytest.fixture
def stream(net, repository, tmp_path):
    """A session of a model whose network is sure of a flame."""
    sure = copy.deepcopy(net)
    with torch.no_grad():
        sure.last.weight.zero_()
        sure.direct.weight.zero_()
        sure.last.bias.fill_(-6.0)
        sure.last.bias[FLAME] = 6.0
    sure.save(tmp_path, AT_ONE)
    config = NativeConfig(checkpoint=str(repository / "models" / "tiny"), sights=str(tmp_path))
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
