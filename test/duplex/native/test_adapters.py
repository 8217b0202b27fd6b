"""Adapters: a merged one gives what the trained one gave, several add up, and one that does not fit is refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from tml_ros.duplex.native.adapters import (
    PARTS,
    Part,
    add_adapter,
    header_of,
    is_adapter,
    merge_adapters,
    read_header,
    save_adapter,
)
from tml_ros.duplex.native.checkpoint import fill, load_checkpoint, read_manifest
from tml_ros.duplex.native.config import NativeConfig
from tml_ros.duplex.native.inputs import StreamInputs
from tml_ros.duplex.native.model import NativeModel
from tml_ros.duplex.native.stepping import Stepper
from tml_ros.duplex.native.transformer import HEARD, HEARD_TOO, InteractionTransformer
from tml_ros.errors import ModelError


@pytest.fixture(scope="module")
def tiny(repository) -> Path:
    return repository / "models" / "tiny"


def model_of(folder: Path) -> InteractionTransformer:
    manifest, weights = load_checkpoint(folder)
    model = InteractionTransformer(manifest.shape).eval()
    fill(model, weights, folder)
    return model


def taught(folder: Path, path: Path, seed: int, part: Part = "blocks") -> InteractionTransformer:
    """Write an adapter whose factors are all drawn, as if it had been trained, and return the model with it."""
    model = model_of(folder)
    add_adapter(model, part, rank=2, scale=2.0, seed=seed)
    noise = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if is_adapter(name):
            parameter.data += 0.2 * torch.randn(parameter.shape, generator=noise)
    save_adapter([model], path, header_of(load_checkpoint(folder)[0], path.stem, 2, 2.0, ("athena",)))
    return model


def heard(model: InteractionTransformer) -> torch.Tensor:
    inputs = StreamInputs.silent(1)
    noise = torch.randn(1, 3200, generator=torch.Generator().manual_seed(0))
    inputs = StreamInputs(0.1 * noise, torch.tensor([True]), inputs.playing)
    stepper, state = Stepper(model), model.new_state([0])
    return torch.cat([stepper.step(inputs, state).floor_logits for _ in range(3)])


@pytest.mark.parametrize("part", PARTS)
def test_new_adapter_changes_nothing_and_only_it_is_marked_when_it_is_added(tiny, part):
    model, plain = model_of(tiny), model_of(tiny)
    add_adapter(model, part, rank=2, scale=2.0, seed=0)
    marked = [name for name, _ in model.named_parameters() if is_adapter(name)]
    assert marked and all(name.startswith(f"{part}.") and name.endswith((".up", ".down")) for name in marked)
    assert not any("router" in name for name in marked)
    assert torch.equal(heard(model), heard(plain))


def test_merged_model_gives_the_same_bits_as_the_trained_one_when_it_is_loaded(tiny, tmp_path):
    trained = taught(tiny, tmp_path / "lab.safetensors", seed=1)
    merged = model_of(tiny)
    merge_adapters(merged, ["", tmp_path / "lab.safetensors"], load_checkpoint(tiny)[0])
    assert torch.equal(heard(merged), heard(trained)) and not torch.equal(heard(merged), heard(model_of(tiny)))
    header = read_header(tmp_path / "lab.safetensors")
    assert (header.base, header.teaches, header.rank) == ("tiny", ("athena",), 2)


def spelled(model: InteractionTransformer, tail: str = HEARD) -> torch.Tensor:
    """Return the tokens that are spelled of three micro-turns."""
    stepper, state = Stepper(model), model.new_state([0])
    found = []
    for seed in range(3):
        noise = torch.randn(1, 3200, generator=torch.Generator().manual_seed(seed))
        stepper.step(StreamInputs(0.1 * noise, torch.tensor([True]), torch.tensor([False])), state)
        found.append(state.tails[tail].clone())
    return torch.cat(found)


@pytest.mark.parametrize("stem", [0, 2])
def test_what_was_known_is_heard_as_before_when_an_adapter_has_taught_to_spell(tiny, tmp_path, helpers, stem):
    folder = helpers("test/duplex/native/conftest.py").with_stem(tiny, tmp_path, stem)
    trained = taught(folder, tmp_path / "ear.safetensors", 1, "sound")
    merged, plain = model_of(folder), model_of(folder)
    merge_adapters(merged, [tmp_path / "ear.safetensors"], load_checkpoint(folder)[0])
    assert torch.equal(heard(merged), heard(plain))
    assert torch.equal(spelled(merged), spelled(plain))
    assert torch.equal(spelled(merged, HEARD_TOO), spelled(trained))
    assert not torch.allclose(spelled(merged, HEARD_TOO), spelled(plain), atol=1e-2)


def test_both_parts_are_written_and_read_when_both_were_taught(tiny, tmp_path):
    models = [taught(tiny, tmp_path / f"{part}.safetensors", 1, part) for part in PARTS]
    save_adapter(models, tmp_path / "lab.safetensors", header_of(load_checkpoint(tiny)[0], "lab", 2, 2.0, ()))
    merged = model_of(tiny)
    merge_adapters(merged, [tmp_path / "lab.safetensors"], load_checkpoint(tiny)[0])
    assert torch.equal(spelled(merged, HEARD_TOO), spelled(models[0]))
    assert torch.equal(heard(merged), heard(models[1]))


def test_several_adapters_add_up_when_they_are_selected_together(tiny, tmp_path):
    paths = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    for seed, path in enumerate(paths):
        taught(tiny, path, seed)
    both, back = model_of(tiny), model_of(tiny)
    merge_adapters(both, paths, load_checkpoint(tiny)[0])
    merge_adapters(back, paths[::-1], load_checkpoint(tiny)[0])
    assert torch.allclose(heard(both), heard(back), atol=1e-4)
    alone = model_of(tiny)
    merge_adapters(alone, paths[:1], load_checkpoint(tiny)[0])
    assert not torch.allclose(heard(both), heard(alone), atol=1e-3)


def test_model_is_run_with_its_adapters_when_a_parameter_names_them(tiny, tmp_path):
    trained = taught(tiny, tmp_path / "lab.safetensors", seed=3)
    model = NativeModel(NativeConfig(checkpoint=str(tiny), adapters=(str(tmp_path / "lab.safetensors"),)))
    assert torch.allclose(heard(model.stepper.model), heard(trained), atol=1e-4)


def test_adapter_is_refused_when_sizes_or_vocabulary_are_others(tiny, tmp_path):
    taught(tiny, tmp_path / "lab.safetensors", seed=1)
    other = tmp_path / "other"
    shutil.copytree(tiny, other)
    content = yaml.safe_load((other / "config.yaml").read_text())
    content["shape"]["sinks"] += 1
    (other / "config.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ModelError, match=r"was trained on tiny .* other sizes or another vocabulary"):
        merge_adapters(model_of(tiny), [tmp_path / "lab.safetensors"], read_manifest(other))


def test_warning_is_given_when_the_weights_are_others(tiny, tmp_path, caplog):
    model = taught(tiny, tmp_path / "lab.safetensors", seed=1)
    manifest = load_checkpoint(tiny)[0]
    header = header_of(manifest, "lab", 2, 2.0, ())
    save_adapter([model], tmp_path / "lab.safetensors", replace(header, weights="0" * 64))
    merge_adapters(model_of(tiny), [tmp_path / "lab.safetensors"], manifest)
    assert "other weights" in caplog.text


def test_reason_is_told_when_a_file_is_no_adapter(tiny, tmp_path):
    manifest, model = load_checkpoint(tiny)[0], model_of(tiny)
    with pytest.raises(ModelError, match="no adapter"):
        merge_adapters(model, [tmp_path / "absent.safetensors"], manifest)
    with pytest.raises(ModelError, match="its header has"):
        merge_adapters(model, [tiny / "model.safetensors"], manifest)
    (tmp_path / "noise.safetensors").write_bytes(b"\x80\x04noise of no format")
    with pytest.raises(ModelError, match="no valid adapter"):
        merge_adapters(model, [tmp_path / "noise.safetensors"], manifest)
    with pytest.raises(ModelError, match="no model has an adapter"):
        save_adapter([model], tmp_path / "none.safetensors", header_of(manifest, "none", 2, 2.0, ()))
