"""Images: every encoding becomes the colours that were encoded, and what cannot be decoded is refused."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tml_ros.errors import ImageFormatError, MissingDependencyError
from tml_ros.media import to_rgb, validate
from tml_ros.media.images import ENCODINGS
from tml_ros.records import StampedImage

HEIGHT, WIDTH = 12, 16
FLAT = (200, 100, 40)  # the colour of pictures whose encoding cannot carry sharp colour
BAYER_SITES = {"rggb": "RGGB", "bggr": "BGGR", "gbrg": "GBRG", "grbg": "GRBG"}


def image(
    encoding: str, pixels: NDArray[np.generic], padding: int = 0, big: bool = False, height: int = 0
) -> StampedImage:
    """Build a message from [rows, W] or [rows, W, C] pixels; padding bytes are set to a tell-tale value."""
    rows = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")).reshape(len(pixels), -1)
    lines = rows.view(np.uint8).reshape(len(pixels), -1)
    padded = np.pad(lines, ((0, 0), (0, padding)), constant_values=0xEE)
    return StampedImage(0, encoding, padded.tobytes(), pixels.shape[1], height or len(pixels), padded.shape[1], big)


@pytest.fixture(scope="module")
def rgb() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def flat() -> NDArray[np.uint8]:
    return np.full((HEIGHT, WIDTH, 3), FLAT, np.uint8)


def with_alpha(rgb: NDArray[np.generic]) -> NDArray[np.generic]:
    return np.dstack([rgb, np.full_like(rgb[..., :1], 7)])


def mosaic(name: str, scale: int, dtype: str) -> NDArray[np.generic]:
    """The flat colour seen through a colour filter whose first two rows are the four letters."""
    tile = np.array([FLAT["RGB".index(site)] * scale for site in BAYER_SITES[name]], dtype).reshape(2, 2)
    return np.tile(tile, (HEIGHT // 2, WIDTH // 2))


COLOURS = {
    "rgb8": lambda rgb: rgb,
    "bgr8": lambda rgb: rgb[..., ::-1],
    "8UC3": lambda rgb: rgb[..., ::-1],
    "rgba8": with_alpha,
    "bgra8": lambda rgb: with_alpha(rgb[..., ::-1]),
    "8UC4": lambda rgb: with_alpha(rgb[..., ::-1]),
    "rgb16": lambda rgb: rgb.astype(np.uint16) * 257,
    "bgr16": lambda rgb: rgb[..., ::-1].astype(np.uint16) * 257,
    "rgba16": lambda rgb: with_alpha(rgb.astype(np.uint16) * 257),
    "bgra16": lambda rgb: with_alpha(rgb[..., ::-1].astype(np.uint16) * 257),
}


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("padding", [0, 1, 4, 33])
@pytest.mark.parametrize("encoding", COLOURS)
def test_to_rgb_gives_exact_colours_when_encoding_is_colour(
    rgb: NDArray[np.uint8], encoding: str, padding: int, big: bool
) -> None:
    result = to_rgb(image(encoding, COLOURS[encoding](rgb), padding, big))
    np.testing.assert_array_equal(result, rgb)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize(
    ("encoding", "factor", "dtype"), [("mono8", 1, "u1"), ("8UC1", 1, "u1"), ("mono16", 257, "u2")]
)
def test_to_rgb_repeats_grey_when_encoding_is_mono(
    rgb: NDArray[np.uint8], encoding: str, factor: int, dtype: str, padding: int, big: bool
) -> None:
    grey = rgb[..., 0]
    result = to_rgb(image(encoding, grey.astype(dtype) * factor, padding, big))
    np.testing.assert_array_equal(result, np.dstack([grey] * 3))


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_to_rgb_scales_depth_to_ten_metres_when_16uc1(padding: int, big: bool) -> None:
    depth = np.tile(np.array([0, 2_000, 5_000, 10_000, 65_535], np.uint16), (4, 1))
    result = to_rgb(image("16UC1", depth, padding, big))
    assert result[0, :, 0].tolist() == [0, 51, 128, 255, 255]


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("padding", [0, 1, 4])
def test_to_rgb_scales_depth_and_handles_special_values_when_32fc1(padding: int, big: bool) -> None:
    line = [0.0, 2.0, 10.0, 99.0, -1.0, np.nan, np.inf, -np.inf]
    result = to_rgb(image("32FC1", np.tile(np.array(line, np.float32), (3, 1)), padding, big))
    assert result[2, :, 1].tolist() == [0, 51, 255, 255, 0, 0, 255, 0]


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "order"), [("yuv422", "UYVY"), ("uyvy", "UYVY"), ("yuv422_yuy2", "YUYV"), ("yuyv", "YUYV")]
)
def test_to_rgb_gives_colour_when_yuv422(encoding: str, order: str, padding: int) -> None:
    y, u, v = video_yuv()
    pair = {"UYVY": [u, y, v, y], "YUYV": [y, u, y, v]}[order]
    pixels = np.tile(np.array(pair, np.uint8).reshape(1, 2, 2), (HEIGHT, WIDTH // 2, 1))
    np.testing.assert_allclose(to_rgb(image(encoding, pixels, padding)), flat(), atol=3)


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(("encoding", "order"), [("nv12", "uv"), ("nv21", "vu")])
def test_to_rgb_gives_colour_when_two_planes(encoding: str, order: str, padding: int) -> None:
    y, u, v = video_yuv()
    chroma = np.tile(np.array({"uv": [u, v], "vu": [v, u]}[order], np.uint8), (HEIGHT // 2, WIDTH // 2))
    pixels = np.vstack([np.full((HEIGHT, WIDTH), y, np.uint8), chroma])
    np.testing.assert_allclose(to_rgb(image(encoding, pixels, padding, height=HEIGHT)), flat(), atol=3)


def video_yuv() -> tuple[int, int, int]:
    """The flat colour as BT.601 video range, computed from the standard's coefficients."""
    r, g, b = FLAT
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    return (
        round(16 + luma * 219 / 255),
        round(128 + (b - luma) / 1.772 * 224 / 255),
        round(128 + (r - luma) / 1.402 * 224 / 255),
    )


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize(("bits", "dtype", "factor"), [("8", "u1", 1), ("16", "u2", 257)])
@pytest.mark.parametrize("name", BAYER_SITES)
def test_to_rgb_gives_colour_when_bayer(name: str, bits: str, dtype: str, factor: int, padding: int) -> None:
    result = to_rgb(image(f"bayer_{name}{bits}", mosaic(name, factor, dtype), padding))
    np.testing.assert_array_equal(result, flat())


