"""Speech by espeak-ng's library, with the time at which every word begins; faster than a program for each sentence.

The library keeps its state for the whole process, so one text is spoken at a time. It knows no scenes.

Source: speak_lib.h of espeak-ng 1.51 (https://github.com/espeak-ng/espeak-ng), its C interface.
"""

import ctypes
import ctypes.util
import functools
import threading

import numpy as np
import soxr
from numpy.typing import NDArray

from tml_ros.errors import MissingDependencyError, SynthesisError
from tml_ros.records import SAMPLE_RATE_HZ
from tml_ros.speech.synthesis import ESPEAK_WORDS_PER_MINUTE

__all__ = ["espeak"]

Sound = NDArray[np.float32]
_RETRIEVAL, _SYNCHRONOUS_UTF8, _CHARACTER_POSITION = 1, 1, 1
_RATE, _PITCH = 1, 3
_TERMINATED, _WORD = 0, 1
_FULL_SCALE = np.float32(1 / 32768)


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_int64),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
_lock = threading.Lock()


def espeak(text: str, voice: str, speed: float, pitch: int) -> tuple[Sound, list[tuple[int, int]]]:
    """Return the sound of a text, and where its words begin: their first character, and a sample of the sound.

    Args:
        text: to be spoken.
        voice: such as ``en-us+f3``.
        speed: 1: 175 words a minute.
        pitch: 0 to 99.

    Raises:
        MissingDependencyError: the library is not installed.
        SynthesisError: there is no such voice.
    """
    with _lock:
        library, rate_hz = _library()
        if library.espeak_SetVoiceByName(voice.encode()):
            raise SynthesisError(f"espeak-ng has no voice {voice!r}; see espeak-ng --voices")
        library.espeak_SetParameter(_RATE, round(ESPEAK_WORDS_PER_MINUTE * speed), 0)
        library.espeak_SetParameter(_PITCH, pitch, 0)
        sound, words = _spoken(library, text)
    factor = SAMPLE_RATE_HZ / rate_hz
    resampled = np.asarray(soxr.resample(sound, rate_hz, SAMPLE_RATE_HZ), np.float32)
    return resampled, [(place - 1, round(sample * factor)) for place, sample in words]


def _spoken(library: ctypes.CDLL, text: str) -> tuple[Sound, list[tuple[int, int]]]:
    pieces: list[NDArray[np.int16]] = []
    words: list[tuple[int, int]] = []

    def take(samples: "ctypes._Pointer[ctypes.c_short]", count: int, events: "ctypes._Pointer[_Event]") -> int:
        if samples and count > 0:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        number = 0
        while events[number].type != _TERMINATED:
            if events[number].type == _WORD:
                words.append((events[number].text_position, events[number].sample))
            number += 1
        return 0

    callback = _Callback(take)
    library.espeak_SetSynthCallback(callback)
    encoded = text.encode()
    library.espeak_Synth(encoded, len(encoded) + 1, 0, _CHARACTER_POSITION, 0, _SYNCHRONOUS_UTF8, None, None)
    library.espeak_Synchronize()
    sound = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
    return sound.astype(np.float32) * _FULL_SCALE, words


@functools.cache
def _library() -> tuple[ctypes.CDLL, int]:
    name = ctypes.util.find_library("espeak-ng")
    if name is None:
        raise MissingDependencyError("libespeak-ng is not installed; run: apt-get install espeak-ng")
    library = ctypes.CDLL(name)
    library.espeak_Synth.argtypes = (
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p,
        ctypes.c_void_p,
    )  # fmt: skip
    return library, int(library.espeak_Initialize(_RETRIEVAL, 0, None, 0))
