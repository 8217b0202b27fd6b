"""Sound messages of other packages as chunks, from objects with their attributes: no ROS is needed to read them."""

import array
from types import SimpleNamespace

import numpy as np
import pytest

from tml_ros.errors import AudioFormatError
from tml_ros.media import decode
from tml_ros.media.foreign_audio import AudioInputConfig, ForeignAudio, is_audio_type, kind_of
from tml_ros.media.sample_formats import SAMPLE_FORMATS, to_known
from tml_ros.session.ingest import Ingest
from tml_ros.windowing import MicroTurnAssembler, WindowConfig

S = 1_000_000_000
RAMP = np.array([-1.0, -0.5, -0.25, 0.0, 0.25, 0.5])
INTEGERS = {"S8": "i1", "U8": "u1", "S16LE": "<i2", "S16BE": ">i2", "U16LE": "<u2", "U16BE": ">u2"}
INTEGERS |= {"S32LE": "<i4", "S32BE": ">i4"}
FLOATS = {"F32LE": "<f4", "F32BE": ">f4", "F64LE": "<f8", "F64BE": ">f8"}


def header(stamp_ns):
    stamp = SimpleNamespace(sec=stamp_ns // S, nanosec=stamp_ns % S)
    return SimpleNamespace(stamp=stamp, frame_id="mic")


def as_bytes(data, stamp_ns=S):
    """AudioDataStamped of ros-drivers."""
    return SimpleNamespace(header=header(stamp_ns), audio=SimpleNamespace(data=array.array("B", bytes(data))))


def as_info(**fields):
    usual = {"channels": 1, "sample_rate": 16_000, "sample_format": "S16LE", "bitrate": 128, "coding_format": "wave"}
    return SimpleNamespace(**(usual | fields))


def as_typed(stamp_ns=S, code=8, channels=1, rate=16_000, **arrays):
    """AudioStamped of mgonzs13."""
    codes = {"float32_data": "f", "int32_data": "i", "int16_data": "h", "int8_data": "b", "uint8_data": "B"}
    data = SimpleNamespace(**{name: array.array(kind, arrays.get(name, [])) for name, kind in codes.items()})
    info = SimpleNamespace(format=code, channels=channels, rate=rate, chunk=320)
    return SimpleNamespace(header=header(stamp_ns), audio=SimpleNamespace(audio_data=data, info=info))


def as_array(values, kind="h"):
    return SimpleNamespace(layout=SimpleNamespace(dim=[], data_offset=0), data=array.array(kind, values))


def packed(name):
    """RAMP in a sample format, made without the code under test."""
    if name in FLOATS:
        return RAMP.astype(FLOATS[name]).tobytes()
    if name in INTEGERS:
        kind = np.dtype(INTEGERS[name])
        full = 2 ** (8 * kind.itemsize - 1)
        return (RAMP * full + (full if kind.kind == "u" else 0)).astype(kind).tobytes()
    order = "little" if name.endswith("LE") else "big"
    whole = [round(value * 2**23) for value in RAMP]
    if name.startswith("S24_32"):  # the upper byte may hold anything
        return b"".join(((value & 0xFFFFFF) | 0x5A000000).to_bytes(4, order) for value in whole)
    return b"".join(value.to_bytes(3, order, signed=True) for value in whole)


def read(message, received_ns=2 * S, info=None, **config):
    audio = ForeignAudio(AudioInputConfig(**config))
    if info is not None:
        audio.set_info(info)
    return audio.read(message, received_ns)


@pytest.mark.parametrize("name", SAMPLE_FORMATS)
def test_samples_are_what_was_sent_when_audio_info_names_a_format(name):
    chunk = read(as_bytes(packed(name)), info=as_info(sample_format=name, channels=2, sample_rate=48_000))
    samples, nonfinite = decode(chunk)
    assert np.abs(samples - RAMP.reshape(3, 2)).max() < 1e-6
    assert (chunk.rate_hz, chunk.channels, chunk.stamp_ns, chunk.frame_id, nonfinite) == (48_000, 2, S, "mic", 0)


@pytest.mark.parametrize(
    ("code", "field", "scale"),
    [(1, "float32_data", 1), (2, "int32_data", 2**31), (8, "int16_data", 2**15), (16, "int8_data", 2**7)],
)
def test_samples_are_what_was_sent_when_the_message_has_typed_arrays(code, field, scale):
    values = [value * scale if code == 1 else int(value * scale) for value in RAMP]
    samples, _ = decode(read(as_typed(code=code, channels=2, **{field: values})))
    assert np.abs(samples - RAMP.reshape(3, 2)).max() < 1e-6


def test_samples_are_what_was_sent_when_the_typed_array_is_unsigned():
    samples, _ = decode(read(as_typed(code=32, uint8_data=[0, 64, 128, 192])))
    assert samples[:, 0].tolist() == [-1.0, -0.5, 0.0, 0.5]


def test_array_is_read_by_the_parameters_when_it_names_nothing():
    chunk = read(as_array([0, 16_384, -32_768, 0]), received_ns=2 * S, rate_hz=8_000, channels=2)
    assert decode(chunk)[0].tolist() == [[0.0, 0.5], [-1.0, 0.0]]
    assert (chunk.rate_hz, chunk.stamp_ns) == (8_000, 2 * S - 2 * S // 8_000)


def test_stamp_is_the_arrival_less_the_duration_when_it_is_zero():
    assert read(as_typed(stamp_ns=0, int16_data=[0] * 1600), received_ns=5 * S).stamp_ns == 5 * S - S // 10


@pytest.mark.parametrize(
    ("message", "info", "words"),
    [
        (as_bytes([0, 0]), as_info(coding_format="mp3"), "format:=wave"),
        (as_bytes([0, 0]), as_info(sample_format="S16L"), "'S16LE'.*sample_format"),
        (as_bytes([0, 0, 0]), as_info(sample_format="S32LE"), "ragged"),
        (as_typed(code=4, int32_data=[1]), None, r"format 4 .*8 \(S16LE\)"),
        (as_typed(code=8, float32_data=[0.5]), None, "int16_data is empty"),
        (as_array([0.5], "f"), None, "Int16MultiArray"),
        (SimpleNamespace(data="hello"), None, "AudioDataStamped"),
    ],
)
def test_message_is_refused_with_the_remedy_when_it_cannot_be_read(message, info, words):
    with pytest.raises(AudioFormatError, match=words):
        read(message, info=info)


@pytest.mark.parametrize(
    ("message", "info", "words"),
    [
        (as_bytes([0, 0]), as_info(sample_rate=0), "rate 0 Hz"),
        (as_bytes([0, 0]), as_info(channels=0), "0 channels"),
        (as_bytes([0, 0, 0]), as_info(), "ragged"),
        (as_bytes([]), as_info(), "no data"),
        (as_typed(rate=-1, int16_data=[1]), None, "rate -1 Hz"),
        (as_typed(channels=2, int16_data=[1, 2, 3]), None, "ragged"),
        (as_array([]), None, "no data"),
    ],
)
def test_chunk_is_refused_by_its_decoder_when_rate_or_length_is_absurd(message, info, words):
    with pytest.raises(AudioFormatError, match=words):
        decode(read(message, info=info))


def test_info_is_refused_when_it_is_that_of_the_other_project():
    with pytest.raises(AudioFormatError, match="sample_format"):
        ForeignAudio(AudioInputConfig()).set_info(SimpleNamespace(format=8, channels=1, rate=16_000, chunk=512))


def test_unknown_format_is_named_when_nothing_reads_it():
    with pytest.raises(AudioFormatError, match="'DSD'"):
        to_known(b"", "DSD")


@pytest.mark.parametrize(
    ("type_name", "is_known"),
    [
        ("tml_interfaces/msg/AudioChunk", True),
        ("audio_common_msgs/msg/AudioDataStamped", True),
        ("nicla_vision_ros2/msg/AudioDataStamped", True),
        ("audio_common_msgs/msg/AudioStamped", True),
        ("std_msgs/msg/Int16MultiArray", True),
        ("other/msg/AudioChunk", False),
        ("audio_common_msgs/msg/AudioData", False),
        ("std_msgs/msg/Float32MultiArray", False),
    ],
)
def test_type_is_known_when_a_project_publishes_sound_so(type_name, is_known):
    assert is_audio_type(type_name) is is_known


def test_kind_is_none_when_the_fields_are_others():
    assert kind_of(SimpleNamespace(header=header(0), audio=SimpleNamespace(samples=[]))) is None


# ------------------------------------------------------------------------------------------------------ through Ingest


def ingest(**config):
    windows = []
    assembler = MicroTurnAssembler(WindowConfig())
    return Ingest(assembler, windows.append, AudioInputConfig(**config)), assembler, windows


def tone(number, frames=320):
    return np.round(8_000 * np.sin(np.arange(number * frames, (number + 1) * frames) * 0.1)).astype("<i2")


def test_every_sample_arrives_when_typed_messages_are_taken_in():
    sink, assembler, windows = ingest()
    for number in range(100):
        sink.take("audio/in", as_typed(S + number * S // 50, int16_data=tone(number).tolist()), 0)
    sink.flush()
    heard = np.concatenate([window.turn.audio for window in windows])
    expected = np.concatenate([tone(number) for number in range(100)]) / 32_768
    assert np.abs(heard[: len(expected)] - expected).max() < 1e-6
    assert assembler.counters["placed_samples"] == 32_000 and "gaps" not in assembler.counters


def test_what_is_missing_is_counted_once_when_messages_are_lost():
    sink, assembler, windows = ingest()
    for number in range(200):
        if number not in (50, 51, 120):
            sink.take("audio/in", as_bytes(tone(number).tobytes(), S + number * S // 50), 0)
    sink.flush()
    assert (assembler.counters["gaps"], assembler.counters["missing_samples"]) == (2, 3 * 320)
    assert len(windows) == 20


def test_sound_is_held_and_none_is_lost_when_audio_info_comes_later():
    sink, assembler, windows = ingest()
    sink.audio.awaits_info = True
    wide = [np.repeat(tone(number), 6) for number in range(50)]  # stereo at 48 kHz
    for number in range(50):
        stamp_ns = S + number * S // 50
        sink.take("audio/in", as_bytes(wide[number].tobytes(), stamp_ns), stamp_ns)
    assert not windows and "placed_samples" not in assembler.counters
    sink.take_audio_info(as_info(sample_rate=48_000, channels=2))
    sink.flush()
    assert (assembler.counters["placed_samples"], len(windows)) == (48_000, 5)


def test_parameters_decide_when_audio_info_does_not_come_in_time():
    sink, assembler, _ = ingest(rate_hz=8_000)
    sink.audio.awaits_info = True
    for number in range(160):
        stamp_ns = S + number * S // 25
        sink.take("audio/in", as_bytes(tone(number).tobytes(), stamp_ns), stamp_ns)
    sink.flush()
    assert assembler.counters["placed_samples"] == 160 * 320
    assert not sink.audio.awaits_info


def test_compressed_sound_is_counted_and_explained_once_when_the_driver_sends_mp3(caplog):
    sink, assembler, _ = ingest()
    sink.take_audio_info(as_info(coding_format="mp3"))
    for number in range(5):
        sink.take("audio/in", as_bytes(b"\xff\xfb\x90", S + number), 0)
    sink.take_audio_info(SimpleNamespace(format=8))
    assert assembler.counters["refused_audio_in"] == 6
    assert caplog.text.count("format:=wave") == 1