def stream(extension: str, pixels: NDArray[np.generic], trailing: bytes = b"") -> StampedImage:
    ok, data = cv2.imencode(extension, pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert ok
    return StampedImage(0, "compressed", data.tobytes() + trailing)


@pytest.mark.parametrize("trailing", [b"", bytes(3000)])
def test_to_rgb_decodes_when_stream_is_jpeg(trailing: bytes) -> None:
    np.testing.assert_allclose(to_rgb(stream(".jpg", flat()[..., ::-1], trailing)), flat(), atol=3)
    np.testing.assert_allclose(to_rgb(stream(".jpg", flat()[..., 0], trailing)), 200, atol=3)


def test_to_rgb_decodes_exactly_when_stream_is_png(rgb: NDArray[np.uint8]) -> None:
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    wide = bgr.astype(np.uint16) * 257
    for pixels in (bgr, wide, with_alpha(bgr)):
        np.testing.assert_array_equal(to_rgb(stream(".png", pixels)), rgb)
    for grey in (rgb[..., 0], rgb[..., 0].astype(np.uint16) * 257):
        np.testing.assert_array_equal(to_rgb(stream(".png", grey)), np.dstack([rgb[..., 0]] * 3))


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "mono8"])
def test_to_rgb_owns_its_memory_when_bytes_are_shared(encoding: str) -> None:
    pixels = np.zeros((4, 4) if encoding == "mono8" else (4, 4, 3), np.uint8)
    shared = StampedImage(0, encoding, memoryview(pixels).cast("B"), 4, 4, pixels.strides[0])
    result = to_rgb(shared)
    assert result.flags.writeable and result.flags.c_contiguous and not np.shares_memory(result, pixels)


def test_to_rgb_accepts_when_last_row_lacks_padding(rgb: NDArray[np.uint8]) -> None:
    padded = image("rgb8", rgb, 5)
    short = StampedImage(0, "rgb8", padded.data[:-5], WIDTH, HEIGHT, padded.step)
    np.testing.assert_array_equal(to_rgb(short), rgb)


def raw(encoding: str = "rgb8", width: int = 4, height: int = 4, step: int = 12, size: int = 48) -> StampedImage:
    return StampedImage(0, encoding, bytes(size), width, height, step)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (raw("rgb9"), ("'rgb9'", "did you mean 'rgb8'")),
        (raw("yuyv420"), ("'yuyv420'",)),
        (raw(width=0), ("0x4",)),
        (raw(height=0, size=0), ("4x0",)),
        (raw(width=4_000_000_000, step=4_000_000_000 * 3), ("4000000000x4", "16384")),
        (raw(step=11), ("step 11", "at least 12")),
        (raw(step=0), ("step 0",)),
        (raw(size=47), ("47 bytes", "48")),
        (raw(size=49), ("49 bytes", "48")),
        (raw(size=0), ("0 bytes",)),
        (raw("yuyv", 5, 4, 10, 40), ("5x4", "even")),
        (raw("nv12", 4, 3, 4, 16), ("4x3", "even")),
        (raw("bayer_rggb8", 2, 2, 2, 4), ("2x2", "3 to 16384")),
    ],
)
def test_validate_names_value_and_expectation_when_raw_image_is_malformed(
    bad: StampedImage, words: tuple[str, ...]
) -> None:
    for check in (validate, to_rgb):
        with pytest.raises(ImageFormatError) as caught:
            check(bad)
        assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("extension", [".jpg", ".png"])
