"""Every error that the package raises on purpose.

    TmlError
    ├── ConfigError             a parameter, YAML file or command-line value is wrong
    │   └── SceneError          a scene file is wrong
    ├── DeviceError             a microphone or loudspeaker is absent, busy or refuses what is asked of it
    ├── InputError              a message or file that came in cannot be used
    │   ├── AudioFormatError    unknown encoding, absurd rate, ragged data
    │   ├── ImageFormatError    unknown encoding, truncated rows, broken JPEG
    │   └── BagError            missing, truncated or mistyped bag
    ├── MissingDependencyError  an optional program, library or model file is absent
    ├── ModelError              a duplex model cannot be found, opened or stepped
    └── SynthesisError          text could not be turned into sound

A message says what was found, what was expected and the next step, with the value in it.
"""

import difflib
from collections.abc import Iterable

__all__ = [
    "AudioFormatError",
    "BagError",
    "ConfigError",
    "DeviceError",
    "ImageFormatError",
    "InputError",
    "MissingDependencyError",
    "ModelError",
    "SceneError",
    "SynthesisError",
    "TmlError",
    "nearest_name",
]


class TmlError(Exception):
    """Base of every error raised by this package."""


class ConfigError(TmlError):
    """A parameter, YAML file or command-line value is wrong."""


class SceneError(ConfigError):
    """A scene file is wrong."""


class DeviceError(TmlError):
    """A microphone or loudspeaker is absent, busy or refuses what is asked of it; it may work later."""


class InputError(TmlError):
    """A message or file that came in cannot be used."""


class AudioFormatError(InputError):
    """Audio with an unknown encoding, an absurd rate or ragged data."""


class ImageFormatError(InputError):
    """An image with an unknown encoding, missing rows or a broken stream."""


class BagError(InputError):
    """A bag that is missing, truncated, of the wrong type or inconsistent."""


class MissingDependencyError(TmlError):
    """An optional program, library or model file is absent."""


class ModelError(TmlError):
    """A duplex model cannot be found, opened or stepped."""


class SynthesisError(TmlError):
    """Text could not be turned into sound."""


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return a hint such as ``; did you mean 'window.lateness_ms'?``, empty when nothing is near."""
    matches = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""
