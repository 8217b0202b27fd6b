"""Find and check the files of a streaming sherpa-onnx model in a folder, as such models are published.

encoder, decoder and joiner are a transducer, a single file is a CTC model whose metadata tells its kind. sherpa-onnx
ends the whole process on many faults of a model, so it is tried in a process of its own before it may load one here.
Nothing is downloaded.

Source: sherpa-onnx 2.0.1, python/sherpa_onnx/online_recognizer.py and csrc/online-*-model.cc for what they read.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from tml_ros.duplex.cascade.recognizers.trial import try_apart
from tml_ros.errors import ConfigError, MissingDependencyError

__all__ = ["SherpaModel", "find_model", "try_model"]

_PARAMETER = "cascade.recognizer_model"
_WHERE = "streaming models are described at https://k2-fsa.github.io/sherpa/onnx/pretrained_models"
_PARTS = ("encoder", "decoder", "joiner")
_PRECISION = re.compile(r"[._-](int8|fp16)$")
_BLANKS = {"<blk>", "<eps>", "<blank>"}
# Two seconds of a faint buzz: enough for a chunk of every published model to go all the way.
_TRIAL = """
import json, sys, sherpa_onnx
factory, arguments = json.loads(sys.argv[1])
recognizer = getattr(sherpa_onnx.OnlineRecognizer, factory)(**arguments)
stream = recognizer.create_stream()
stream.accept_waveform(16000, [0.01 * (n % 80 < 40) for n in range(32000)])
stream.input_finished()
while recognizer.is_ready(stream):
    recognizer.decode_stream(stream)
