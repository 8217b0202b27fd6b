"""Take the mean of checkpoints that were trained from one another.

Their weights lie in one valley of the loss, and the mean of two often does better than either. Of weights that have
no common past it is as good as random. It trains nothing.

Source: Wortsman et al. 2022, model soups (arXiv 2203.05482); Izmailov et al. 2018 (arXiv 1803.05407).
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from tml_ros.duplex.native.checkpoint import (
    CARD,
    TOKENIZER,
    CheckpointManifest,
    load_checkpoint,
    locate_checkpoint,
    save_checkpoint,
)
from tml_ros.errors import ModelError

__all__ = ["average"]


def average(checkpoints: Sequence[str | Path], out: Path, *, replace: bool = False) -> CheckpointManifest:
    """Write the mean of the weights; name, licence, card and tokenizer are those of the first.

    Args:
        checkpoints: names or folders, two or more.
        out: folder to be created.
        replace: put it in the place of an older checkpoint.

    Raises:
        ModelError: there are fewer than two, they differ in shape or tokenizer, or one cannot be read or written.
        ConfigError: a configuration is wrong.
    """
    if len(checkpoints) < 2:
        raise ModelError("a mean takes two checkpoints or more")
    read = [load_checkpoint(locate_checkpoint(one)) for one in checkpoints]
    first, weights = read[0]
    for manifest, _ in read[1:]:
        if (manifest.shape, manifest.files[TOKENIZER]) != (first.shape, first.files[TOKENIZER]):
            raise ModelError(f"{manifest.folder} and {first.folder} differ in shape or tokenizer; they have no mean")
    card = first.folder / CARD
    return save_checkpoint(
        out,
        name=first.name,
        shape=first.shape,
        state={name: torch.stack([state[name] for _, state in read]).mean(0) for name in weights},
        tokenizer=first.folder / TOKENIZER,
        card=card.read_text(encoding="utf-8") if card.is_file() else f"# {first.name}\n",
        trained=all(manifest.trained for manifest, _ in read),
        licence=first.licence,
        replace=replace,
        sees=all(manifest.sees for manifest, _ in read),
    )
