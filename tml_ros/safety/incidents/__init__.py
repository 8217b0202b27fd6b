"""What was seen, heard and said around an alert, on disk: one bag and one summary an incident. Off unless switched on.

``IncidentWorker`` takes messages from any thread and never makes its caller wait; ``IncidentRecorder`` decides what
belongs to an incident; ``IncidentStore`` keeps the folder whole, within its quota, whatever happens to the process.
"""

from tml_ros.safety.incidents.config import DiskConfig, IncidentConfig, PictureConfig
from tml_ros.safety.incidents.message import Received
from tml_ros.safety.incidents.recorder import IncidentRecorder
from tml_ros.safety.incidents.store import IncidentStore
from tml_ros.safety.incidents.summary import SUMMARY_FILE, IncidentSummary, read_summary
from tml_ros.safety.incidents.worker import IncidentWorker

__all__ = [
    "SUMMARY_FILE",
    "DiskConfig",
    "IncidentConfig",
    "IncidentRecorder",
    "IncidentStore",
    "IncidentSummary",
    "IncidentWorker",
    "PictureConfig",
    "Received",
    "read_summary",
]
