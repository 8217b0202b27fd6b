"""Hear whether a machine that should hum does: a fan, a pump, a stirrer. It knows no rules.

The level of the machine's band is compared with how loud it usually is, which is learned while it runs. Whether it
should run is a fact of the rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tml_ros.config import param
from tml_ros.errors import ConfigError
from tml_ros.safety.spectrum import BIN_HZ, Spectra
from tml_ros.safety.watcher import Reading, SafetyTurn, Surroundings

__all__ = ["Hum", "HumConfig"]


@dataclass(frozen=True, slots=True)
class HumConfig:
    """Where the machine is heard, and what is silence."""

    low_hz: float = param(80.0, "Lower end of the machine's band", unit="Hz", minimum=30.0, maximum=7000.0)
    high_hz: float = param(400.0, "Upper end of the machine's band", unit="Hz", minimum=60.0, maximum=7500.0)
    silent_db: float = param(
        -62.0,
        "Level of the band below which the machine is silent, of full scale",
        unit="dB",
        minimum=-110.0,
        maximum=0.0,
    )
    drop_db: float = param(
        12.0, "How far below its usual level it is silent as well", unit="dB", minimum=3.0, maximum=60.0
    )
    learn_s: float = param(
        5.0, "Time constant with which the usual level is learned", unit="s", minimum=0.5, maximum=600.0
    )

    def __post_init__(self) -> None:
        """Refuse a band that is none."""
        if self.high_hz - self.low_hz < BIN_HZ:
            raise ConfigError(f"high_hz must lie {BIN_HZ:g} Hz above low_hz ({self.low_hz:g}), got {self.high_hz:g}")


class Hum:
    """The kind ``hum``."""

    config_type: ClassVar[type[Any]] = HumConfig
    values: ClassVar[Mapping[str, str]] = {
        "level_db": "level of the machine's band, of full scale",
        "hums": "1 while it is heard, otherwise 0",
        "silent_s": "seconds since it was heard last",
    }

    def __init__(self, config: HumConfig, surroundings: Surroundings) -> None:
        self._config = config
        self._spectra = Spectra()
        self._usual_db: float | None = None
        self._heard_ns: int | None = None
        self._began_ns: int | None = None
        self._level_db: float | None = None

    def step(self, turn: SafetyTurn) -> Reading:
        """Take in the next turn; sound that did not come tells nothing."""
        self._began_ns = self._began_ns if self._began_ns is not None else turn.start_ns
        spectra = self._spectra.add(turn.audio)
        if turn.audio_valid < 0.9 or not len(spectra):
            return Reading(dict.fromkeys(self.values))
        first, last = round(self._config.low_hz / BIN_HZ), round(self._config.high_hz / BIN_HZ)
        # the softest quarter of the frames: what hums is there between words, too
        power = float(np.quantile(spectra[:, first : last + 1].sum(axis=1), 0.25))
        level = self._level_db = 10.0 * float(np.log10(power + 1e-12))
        usual = self._usual_db if self._usual_db is not None else level
        hums = level >= self._config.silent_db and level >= usual - self._config.drop_db
        if hums:
            share = min(1.0, (turn.end_ns - turn.start_ns) / 1e9 / self._config.learn_s)
            self._usual_db = usual + share * (level - usual)
            self._heard_ns = turn.end_ns
        since_ns = self._heard_ns if self._heard_ns is not None else self._began_ns
        return Reading({"level_db": level, "hums": float(hums), "silent_s": (turn.end_ns - since_ns) / 1e9})
