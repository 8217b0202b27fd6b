"""A background model without a network: timers, arithmetic, units, plans from a library, answers from documents."""

from tml_ros.background.offline.config import OfflineConfig
from tml_ros.background.offline.model import OfflineModel

__all__ = ["OfflineConfig", "OfflineModel"]
