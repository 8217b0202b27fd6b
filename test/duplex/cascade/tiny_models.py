"""Makes tiny models that really hear: three high tones are the words TURN, LEFT and RIGHT.

The tones lie above most of the energy of a voice, so that they can be laid over speech, which the detector of
voice activity wants. The files look like those of published models.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WORDS = ("TURN", "LEFT", "RIGHT")
TONES_HZ = (4500.0, 5500.0, 6500.0)
MELS = 80
CHUNK = 16  # frames of 10 ms
SUBSAMPLING = 4
_LOUD = -2.0  # log mel energy that a tone passes and a voice does not


def tone(words: str, *, word_s: float = 0.3, gap_s: float = 0.15) -> np.ndarray:
    """[N] float32 at 16 kHz: a tone per word, with silence between and around them."""
    gap = np.zeros(int(gap_s * 16_000), np.float32)
    sound = [gap]
    for word in words.split():
        t = np.arange(int(word_s * 16_000)) / 16_000
        sound += [(0.3 * np.sin(2 * np.pi * TONES_HZ[WORDS.index(word.upper())] * t)).astype(np.float32), gap]
    return np.concatenate(sound)


def _mel_bin(hz: float) -> int:
    """Bin of a frequency in the 80 bins of Kaldi's mel scale from 20 to 7600 Hz."""
    mel, low, high = (1127.0 * np.log(1.0 + f / 700.0) for f in (hz, 20.0, 7600.0))
    return round((mel - low) / (high - low) * (MELS + 1)) - 1


