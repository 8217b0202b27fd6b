"""The slow half: tasks with their context in, updates out, while the conversation goes on."""

from tml_ros.background.port import BackgroundPort, DelegationRequest, DelegationUpdate
from tml_ros.background.protocol import (
    BackgroundModel,
    Cancel,
    ContextPackage,
    Failure,
    Outcome,
    Partial,
    Progress,
    Result,
    Surroundings,
    Update,
)
from tml_ros.background.registry import available_backends, create_background
from tml_ros.background.service import BackgroundService

__all__ = [
    "BackgroundModel",
    "BackgroundPort",
    "BackgroundService",
    "Cancel",
    "ContextPackage",
    "DelegationRequest",
    "DelegationUpdate",
    "Failure",
    "Outcome",
    "Partial",
    "Progress",
    "Result",
    "Surroundings",
    "Update",
    "available_backends",
    "create_background",
]
