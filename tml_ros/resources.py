"""Find the files that come with the package: configuration, launch files, models, message definitions.

They lie at the root of a source checkout and under share/tml_ros of an installation, whoever made it (pip, colcon,
Debian). This module does not read them, and does not ask the ament index, which is absent where there is no ROS.
"""

from collections.abc import Iterator
from pathlib import Path

from tml_ros.errors import ConfigError

__all__ = ["find", "locate"]

_PACKAGE = Path(__file__).resolve().parent


def find(relative: str) -> Path:
    """Return the absolute path of a file or folder that comes with the package.

    Args:
        relative: path below share/tml_ros, such as ``config/intents.yaml`` or
            ``interfaces/tml_interfaces/msg/AudioChunk.msg``.

    Raises:
        ConfigError: it is in none of the places where it could be.
    """
    tried = list(_candidates(relative, _PACKAGE))
    for path in tried:
        if path.exists():
            return path
    places = ", ".join(str(path) for path in tried) or f"share/tml_ros in every folder above {_PACKAGE}"
    raise ConfigError(f"{relative!r} does not come with tml_ros, looked for {places}; check the name or reinstall")


def _candidates(relative: str, package: Path) -> Iterator[Path]:
    """List where the file could be, the most likely place first. package: folder of the package tml_ros."""
    checkout = package.parent
    if (checkout / "setup.py").is_file() and (checkout / "tml_interfaces").is_dir():
        yield checkout / relative.removeprefix("interfaces/")
        return
    for parent in package.parents:
        share = parent / "share" / "tml_ros"
        if share.is_dir():
            yield share / relative


def locate(name: str) -> Path:
    """Return a path as it was given, or the file or folder of this package by that name.

    Raises:
        ConfigError: it is neither.
    """
    path = Path(name).expanduser()
    if path.exists():
        return path
    try:
        return find(name)
    except ConfigError as err:
        raise ConfigError(f"{name!r} is neither a file or folder nor one of this package: {err}") from err
