"""``tml devices``: the microphones and loudspeakers that audio_capture and speech_player can be given."""

import json
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from tml_ros.devices.portaudio import Kind, list_devices

__all__ = ["show_devices"]

_KINDS: dict[str, Kind] = {"audio_capture": "input", "speech_player": "output"}


def show_devices(*, as_json: bool) -> int:
    """Print what there is; return 0.

    Raises:
        MissingDependencyError: sounddevice or libportaudio is not installed.
        DeviceError: the sound system does not answer.
    """
    rows: list[dict[str, Any]] = [
        {"for": node, **asdict(device)} for node, kind in _KINDS.items() for device in list_devices(kind)
    ]
    if not as_json and rows:
        table = Table("for", "index", "name", "channels", "rate in Hz", "through")
        for row in rows:
            table.add_row(*(str(row[key]) for key in ("for", "index", "name", "channels", "rate_hz", "host_api")))
        Console().print(table)
    elif not as_json:
        print("no microphone and no loudspeaker; plug one in, or start the sound server")
    print(json.dumps(rows))
    return 0
