"""Parameters of the incident recorder."""

from dataclasses import dataclass, field

from tml_ros.config import param
from tml_ros.errors import ConfigError

__all__ = ["DiskConfig", "IncidentConfig", "PictureConfig"]


@dataclass(frozen=True, slots=True)
class PictureConfig:
    """How pictures are kept."""

    max_rate_hz: float = param(
        10.0, "Pictures kept in a second, at most; the others are left out", unit="Hz", minimum=0.1, maximum=120
    )
    jpeg_quality: int = param(
        85,
        "Raw pictures become JPEGs of this quality; 0 keeps them as they came, 20 times as large",
        minimum=0,
        maximum=100,
    )
    blur_faces: bool = param(
        False,
        "Blur the faces that are found before anything is written; some are not found, see docs/incidents.md. Takes "
        "some 0.1 s of one core a picture",
    )
    face_search_width: int = param(
        480,
        "Width to which a picture is reduced for the search; a face is found from 4 % of it",
        unit="pixels",
        minimum=160,
        maximum=1920,
    )


@dataclass(frozen=True, slots=True)
class DiskConfig:
    """How much of the disk may be used, and for how long."""

    quota_mb: float = param(
        2000.0, "Room for all incidents together; the oldest give way", unit="MB", minimum=1, maximum=1e9
    )
    reserve_mb: float = param(
        500.0,
        "Room on the disk that is left to others; old incidents give way to it",
        unit="MB",
        minimum=0,
        maximum=1e9,
    )
    retention_days: float = param(
        30.0, "Days after which an incident is removed; 0: never", unit="d", minimum=0, maximum=36_500
    )


@dataclass(frozen=True, slots=True)
class IncidentConfig:
    """What is recorded around an alert, and where to."""

    enabled: bool = param(False, "Record incidents; nothing is kept or listened to while this is false")
    folder: str = param("~/tml_incidents", "Folder of the incidents, made when it is not there; one recorder a folder")
    before_s: float = param(10.0, "Seconds before an alert", unit="s", minimum=0, maximum=600)
    after_s: float = param(20.0, "Seconds after an alert", unit="s", minimum=0.1, maximum=3600)
    max_s: float = param(
        120.0,
        "Length of an incident after its first alert: an alert during one makes it longer, up to this; the next begins "
        "a new one",
        unit="s",
        minimum=0.1,
        maximum=7200,
    )
    ring_mb: float = param(
        64.0,
        "Memory for the seconds before an alert, three quarters of it for pictures",
        unit="MB",
        minimum=1,
        maximum=16_384,
    )
    min_severity: int = param(0, "Alerts below this severity are no incident", minimum=0, maximum=255)
    max_per_hour: int = param(
        60, "Bags begun within an hour, at most; of further incidents only the summary is kept", minimum=0, maximum=3600
    )
    nice: int = param(10, "How far the process stands back behind others, as in nice(1)", minimum=0, maximum=19)
    pictures: PictureConfig = field(default_factory=PictureConfig)
    disk: DiskConfig = field(default_factory=DiskConfig)

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.enabled and not self.folder.strip():
            raise ConfigError("folder is empty, expected a path; name one or set enabled to false")
        if self.max_s < self.after_s:
            raise ConfigError(f"max_s must be at least after_s ({self.after_s:g}), got {self.max_s:g}; raise it")
        if self.pictures.blur_faces and not self.pictures.jpeg_quality:
            raise ConfigError("pictures.blur_faces needs JPEGs, got pictures.jpeg_quality 0; set it to 85")
