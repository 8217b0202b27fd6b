"""Checkpoints: what is written is read back, and every fault has a message that says what to do."""

import io
import pickle
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file
from tokenizers import Tokenizer, models
from torch import nn

from tml_ros.duplex.native import checkpoint
from tml_ros.duplex.native.checkpoint import (
    check_checkpoint,
    fill,
    load_checkpoint,
    locate_checkpoint,
    read_manifest,
    save_checkpoint,
)
from tml_ros.duplex.native.shape import NativeShape
from tml_ros.errors import ConfigError, ModelError

ROOT = Path(__file__).resolve().parents[3]
SHAPE = NativeShape.from_mapping(yaml.safe_load((ROOT / "models/tiny/config.yaml").read_text())["shape"])
SHIPPED = sorted(path.parent for path in ROOT.glob("models/*/config.yaml"))


class Small(nn.Module):
    """Stands for a model: the loader knows names and shapes alone."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(4, 3)
        self.experts = nn.Parameter(torch.randn(2, 3, 3))
        self.norm = nn.RMSNorm(3)


def load_weights(folder: Path, module: nn.Module) -> None:
    fill(module, load_checkpoint(folder, dtype=None)[1], folder)


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    path = tmp_path / "some_tokenizer.json"
    Tokenizer(models.WordLevel({f"t{n}": n for n in range(SHAPE.vocabulary)}, unk_token="t0")).save(str(path))
    return path


@pytest.fixture
def save(tmp_path: Path, tokenizer: Path):
    def make(folder: Path = tmp_path / "small", **changes) -> Path:
        given = {"name": "small", "shape": SHAPE, "state": Small().state_dict(), "tokenizer": tokenizer}
        save_checkpoint(folder, **(given | {"card": "# Small\n", "trained": False} | changes))
        return folder

    return make


def edit(folder: Path, **changes) -> None:
    """Change keys of a checkpoint's config.yaml."""
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))


def put(folder: Path, name: str, content: bytes) -> None:
    """Put a file there and list it as it is, so that only its content is wrong."""
    (folder / name).write_bytes(content)
    files = yaml.safe_load((folder / "config.yaml").read_text())["files"]
    edit(folder, files=files | {name: checkpoint._describe(folder / name)})


# ------------------------------------------------------------------------------------------------------ round trip


def test_weights_come_back_bit_for_bit_when_they_are_saved(save, tmp_path):
    module = Small()
    manifest, state = load_checkpoint(save(state=module.state_dict(), trained=True, licence="MIT"))
    assert (manifest.name, manifest.shape, manifest.trained, manifest.licence) == ("small", SHAPE, True, "MIT")
    assert state.keys() == module.state_dict().keys()
    assert all(torch.equal(state[name], value) for name, value in module.state_dict().items())
    assert manifest.sees
    assert {path.name for path in (tmp_path / "small").iterdir()} == {
        "README.md",
        "config.yaml",
        "model.safetensors",
        "tokenizer.json",
    }


def test_module_has_the_weights_when_they_are_loaded_into_it(save):
    source, target = Small(), Small().to(torch.bfloat16)
    load_weights(save(state=source.state_dict()), target)
    assert torch.equal(target.experts, source.experts.to(torch.bfloat16))


def test_files_are_the_same_bytes_when_the_same_is_saved_twice(save, tmp_path):
    state = Small().state_dict()
    one, two = save(tmp_path / "one", state=state), save(tmp_path / "two", state=state)
    for name in ("config.yaml", "model.safetensors"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16])
def test_weights_come_as_float32_when_they_are_stored_in_half_and_nothing_else_is_asked(save, stored):
    folder = save(dtype=stored)
    assert {tensor.dtype for tensor in load_checkpoint(folder)[1].values()} == {torch.float32}
    assert {tensor.dtype for tensor in load_checkpoint(folder, dtype=None)[1].values()} == {stored}


