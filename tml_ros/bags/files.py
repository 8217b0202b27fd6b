"""Open and iterate a single storage file of a bag, with errors that say what to do.

Every file is opened by itself and its topics are taken as the storage names them: rosbags' own folder reader drops
without a word every topic whose QoS is written differently in metadata.yaml. Knows no types and no order between files.

Source: rosbags.rosbag2.Reader (for single files).
"""

import shutil
import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader

from tml_ros.bags.layout import BagLayout, check_sqlite_path
from tml_ros.errors import BagError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["RawMessage", "open_file", "raw_messages"]

RawMessage = tuple[int, Connection | None, bytes]


def open_file(path: Path, layout: BagLayout, stack: ExitStack) -> Reader:
    """Open a file; ``stack`` closes it, and removes the temporary copy that a compressed file needs.

    Raises:
        BagError: the file is damaged or unfinished, or its messages are not CDR.
    """
    file = _decompress(path, stack) if layout.compression == "file" else path
    if layout.storage == "sqlite3":
        check_sqlite_path(file)
        _check_no_journal(file)
    try:
        reader = Reader(file)
        stack.enter_context(reader)
    except Exception as err:  # a damaged file makes rosbags fail in many ways: struct, assert, index, sqlite, zstd
        raise _damaged(path, layout, err) from err
    for connection in reader.connections:
        _check_serialization(path, connection)
    return reader


def raw_messages(
    path: Path, layout: BagLayout, reader: Reader, connections: Collection[Connection]
) -> Iterator[RawMessage]:
    """Yield log time, connection and CDR bytes in log-time order.

    The first item is a mark at the time of the first message, without a connection: who merges files need not load
    anything of a file before its time has come.

    Raises:
        BagError: the file is damaged.
    """
    yield reader.start_time, None, b""
    source = iter(reader.messages(connections))
    while True:
        try:
            connection, log_ns, data = next(source)
            data = zstd.decompress(data) if layout.compression == "message" else data
        except StopIteration:
            return
        except Exception as err:  # as in open_file
            raise _damaged(path, layout, err) from err
        yield log_ns, connection, data


def _damaged(path: Path, layout: BagLayout, err: Exception) -> BagError:
    repair = "mcap recover" if layout.storage == "mcap" else f"sqlite3 {path.name} .recover"
    return BagError(
        f"bag file {path} cannot be read ({type(err).__name__}: {err}), expected a complete {layout.storage} file; "
        f"it was cut off, damaged, or is still being written: try `{repair}`, then `ros2 bag reindex`"
    )


def _decompress(path: Path, stack: ExitStack) -> Path:
    folder = stack.enter_context(TemporaryDirectory(prefix="tml_bag_"))
    target = Path(folder) / path.name.removesuffix(".zstd")
    try:
        with zstd.open(path, "rb") as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink)
    except (OSError, EOFError, zstd.ZstdError) as err:
        raise BagError(f"bag file {path} is not intact zstd ({err}); it was cut off or damaged: copy it again") from err
    return target


def _check_no_journal(path: Path) -> None:
    """rosbags opens the file as immutable and would not see what lies in a journal."""
    for suffix in ("-wal", "-journal"):
        journal = path.with_name(path.name + suffix)
        if journal.is_file() and journal.stat().st_size:
            raise BagError(
                f"bag file {path} has unfinished changes in {journal.name}, expected a closed recording; "
                f"stop the recorder, then `sqlite3 {path.name} 'PRAGMA wal_checkpoint'`"
            )


def _check_serialization(path: Path, connection: Connection) -> None:
    if (form := getattr(connection.ext, "serialization_format", "cdr")) != "cdr":
        raise BagError(
            f"bag file {path}: topic {connection.topic} is serialised as {form!r}, expected 'cdr'; "
            "`ros2 bag convert` it where that format is installed"
        )