@pytest.mark.parametrize("keep", [0.05, 0.5, 0.9, 0.999])
def test_validate_refuses_when_stream_is_cut_off(rgb: NDArray[np.uint8], extension: str, keep: float) -> None:
    whole = bytes(stream(extension, cv2.resize(rgb, (320, 240))).data)
    with pytest.raises(ImageFormatError, match=r"cut off|begins with"):
        validate(StampedImage(0, "compressed", whole[: int(len(whole) * keep)]))


@pytest.mark.parametrize("data", [b"", b"\xff", b"GIF89a", bytes(100), b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xe0"])
def test_validate_refuses_when_stream_is_neither_jpeg_nor_png(data: bytes) -> None:
    with pytest.raises(ImageFormatError):
        validate(StampedImage(0, "compressed", data))


def test_validate_refuses_when_header_promises_absurd_size(rgb: NDArray[np.uint8]) -> None:
    png = bytearray(stream(".png", rgb).data)
    png[16:24] = (1 << 30).to_bytes(4, "big") + (0).to_bytes(4, "big")
    with pytest.raises(ImageFormatError, match="1073741824x0"):
        validate(StampedImage(0, "compressed", bytes(png)))


def test_to_rgb_refuses_when_png_is_damaged_inside(rgb: NDArray[np.uint8]) -> None:
    png = bytearray(stream(".png", rgb).data)
    png[len(png) // 2] ^= 0xFF
    with pytest.raises(ImageFormatError, match="cannot be decoded"):
        to_rgb(StampedImage(0, "compressed", bytes(png)))


@given(
    st.sampled_from(ENCODINGS),
    st.integers(0, 6),
    st.integers(0, 6),
    st.integers(0, 30),
    st.binary(max_size=200),
    st.booleans(),
)
def test_to_rgb_decodes_or_refuses_when_message_is_arbitrary(
    encoding: str, width: int, height: int, step: int, data: bytes, big: bool
) -> None:
    try:
        result = to_rgb(StampedImage(0, encoding, data, width, height, step, big))
    except ImageFormatError:
        return
    assert result.shape == (height, width, 3) and result.dtype == np.uint8


def test_to_rgb_agrees_with_rosbags_image_when_unpadded(rgb: NDArray[np.uint8]) -> None:
    pytest.importorskip("rosbags.image", reason="rosbags-image gives a second opinion; it is not installed")
    from rosbags.image import message_to_cvimage
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS2_KILTED).types
    header = types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](0, 0), "")
    noise = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    pictures = {name: make(rgb) for name, make in COLOURS.items() if name.endswith("8")}
    pictures |= {f"bayer_{name}8": noise for name in BAYER_SITES} | {"mono8": noise}
    pictures |= {name: rgb[..., :2] for name in ("yuv422", "yuv422_yuy2")}
    for encoding, pixels in pictures.items():
        ours = image(encoding, pixels)
        data = np.frombuffer(ours.data, np.uint8)
        theirs = types["sensor_msgs/msg/Image"](header, HEIGHT, WIDTH, encoding, 0, ours.step, data)
        np.testing.assert_array_equal(to_rgb(ours), message_to_cvimage(theirs, "rgb8"), encoding)


def test_cv_bridge_backend_agrees_when_it_is_installed(rgb: NDArray[np.uint8]) -> None:
    pytest.importorskip("cv_bridge", reason="no cv_bridge: it comes with a ROS 2 installation only")
    noise = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    pictures = {name: make(rgb) for name, make in COLOURS.items() if "UC" not in name}
    pictures |= {f"bayer_{name}8": noise for name in BAYER_SITES} | {"mono8": noise}
    pictures |= {name: rgb[..., :2] for name in ("yuv422", "yuv422_yuy2")}
    for encoding, pixels in pictures.items():
        message = image(encoding, pixels)
        np.testing.assert_array_equal(to_rgb(message), to_rgb(message, "cv_bridge"), encoding)


def test_cv_bridge_backend_names_remedy_when_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    monkeypatch.setitem(sys.modules, "cv_bridge.boost.cv_bridge_boost", None)
    with pytest.raises(MissingDependencyError, match=r"ros-\$ROS_DISTRO-cv-bridge"):
        to_rgb(raw(), "cv_bridge")


def test_cv_bridge_backend_refuses_when_it_is_pure_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "cv_bridge"]:
        monkeypatch.delitem(sys.modules, name)
    boost = tmp_path / "cv_bridge" / "boost"
    boost.mkdir(parents=True)
    for file in (tmp_path / "cv_bridge" / "__init__.py", boost / "__init__.py", boost / "cv_bridge_boost.py"):
        file.touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependencyError, match="pip uninstall cv-bridge"):
        to_rgb(raw(), "cv_bridge")
    for name in [name for name in sys.modules if name.split(".")[0] == "cv_bridge"]:
        del sys.modules[name]