def _listening(first: int, blank: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """[80, V] weights and [V] biases: a word's logit is how far its tone is above loud, the blank's is zero."""
    weights, bias = np.zeros((MELS, size), np.float32), np.full(size, -50.0, np.float32)
    for number, hz in enumerate(TONES_HZ):
        weights[_mel_bin(hz), first + number] = 3.0
        bias[first + number] = -3.0 * _LOUD
    bias[blank] = 0.0
    return weights, bias


def _save(path: Path, nodes: list, inputs: list, outputs: list, constants: dict, notes: dict) -> None:
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, {name: str(value) for name, value in notes.items()})
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _value(name: str, shape: list, kind: int = TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def write_tokens(folder: Path, symbols: list[str]) -> None:
    (folder / "tokens.txt").write_text("".join(f"{symbol} {number}\n" for number, symbol in enumerate(symbols)))


def make_nemo_ctc(folder: Path, name: str = "model.onnx", **notes: object) -> Path:
    """Write a streaming CTC model in NeMo's form. notes: metadata to change; None leaves one out."""
    folder.mkdir(parents=True, exist_ok=True)
    size = len(WORDS) + 1
    weights, bias = _listening(0, size - 1, size)
    nodes = [
        helper.make_node(
            "AveragePool", ["audio_signal"], ["pooled"], kernel_shape=[SUBSAMPLING], strides=[SUBSAMPLING]
        ),
        helper.make_node("Transpose", ["pooled"], ["frames"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["frames", "weights"], ["heard"]),
        helper.make_node("Add", ["heard", "bias"], ["logits"]),
        helper.make_node("LogSoftmax", ["logits"], ["log_probs"], axis=-1),
        helper.make_node("Div", ["length", "subsampling"], ["log_probs_length"]),
        helper.make_node("Identity", ["cache_last_channel"], ["next_channel"]),
        helper.make_node("Identity", ["cache_last_time"], ["next_time"]),
        helper.make_node("Add", ["cache_last_channel_len", "one"], ["next_len"]),
    ]
    inputs = [
        _value("audio_signal", [1, MELS, CHUNK]),
        _value("length", [1], TensorProto.INT64),
        _value("cache_last_channel", [1, 1, 1, 1]),
        _value("cache_last_time", [1, 1, 1, 1]),
        _value("cache_last_channel_len", [1], TensorProto.INT64),
    ]
    outputs = [
        _value("log_probs", [1, CHUNK // SUBSAMPLING, size]),
        _value("log_probs_length", [1], TensorProto.INT64),
        _value("next_channel", [1, 1, 1, 1]),
        _value("next_time", [1, 1, 1, 1]),
        _value("next_len", [1], TensorProto.INT64),
    ]
    constants = {
        "weights": weights,
        "bias": bias,
        "one": np.array([1], np.int64),
        "subsampling": np.array([SUBSAMPLING], np.int64),
    }
    known = {
        "model_type": "EncDecHybridRNNTCTCBPEModel",
        "window_size": CHUNK,
        "chunk_shift": CHUNK,
        "subsampling_factor": SUBSAMPLING,
        "vocab_size": len(WORDS),
    }
    known |= {f"cache_last_{part}_dim{n}": 1 for part in ("channel", "time") for n in (1, 2, 3)}
    known = {key: value for key, value in (known | notes).items() if value is not None}
    _save(folder / name, nodes, inputs, outputs, constants, known)
    write_tokens(folder, [*(f"▁{word}" for word in WORDS), "<blk>"])
    return folder


def make_zipformer_ctc(folder: Path) -> Path:
    """Write a streaming CTC model in the form of Zipformer2: one layer whose six states go through unchanged."""
    folder.mkdir(parents=True, exist_ok=True)
    size = len(WORDS) + 1
    weights, bias = _listening(1, 0, size)
    shapes = [[2, 1, 1], [1, 1, 2, 3], [2, 1, 1], [2, 1, 1], [1, 4, 1], [1, 4, 1], [1, 128, 3, 19]]
    states = [(f"state_{number}", shape, TensorProto.FLOAT) for number, shape in enumerate(shapes)]
    states.append(("processed_lens", [1], TensorProto.INT64))
    nodes = [
        helper.make_node("Transpose", ["x"], ["bins"], perm=[0, 2, 1]),
        helper.make_node("AveragePool", ["bins"], ["pooled"], kernel_shape=[SUBSAMPLING], strides=[SUBSAMPLING]),
        helper.make_node("Transpose", ["pooled"], ["frames"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["frames", "weights"], ["heard"]),
        helper.make_node("Add", ["heard", "bias"], ["logits"]),
        helper.make_node("LogSoftmax", ["logits"], ["log_probs"], axis=-1),
        *(helper.make_node("Identity", [name], [f"new_{name}"]) for name, _, _ in states),
    ]
    inputs = [_value("x", [1, CHUNK, MELS]), *(_value(*state) for state in states)]
    outputs = [_value("log_probs", [1, CHUNK // SUBSAMPLING, size])]
    outputs += [_value(f"new_{name}", shape, kind) for name, shape, kind in states]
    notes = {"model_type": "zipformer2", "T": CHUNK, "decode_chunk_len": CHUNK, "encoder_dims": 4}
    notes |= {name: 1 for name in ("query_head_dims", "value_head_dims", "num_heads", "num_encoder_layers")}
    notes |= {"cnn_module_kernels": 3, "left_context_len": 2}
    _save(folder / "ctc-epoch-1.int8.onnx", nodes, inputs, outputs, {"weights": weights, "bias": bias}, notes)
    write_tokens(folder, ["<blk>", *(f"▁{word}" for word in WORDS)])
    return folder


def make_transducer(folder: Path, **notes: object) -> Path:
    """Write a streaming transducer (LSTM form): a word is not said twice in a row. notes: as for ``make_nemo_ctc``."""
    folder.mkdir(parents=True, exist_ok=True)
    size = len(WORDS) + 1
    weights, bias = _listening(1, 0, size)
    state, next_state = [_value(name, [1, 1, 1]) for name in ("h", "c")], [_value(n, [1, 1, 1]) for n in ("h2", "c2")]
    nodes = [
        helper.make_node("Transpose", ["x"], ["bins"], perm=[0, 2, 1]),
        helper.make_node("AveragePool", ["bins"], ["pooled"], kernel_shape=[SUBSAMPLING], strides=[SUBSAMPLING]),
        helper.make_node("Transpose", ["pooled"], ["frames"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["frames", "weights"], ["heard"]),
        helper.make_node("Add", ["heard", "bias"], ["encoder_out"]),
        helper.make_node("Identity", ["h"], ["h2"]),
        helper.make_node("Identity", ["c"], ["c2"]),
    ]
    known = {"model_type": "lstm", "num_encoder_layers": 1, "T": CHUNK, "decode_chunk_len": CHUNK}
    known |= {"rnn_hidden_size": 1, "d_model": 1}
    known = {key: value for key, value in (known | notes).items() if value is not None}
    outputs = [_value("encoder_out", ["N", CHUNK // SUBSAMPLING, size]), *next_state]
    inputs = [_value("x", ["N", CHUNK, MELS]), *state]
    _save(folder / "encoder-epoch-1.onnx", nodes, inputs, outputs, {"weights": weights, "bias": bias}, known)

    again = np.diag([0.0] + [-1000.0] * len(WORDS)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["y", "last"], ["newest"], axis=1),
        helper.make_node("Max", ["newest", "zero"], ["symbol"]),
        helper.make_node("Gather", ["again", "symbol"], ["decoder_out"], axis=0),
    ]
    constants = {"last": np.array(1, np.int64), "zero": np.array(0, np.int64), "again": again}
    notes = {"vocab_size": size, "context_size": 2}
    inputs = [_value("y", ["N", 2], TensorProto.INT64)]
    _save(folder / "decoder-epoch-1.onnx", nodes, inputs, [_value("decoder_out", ["N", size])], constants, notes)

    nodes = [helper.make_node("Add", ["encoder_out", "decoder_out"], ["logit"])]
    inputs = [_value("encoder_out", ["N", size]), _value("decoder_out", ["N", size])]
    _save(folder / "joiner-epoch-1.onnx", nodes, inputs, [_value("logit", ["N", size])], {}, {"joiner_dim": size})
    write_tokens(folder, ["<blk>", *(f"▁{word}" for word in WORDS)])
    return folder
