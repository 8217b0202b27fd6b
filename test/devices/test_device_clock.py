"""Stamps from simulated devices: hours of drift, late callbacks, nonsense about device time, jumps."""

import numpy as np
import pytest

from tml_ros.devices.device_clock import DeviceClock

START_NS = 1_800_000_000_000_000_000
RATE_HZ = 48_000
LATENCY_S = 0.03


class Device:
    """A microphone with a crystal of its own, whose callbacks come up to 15 ms late and now and then far later."""

    def __init__(self, drift_ppm: float = 0.0, chunk: int = 960, tells: bool = True, seed: int = 1) -> None:
        self.period_ns = 1e9 / RATE_HZ * (1 + drift_ppm * 1e-6)
        self.chunk, self.tells = chunk, tells
        self.delay_ns, self.clock_ns, self.latency_s = 0.0, START_NS, LATENCY_S
        self.clock = DeviceClock(RATE_HZ, -LATENCY_S)
        self.jitter_ns = 15e6
        self._random = np.random.default_rng(seed)
        self._count = 0

    def run(self, seconds: float) -> np.ndarray:
        """Return the errors of the stamps in ms, one per callback."""
        count = round(seconds * RATE_HZ / self.chunk)
        late_ns = self._random.uniform(0.0, self.jitter_ns, count)
        late_ns[self._random.random(count) < 0.01] += 100e6
        return np.array([self._callback(late) for late in late_ns])

    def _callback(self, late_ns: float) -> float:
        sample = self._count * self.chunk
        self._count += 1
        true_ns = sample * self.period_ns + self.delay_ns
        called_ns = round(true_ns + self.latency_s * 1e9 + late_ns)
        current_s = 5.0 + called_ns / 1e9
        device_s = current_s - self.latency_s - late_ns / 1e9 if self.tells else 0.0
        stamp_ns = self.clock.update(sample, device_s, current_s, self.clock_ns + called_ns, called_ns)
        return (stamp_ns - self.clock_ns - true_ns) / 1e6


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize("drift_ppm", [300.0, -300.0])
def test_stamps_stay_within_5_ms_when_callbacks_are_late_and_the_crystal_is_off(drift_ppm, tells):
    device = Device(drift_ppm, tells=tells)
    errors = device.run(600.0)
    assert np.abs(errors[50:]).max() < 5.0
    assert np.abs(errors[6000:]).max() < 3.0
    assert device.clock.uses_device_time == tells


def test_error_does_not_grow_when_hours_pass():
    device = Device(-300.0, chunk=3840)
    hours = [device.run(3600.0) for _ in range(2)]
    assert max(np.abs(errors[1000:]).max() for errors in hours) < 4.0
    assert abs(hours[1].mean() - hours[0][22_500:].mean()) < 0.2
    assert device.clock.drift_ppm == pytest.approx(-300.0, abs=5.0)


def test_stamps_have_the_true_rate_when_settled():
    device = Device(500.0)
    device.run(240.0)
    errors = device.run(240.0)
    ppm = (errors[-50:].mean() - errors[:50].mean()) / 240e3 * 1e6
    assert abs(ppm) < 4.0


def test_jitter_does_not_reach_the_stamps_when_callbacks_are_late():
    device = Device(100.0)
    device.run(10.0)
    steps_ms = np.abs(np.diff(device.run(60.0)))
    assert steps_ms.max() < 1.0
    assert np.median(steps_ms) < 0.001


def test_rate_is_kept_when_the_machine_stalls_and_device_time_is_off_for_a_second():
    device = Device(50.0)
    device.run(20.0)
    before = device.clock.drift_ppm
    device.tells = False
    sample = device._count * device.chunk
    for number in range(50):  # after a stall PulseAudio says a buffer too much, and blocks come at once
        called_ns = round((sample + 50 * device.chunk) * device.period_ns + LATENCY_S * 1e9) + number
        at = sample + number * device.chunk
        device.clock.update(at, 5.0 + called_ns / 1e9 - 0.05, 5.0 + called_ns / 1e9, START_NS + called_ns, called_ns)
    device._count += 50
    device.tells = True
    assert np.abs(device.run(5.0)).max() < 5.0
    assert abs(device.clock.drift_ppm - before) < 150.0
    assert device.clock.jumps == 0