def test_everybody_may_read_what_is_saved_when_other_files_may_be_read(save):
    folder = save()
    (folder.parent / "any").touch()
    assert {path.stat().st_mode for path in folder.iterdir()} == {(folder.parent / "any").stat().st_mode}


def test_loaded_tensors_stay_when_the_file_is_removed(save):
    folder = save()
    state = load_checkpoint(folder)[1]
    before = state["experts"].clone()
    shutil.rmtree(folder)
    assert torch.equal(state["experts"], before)


# ------------------------------------------------------------------------------------------------------- faults read


def test_error_names_the_folder_when_it_is_missing(tmp_path):
    with pytest.raises(ModelError, match=r"no checkpoint folder .*nowhere; check the path"):
        read_manifest(tmp_path / "nowhere")


def test_error_names_the_configuration_when_the_folder_has_none(tmp_path):
    with pytest.raises(ModelError, match=r"is no checkpoint, it has no config\.yaml"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_error_names_the_file_when_one_is_missing(save, name):
    folder = save()
    (folder / name).unlink()
    with pytest.raises(ModelError, match=rf"{name} is missing, config\.yaml lists it; copy the whole folder anew"):
        load_checkpoint(folder)


def test_error_says_to_update_when_the_format_is_newer(save):
    folder = save()
    edit(folder, format=2, something_new=True)
    with pytest.raises(ModelError, match="has format 2, this version of tml_ros knows 1; update tml_ros"):
        read_manifest(folder)


def test_error_gives_both_hashes_when_a_byte_has_changed(save):
    folder = save()
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"has sha256 [0-9a-f]{12}\.\.\., expected [0-9a-f]{12}\.\.\.; copy it anew"):
        load_checkpoint(folder)


def test_hash_is_checked_first_when_the_content_could_not_even_be_parsed(save):
    path = save() / "model.safetensors"
    path.write_bytes(b"{" * path.stat().st_size)
    with pytest.raises(ModelError, match="sha256"):
        load_checkpoint(path.parent)


@pytest.mark.parametrize(("change", "said"), [(-8, "truncated"), (8, "too long")])
def test_error_gives_both_sizes_when_a_file_has_another_length(save, change, said):
    path = save() / "model.safetensors"
    content = path.read_bytes()
    size = len(content)
    path.write_bytes(content[:change] if change < 0 else content + bytes(change))
    with pytest.raises(ModelError, match=rf"is {said}: {size + change} bytes, expected {size}; copy it anew"):
        load_checkpoint(path.parent)


def pickled() -> bytes:
    return pickle.dumps({"embedding": [1.0]})


def zipped() -> bytes:
    file = io.BytesIO()
    torch.save({"embedding": torch.zeros(1)}, file)
    return file.getvalue()


@pytest.mark.parametrize(("content", "kind"), [(pickled, "pickle"), (zipped, "zip archive")])
def test_error_says_that_it_can_run_code_when_weights_are_pickled(save, content, kind):
    folder = save()
    put(folder, "model.safetensors", content())
    with pytest.raises(ModelError, match=rf"is a {kind}.*, which can run code and is never read; convert it"):
        load_checkpoint(folder)


def test_weights_are_read_when_their_first_bytes_happen_to_be_those_of_a_pickle(save, tmp_path):
    folder, state = save(), Small().state_dict()
    for length in range(2048):
        save_file(state, tmp_path / "alike", metadata={"note": "x" * length})
        content = (tmp_path / "alike").read_bytes()
        if content[0] == 0x80 and content[1] <= 5:
            break
    assert pickled()[:1] == content[:1]
    put(folder, "model.safetensors", content)
    assert load_checkpoint(folder)[1].keys() == state.keys()


@pytest.mark.parametrize("content", [b"nonsense" * 9, b"\x10" + bytes(7) + b'{"a": }         ', b"\xff" * 64])
def test_error_says_that_it_is_no_safetensors_when_the_content_is_something_else(save, content):
    folder = save()
    put(folder, "model.safetensors", content)
    with pytest.raises(ModelError, match=r"is not valid safetensors: .*; save it anew"):
        load_checkpoint(folder)


