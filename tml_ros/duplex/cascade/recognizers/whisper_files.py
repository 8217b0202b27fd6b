"""Check the folder of a faster-whisper model before it is loaded; nothing is downloaded.

The library trusts every size in ``model.bin``, and a wrong one can end the process. So the sizes are compared with one
another, and the model runs in a process of its own first.

Source: CTranslate2 4.8, python/ctranslate2/specs/model_spec.py, ``_serialize``, for the layout of ``model.bin``.
"""

import math
import struct
from pathlib import Path
from typing import BinaryIO

from tml_ros.duplex.cascade.recognizers.trial import try_apart
from tml_ros.errors import ConfigError, MissingDependencyError

__all__ = ["PARAMETER", "WHERE", "check_model"]

PARAMETER = "cascade.recognizer_model"
WHERE = "docs/recognition.md tells how to get or convert one"
# tokenizer.json is not optional: without it the library would fetch one.
_FILES = (("model.bin",), ("config.json",), ("tokenizer.json",), ("vocabulary.json", "vocabulary.txt"))
_ITEM_BYTES = (4, 1, 2, 4, 2, 2)  # float32, int8, int16, int32, float16, bfloat16
_MOST_DIMENSIONS = 4
_TRIAL = """
import sys, numpy, ctranslate2
folder, compute, threads = sys.argv[1:]
model = ctranslate2.models.Whisper(folder, device="cpu", compute_type=compute, intra_threads=int(threads))
silence = ctranslate2.StorageView.from_array(numpy.zeros((1, model.n_mels, 3000), numpy.float32))
model.generate(model.encode(silence), [["<|startoftranscript|>"]], beam_size=1, max_length=8)
"""


def check_model(name: str, compute: str, threads: int) -> Path:
    """Return the folder of a model that can be loaded without harm.

    Raises:
        MissingDependencyError: no folder, or a file of the model is not in it.
        ConfigError: it is another kind of model, or damaged.
    """
    folder = _check_files(name)
    reason = _fault(folder / "model.bin") or try_apart(_TRIAL, [str(folder), compute, str(threads)])
    if reason:
        raise ConfigError(f"{PARAMETER}: {folder} holds no whole Whisper model ({reason}); {WHERE}")
    return folder


def _check_files(name: str) -> Path:
    if not name:
        raise MissingDependencyError(f"{PARAMETER} is empty; name the folder of a faster-whisper model; {WHERE}")
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise MissingDependencyError(f"{PARAMETER}: there is no folder {folder}; {WHERE}")
    for choices in _FILES:
        if any((folder / choice).is_file() for choice in choices):
            continue
        if any((folder / other).is_file() for other in ("model.safetensors", "pytorch_model.bin")):
            raise ConfigError(
                f"{PARAMETER}: {folder} holds a model for transformers, faster-whisper needs it converted; run: "
                f"ct2-transformers-converter --model {folder} --output_dir NEW --quantization int8 "
                "--copy_files tokenizer.json preprocessor_config.json"
            )
        raise MissingDependencyError(f"{PARAMETER}: {' or '.join(choices)} is missing in {folder}; {WHERE}")
    return folder


def _fault(path: Path) -> str:
    """Return what is wrong with the sizes in ``model.bin``, empty when nothing is."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            version = _number(file, "I")
            kind = _text(file)
            if kind != "WhisperSpec":
                return f"model.bin is a {kind[:40]!r} of version {version}, not a WhisperSpec"
            _number(file, "I")
            for _ in range(_number(file, "I")):
                variable = _text(file)
                shape = [_number(file, "I") for _ in range(min(_number(file, "B"), _MOST_DIMENSIONS + 1))]
                item, length = _number(file, "B"), _number(file, "I")
                if item >= len(_ITEM_BYTES) or len(shape) > _MOST_DIMENSIONS:
                    return f"model.bin: {variable[:60]!r} is of no known type or shape"
                if math.prod(shape) * _ITEM_BYTES[item] != length or file.tell() + length > size:
                    return f"model.bin: {variable[:60]!r} has {length} bytes, shape {shape} and type {item}"
                file.seek(length, 1)
            for _ in range(2 * _number(file, "I")):
                _text(file)
            return "" if file.tell() == size else f"model.bin has {size} bytes, its last part ends at {file.tell()}"
    except (struct.error, UnicodeDecodeError):
        return f"model.bin with its {size} bytes is cut off or no model"


def _number(file: BinaryIO, kind: str) -> int:
    return int(struct.unpack(f"<{kind}", file.read(struct.calcsize(kind)))[0])


def _text(file: BinaryIO) -> str:
    """Read a string of CTranslate2: its length with the closing zero, then its bytes."""
    raw = file.read(_number(file, "H"))
    if not raw.endswith(b"\0"):
        raise struct.error("no closing zero")
    return raw[:-1].decode()
