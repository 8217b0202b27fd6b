"""What must be set before ROS starts in a process: the Fast DDS profile for large messages, and clear import errors.

With its default 512 KiB of shared memory Fast DDS loses every best-effort camera image; the shipped profile makes room.
Jazzy reads one variable, Kilted and later another and warn of the old one.
"""

import importlib.metadata
import os
from collections.abc import MutableMapping

from tml_ros.errors import MissingDependencyError
from tml_ros.resources import find

__all__ = ["PROFILE_VARIABLES", "child_environment", "prepare", "require_ros"]

PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
_FIRST_RCLPY_WITH_NEW_NAME = 8  # Kilted's is 9, Jazzy's 7
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "67108864", "MALLOC_TRIM_THRESHOLD_": "134217728"}


def prepare(environment: MutableMapping[str, str] = os.environ) -> None:
    """Point Fast DDS to the large-message profile unless the user chose one. Call before ``rclpy.init``."""
    if not any(environment.get(name) for name in PROFILE_VARIABLES):
        environment[_profile_variable()] = str(find("config/fastdds.xml"))


def _profile_variable() -> str:
    """Return the name that the installed ROS reads."""
    try:
        major = int(importlib.metadata.version("rclpy").split(".")[0])
    except (importlib.metadata.PackageNotFoundError, ValueError):
        major = _FIRST_RCLPY_WITH_NEW_NAME
    return PROFILE_VARIABLES[0 if major >= _FIRST_RCLPY_WITH_NEW_NAME else 1]


def child_environment() -> dict[str, str]:
    """Return the environment for a node in a process of its own: the profile, and memory kept between images."""
    environment = dict(os.environ)
    prepare(environment)
    for name, value in _MALLOC.items():
        environment.setdefault(name, value)
    return environment


def require_ros() -> None:
    """Check that rclpy and our messages can be imported.

    Raises:
        MissingDependencyError: says what is missing and how to get it.
    """
    try:
        import rclpy  # noqa: F401

        import tml_interfaces.msg  # noqa: F401
    except ImportError as err:
        raise MissingDependencyError(
            f"this command needs ROS 2 and tml_interfaces, but {err}; run `make setup` and use .venv/bin/tml, or "
            "source your ROS installation and its workspace"
        ) from err
