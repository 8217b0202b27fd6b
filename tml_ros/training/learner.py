"""One step of learning: a batch in, better weights out. Model, optimiser, schedule and average of weights together.

Everything that a step depends on is the weights, the state of AdamW and the number of the step, so ``tensors`` and
``restore`` are all it takes to go on. Some parameters may be left as they are. It knows no files and no scenes.

Source: Loshchilov and Hutter 2019 (arXiv 1711.05101) for AdamW, 2017 (arXiv 1608.03983) for the cosine; Liu et al. 2025
(arXiv 2502.16982) for Muon, which makes the steps of a matrix orthogonal.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tml_ros.duplex.native.transformer import InteractionTransformer
from tml_ros.errors import ModelError
from tml_ros.training.encoding import Batch
from tml_ros.training.objective import Emphasis, Measured, Objective
from tml_ros.training.settings import OptimizerSettings

__all__ = ["Learner", "LearnerOptions", "Progress", "is_learned"]

_FLAT = 1  # dimensions of parameters that decay leaves alone: norms and biases
_MATRICES = ("blocks.", "sound.project.", "sound.stem.layers.", "sight.whole.", "sight.coarse.")
_NOT_TRAINED = ("flow.", "vocoder.", "voice_queries")


def is_learned(name: str) -> bool:
    """Whether a parameter is learned from scenes: all are but those of the voice."""
    return not name.startswith(_NOT_TRAINED)


@dataclass(frozen=True, slots=True)
class LearnerOptions:
    """How it learns. steps: of the whole schedule. average: share of the average of weights that a step keeps, 0: none.

    precision: float32, or bfloat16 for the products.
    """

    optimizer: OptimizerSettings
    steps: int
    average: float = 0.0
    precision: str = "float32"
    compile: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """What a step came to. rate: of learning; norm: of the gradient before it was clipped."""

    step: int
    measured: Measured
    rate: float
    norm: float
    stop: bool


class Learner:
    """A model that learns.

    Thread: one caller. With torch.distributed set up, every process makes one and calls ``learn`` as often.
    """

    def __init__(
        self,
        model: InteractionTransformer,
        options: LearnerOptions,
        is_trainable: Callable[[str], bool] = is_learned,
        objective: Objective | None = None,
    ) -> None:
        """objective: what is asked of the model, the usual when none is given."""
        self.model, self.options, self.step = model.train(), options, 0
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(is_trainable(name))
        self._learned = {name: each for name, each in model.named_parameters() if each.requires_grad}
        if not self._learned:
            raise ModelError("no parameter is to be trained; let is_trainable accept some names")
        self._optimizers = _optimizers(self._learned, options.optimizer)
        self._average = {name: each.detach().clone() for name, each in self._learned.items()} if options.average else {}
        self._objective = _shared(objective or Objective(model))
        self._device = model.embedding.weight.device
        if options.compile:
            _compile(model)

    def learn(self, batch: Batch, emphasis: Emphasis, *, stop: bool = False) -> Progress:
        """Take one step.

        Args:
            batch: rows of this process.
            emphasis: what counts how much.
            stop: this process wants to stop; ``Progress.stop`` says whether any does.

        Raises:
            ModelError: the loss is no number any more.
        """
        rate = self._set_rate()
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.options.precision == "bfloat16"):
            measured, wants_stop = self._objective(batch.to(self._device), emphasis, stop)
        if not torch.isfinite(measured.total):
            raise ModelError(f"the loss of step {self.step} is {measured.total.item()}; lower optimizer.rate")
        for optimizer, _ in self._optimizers:
            optimizer.zero_grad(set_to_none=True)
        measured.total.backward()
        norm = nn.utils.clip_grad_norm_(self._learned.values(), self.options.optimizer.clip)
        for optimizer, _ in self._optimizers:
            optimizer.step()
        self._keep_average()
        self.step += 1
        return Progress(self.step, measured, rate, float(norm), wants_stop)

    def weights(self) -> dict[str, Tensor]:
        """Return the weights to be used: the average of those that are learned, where one is kept."""
        return dict(self.model.state_dict()) | self._average

    # -------------------------------------------------------------------------------------------------- state

    def tensors(self) -> dict[str, Tensor]:
        """Return everything that going on takes, beside the number of the step, by name."""
        found = {f"model.{name}": each for name, each in self.model.state_dict().items()}
        found |= {f"average.{name}": each for name, each in self._average.items()}
        for optimizer, _ in self._optimizers:
            for name, parameter in self._learned.items():
                for key, value in optimizer.state.get(parameter, {}).items():
                    found[f"optimizer.{key}.{name}"] = value
        return {name: each.detach() for name, each in found.items()}

    def restore(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Go on from ``tensors`` of a learner with the same options.

        Raises:
            ModelError: they are of another model or other options.
        """
        own = {f"model.{name}" for name in self.model.state_dict()} | {f"average.{name}" for name in self._average}
        if own != {name for name in tensors if not name.startswith("optimizer.")}:
            raise ModelError("the saved state is of another model or has another average; begin anew in another folder")
        self.model.load_state_dict({name: tensors[f"model.{name}"] for name in self.model.state_dict()})
        for name, average in self._average.items():
            average.copy_(tensors[f"average.{name}"])
        for optimizer, _ in self._optimizers:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    optimizer.state[parameter].update(self._state_of(parameter, tensors))
        self.step = step

    def _state_of(self, parameter: nn.Parameter, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what an optimiser keeps of a parameter, by its own names; nothing before the first gradient."""
        (name,) = (name for name, each in self._learned.items() if each is parameter)
        names = {key: f"optimizer.{key}.{name}" for key in ("step", "exp_avg", "exp_avg_sq", "momentum_buffer")}
        kept = {key: tensors[full].clone() for key, full in names.items() if full in tensors}
        return {key: self._placed(key, value) for key, value in kept.items()}

    def _placed(self, key: str, value: Tensor) -> Tensor:
        return value if key == "step" else value.to(self._device)

    # -------------------------------------------------------------------------------------------------- parts

    def _set_rate(self) -> float:
        settings, step = self.options.optimizer, self.step
        done = (step - settings.warmup_steps) / max(1, self.options.steps - settings.warmup_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, done))))
        share = settings.final_share + (1 - settings.final_share) * cosine
        share *= min(1.0, (step + 1) / (settings.warmup_steps + 1))
        for optimizer, rate in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * share
        return settings.rate * share

    @torch.no_grad()
    def _keep_average(self) -> None:
        """Keep less of the average in the first steps, when it is still that of random weights."""
        keep = min(self.options.average, (1 + self.step) / (10 + self.step))
        for name, average in self._average.items():
            average.lerp_(self._learned[name], 1 - keep)


def _optimizers(
    learned: Mapping[str, nn.Parameter], settings: OptimizerSettings
) -> list[tuple[torch.optim.Optimizer, float]]:
    """Return who learns the parameters, each with its rate."""
    matrices = {
        name: each
        for name, each in learned.items()
        if settings.matrix_rate and each.dim() == 2 and name.startswith(_MATRICES) and not name.endswith(".mix")
    }
    others = [each for name, each in learned.items() if name not in matrices]
    groups: list[dict[str, Any]] = [
        {"params": [each for each in others if each.dim() > _FLAT]},
        {"params": [each for each in others if each.dim() <= _FLAT], "weight_decay": 0.0},
    ]
    made: list[tuple[torch.optim.Optimizer, float]] = []
    groups = [group for group in groups if group["params"]]
    if groups:
        adam = torch.optim.AdamW(groups, settings.rate, betas=settings.betas, weight_decay=settings.weight_decay)
        made.append((adam, settings.rate))
    if matrices:
        muon = torch.optim.Muon(matrices.values(), settings.matrix_rate, weight_decay=settings.weight_decay)
        made.append((muon, settings.matrix_rate))
    return made


def _shared(objective: Objective) -> nn.Module:
    """Share gradients with the other processes, if there are any."""
    if not (dist.is_available() and dist.is_initialized()):
        return objective
    # a batch without pictures, say, leaves the weights for them alone
    return DistributedDataParallel(objective, find_unused_parameters=True)


def _compile(model: InteractionTransformer) -> None:
    """Compile what is dense in a layer; attention and experts have kernels of their own."""
    for block in model.layers:
        block.attention.project = torch.compile(block.attention.project, dynamic=True)  # type: ignore[method-assign]
        if not hasattr(block.feed_forward, "router"):
            block.feed_forward.compile(dynamic=True)
