"""Makes a tiny voice file for piper: every phoneme is a tone of its own. Noise and length follow piper's scales."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RATE_HZ = 22_050
_PHONEMES = [*"_^$ !'(),-.:;?abcdefhijklmnopqrstuvwxyzæçðøŋœɐɑɒɔəɚɛɜɡɪɫɹɾʃʊʌʒʔˈˌːθ"]  # noqa: RUF001
_SAMPLES = 1_500.0  # of one phoneme


def make_voice(folder: Path, name: str = "tiny.onnx", *, length_scale: float = 1.0, **config: object) -> Path:
    """Write the voice and its description. config: entries of the description to change."""
    nodes = [
        helper.make_node("Slice", ["scales", "at_0", "at_1"], ["noise_scale"]),
        helper.make_node("Slice", ["scales", "at_1", "at_2"], ["length_scale"]),
        helper.make_node("Mul", ["length_scale", "samples"], ["length"]),
        helper.make_node("Cast", ["length"], ["length_int"], to=TensorProto.INT64),
        helper.make_node("Shape", ["input"], ["size"]),
        helper.make_node("Concat", ["size", "length_int"], ["shape"], axis=0),
        helper.make_node("Cast", ["input"], ["ids"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["ids", "step"], ["phase_step"]),
        helper.make_node("Unsqueeze", ["phase_step", "at_2"], ["column"]),
        helper.make_node("Expand", ["column", "shape"], ["spread"]),
        helper.make_node("Reshape", ["spread", "flat"], ["steps"]),
        helper.make_node("CumSum", ["steps", "at_2"], ["phase"]),
        helper.make_node("Sin", ["phase"], ["sound"]),
        helper.make_node("RandomNormalLike", ["sound"], ["chance"], dtype=TensorProto.FLOAT),
        helper.make_node("Mul", ["chance", "noise_scale"], ["noise"]),
        helper.make_node("Add", ["sound", "noise"], ["noisy"]),
        helper.make_node("Unsqueeze", ["noisy", "at_1"], ["output"]),
    ]
    constants = {f"at_{n}": np.array([n], np.int64) for n in range(3)}
    constants |= {"samples": np.array([_SAMPLES], np.float32), "flat": np.array([1, 1, -1], np.int64)}
    constants["step"] = np.array(2 * np.pi * 40.0 / RATE_HZ, np.float32)
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, ["batch", "phonemes"]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, ["batch"]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
    ]
    outputs = [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 1, 1, "samples"])]
    values = [numpy_helper.from_array(value, key) for key, value in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "tiny", inputs, outputs, values),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / name)
    description = {
        "audio": {"sample_rate": RATE_HZ},
        "espeak": {"voice": "en-us"},
        "inference": {"noise_scale": 0.667, "length_scale": length_scale, "noise_w": 0.8},
        "phoneme_type": "espeak",
        "num_symbols": len(_PHONEMES),
        "num_speakers": 1,
        "phoneme_id_map": {phoneme: [number] for number, phoneme in enumerate(_PHONEMES)},
    }
    (folder / f"{name}.json").write_text(json.dumps(description | config))
    return folder / name
