"""Whatever the chunking, the order and the jitter within the bounds: the same windows, every sample accounted for."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tml_ros.records import AudioChunk, StampedImage
from tml_ros.windowing import ClosedWindow, MicroTurnAssembler, WindowConfig

T0 = 1_700_000_000_000_000_000
LATENESS_MS = 60
RATES = st.sampled_from([8_000, 16_000, 22_050, 44_100, 48_000])
DETERMINISTIC = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def cut_points(draw, length: int) -> list[int]:
    cuts = draw(st.lists(st.integers(1, length - 1), min_size=3, max_size=60, unique=True))
    return [0, *sorted(cuts), length]


def noise(rate: int, seconds: float = 1.3) -> np.ndarray:
    return np.random.default_rng(rate).uniform(-0.9, 0.9, int(rate * seconds)).astype(np.float32)


def cut(samples: np.ndarray, cuts: list[int], rate: int, stamps_jitter: list[int] | None = None) -> list[AudioChunk]:
    made = []
    for number, (a, b) in enumerate(itertools.pairwise(cuts)):
        jitter = stamps_jitter[number % len(stamps_jitter)] if stamps_jitter and number else 0
        stamp = T0 + a * 1_000_000_000 // rate + jitter
        made.append(AudioChunk(stamp, "mic", a, rate, 1, "F32LE", samples[a:b].tobytes()))
    return made


def end_ns(item: AudioChunk | StampedImage) -> int:
    if isinstance(item, StampedImage):
        return item.stamp_ns
    return item.stamp_ns + len(item.data) // 4 * 1_000_000_000 // item.rate_hz


def shuffle_within_lateness(items: list, delays_ms: list[int]) -> list:
    """Deliver every item up to the lateness bound after the moment at which it was complete."""

    def arrival(pair: tuple[int, object]) -> int:
        return end_ns(pair[1]) + delays_ms[pair[0] % len(delays_ms)] * 1_000_000

    return [item for _, item in sorted(enumerate(items), key=arrival)]


def assemble(items: list) -> tuple[list[ClosedWindow], MicroTurnAssembler]:
    assembler = MicroTurnAssembler(WindowConfig(lateness_ms=LATENESS_MS, max_frames=3))
    closed = []
    for item in items:
        closed += assembler.add_audio(item) if isinstance(item, AudioChunk) else assembler.add_image(item)
    return closed + assembler.flush(), assembler


def content(closed: list[ClosedWindow]) -> list[tuple]:
    return [
        (
            w.turn.index,
            w.turn.start_ns,
            w.turn.audio.tobytes(),
            w.turn.audio_valid,
            w.report.missing_samples,
            tuple(i.stamp_ns for i in w.images),
        )
        for w in closed
    ]


def pictures() -> list[StampedImage]:
    return [StampedImage(T0 + i * 33_333_333, "mono8", b"\0" * 4, 2, 2, 2) for i in range(38)]


@DETERMINISTIC
@given(data=st.data(), rate=RATES)
def test_windows_are_the_same_when_the_chunking_differs(data, rate):
    samples = noise(rate)
    cuts = data.draw(cut_points(len(samples)))
    whole = [*range(0, len(samples), rate // 50), len(samples)]
    closed, assembler = assemble(cut(samples, cuts, rate))
    assert content(closed) == content(assemble(cut(samples, whole, rate))[0])
    assert assembler.counters["placed_samples"] == len(samples)


@DETERMINISTIC
@given(delays=st.lists(st.integers(0, LATENESS_MS), min_size=5, max_size=40), rate=RATES, size_ms=st.integers(5, 50))
def test_windows_are_the_same_when_arrival_is_shuffled_within_lateness(delays, rate, size_ms):
    samples = noise(rate)
    cuts = [*range(0, len(samples), rate * size_ms // 1000), len(samples)]
    items = sorted(cut(samples, cuts, rate) + pictures(), key=end_ns)
    expected, _ = assemble(items)
    closed, assembler = assemble(shuffle_within_lateness(items, delays))
    assert content(closed) == content(expected)
    assert not any(name.startswith("late") for name in assembler.counters)


@DETERMINISTIC
@given(jitter=st.lists(st.integers(-15_000_000, 15_000_000), min_size=5, max_size=40), rate=RATES)
def test_sound_is_the_same_when_stamps_jitter_below_the_drift_bound(jitter, rate):
    samples = noise(rate)
    cuts = [*range(0, len(samples), rate // 50), len(samples)]
    expected, _ = assemble(cut(samples, cuts, rate))
    closed, assembler = assemble(cut(samples, cuts, rate, jitter))
    assert content(closed) == content(expected)
    assert "resyncs" not in assembler.counters


@DETERMINISTIC
@given(
    data=st.data(),
    rate=RATES,
    lost=st.sets(st.integers(0, 60), max_size=15),
    repeated=st.sets(st.integers(0, 60), max_size=15),
    held=st.dictionaries(st.integers(0, 60), st.integers(0, 900), max_size=10),
)
def test_every_sample_is_accounted_for_when_chunks_are_lost_repeated_or_late(data, rate, lost, repeated, held):
    samples = noise(rate)
    pieces = cut(samples, data.draw(cut_points(len(samples))), rate)
    items = []
    for number, piece in enumerate(pieces):
        if number not in lost:
            items.append((end_ns(piece) + held.get(number, 0) * 1_000_000, piece))
            if number in repeated:
                items.append((end_ns(piece) + 1, piece))
    delivered = [piece for _, piece in sorted(items, key=lambda pair: pair[0])]
    if not delivered:
        return
    closed, assembler = assemble(delivered)
    c = assembler.counters
    received = sum(len(piece.data) // 4 for piece in delivered)
    parts = ("placed_samples", "duplicate_samples", "overlap_samples", "late_samples")
    assert c["received_samples"] == received == sum(c.get(name, 0) for name in parts)
    assert [w.turn.index for w in closed] == list(range(len(closed)))
