"""Low-rank adapters: what a lab has taught a checkpoint, in a file of a few MB, merged into the weights at the start.

An adapter adds ``scale * up @ down`` to weights of attention and feed-forward layers (blocks), to those by which what
is spelled is heard (sound), or to both. While it is trained it is a parametrization of these weights, afterwards a
safetensors file with what it fits in its header. Merging does the same sum once, so that a merged model gives what the
trained one gave; the blocks go on to hear as they were trained to. Several are merged one after the other.

Source: Hu et al. 2022 (arXiv 2106.09685), section 4.1. ``peft`` does the same for linear layers; it has nothing for the
banks of experts, which hold most of the weights here.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tml_ros.duplex.native.checkpoint import TOKENIZER, WEIGHTS, CheckpointManifest
from tml_ros.duplex.native.experts import ExpertBank
from tml_ros.duplex.native.transformer import InteractionTransformer
from tml_ros.errors import ModelError

__all__ = [
    "PARTS",
    "AdapterHeader",
    "Part",
    "add_adapter",
    "fingerprint",
    "header_of",
    "is_adapter",
    "merge_adapter",
    "merge_adapters",
    "read_header",
    "save_adapter",
]

Part = Literal["sound", "blocks"]
PARTS: tuple[Part, ...] = ("sound", "blocks")
FORMAT = "tml_ros.adapter.1"
_MARK = "parametrizations.weight.0."
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AdapterHeader:
    """What an adapter's file says of it.

    base: name of the checkpoint that it was trained on. fits: hash of that one's sizes and vocabulary. weights: hash of
    its weights. teaches: what was labelled, such as the new commands.
    """

    name: str
    base: str
    fits: str
    weights: str
    rank: int
    scale: float
    teaches: tuple[str, ...] = ()


class _LowRank(nn.Module):
    """Adds to a weight [..., O, I] what its two narrow factors make: up [..., O, R] and down [..., R, I]."""

    def __init__(self, weight: Tensor, rank: int, scale: float) -> None:
        super().__init__()
        *groups, outwards, inwards = weight.shape
        self.scale = scale
        self.up = nn.Parameter(weight.new_zeros(*groups, outwards, rank))
        self.down = nn.Parameter(torch.randn(*groups, rank, inwards, dtype=weight.dtype) * inwards**-0.5)

    def forward(self, weight: Tensor) -> Tensor:
        return _added(weight, self.up, self.down, self.scale)


def _added(weight: Tensor, up: Tensor, down: Tensor, scale: float) -> Tensor:
    return weight + scale * (up @ down)


# ------------------------------------------------------------------------------------------------------------ train


def add_adapter(model: InteractionTransformer, part: Part, rank: int, scale: float, seed: int) -> None:
    """Give a part of a model low-rank factors to be trained, in place; the model gives what it gave.

    Train the parameters that ``is_adapter`` names, and no other.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _, module in _adapted(getattr(model, part), part):
            parametrize.register_parametrization(module, "weight", _LowRank(module.weight, rank, scale))


def is_adapter(name: str) -> bool:
    """Whether a parameter belongs to an adapter."""
    return _MARK in name


def save_adapter(models: Sequence[InteractionTransformer], path: Path, header: AdapterHeader) -> None:
    """Write the adapters of models, each of another part.

    Raises:
        ModelError: there are none, or the file cannot be written.
    """
    tensors = {
        name.replace(_MARK, ""): parameter.detach().cpu().contiguous()
        for model in models
        for name, parameter in model.named_parameters()
        if is_adapter(name)
    }
    if not tensors:
        raise ModelError("no model has an adapter to be saved; call add_adapter before it is trained")
    metadata = {FORMAT: json.dumps(asdict(header), sort_keys=True)}  # one entry: the order of several is not fixed
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.part")
        save_file(tensors, draft, metadata)
        draft.rename(path)
    except OSError as err:
        raise ModelError(f"cannot write the adapter {path}: {err}") from err


