"""A network that looks at pictures, and from nearer at a face."""

import pytest
import torch

from tml_ros.duplex.native import seeing
from tml_ros.duplex.native.noticing import Sights
from tml_ros.duplex.native.seeing import FINE, KINDS, SightNet, nearer
from tml_ros.errors import ModelError

AT_ONE = dict.fromkeys(KINDS, 1.0)


def test_network_says_the_same_after_it_was_written_and_read(net, tmp_path):
    net.save(tmp_path, AT_ONE)
    sights = Sights(tmp_path)
    pictures = torch.rand(2, 3, 240, 320), torch.rand(2, 3, 120, 160), torch.rand(2, 3, 120, 160)
    looked = net(*pictures)
    for one, other in zip(looked, sights.net(*pictures), strict=True):
        assert torch.equal(one, other)
    assert looked.maps.shape == (2, 14, 120, 160)
    assert looked.face.shape == (2,)
    assert looked.kinds.shape == (2, len(KINDS))
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


@pytest.mark.parametrize("size", [FINE, (FINE[0] // 2, FINE[1] // 2)])
def test_what_lies_in_a_box_is_cut_out_from_edge_to_edge_whatever_the_size_of_the_picture(size):
    rows, columns = ((torch.arange(count) + 0.5) * FINE[0] / size[0] for count in size)
    where = torch.stack([rows[:, None].expand(size), columns.expand(size)])[None]  # each place says where it is
    cut = nearer(where, torch.tensor([[216.0, 116.0, 40.0]]))
    assert torch.allclose(cut[0, 0, :, 0], torch.linspace(96.0, 136.0, 32), atol=1e-3)
    assert torch.allclose(cut[0, 1, 0], torch.linspace(196.0, 236.0, 32), atol=1e-3)


def test_it_looks_from_nearer_at_where_most_of_a_face_is():
    shares = torch.zeros(2, 60, 80)
    shares[0, 10:16, 50:56], shares[0, 40:42, 10:12] = 1.0, 1.0
    shares[1, 30:40, 20:28] = 1.0
    box, mass = seeing._largest(shares)
    assert torch.allclose(box[:, :2], torch.tensor([[212.0, 52.0], [96.0, 140.0]]))
    assert torch.allclose(box[:, 2], 1.5 * torch.tensor([24.0**2, 40.0 * 32.0]).sqrt())
    assert torch.allclose(mass[:, 0], torch.tensor([36.0, 80.0]) / 4800)
