"""Finding and opening sound devices on a private PulseAudio, and what is said when that cannot work."""

import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from tml_ros.devices import portaudio
from tml_ros.devices.portaudio import Device, close_stream, find_device, list_devices, open_stream, refresh
from tml_ros.errors import DeviceError, MissingDependencyError, TmlError

try:
    sounddevice = portaudio._sounddevice()
except TmlError as err:
    pytest.skip(str(err), allow_module_level=True)


@pytest.fixture(scope="module")
def server(helpers):
    """A sound server with two microphones and a loudspeaker."""
    pulse = helpers("test/audio/pulse.py")
    if missing := pulse.missing_packages():
        pytest.skip(f"run: apt-get install {' '.join(missing)}")
    devices = {"array_left": "room.monitor", "array_right": "room.monitor", "loudspeaker": "room"}
    with pulse.PulseServer(devices) as running:
        running.add_sink("room")
        yield running


@pytest.fixture
def devices(server, monkeypatch):
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    refresh()
    return list_devices("input")


def listener(*_):
    """Hear and forget."""


def test_device_is_found_when_its_index_name_or_part_is_given(devices):
    assert [device.name for device in devices] == ["array_left", "array_right"]
    assert find_device("array_right", "input") == devices[1]
    assert find_device("LEFT", "input") == devices[0]
    assert find_device(str(devices[1].index), "input") == devices[1]
    assert find_device("", "input") == devices[0]
    assert find_device("loud", "output").name == "loudspeaker"


@pytest.mark.parametrize("wanted", ["kitchen", "loudspeaker", "99"])
def test_known_devices_are_named_when_the_wanted_one_is_absent(devices, wanted):
    with pytest.raises(DeviceError, match=rf"fits '{wanted}'; there are \d 'array_left', \d 'array_right'"):
        find_device(wanted, "input")


def test_fitting_devices_are_named_when_there_are_several(devices):
    with pytest.raises(DeviceError, match=r"several microphones: . 'array_left', . 'array_right'; give a whole name"):
        find_device("array", "input")


def test_rates_that_work_are_named_when_a_rate_is_refused(devices):
    with pytest.raises(DeviceError, match="500000 Hz and 1 channels: it refuses that rate; it takes 8000, 16000,"):
        open_stream("input", devices[0], listener, rate_hz=500_000, channels=1)


def test_channels_are_named_when_there_are_fewer(devices):
    with pytest.raises(DeviceError, match="33 channels: it has 32; ask for no more"):
        open_stream("input", devices[0], listener, rate_hz=16_000, channels=33)


def test_refresh_is_refused_when_a_stream_is_open(devices):
    stream = open_stream("input", devices[0], listener, rate_hz=16_000, channels=1)
    assert not refresh()
    assert stream.active
    assert close_stream(stream)
    assert refresh()


def test_device_that_is_gone_is_named_and_stderr_stays_clean_when_it_is_opened(devices, server, capfd):
    server.remove_sink("room")
    try:
        with pytest.raises(DeviceError, match=r"'array_left' cannot be opened .* check that it is plugged in"):
            open_stream("input", devices[0], listener, rate_hz=16_000, channels=1)
    finally:
        server.add_sink("room")
    assert capfd.readouterr().err == ""


def test_nothing_is_there_when_the_server_has_ended(devices, server):
    server.stop()
    try:
        refresh()
        with pytest.raises(DeviceError, match="no default input device; there are no microphones at all; plug one in"):
            find_device("", "input")
    finally:
        server.start()
        server.add_sink("room")


def test_holder_is_looked_for_when_a_device_is_busy(devices, monkeypatch):
    def busy(**_):
        raise sounddevice.PortAudioError("Error opening RawInputStream: Device unavailable", -9985)

    monkeypatch.setattr(sounddevice, "RawInputStream", busy)
    monkeypatch.setattr(portaudio.alsa, "holders", lambda kind: ", held by arecord (process 7)")
    with pytest.raises(DeviceError, match=r"it is busy, held by arecord \(process 7\); stop that program"):
        open_stream("input", devices[0], listener, rate_hz=16_000, channels=1)


def test_caller_goes_on_when_closing_hangs(monkeypatch, caplog):
    class Hanging:
        let_go = threading.Event()

        def close(self):
            self.let_go.wait()

    kept = []
    monkeypatch.setattr(portaudio.atexit, "unregister", kept.append)
    assert not close_stream(Hanging(), timeout_s=0.05)
    assert kept == [sounddevice._exit_handler]
    assert "did not close within 0.05 s" in caplog.text
    Hanging.let_go.set()


@pytest.mark.parametrize(
    ("configuration", "said"),
    [("", "knows no default device: .*/asound.conf has no pcm.default"), ("pcm.a b {", "cannot read .*/asound.conf")],
)
def test_process_survives_when_alsa_is_set_up_wrongly(repository, tmp_path, configuration, said):
    (tmp_path / "asound.conf").write_text(configuration)
    code = "from tml_ros.devices.portaudio import find_device; find_device('', 'input')"
    environment = os.environ | {"ALSA_CONFIG_PATH": str(tmp_path / "asound.conf"), "PYTHONPATH": str(repository)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert re.search(f"DeviceError: ALSA {said}", done.stderr)


@contextmanager
def _import_fails_with(text, tmp_path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text(f"raise {text}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice")
    yield


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("ImportError('No module')", "pip install sounddevice"),
        ("OSError('PortAudio library not found')", "not found: libportaudio is needed; run: apt-get install"),
    ],
)
def test_package_is_named_when_it_is_not_installed(tmp_path, monkeypatch, fault, said):
    with _import_fails_with(fault, tmp_path, monkeypatch), pytest.raises(MissingDependencyError, match=said):
        list_devices("input")


def test_first_is_taken_when_two_interfaces_have_the_same_name(monkeypatch):
    twins = [Device(3, "mic", 1, 48_000, "ALSA"), Device(8, "mic", 1, 48_000, "JACK")]
    monkeypatch.setattr(portaudio, "list_devices", lambda kind: twins)
    assert find_device("mic", "input") == twins[0]