def test_error_names_tensor_and_type_when_weights_are_integers(save, tmp_path):
    folder = save()
    save_file({"experts": torch.zeros(2, dtype=torch.int8)}, tmp_path / "ints")
    put(folder, "model.safetensors", (tmp_path / "ints").read_bytes())
    with pytest.raises(ModelError, match=r"expected F32, F16, BF16, found experts \(I8\); convert them"):
        load_checkpoint(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_error_names_the_tensor_when_a_weight_is_not_finite(save, tmp_path, value):
    folder = save()
    state = Small().state_dict()
    state["experts"][1, 2, 0] = value
    save_file(state, tmp_path / "wild")
    put(folder, "model.safetensors", (tmp_path / "wild").read_bytes())
    with pytest.raises(ModelError, match="has weights that are not finite, in experts; use an earlier checkpoint"):
        load_checkpoint(folder)


def test_error_lists_the_first_faults_when_weights_do_not_fit(save):
    state = Small().state_dict()
    state["experts"] = torch.zeros(2, 3, 4)
    del state["norm.weight"]
    folder = save(state=state | {f"extra{n}": torch.zeros(n + 1) for n in range(5)})
    with pytest.raises(ModelError) as fault:
        load_weights(folder, Small())
    said = str(fault.value)
    assert "1 missing (norm.weight [3])" in said
    assert "5 unexpected (extra0 [1], extra1 [2], extra2 [3] and 2 more)" in said
    assert "1 of another shape (experts is [2, 3, 4], expected [2, 3, 3])" in said


def test_module_is_as_it_was_when_weights_do_not_fit(save):
    module = Small()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(ModelError):
        load_weights(save(state={"experts": torch.zeros(2, 3, 3)}), module)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_error_is_raised_when_the_module_has_no_storage(save):
    with torch.device("meta"):
        module = Small()
    with pytest.raises(ModelError, match="on the meta device and cannot hold weights"):
        load_weights(save(), module)


def test_error_names_file_and_size_when_the_shape_is_impossible(save):
    folder = save()
    edit(folder, shape=SHAPE.as_mapping() | {"heads": 3})
    with pytest.raises(
        ConfigError, match=r"small/config\.yaml: shape\.heads must be a multiple of kv_heads \(2\), got 3"
    ):
        read_manifest(folder)


def test_error_gives_both_sizes_when_the_vocabulary_is_another(save):
    folder = save()
    edit(folder, shape=SHAPE.as_mapping() | {"vocabulary": 600})
    with pytest.raises(ModelError, match=rf"\.json has {SHAPE.vocabulary} tokens, shape\.vocabulary is 600; they must"):
        load_checkpoint(folder)


def test_error_says_so_when_the_tokenizer_is_none(save):
    folder = save()
    put(folder, "tokenizer.json", b'{"version": "1.0"}')
    with pytest.raises(ModelError, match=r"tokenizer\.json is no tokenizer: .*; copy it anew"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"files": {"../../etc/passwd": {"sha256": "0" * 64, "bytes": 1}}}, "'../../etc/passwd' was unexpected"),
        ({"files": {"model.safetensors": {"sha256": "0" * 64, "bytes": 1}}}, "'tokenizer.json' is a dependency"),
        ({"files": {"tokenizer.json": {"sha256": "0" * 63, "bytes": 1}}}, "does not match"),
        ({"files": {"tokenizer.json": {"sha256": "0" * 64, "bytes": 0}}}, "minimum"),
        ({"name": "../up"}, "'../up' does not match"),
        ({"trained": "yes"}, "'yes' is not of type 'boolean'"),
        ({"trainde": True}, "did you mean 'trained'"),
        ({"format": "1"}, "1 was expected"),
        ({"licence": ""}, "licence"),
    ],
)
def test_error_names_the_key_when_the_configuration_is_against_its_schema(save, changes, said):
    folder = save()
    edit(folder, **changes)
    with pytest.raises(ConfigError) as fault:
        read_manifest(folder)
    assert said in str(fault.value) and "config.yaml" in str(fault.value)


