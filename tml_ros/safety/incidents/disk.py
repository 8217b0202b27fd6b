"""Files that are whole or not there: fsync, rename, remove. Knows no incident."""

import os
import shutil
from pathlib import Path

__all__ = ["move", "remove", "size_of", "sync", "write_whole"]

_BLOCK = 4096


def sync(path: Path) -> None:
    """Bring a file or folder to the disk.

    Raises:
        OSError: the disk does not take it.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, text: str, mode: int = 0o666) -> None:
    """Write a file so that it is there as a whole or as it was before. mode: who may read it, less the umask.

    Raises:
        OSError: the disk does not take it.
    """
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.unlink(missing_ok=True)
        draft.touch(mode=mode)
        draft.write_text(text, encoding="utf-8")
        sync(draft)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync(path.parent)


def move(source: Path, target: Path) -> None:
    """Bring a folder of files to the disk, then give it its place in one step.

    Raises:
        OSError: the disk does not take it, or target is there.
    """
    for file in source.iterdir():
        sync(file)
    sync(source)
    source.rename(target)
    sync(target.parent)
    sync(source.parent)


def remove(path: Path) -> None:
    """Remove a file or folder as far as that is allowed; what is not there is no fault."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def size_of(path: Path) -> int:
    """Return the room that a file or folder takes on the disk, in bytes; 0 where it is gone."""
    try:
        files = [path, *path.rglob("*")] if path.is_dir() else [path]
        return sum(_room(file.stat()) for file in files)
    except OSError:
        return 0


def _room(status: os.stat_result) -> int:
    return max(status.st_blocks * 512, -(-status.st_size // _BLOCK) * _BLOCK)