def test_rate_is_not_taken_from_the_first_callbacks_when_they_come_at_odd_times():
    device = Device(tells=False)
    device.jitter_ns = 1e5
    for delay_ms in (0.0, 2.4, 5.5, 8.0):
        device.delay_ns = delay_ms * 1e6
        device.run(1.0)
    device.delay_ns = 0.0
    device.run(20.0)
    assert np.abs(device.run(200.0)).max() < 0.5
    assert abs(device.clock.drift_ppm) < 2.0


def test_stamps_step_once_when_the_delay_changes_a_little_and_callbacks_come_in_time():
    device = Device(tells=False)
    device.jitter_ns = 1e5
    device.run(60.0)
    device.delay_ns = 5e6
    errors = device.run(60.0)
    assert np.abs(errors[300:]).max() < 0.5
    assert device.clock.jumps == 1
    assert abs(device.clock.drift_ppm) < 5.0


def test_stamps_follow_when_the_stream_is_moved_to_another_delay():
    device = Device()
    device.run(20.0)
    device.delay_ns = 150e6
    device.run(10.0)
    assert np.abs(device.run(10.0)).max() < 5.0
    assert device.clock.jumps == 1


@pytest.mark.parametrize("later_s", [0.015, -0.015])
def test_stamps_stay_when_callbacks_come_later_and_device_time_says_so(later_s):
    device = Device()
    before = device.run(60.0)[-50:]
    device.latency_s += later_s
    assert np.abs(device.run(60.0) - before.mean()).max() < 1.5
    assert device.clock.latency_s == pytest.approx(-LATENCY_S - later_s, abs=0.003)
    assert device.clock.jumps == 0


@pytest.mark.parametrize("later_s", [0.004, 0.0005])
def test_stamps_stay_when_callbacks_come_later_and_later_and_device_time_says_so(later_s):
    device = Device()
    device.jitter_ns = 1e6
    errors = []
    for _ in range(20):
        errors.append(device.run(1.0))
        device.latency_s += later_s
    assert np.abs(np.concatenate(errors[1:])).max() < 1.5
    assert device.clock.jumps == 0


def test_stamps_never_go_backwards_when_the_delay_becomes_shorter():
    device = Device()
    device.delay_ns = 150e6
    device.run(20.0)
    device.delay_ns = 0.0
    stamps = device.run(10.0) + np.arange(500) * 20.0
    assert np.diff(stamps).min() >= 0.0
    assert np.abs(device.run(5.0)).max() < 5.0


@pytest.mark.parametrize("step_ns", [3_000_000_000, -3_000_000_000])
def test_stamps_follow_at_once_when_somebody_sets_the_clock(step_ns):
    device = Device()
    device.run(20.0)
    device.clock_ns += step_ns
    assert np.abs(device.run(5.0)).max() < 5.0
    assert device.clock.jumps == 1


def test_lost_samples_are_found_when_an_overrun_is_reported():
    device = Device(tells=True)
    device.run(30.0)
    sample = device._count * device.chunk
    called_ns = round((sample + 4800) * device.period_ns + LATENCY_S * 1e9 + 7e6)
    current_s = 5.0 + called_ns / 1e9
    lost = device.clock.lost_samples(sample, current_s - LATENCY_S - 0.007, current_s, START_NS + called_ns)
    assert lost == pytest.approx(4800, abs=100)


def test_nothing_is_lost_when_nothing_came_yet():
    assert DeviceClock(RATE_HZ).lost_samples(0, 1.0, 1.0, START_NS) == 0