print(recognizer.get_result(stream))
"""


@dataclass(frozen=True, slots=True)
class SherpaModel:
    """How to make a recogniser: the factory method of ``sherpa_onnx.OnlineRecognizer`` and its file arguments."""

    factory: str
    files: Mapping[str, str]


def find_model(folder: str, *, wants_int8: bool) -> SherpaModel:
    """Return the model in a folder. wants_int8: prefer its 8-bit files where there are both.

    Raises:
        MissingDependencyError: no folder, or a file of the model is not in it.
        ConfigError: the files are of another kind of model, or ``tokens.txt`` does not fit them.
    """
    if not folder:
        raise MissingDependencyError(f"{_PARAMETER} is empty; name the folder of a sherpa-onnx model; {_WHERE}")
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise MissingDependencyError(f"{_PARAMETER}: there is no folder {place}; {_WHERE}")
    parts = _parts(place, wants_int8)
    tokens = place / "tokens.txt"
    if not tokens.is_file():
        raise MissingDependencyError(f"{_PARAMETER}: tokens.txt is missing in {place}; {_WHERE}")
    factory = _factory(parts)
    symbols = _read_tokens(tokens)
    if factory != "from_transducer" and _BLANKS.isdisjoint(symbols.values()):
        raise ConfigError(f"{_PARAMETER}: {tokens} has no blank symbol (<blk>, <eps> or <blank>); is it of this model?")
    _check_vocabulary(parts.get("decoder") or parts["model"], tokens, symbols)
    return SherpaModel(factory, {"tokens": str(tokens)} | {name: str(path) for name, path in parts.items()})


def try_model(model: SherpaModel, threads: int) -> None:
    """Load and run a model in another process.

    Raises:
        ConfigError: sherpa-onnx refuses the model, or ends its process over it.
    """
    arguments = {**model.files, "num_threads": threads}
    reason = try_apart(_TRIAL, [json.dumps([model.factory, arguments])])
    if reason:
        raise ConfigError(
            f"{_PARAMETER}: sherpa-onnx cannot run the model in {Path(model.files['tokens']).parent} as a streaming "
            f"one ({reason}); check that it is whole and a streaming model; {_WHERE}"
        )


def _parts(place: Path, wants_int8: bool) -> dict[str, Path]:
    """Return the .onnx files by their part: encoder, decoder, joiner, or model when there are no parts."""
    found: dict[str, dict[str, list[Path]]] = {}
    for path in sorted(place.glob("*.onnx")):
        part = next((part for part in _PARTS if part in path.stem), "model")
        precision = _PRECISION.search(path.stem)
        found.setdefault(part, {}).setdefault(precision[1] if precision else "", []).append(path)
    if not found:
        raise MissingDependencyError(
            f"{_PARAMETER}: no .onnx file in {place}; it takes encoder, decoder and joiner, or one model.onnx; {_WHERE}"
        )
    if found.keys() - {"model"}:
        found.pop("model", None)
        for part in _PARTS:
            if part not in found:
                raise MissingDependencyError(
                    f"{_PARAMETER}: the {part} (*{part}*.onnx) is missing in {place}; {_WHERE}"
                )
    return {part: _choose(place, part, files, wants_int8) for part, files in found.items()}


def _choose(place: Path, part: str, files: Mapping[str, list[Path]], wants_int8: bool) -> Path:
    # A decoder is small; those who publish the models advise against 8 bits for it.
    for precision in ("int8", "", "fp16") if wants_int8 and part != "decoder" else ("", "fp16", "int8"):
        paths = files.get(precision, [])
        if len(paths) > 1:
            names = ", ".join(path.name for path in paths)
            raise ConfigError(f"{_PARAMETER}: {place} has more than one {part}: {names}; leave the one to use")
        if paths:
            return paths[0]
    raise MissingDependencyError(f"{_PARAMETER}: the {part} is missing in {place}; {_WHERE}")


def _factory(parts: Mapping[str, Path]) -> str:
    if "model" not in parts:
        return "from_transducer"
    notes = _session(parts["model"]).get_modelmeta().custom_metadata_map
    if "decode_chunk_len" in notes:
        return "from_zipformer2_ctc"
    if "cache_last_channel_dim1" in notes:
        return "from_nemo_ctc"
    kind = notes.get("model_type", "none")
    raise ConfigError(
        f"{_PARAMETER}: {parts['model']} is no streaming model that is known here (its model_type: {kind!r}); "
        f"streaming zipformer2 and NeMo CTC models work; {_WHERE}"
    )


def _read_tokens(path: Path) -> dict[int, str]:
    """Return the symbols by number; a line is ``symbol number``, a lone number stands for the blank between words."""
    symbols = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").rstrip("\n").split("\n"), start=1):
        fields = re.findall(r"[^ \t\r]+", line)  # a symbol may be one of the other kinds of blank
        if not 1 <= len(fields) <= 2 or not fields[-1].isdecimal():
            raise ConfigError(
                f"{_PARAMETER}: line {number} of {path} is no 'symbol number': {line[:40]!r}; get it anew"
            )
        symbols[int(fields[-1])] = fields[0] if len(fields) == 2 else " "
    return symbols


def _check_vocabulary(path: Path, tokens: Path, symbols: Mapping[int, str]) -> None:
    """Refuse a model that can answer with numbers for which there is no symbol: that would end the process later."""
    session = _session(path)
    size = session.get_modelmeta().custom_metadata_map.get("vocab_size", "")
    answer = session.get_outputs()[0].shape[-1]  # of a decoder it is no list of symbols
    wanted = int(size) if size.isdecimal() else 0
    if "decoder" not in path.stem and isinstance(answer, int):
        wanted = answer
    nameless = next((number for number in range(wanted) if number not in symbols), None)
    if nameless is not None:
        raise ConfigError(
            f"{_PARAMETER}: {tokens} has no symbol for {nameless}, {path.name} answers with 0 to {wanted - 1}; "
            "they do not fit"
        )


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        providers = ["CPUExecutionProvider"]
        return onnxruntime.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except Exception as err:  # onnxruntime's errors have no common base below Exception
        reason = str(err).splitlines()[0][:200]
        raise ConfigError(f"{_PARAMETER}: {path} is no ONNX model or damaged ({reason}); get it anew") from err
