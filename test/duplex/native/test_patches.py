"""Pictures as tokens: fitting, and a stem whose patches never mix."""

import cv2
import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tml_ros.duplex.native.patches import PATCH_PIXELS, PatchStem, fit
from tml_ros.duplex.native.shape import NativeShape
from tml_ros.errors import ImageFormatError
from tml_ros.resources import find

SHAPE = NativeShape.from_mapping(yaml.safe_load(find("models/tiny/config.yaml").read_text())["shape"])
ROWS, COLUMNS = SHAPE.patch_rows, SHAPE.patch_columns


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def grid(*lead: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (*lead, ROWS * 40, COLUMNS * 40, 3), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def stem() -> PatchStem:
    torch.manual_seed(0)
    return PatchStem(SHAPE)


@given(st.integers(1, 700), st.integers(1, 700))
@settings(max_examples=30, deadline=None)
def test_picture_fits_the_grid_when_it_has_any_size(height, width) -> None:
    found = fit(picture(height, width), ROWS, COLUMNS)

    assert found.shape == (ROWS * 40, COLUMNS * 40, 3) and found.dtype == np.uint8 and found.flags.c_contiguous


def test_pixels_are_averaged_when_a_picture_shrinks() -> None:
    large = picture(ROWS * 80, COLUMNS * 80)
    means = large.reshape(ROWS * 40, 2, COLUMNS * 40, 2, 3).mean((1, 3))

    assert np.abs(fit(large, ROWS, COLUMNS) - means).max() <= 0.5


def test_picture_stays_when_it_fits() -> None:
    exact = picture(ROWS * 40, COLUMNS * 40)
    assert np.array_equal(fit(exact, ROWS, COLUMNS), exact)


def test_flat_colour_stays_when_one_side_grows_and_the_other_shrinks() -> None:
    flat = np.full((13, 900, 3), (10, 200, 77), np.uint8)
    assert (fit(flat, ROWS, COLUMNS) == (10, 200, 77)).all()


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_error_names_the_shape_when_a_picture_is_none(wrong) -> None:
    with pytest.raises(ImageFormatError, match=r"must be \[H, W, 3\] uint8, got \["):
        fit(wrong, ROWS, COLUMNS)


def test_stem_is_the_three_convolutions_when_compared_with_conv2d(stem) -> None:
    frames = grid(2)
    image = frames.permute(0, 3, 1, 2).float() / 127.5 - 1.0

    def conv(x: torch.Tensor, layer: torch.nn.Linear, side: int) -> torch.Tensor:
        weight = layer.weight.reshape(-1, side, side, x.shape[1]).permute(0, 3, 1, 2)
        return torch.nn.functional.conv2d(x, weight, layer.bias, stride=side)

    def activate(x: torch.Tensor, norm: torch.nn.Module) -> torch.Tensor:
        return torch.nn.functional.gelu(norm(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)

    hidden = activate(conv(image, stem.fine, 4), stem.fine_norm)
    hidden = activate(conv(hidden, stem.coarse, 2), stem.coarse_norm)
    expected = conv(hidden, stem.whole, 5).permute(0, 2, 3, 1) + stem.row[:, None] + stem.column
    torch.testing.assert_close(stem(frames), expected.flatten(1, 2), rtol=1e-4, atol=1e-5)


@given(st.integers(0, ROWS * 40 - 1), st.integers(0, COLUMNS * 40 - 1), st.integers(0, 2))
@settings(max_examples=25, deadline=None)
def test_only_its_own_patch_changes_when_a_pixel_does(row, column, channel) -> None:
    torch.manual_seed(0)
    stem, frame = PatchStem(SHAPE), grid(1)
    changed = frame.clone()
    changed[0, row, column, channel] = 255 - changed[0, row, column, channel]
    same = (stem(frame) == stem(changed)).all(-1)[0]
    patch = row // PATCH_PIXELS * COLUMNS + column // PATCH_PIXELS

    assert not same[patch] and same.sum() == ROWS * COLUMNS - 1


def test_place_is_told_when_all_patches_look_alike(stem) -> None:
    tokens = stem(torch.full((1, ROWS * 40, COLUMNS * 40, 3), 90, dtype=torch.uint8))[0]
    assert len({tuple(token.tolist()) for token in tokens}) == SHAPE.sight_tokens


def test_leading_sizes_are_kept_when_there_are_several(stem) -> None:
    frames = grid(2, 3)
    torch.testing.assert_close(stem(frames), stem(frames.flatten(0, 1)).unflatten(0, (2, 3)))
    assert stem(frames[0, 0]).shape == (SHAPE.sight_tokens, SHAPE.width)


def test_row_is_the_same_when_its_neighbour_changes(stem) -> None:
    frames = grid(2)
    assert torch.equal(stem(frames)[1], stem(torch.stack((grid(1, seed=5)[0], frames[1])))[1])


def test_every_parameter_gets_a_gradient_when_trained() -> None:
    torch.manual_seed(0)
    stem = PatchStem(SHAPE)
    stem(grid(2)).square().mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in stem.parameters())


def test_dtype_follows_the_parameters_when_they_are_bfloat16() -> None:
    assert PatchStem(SHAPE).to(torch.bfloat16)(grid(1)).dtype == torch.bfloat16


def test_tokens_differ_when_a_real_video_moves(shared_data, stem) -> None:
    video = cv2.VideoCapture(str(shared_data / "video" / "bottle-detection.mp4"))
    frames = []
    for index in (0, 200):
        video.set(cv2.CAP_PROP_POS_FRAMES, index)
        done, bgr = video.read()
        assert done
        frames.append(torch.from_numpy(fit(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), ROWS, COLUMNS)))
    first, second = stem(torch.stack(frames))

    assert first.isfinite().all() and not torch.equal(first, second)
