"""How a native model is trained: a YAML file, checked against config/train.schema.json. It knows no tensors.

The stages are a curriculum: each says which skills are practised how often, on how long rows, and how many steps long.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tml_ros.errors import ConfigError
from tml_ros.resources import locate
from tml_ros.schema_files import read_checked

__all__ = ["OptimizerSettings", "Stage", "TrainSettings", "load_settings"]

OTHER_SKILL = "other"
_DOES_NOT_MATTER = ("threads", "workers", "prefetch", "log_steps", "save_s", "probe_steps", "probe_rows", "compile")
"""What may change between two runs of one training: the weights come out the same."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One part of the curriculum.

    rows: of a batch, of all processes together. turns: micro-turns of a row. skills: share of each. hardness: of the
    scenes, 0 to 1. snr_db: least and most, in place of what the hardness says. scene: further settings of the source.
    emphasis: what counts how much, see ``objective.Emphasis``. part: "sound": only the tokens of sound are run, on rows
    full of speech (``drills``), and spell it; skills are those of ``drills.SHARES`` then, or drill for all, hardness
    does not matter. uses: how often a batch is used, each time as another microphone would have heard it (``echoes``).
    drills: rows of drills beside each batch of scenes, as long as its rows.
    """

    name: str
    steps: int
    rows: int
    turns: int
    skills: Mapping[str, float]
    hardness: float = 1.0
    snr_db: tuple[float, float] | None = None
    scene: Mapping[str, Any] = field(default_factory=dict)
    emphasis: Mapping[str, Any] = field(default_factory=dict)
    part: str = "all"
    uses: int = 1
    drills: int = 0


@dataclass(frozen=True, slots=True)
class OptimizerSettings:
    """AdamW; the rate goes up in a line for ``warmup_steps``, then down in a cosine to ``final_share`` of it.

    matrix_rate: of Muon, for the matrices of the layers, 0: they are learned by AdamW, too.
    """

    rate: float
    matrix_rate: float = 0.0
    warmup_steps: int = 100
    final_share: float = 0.05
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = 1.0


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """A whole training."""

    preset: str
    seed: int
    source: Mapping[str, Any]
    optimizer: OptimizerSettings
    stages: tuple[Stage, ...]
    start_from: str = ""
    name: str = ""
    licence: str = "Apache-2.0"
    shape: Mapping[str, Any] = field(default_factory=dict)
    average: float = 0.0
    precision: str = "float32"
    compile: bool = False
    threads: int = 1
    workers: int = 1
    prefetch: int = 4
    log_steps: int = 20
    save_s: float = 120.0
    probe_steps: int = 0
    probe_rows: int = 8

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    @property
    def skills(self) -> tuple[str, ...]:
        """Every skill that is practised, and one name for what else there may be."""
        return (*sorted({skill for stage in self.stages for skill in stage.skills} - {OTHER_SKILL}), OTHER_SKILL)

    def stage(self, step: int) -> Stage:
        """Return the stage that a step, from 0, belongs to."""
        for stage in self.stages:
            if step < stage.steps:
                return stage
            step -= stage.steps
        return self.stages[-1]

    def identity(self) -> dict[str, Any]:
        """Return everything that the weights depend on, as plain values."""
        values = asdict(self, dict_factory=_plain)
        return {name: value for name, value in values.items() if name not in _DOES_NOT_MATTER}


def load_settings(name: str, *, corpus: Path | None = None, threads: int | None = None) -> TrainSettings:
    """Read a file, or one that comes with the package by its bare name, such as ``tiny``.

    Args:
        name: path or bare name.
        corpus: given to the source in place of the file's.
        threads: in place of the file's.

    Raises:
        ConfigError: there is none, or it is against the schema.
    """
    path = _locate(name)
    content = dict(read_checked(path, "training file", "train.schema.json"))
    optimizer = OptimizerSettings(**_tuples(content.pop("optimizer")))
    stages = tuple(Stage(**_tuples(stage)) for stage in content.pop("stages"))
    for stage in stages:
        if not sum(stage.skills.values()) > 0:
            raise ConfigError(f"{path}: the shares of stage {stage.name} are all 0; give one skill a share")
    start_from = content.pop("from", "")
    if corpus is not None:
        content["source"] = {**content["source"], "corpus": str(corpus)}
    if threads is not None:
        content["threads"] = threads
    return TrainSettings(optimizer=optimizer, stages=stages, start_from=start_from, **content)


def _locate(name: str) -> Path:
    try:
        path = locate(name)
        return path if path.is_file() else locate(f"config/train/{name}.yaml")
    except ConfigError:
        return locate(f"config/train/{name}.yaml")


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _plain(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    return {name: _plain_value(value) for name, value in pairs}


def _plain_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain_value(one) for name, one in value.items()}
    return [_plain_value(one) for one in value] if isinstance(value, list | tuple) else value
