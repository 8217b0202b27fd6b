"""Read and write checkpoints: config.yaml, model.safetensors, tokenizer.json and the model card in one folder.

Nothing of a file is parsed before its size and hash are what config.yaml says, and nothing is ever unpickled. The names
of the files are fixed, so none can point elsewhere. A folder without model.safetensors is a preset: sizes alone.
It does not know what is in a model, only names, shapes and types of tensors.

Source: safetensors format, https://huggingface.co/docs/safetensors.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import torch
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from tml_ros.duplex.native.shape import NativeShape
from tml_ros.errors import ConfigError, ModelError
from tml_ros.resources import locate
from tml_ros.schema_files import read_checked, read_yaml

__all__ = [
    "CARD",
    "CONFIG",
    "DTYPES",
    "TOKENIZER",
    "WEIGHTS",
    "CheckpointManifest",
    "StoredFile",
    "check_checkpoint",
    "fill",
    "load_checkpoint",
    "locate_checkpoint",
    "make_untrained",
    "read_manifest",
    "save_checkpoint",
    "verify_files",
]

FORMAT = 1
CONFIG = "config.yaml"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
CARD = "README.md"
DTYPES = MappingProxyType({"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16})

_STORED_DTYPES = ("F32", "F16", "BF16")  # as safetensors writes them
_SHOWN = 3  # tensors that a message names
_MOST_UNTRAINED_BYTES = 8_000_000_000


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What config.yaml says of a file beside it."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class CheckpointManifest:
    """What config.yaml says of a checkpoint. sees: it learned with pictures."""

    folder: Path
    name: str
    shape: NativeShape
    trained: bool
    licence: str
    files: Mapping[str, StoredFile] = field(default_factory=dict)
    sees: bool = True

    @property
    def has_weights(self) -> bool:
        """Whether there are weights, or sizes alone."""
        return WEIGHTS in self.files


# ------------------------------------------------------------------------------------------------------------- read


def locate_checkpoint(name_or_path: str | Path) -> Path:
    """Return the folder of a checkpoint: a path, ``models/tiny``, or the bare name of one that is shipped.

    Raises:
        ModelError: there is no such folder, or no config.yaml in it.
    """
    given = str(name_or_path)
    for name in (given,) if os.sep in given else (given, f"models/{given}"):
        try:
            folder = locate(name)
        except ConfigError:
            continue
        if (folder / CONFIG).is_file():
            return folder
    raise ModelError(f"no checkpoint {given!r}: give a folder that holds {CONFIG}, or one of {', '.join(_shipped())}")


def read_manifest(folder: Path) -> CheckpointManifest:
    """Return what a checkpoint says of itself; the other files are not opened.

    Raises:
        ModelError: the folder or its config.yaml is missing, or the format is newer than this version knows.
        ConfigError: config.yaml is against its schema, or its sizes are impossible.
    """
    path = folder / CONFIG
    if not folder.is_dir():
        raise ModelError(f"no checkpoint folder {folder}; check the path")
    if not path.is_file():
        raise ModelError(f"{folder} is no checkpoint, it has no {CONFIG}; check the path")
    _check_format(path, read_yaml(path, "checkpoint"))
    content = read_checked(path, "checkpoint", "checkpoint.schema.json")
    try:
        shape = NativeShape.from_mapping(content["shape"])
    except ConfigError as err:
        raise ConfigError(f"{path}: {err}") from err
    files = {name: StoredFile(**entry) for name, entry in content["files"].items()}
    return CheckpointManifest(
        folder,
        content["name"],
        shape,
        content["trained"],
        content["licence"],
        MappingProxyType(files),
        content.get("sees", True),
    )


def verify_files(manifest: CheckpointManifest) -> None:
    """Check size and hash of every file that the manifest lists, and the size of the tokenizer's vocabulary.

    A preset's tokenizer need not be listed: it may be trained anew without touching the sizes.

    Raises:
        ModelError: a file is missing, truncated, changed, a pickle, or not of this shape.
    """
    for name, stored in manifest.files.items():
        _check_file(manifest.folder / name, stored)
    if (manifest.folder / TOKENIZER).is_file():
        _check_vocabulary(manifest.folder / TOKENIZER, manifest.shape.vocabulary)


def load_checkpoint(
    folder: Path, dtype: torch.dtype | None = torch.float32
) -> tuple[CheckpointManifest, dict[str, Tensor]]:
    """Return manifest and weights, on the CPU, every file verified.

    Args:
        dtype: of the tensors that come back, None: as they are stored.

    Raises:
        ModelError: there are no weights, a file is wrong (see ``verify_files``), or weights are of a wrong type or not
            finite.
        ConfigError: as ``read_manifest``.
    """
    manifest = read_manifest(folder)
    if not manifest.has_weights:
        raise ModelError(
            f"{folder} is a preset without weights; make some with `tml checkpoint make {manifest.name} OUT`"
        )
    verify_files(manifest)
    path = folder / WEIGHTS
    state = _read_tensors(path, dtype)
    wrong = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if wrong:
        raise ModelError(f"{path} has weights that are not finite, in {_some(wrong)}; use an earlier checkpoint")
    return manifest, state


def fill(module: nn.Module, state: Mapping[str, Tensor], folder: Path) -> None:
    """Copy tensors into a module, in the module's own type and place. folder: what a message names.

    Raises:
        ModelError: names or shapes of tensors are not those of the module, or it is on the meta device.
    """
    expected = module.state_dict()
    if any(tensor.is_meta for tensor in expected.values()):
        raise ModelError("the module is on the meta device and cannot hold weights; build it on a real one")
    _check_fit(folder / WEIGHTS, state, expected)
    module.load_state_dict(state)


def check_checkpoint(folder: Path) -> CheckpointManifest:
    """Check all that can be checked: every file, and that weights, if there are any, fit a model of this shape.

    Raises:
        ModelError: as ``verify_files``, ``load_checkpoint`` and ``fill``.
        ConfigError: as ``read_manifest``.
    """
    from tml_ros.duplex.native.transformer import InteractionTransformer  # a manifest alone does not need the model

    manifest = read_manifest(folder)
    if not manifest.has_weights:
        verify_files(manifest)
        return manifest
    _, state = load_checkpoint(folder, dtype=None)
    with torch.device("meta"):
        model = InteractionTransformer(manifest.shape)
    _check_fit(folder / WEIGHTS, state, model.state_dict())
    return manifest


# ------------------------------------------------------------------------------------------------------------ write


def save_checkpoint(
    folder: Path,
    *,
    name: str,
    shape: NativeShape,
    state: Mapping[str, Tensor],
    tokenizer: Path,
    card: str,
    trained: bool,
    licence: str = "Apache-2.0",
    dtype: torch.dtype = torch.float32,
    replace: bool = False,
    sees: bool = True,
) -> CheckpointManifest:
    """Write a checkpoint whole or not at all: into a folder beside it, which is read back and then renamed.

    Args:
        state: tensors by name, floating point, any device.
        tokenizer: file to copy.
        card: text of the model card.
        dtype: that the weights are stored in, one of ``DTYPES``.
        replace: put it in the place of an older checkpoint; a folder that holds anything else is never removed.
        sees: it learned with pictures; without them it is given none.

    Raises:
        ModelError: the folder is in the way, tensors cannot be stored, or the tokenizer does not fit.
        ConfigError: the name is none.
    """
    folder = folder.absolute()
    _check_place(folder, replace)
    tensors = _storable(state, dtype)
    draft = folder.parent / f".{folder.name}.{secrets.token_hex(4)}"
    try:
        draft.mkdir(parents=True)
        shutil.copyfile(tokenizer, draft / TOKENIZER)
        save_file(tensors, draft / WEIGHTS, metadata={"format": "pt"})
        shutil.copymode(draft / TOKENIZER, draft / WEIGHTS)  # the library lets its owner alone read it
        (draft / CARD).write_text(card, encoding="utf-8")
        files = {one: _describe(draft / one) for one in (WEIGHTS, TOKENIZER)}
        content = {"format": FORMAT, "name": name, "licence": licence, "trained": trained, "sees": sees}
        content |= {"files": files, "shape": shape.as_mapping()}
        text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=200)
        (draft / CONFIG).write_text(text, encoding="utf-8")
        load_checkpoint(draft)
        _move_into_place(draft, folder)
    except OSError as err:
        raise ModelError(f"cannot write checkpoint {folder}: {err}") from err
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return read_manifest(folder)


def make_untrained(
    preset: Path, out: Path, *, seed: int, dtype: str = "float32", replace: bool = False
) -> CheckpointManifest:
    """Write a checkpoint with the shape and tokenizer of another one and random weights.

    Args:
        seed: the same one gives the same weights with the same version of torch.
        dtype: name in ``DTYPES``.

    Raises:
        ModelError: the preset has no tokenizer, is too large to be made here, or ``save_checkpoint`` refuses.
        ConfigError: as ``read_manifest``.
    """
    from tml_ros.duplex.native.costs import parameter_count  # a manifest alone does not need the model
    from tml_ros.duplex.native.transformer import InteractionTransformer

    manifest = read_manifest(preset)
    _check_place(out.absolute(), replace)
    size = 4 * parameter_count(manifest.shape).total
    if size > _MOST_UNTRAINED_BYTES:
        raise ModelError(
            f"{manifest.name} has {size / 1e9:.0f} GB of weights, at most {_MOST_UNTRAINED_BYTES / 1e9:.0f} "
            "GB are made at random; take a smaller preset"
        )
    if not (preset / TOKENIZER).is_file():
        raise ModelError(f"{preset} has no {TOKENIZER}; train one, or take the preset tiny or micro")
    model = InteractionTransformer.created(manifest.shape, seed)
    return save_checkpoint(
        out,
        name=manifest.name,
        shape=manifest.shape,
        state=model.state_dict(),
        tokenizer=preset / TOKENIZER,
        card=_untrained_card(manifest),
        trained=False,
        dtype=DTYPES[dtype],
        replace=replace,
    )


# ------------------------------------------------------------------------------------------------------------- parts


def _shipped() -> list[str]:
    try:
        return sorted(path.parent.name for path in locate("models").glob(f"*/{CONFIG}"))
    except ConfigError:
        return []


def _check_format(path: Path, content: object) -> None:
    found = content.get("format") if isinstance(content, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise ModelError(f"{path} has format {found}, this version of tml_ros knows {FORMAT}; update tml_ros")


def _check_file(path: Path, stored: StoredFile) -> None:
    if not path.is_file():
        raise ModelError(f"{path} is missing, {CONFIG} lists it; copy the whole folder anew")
    size = path.stat().st_size
    with path.open("rb") as file:
        kind = _archive_kind(file.read(9))
        if kind:
            raise ModelError(f"{path} is a {kind}, which can run code and is never read; convert it to safetensors")
        if size != stored.bytes:
            state = "truncated" if size < stored.bytes else "too long"
            raise ModelError(f"{path} is {state}: {size} bytes, expected {stored.bytes}; copy it anew")
        file.seek(0)
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != stored.sha256:
        raise ModelError(f"{path} has sha256 {found[:12]}..., expected {stored.sha256[:12]}...; copy it anew")


def _archive_kind(head: bytes) -> str:
    """Name what is not safetensors though it often goes by that name.

    Args:
        head: the first nine bytes. Those of safetensors are the length of its header, which may look like a pickle's,
            and a brace.
    """
    if head.startswith(b"PK\x03\x04"):
        return "zip archive (as torch.save writes)"
    return "pickle" if head[:1] == b"\x80" and head[1:2] <= b"\x05" and head[8:] != b"{" else ""


def _check_vocabulary(path: Path, expected: int) -> None:
    try:
        found = Tokenizer.from_file(str(path)).get_vocab_size()
    except Exception as err:  # the library raises Exception itself
        raise ModelError(f"{path} is no tokenizer: {err}; copy it anew") from err
    if found != expected:
        raise ModelError(
            f"{path} has {found} tokens, shape.vocabulary is {expected}; they must come from one checkpoint"
        )


def _read_tensors(path: Path, dtype: torch.dtype | None) -> dict[str, Tensor]:
    """Return copies, so that later changes of the file do not reach them."""
    try:
        with safe_open(path, framework="pt") as file:
            stored = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
            wrong = [f"{name} ({kind})" for name, kind in stored.items() if kind not in _STORED_DTYPES]
            if wrong:
                raise ModelError(f"{path}: expected {', '.join(_STORED_DTYPES)}, found {_some(wrong)}; convert them")
            return {name: file.get_tensor(name).to(dtype=dtype, copy=True) for name in stored}
    except SafetensorError as err:
        raise ModelError(f"{path} is not valid safetensors: {err}; save it anew") from err


def _check_fit(path: Path, state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    missing = [f"{name} {list(expected[name].shape)}" for name in expected if name not in state]
    unexpected = [f"{name} {list(state[name].shape)}" for name in state if name not in expected]
    shapes = [
        f"{name} is {list(state[name].shape)}, expected {list(expected[name].shape)}"
        for name in expected
        if name in state and state[name].shape != expected[name].shape
    ]
    kinds = (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
    faults = [f"{len(found)} {what} ({_some(found)})" for what, found in kinds if found]
    if faults:
        raise ModelError(f"{path} does not fit the model: tensors {', '.join(faults)}; was it made by another version?")


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_SHOWN]) + (f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else "")


def _check_place(folder: Path, replace: bool) -> None:
    if not folder.exists() and not folder.is_symlink():
        return
    if not replace:
        raise ModelError(f"{folder} exists already; choose another name or replace it with --force")
    own = {CONFIG, WEIGHTS, TOKENIZER, CARD}
    others = sorted(path.name for path in folder.iterdir() if path.name not in own) if folder.is_dir() else []
    if folder.is_symlink() or not (folder / CONFIG).is_file() or others:
        reason = f"it also holds {_some(others)}" if others else f"no folder with a {CONFIG}"
        raise ModelError(f"{folder} is no checkpoint alone ({reason}) and is not replaced; choose another name")


def _storable(state: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    if dtype not in DTYPES.values():
        raise ModelError(f"weights are stored as one of {', '.join(DTYPES)}, not {dtype}")
    wrong = [f"{name} ({tensor.dtype})" for name, tensor in state.items() if not tensor.is_floating_point()]
    if wrong or not state:
        raise ModelError(f"only floating point tensors can be stored, found {_some(wrong) or 'none'}")
    return {name: tensor.detach().to("cpu", dtype, copy=True).contiguous() for name, tensor in state.items()}


def _describe(path: Path) -> dict[str, str | int]:
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": path.stat().st_size}


def _move_into_place(draft: Path, folder: Path) -> None:
    """Rename the draft; an older checkpoint is moved away first, and back if that fails."""
    if not folder.exists():
        draft.rename(folder)
        return
    old = folder.parent / f"{draft.name}.old"
    folder.rename(old)
    try:
        draft.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old)


def _untrained_card(manifest: CheckpointManifest) -> str:
    card = manifest.folder / CARD
    if not manifest.trained and card.is_file():
        return card.read_text(encoding="utf-8")
    return f"# {manifest.name}, untrained\n\nRandom weights in the shape of `{manifest.name}`; it puts out nonsense.\n"