def test_error_says_how_to_make_weights_when_a_preset_is_loaded():
    with pytest.raises(ModelError, match=r"is a preset without weights; make some with `tml checkpoint make base OUT`"):
        load_checkpoint(ROOT / "models" / "base")


# ------------------------------------------------------------------------------------------------------ faults written


def test_nothing_is_left_when_saving_fails(save, tmp_path, tokenizer):
    before = {path.name for path in tmp_path.iterdir()}
    state = Small().state_dict()
    state["experts"][0, 0, 0] = float("nan")
    with pytest.raises(ModelError, match="not finite"):
        save(state=state)
    with pytest.raises(ModelError, match=r"cannot write checkpoint .*: .*absent\.json"):
        save(tokenizer=tmp_path / "absent.json")
    with pytest.raises(ConfigError, match="name"):
        save(name="Not A Name")
    assert {path.name for path in tmp_path.iterdir()} == before


def test_old_checkpoint_stays_when_its_replacement_fails(save, tmp_path):
    folder = save()
    before = (folder / "model.safetensors").read_bytes()
    with pytest.raises(ModelError):
        save(state={"experts": torch.full((1,), float("nan"))}, replace=True)
    assert (folder / "model.safetensors").read_bytes() == before
    load_checkpoint(folder)


def test_old_checkpoint_is_replaced_only_when_that_is_asked(save, tmp_path):
    folder = save()
    with pytest.raises(ModelError, match="exists already; choose another name or replace it with --force"):
        save()
    save(state={"experts": torch.ones(1)}, replace=True)
    assert load_checkpoint(folder)[1].keys() == {"experts"}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_folder_of_others_is_left_alone_when_it_is_in_the_way(save, tmp_path):
    folder = save()
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(ModelError, match=r"it also holds thesis\.tex.* is not replaced"):
        save(replace=True)
    other = tmp_path / "mine"
    other.mkdir()
    with pytest.raises(ModelError, match=r"no folder with a config\.yaml.* is not replaced"):
        save(other, replace=True)
    assert (folder / "thesis.tex").exists() and other.exists()


def test_error_names_the_tensor_when_integers_are_to_be_saved(save):
    with pytest.raises(ModelError, match=r"only floating point tensors can be stored, found count \(torch\.int64\)"):
        save(state={"count": torch.zeros(1, dtype=torch.int64)})


# ----------------------------------------------------------------------------------------------------------- shipped


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_shipped_checkpoint_is_whole_when_it_is_read(folder):
    manifest = check_checkpoint(folder)
    assert manifest.name == folder.name
    names = {path.name for path in folder.iterdir()}
    assert {*manifest.files, "config.yaml", "README.md"} <= names
    assert names <= {"model.safetensors", "tokenizer.json", "config.yaml", "README.md"}
    assert manifest.has_weights == ("model.safetensors" in names)
    card = (folder / "README.md").read_text()
    assert card.startswith(f"# {folder.name}")
    assert manifest.trained or "untrained" in card.lower()


@pytest.mark.parametrize("name", ["tiny", "models/tiny", str(ROOT / "models" / "tiny")])
def test_checkpoint_is_found_when_it_is_named(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert locate_checkpoint(name) == ROOT / "models" / "tiny"


def test_folder_of_one_s_own_is_not_taken_for_a_checkpoint_when_it_has_the_same_name(tmp_path, monkeypatch):
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    assert locate_checkpoint("tiny") == ROOT / "models" / "tiny"


def test_error_lists_what_there_is_when_no_checkpoint_has_the_name():
    with pytest.raises(ModelError, match=r"no checkpoint 'tinny': give a folder.*base, interaction-small, micro, tiny"):
        locate_checkpoint("tinny")


def test_nothing_can_unpickle_when_the_package_is_searched():
    package = ROOT / "tml_ros" / "duplex" / "native"
    sources = "".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    assert "torch.load(" not in sources and "import pickle" not in sources
