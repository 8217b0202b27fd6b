"""Makes a tiny Whisper for faster-whisper which really hears: two tones are "Turn left." and "Turn right.".

Its decoder counts positions; which word comes second depends on which tone the encoder heard, and without a tone there
is no word at all.
"""

import json
from pathlib import Path

import numpy as np
import tokenizers
from ctranslate2.specs import WhisperSpec

TONES_HZ = (5000.0, 6500.0)  # left, right
WIDTH = 16
TEXT = ["<unk>", "ĠTurn", "Ġleft", "Ġright", "."]
SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>"]
SPECIAL += ["<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
TOKENS = [*TEXT, *SPECIAL, *(f"<|{n * 0.02:.2f}|>" for n in range(1501))]
_STEP, _TONE, _SIDE = 1, 10, 11  # dimensions of the decoder: one per position from _STEP on; any tone; left or right


def tone(word: str, seconds: float = 0.6) -> np.ndarray:
    """[N] float32 at 16 kHz."""
    t = np.arange(int(seconds * 16_000)) / 16_000
    return (0.3 * np.sin(2 * np.pi * TONES_HZ[("left", "right").index(word)] * t)).astype(np.float32)


def make_whisper(folder: Path) -> Path:
    """Write the model and its tokenizer."""
    spec = WhisperSpec(1, 1, 1, 1)
    _fill_encoder(spec.encoder)
    _fill_decoder(spec.decoder)
    spec.register_vocabulary(TOKENS)
    spec.validate()
    spec.optimize(quantization=None)
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    vocabulary = {token: number for number, token in enumerate(TOKENS)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": 80}))
    return folder


def _zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def _mel_bin(hz: float) -> int:
    """Bin of a frequency above 1 kHz in the 80 bins of Slaney's mel scale up to 8 kHz."""
    mel, high = (15.0 + 27.0 * np.log(f / 1000.0) / np.log(6.4) for f in (hz, 8000.0))
    return round(mel / high * 81) - 1


def _fill_norm(norm) -> None:
    norm.gamma, norm.beta = np.ones(WIDTH, np.float32), _zeros(WIDTH)


def _fill_linear(linear, weight: np.ndarray) -> None:
    linear.weight, linear.bias = weight, _zeros(len(weight))


def _fill_common(part, positions: np.ndarray) -> None:
    part.position_encodings.encodings = positions
    _fill_norm(part.layer_norm)
    for layer in part.layer:
        _fill_norm(layer.self_attention.layer_norm)
        _fill_linear(layer.self_attention.linear[0], _zeros(3 * WIDTH, WIDTH))
        _fill_linear(layer.self_attention.linear[1], _zeros(WIDTH, WIDTH))
        _fill_norm(layer.ffn.layer_norm)
        _fill_linear(layer.ffn.linear_0, _zeros(WIDTH, WIDTH))
        _fill_linear(layer.ffn.linear_1, _zeros(WIDTH, WIDTH))


def _fill_encoder(encoder) -> None:
    """Dimension 0 is constant, 1 and 2 are the tones."""
    weight, bias = _zeros(WIDTH, 80, 3), _zeros(WIDTH)
    for number, hz in enumerate(TONES_HZ, start=1):
        weight[number, _mel_bin(hz), 1], bias[number] = 8.0, -6.0
    bias[0] = 10.0
    encoder.conv1.weight, encoder.conv1.bias = weight, bias
    weight = _zeros(WIDTH, WIDTH, 3)
    weight[:, :, 1] = np.eye(WIDTH)
    encoder.conv2.weight, encoder.conv2.bias = weight, _zeros(WIDTH)
    _fill_common(encoder, _zeros(1500, WIDTH))
    # What normalising makes of silence, (10, 0, 0 ...), is taken away again, so that 8 bits are spent on the tones.
    encoder.layer_norm.gamma[0] = 0.0
    encoder.layer_norm.beta[[1, 2]] = 1.0 / np.sqrt(WIDTH - 1)


def _fill_decoder(decoder) -> None:
    positions = _zeros(448, WIDTH)
    for at in range(448):
        positions[at, _STEP + min(max(at - 1, 0), 3)] = 20.0  # the prompt is two tokens long
    _fill_common(decoder, positions)
    attention = decoder.layer[0].attention
    _fill_norm(attention.layer_norm)
    _fill_linear(attention.linear[0], _zeros(WIDTH, WIDTH))  # asks nothing: hears the mean of all frames
    values = _zeros(2 * WIDTH, WIDTH)
    values[WIDTH + _TONE, [1, 2]] = 400.0, 400.0  # a word lasts a fiftieth of the 30 s
    values[WIDTH + _SIDE, [1, 2]] = 400.0, -400.0
    _fill_linear(attention.linear[1], values)
    _fill_linear(attention.linear[2], np.eye(WIDTH, dtype=np.float32))
    decoder.embeddings.weight = _zeros(len(TOKENS), WIDTH)
    said = _zeros(len(TOKENS), WIDTH)
    turn, left, right, stop, end = (TOKENS.index(token) for token in (*TEXT[1:], SPECIAL[0]))
    said[turn, [_STEP, _TONE]] = 0.8, 1.0
    said[left, [_STEP + 1, _SIDE]] = 1.0, 1.0
    said[right, [_STEP + 1, _SIDE]] = 1.0, -1.0
    said[stop, _STEP + 2] = 1.0
    said[end, [_STEP, _STEP + 3]] = 0.9, 1.0
    decoder.projection.weight = 8.0 * said
