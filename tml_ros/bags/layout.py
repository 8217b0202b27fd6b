"""Where a bag lies on disk and what its metadata.yaml promises.

Reads no messages. Goes by metadata.yaml for file names, compression and counts only: what it says about topics' QoS may
differ from what the storage says, and then the storage is right.

Source: rosbag2_storage/metadata_io (metadata.yaml, versions 1 to 9).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from tml_ros.errors import BagError, nearest_name

__all__ = ["BagLayout", "check_sqlite_path", "find_layout"]

_SUFFIXES = {"mcap": ".mcap", "sqlite3": ".db3"}
_NEWEST_VERSION = 9
_REINDEX = "make it again with `ros2 bag reindex`"


@dataclass(frozen=True, slots=True)
class BagLayout:
    """The files of a bag. counts: messages by topic as metadata.yaml promises them, None without metadata.yaml."""

    storage: str
    files: tuple[Path, ...]
    compression: str = ""
    counts: Mapping[str, int] | None = None
    message_count: int | None = None


def find_layout(path: Path) -> BagLayout:
    """Find the files of a bag.

    Args:
        path: folder with metadata.yaml, or a single .mcap or .db3 file (.zstd behind it when compressed).

    Raises:
        BagError: there is no bag, or metadata.yaml is broken.
    """
    if path.is_dir():
        return _from_metadata(path)
    if not path.exists():
        raise BagError(f"bag {path} is not there, expected a folder with metadata.yaml, a .mcap or a .db3 file")
    name = path.name.removesuffix(".zstd")
    for storage, suffix in _SUFFIXES.items():
        if name.endswith(suffix):
            return BagLayout(storage, (path,), "file" if name != path.name else "")
    raise BagError(f"{path} is not a bag, expected a folder with metadata.yaml, a .mcap or a .db3 file")


def check_sqlite_path(path: Path) -> None:
    """Refuse characters that SQLite takes for a part of an address.

    Raises:
        BagError: there is such a character in the path.
    """
    if bad := set("?#%") & set(str(path)):
        raise BagError(
            f"path {path} contains {' '.join(sorted(bad))}, expected a path without ? # % for the storage sqlite3; "
            "rename it, or use mcap"
        )


def _from_metadata(folder: Path) -> BagLayout:
    path = folder / "metadata.yaml"
    if not path.is_file():
        raise BagError(
            f"bag {folder} has no metadata.yaml; {_REINDEX}, or give the .mcap or .db3 file in it instead of the folder"
        )
    try:
        information = yaml.safe_load(path.read_text("utf-8"))["rosbag2_bagfile_information"]
        return _layout(folder, path, information)
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as err:
        raise BagError(f"{path} is not readable YAML ({err}); {_REINDEX}") from err
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        raise BagError(
            f"{path} lacks something or has it in a wrong form ({err!r}), expected rosbag2 metadata; {_REINDEX}"
        ) from err


def _layout(folder: Path, path: Path, information: Mapping[str, Any]) -> BagLayout:
    if (version := int(information["version"])) > _NEWEST_VERSION:
        raise BagError(
            f"{path} has version {version}, expected at most {_NEWEST_VERSION}; update tml_ros or convert it"
        )
    storage = str(information["storage_identifier"])
    if storage not in _SUFFIXES:
        hint = nearest_name(storage, _SUFFIXES)
        raise BagError(
            f"{path} names the storage {storage!r}, expected {' or '.join(_SUFFIXES)}{hint}; `ros2 bag convert` it"
        )
    return BagLayout(
        storage,
        _files(folder, path, storage, information["relative_file_paths"]),
        _compression(path, information),
        _counts(path, information["topics_with_message_count"]),
        int(information["message_count"]),
    )


def _files(folder: Path, path: Path, storage: str, names: list[str]) -> tuple[Path, ...]:
    """Old bags have the folder in front of the name; only the last part counts, so that nothing outside is read."""
    files = tuple(folder / PurePosixPath(name).name for name in names)
    for file in files:
        if not file.is_file():
            raise BagError(f"{path} names {file.name}, which is not in {folder}; copy the whole folder, or reindex it")
        if not file.name.removesuffix(".zstd").endswith(_SUFFIXES[storage]):
            raise BagError(
                f"{path} names the storage {storage!r} but the file {file.name}, expected {_SUFFIXES[storage]}; "
                f"{_REINDEX}"
            )
    return files


def _compression(path: Path, information: Mapping[str, Any]) -> str:
    mode = str(information.get("compression_mode") or "none").lower()
    form = information.get("compression_format") or ""
    if mode == "none":
        return ""
    if mode not in ("file", "message") or form != "zstd":
        raise BagError(
            f"{path} names the compression {form!r} by {mode!r}, expected 'zstd' by 'file' or 'message'; "
            "`ros2 bag convert` it"
        )
    return mode


def _counts(path: Path, topics: list[Mapping[str, Any]]) -> Mapping[str, int]:
    counts: Counter[str] = Counter()
    for topic in topics:
        metadata = topic["topic_metadata"]
        if (form := metadata["serialization_format"]) != "cdr":
            raise BagError(
                f"{path}: topic {metadata['name']} is serialised as {form!r}, expected 'cdr'; "
                "`ros2 bag convert` it where that format is installed"
            )
        counts[metadata["name"]] += int(topic["message_count"])
    return counts