def fingerprint(manifest: CheckpointManifest) -> str:
    """Return the hash of a checkpoint's sizes and vocabulary: whatever has the same can take its adapters."""
    tokenizer = manifest.folder / TOKENIZER
    words = hashlib.sha256(tokenizer.read_bytes()).hexdigest() if tokenizer.is_file() else ""
    content = json.dumps([manifest.shape.as_mapping(), words], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def header_of(
    manifest: CheckpointManifest, name: str, rank: int, scale: float, teaches: Sequence[str]
) -> AdapterHeader:
    """Return the header of an adapter that is trained on a checkpoint."""
    weights = manifest.files[WEIGHTS].sha256 if manifest.has_weights else ""
    return AdapterHeader(name, manifest.name, fingerprint(manifest), weights, rank, scale, tuple(teaches))


# -------------------------------------------------------------------------------------------------------------- use


def read_header(path: Path) -> AdapterHeader:
    """Return what an adapter says of itself.

    Raises:
        ModelError: there is no such file, or it is no adapter of this format.
    """
    return _open(path)[0]


def merge_adapters(
    model: InteractionTransformer, paths: Sequence[str | Path], manifest: CheckpointManifest
) -> list[AdapterHeader]:
    """Add adapters to the weights of a model, one after the other, in place; return what they say of themselves.

    An empty path is none.

    Raises:
        ModelError: a file is no adapter, or does not fit the checkpoint.
    """
    return [merge_adapter(model, Path(path).expanduser(), manifest) for path in paths if path]


def merge_adapter(model: InteractionTransformer, path: Path, manifest: CheckpointManifest) -> AdapterHeader:
    """Add one adapter to the weights of a model, in place.

    Raises:
        ModelError: the file is no adapter, or does not fit the checkpoint.
    """
    header, tensors = _open(path)
    if header.fits != fingerprint(manifest):
        raise ModelError(
            f"adapter {path} was trained on {header.base} ({header.fits[:12]}...), which has other sizes or another "
            f"vocabulary than {manifest.folder} ({fingerprint(manifest)[:12]}...); train it anew with --from "
            f"{manifest.folder}, or take it out of native.adapters"
        )
    if manifest.has_weights and header.weights != manifest.files[WEIGHTS].sha256:
        _log.warning(
            "adapter %s was trained on other weights of %s than these; measure what it does here, or train it anew",
            path,
            header.base,
        )
    own = dict[str, Any]()
    for part in PARTS:
        if any(name.startswith(f"{part}.") for name in tensors):
            own |= _adapted(model.spell_apart() if part == "sound" else model.blocks, part)
    wanted = {f"{name}.{factor}" for name in own for factor in ("up", "down")}
    if wanted != tensors.keys():
        raise ModelError(f"adapter {path} lacks {min(wanted ^ tensors.keys())} or has it too many; train it anew")
    with torch.no_grad():
        for name, module in own.items():
            up, down = (tensors[f"{name}.{part}"].to(module.weight) for part in ("up", "down"))
            module.weight.copy_(_added(module.weight, up, down, header.scale))
    return header


def _open(path: Path) -> tuple[AdapterHeader, dict[str, Tensor]]:
    if not path.is_file():
        raise ModelError(f"no adapter {path}; give a file that `tml train --bags` has written")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if FORMAT not in metadata:
                found = ", ".join(metadata) or "nothing"
                raise ModelError(f"{path} is no adapter: its header has {found}, expected {FORMAT}; name another file")
            header: dict[str, Any] = json.loads(metadata[FORMAT])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            made = AdapterHeader(**{**header, "teaches": tuple(header["teaches"])})
    except (SafetensorError, KeyError, TypeError, ValueError) as err:
        raise ModelError(f"{path} is no valid adapter: {err}; train it anew") from err
    wrong = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if wrong:
        raise ModelError(f"adapter {path} holds numbers that are not finite, in {min(wrong)}; train it anew")
    return made, tensors


def _adapted(whole: nn.Module, part: Part) -> Iterator[tuple[str, Any]]:
    """Yield what an adapter changes of a part: linear maps, routers left out, and banks of experts."""
    for name, module in whole.named_modules(prefix=part):
        if isinstance(module, nn.Linear | ExpertBank) and not name.endswith("router"):
            yield name, module
